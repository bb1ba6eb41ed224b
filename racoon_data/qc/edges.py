"""The boundary of a mask: how rough it is, and whether the image changes there."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk  # noqa: N813 - the library's own habit

from racoon_data.geometry import Geometry
from racoon_data.grid.reorient import orientation_of
from racoon_data.qc.facts import Fit

_MOST_VOXELS = 4_000_000
_SAME_MASK = 0.5
_WORDS = {"L": "left and right", "R": "left and right", "P": "front and back", "A": "front and back"}

Box = tuple[slice, slice, slice]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Edges:
    """What a mask's boundary tells; see ``facts.LabelFacts``."""

    components: int
    roughness: float
    fit: Fit | None
    mirrored: Fit | None


def measure_edges(mask: Mask, box: Box, image: npt.NDArray[Any] | None, geometry: Geometry) -> Edges:
    """Measure a mask inside its box, which has a voxel of room on each side where the image allows.

    Boxes of more than four million voxels are thinned to every second, third ... voxel along each axis.

    Args:
        mask: Booleans ``[k, j, i]`` of the box.
        box: Where it lies in the image.
        image: The whole first channel, ``None`` where it lies on another grid.
        geometry: Grid of the label map.
    """
    step = math.ceil((mask.size / _MOST_VOXELS) ** (1 / 3))
    thin = np.ascontiguousarray(mask[::step, ::step, ::step])
    spacing_mm = np.array(geometry.spacing_mm[::-1]) * step
    faces = [np.nonzero(_along(thin, axis)[1:] != _along(thin, axis)[:-1]) for axis in range(3)]
    area = sum(found[0].size * float(np.prod(np.delete(spacing_mm, axis))) for axis, found in enumerate(faces))
    volume = float(np.count_nonzero(thin)) * float(np.prod(spacing_mm))
    ball = math.pi ** (1 / 3) * (6 * volume) ** (2 / 3)
    roughness = area / ball if ball else 0.0
    fit, mirrored = None, None
    if image is not None:
        fit = _fit(thin, faces, image[box][::step, ::step, ::step])
        mirrored = _mirrored(thin, faces, box, image, (orientation_of(geometry), step))
    return Edges(_pieces(thin), roughness, fit, mirrored)


def _along(array: npt.NDArray[Any], axis: int) -> npt.NDArray[Any]:
    return np.moveaxis(array, axis, 0)


def _pieces(mask: Mask) -> int:
    finder = sitk.ConnectedComponentImageFilter()
    finder.SetNumberOfThreads(1)
    finder.FullyConnectedOn()
    finder.Execute(sitk.GetImageFromArray(mask.view(np.uint8)))
    return int(finder.GetObjectCount())


def _fit(mask: Mask, faces: list[Any], image: npt.NDArray[Any], exchanged: str = "") -> Fit:
    """Look at the step of the image across each face, from outside to inside."""
    total, rising, count = 0.0, 0, 0
    for axis, (near, *rest) in enumerate(faces):
        values = _along(image, axis)
        steps = values[(near + 1, *rest)].astype(np.float64) - values[(near, *rest)]
        inward = np.nan_to_num(steps * np.where(_along(mask, axis)[(near + 1, *rest)], 1.0, -1.0))
        total, count = total + float(inward.sum()), count + near.size
        rising += int(np.count_nonzero(inward > 0))
    if not count:
        return Fit(0.0, 0.5, exchanged)
    return Fit(total / count, max(rising, count - rising) / count, exchanged)


def _mirrored(mask: Mask, faces: list[Any], box: Box, image: npt.NDArray[Any], how: tuple[str, int]) -> Fit | None:
    """Lay the mask's mirror images over the image, and give the one whose boundary fits best."""
    code, step = how
    best: Fit | None = None
    for axis in range(3):
        if _is_own_mirror(mask, box, image.shape, axis, step):
            continue
        words = _WORDS.get(code[2 - axis], "head and feet")
        fit = _fit(mask, faces, np.flip(image, axis)[box][::step, ::step, ::step], words)
        if best is None or fit.agreement > best.agreement:
            best = fit
    return best


def _is_own_mirror(mask: Mask, box: Box, shape: tuple[int, ...], axis: int, step: int) -> bool:
    """Tell whether half of the mask or more lies on its own mirror image."""
    start = box[axis].start
    shift = (shape[axis] - box[axis].stop - start) // step
    ours, theirs = _along(mask, axis), _along(np.flip(mask, axis), axis)
    length = len(ours) - abs(shift)
    if length <= 0:
        return False
    low, high = max(0, shift), max(0, -shift)
    both = np.count_nonzero(ours[low : low + length] & theirs[high : high + length])
    return bool(both >= _SAME_MASK * np.count_nonzero(mask))
