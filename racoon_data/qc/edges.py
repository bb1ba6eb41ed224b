"""The boundary of a label: how rough it is, and whether the image changes there."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from racoon_data.geometry import Geometry
from racoon_data.grid.pieces import Index, Pieces
from racoon_data.grid.reorient import orientation_of
from racoon_data.qc.facts import Fit

_SAME_MASK = 0.5
_WORDS = {"L": "left and right", "R": "left and right", "P": "front and back", "A": "front and back"}

Voxels = tuple[Index, Index, Index]


def roughness(pieces: Pieces, geometry: Geometry) -> float:
    """Give the surface of a mask against that of a ball of its volume; voxel faces count, so a smooth ball has 1.5."""
    spacing_mm = geometry.spacing_mm
    areas = [math.prod(spacing_mm) / mm for mm in spacing_mm]
    surface = sum(count * area for count, area in zip(pieces.faces, areas, strict=True))
    volume = pieces.voxels * math.prod(spacing_mm)
    return surface / (math.pi ** (1 / 3) * (6 * volume) ** (2 / 3)) if volume else 0.0


def fits(
    some: Voxels, mask: tuple[npt.NDArray[np.uint8], int], image: npt.NDArray[Any], geometry: Geometry
) -> tuple[Fit, Fit | None]:
    """See how the image changes where some voxels of a label have neighbours outside it.

    Args:
        some: Index along k, j, i of voxels of the label.
        mask: Label map ``[k, j, i]`` and the label's value.
        image: First channel on the same grid.
        geometry: The grid.

    Returns:
        The fit of the label, and that of the best of its mirror images; ``None`` where they are much the same mask.
    """
    marks, value = mask
    faces = _faces(some, marks, value)
    code, best = orientation_of(geometry), None
    for axis, size in enumerate(marks.shape):
        if float(np.mean(marks[_mirrored(some, axis, size)] == value)) >= _SAME_MASK:
            continue
        words = _WORDS.get(code[2 - axis], "head and feet")
        fit = _fit(image, [(_mirrored(a, axis, size), _mirrored(b, axis, size)) for a, b in faces], words)
        if best is None or fit.agreement > best.agreement:
            best = fit
    return _fit(image, faces), best


def _mirrored(some: Voxels, axis: int, size: int) -> Voxels:
    k, j, i = (size - 1 - index if number == axis else index for number, index in enumerate(some))
    return k, j, i


def _faces(some: Voxels, marks: npt.NDArray[np.uint8], value: int) -> list[tuple[Voxels, Voxels]]:
    """Pair voxels inside with their neighbours outside."""
    pairs = []
    for axis, size in enumerate(marks.shape):
        for step in (-1, 1):
            near = some[axis] + step
            kept = np.flatnonzero((near >= 0) & (near < size))
            k, j, i = (near[kept] if number == axis else index[kept] for number, index in enumerate(some))
            is_out = marks[k, j, i] != value
            inside = tuple(index[kept[is_out]] for index in some)
            pairs.append((inside, (k[is_out], j[is_out], i[is_out])))
    return pairs


def _fit(image: npt.NDArray[Any], faces: list[tuple[Voxels, Voxels]], exchanged: str = "") -> Fit:
    inside, outside = (
        tuple(np.concatenate([pair[side][axis] for pair in faces]) for axis in range(3)) for side in range(2)
    )
    steps = image[inside].astype(np.float64) - image[outside]
    steps = steps[np.isfinite(steps)]
    if not steps.size:
        return Fit(0.0, 0.5, exchanged)
    rising = int(np.count_nonzero(steps > 0))
    return Fit(float(steps.mean()), max(rising, steps.size - rising) / steps.size, exchanged)
