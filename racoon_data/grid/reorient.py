"""Turn a volume's axes to a declared orientation: permute and flip, never interpolate.

A code names where each axis *points*, as nibabel reads it: ``RAS`` means that index i grows towards
the patient's Right, j towards Anterior and k towards Superior. Our affines stay LPS millimetres
(x grows to the Left, y to Posterior, z to Superior), so an ``LPS`` volume has a positive diagonal
here and a ``RAS`` volume negative x and y.
"""

from __future__ import annotations

from itertools import permutations
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from racoon_data.errors import NoGeometryError, SettingsError
from racoon_data.geometry import Geometry, as_affine
from racoon_data.volumes import Volume

Dtype = TypeVar("Dtype", bound=np.generic)

# The letter of the growing and of the falling direction of each LPS axis.
_LETTERS = ("LR", "PA", "SI")
_AXIS = {letter: (axis, sign) for axis, pair in enumerate(_LETTERS) for letter, sign in zip(pair, (1, -1), strict=True)}


def check_code(code: str) -> None:
    """Refuse a code that does not name each body axis once.

    Raises:
        SettingsError: It is not three letters, one of L/R, one of P/A and one of S/I.
    """
    axes = sorted(_AXIS[letter][0] for letter in code if letter in _AXIS)
    if len(code) != 3 or axes != [0, 1, 2]:
        raise SettingsError(f"{code!r} is no orientation", hint="use three letters such as RAS, LPS or LAS")


def orientation_of(geometry: Geometry) -> str:
    """Name the orientation nearest to a grid's axes, such as ``LPS``.

    Oblique and sheared grids get the assignment of axes to letters whose cosines sum highest.
    """
    return "".join(_LETTERS[axis][0 if sign > 0 else 1] for axis, sign in _nearest_axes(geometry))


def reorient(volume: Volume, code: str) -> Volume:
    """Give the same voxels at the same patient positions with axes in another order and sense.

    Args:
        volume: Image of any dtype.
        code: Target orientation, such as ``RAS``; see the caption of this module.

    Returns:
        A volume whose array is a contiguous copy; values are unchanged.

    Raises:
        SettingsError: The code is no orientation.
        NoGeometryError: The affine is singular.
    """
    array, geometry = reorient_array(volume.array, volume.geometry, code)
    return Volume(array, geometry, volume.unit)


def reorient_array(array: npt.NDArray[Dtype], geometry: Geometry, code: str) -> tuple[npt.NDArray[Dtype], Geometry]:
    """Reorient an array ``[k, j, i]`` and its grid; see ``reorient``."""
    order, flips = _moves(geometry, code)
    ijk = array.transpose(2, 1, 0).transpose(order)
    ijk = ijk[tuple(slice(None, None, -1 if flip else 1) for flip in flips)]
    return np.ascontiguousarray(ijk.transpose(2, 1, 0)), _turned(geometry, order, flips)


def reorient_geometry(geometry: Geometry, code: str) -> Geometry:
    """Give the grid that ``reorient`` would give, without any voxel."""
    return _turned(geometry, *_moves(geometry, code))


def _moves(geometry: Geometry, code: str) -> tuple[list[int], list[bool]]:
    check_code(code)
    now = _nearest_axes(geometry)
    order: list[int] = []
    flips: list[bool] = []
    for letter in code:
        axis, sign = _AXIS[letter]
        old = next(index for index, (body_axis, _) in enumerate(now) if body_axis == axis)
        order.append(old)
        flips.append(now[old][1] != sign)
    return order, flips


def _turned(geometry: Geometry, order: list[int], flips: list[bool]) -> Geometry:
    new_to_old = np.zeros((4, 4))
    new_to_old[3, 3] = 1.0
    for new, (old, flip) in enumerate(zip(order, flips, strict=True)):
        new_to_old[old, new] = -1.0 if flip else 1.0
        new_to_old[old, 3] = geometry.shape[old] - 1 if flip else 0.0
    first, second, third = (geometry.shape[old] for old in order)
    matrix = geometry.matrix @ new_to_old + 0.0  # adding zero turns -0.0 into 0.0
    return Geometry((first, second, third), as_affine(matrix), geometry.frame_of_reference)


def _nearest_axes(geometry: Geometry) -> tuple[tuple[int, int], ...]:
    """Give for each of i, j, k its nearest LPS axis and whether it grows (1) or falls (-1) along it."""
    columns = geometry.matrix[:3, :3]
    lengths = np.linalg.norm(columns, axis=0)
    if not np.all(np.isfinite(columns)) or abs(np.linalg.det(columns)) < 1e-9 * max(float(np.prod(lengths)), 1e-300):
        raise NoGeometryError("the affine is singular: its axes do not span space", hint="check the source geometry")
    cosines = np.round(columns / lengths, 9)
    best = max(permutations(range(3)), key=lambda axes: sum(abs(cosines[axes[i], i]) for i in range(3)))
    return tuple((axis, 1 if cosines[axis, i] >= 0 else -1) for i, axis in enumerate(best))
