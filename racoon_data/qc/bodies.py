"""Where the body is: found on a thinned image, without a model of anatomy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk  # noqa: N813 - the library's own habit

from racoon_data.geometry import Geometry
from racoon_data.grid.reorient import orientation_of
from racoon_data.qc.facts import BodyFacts

_SIDE = 96
_TISSUE_HU = -500.0
_LEAST_SHARE, _MOST_SHARE = 0.02, 0.98
_NO_BODY = ("PT", "NM")  # uptake shows organs, not the body's outline

Grid = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """The body on a thinned grid.

    Attributes:
        inside: Booleans ``[k, j, i]``: tissue and what lies between tissue, such as lungs, and one voxel around.
        steps: Every how many voxels along k, j, i were taken.
        facts: Its middle and width.
    """

    inside: npt.NDArray[np.bool_]
    steps: tuple[int, int, int]
    facts: BodyFacts

    def outside_share(self, flat: npt.NDArray[np.int64], shape: tuple[int, ...]) -> float:
        """Give the share of voxels, by their position in the flattened image, that lie outside the body."""
        index = np.unravel_index(flat, shape)
        thin = tuple(
            np.minimum((axis + step // 2) // step, size - 1)
            for axis, step, size in zip(index, self.steps, self.inside.shape, strict=True)
        )
        return 1.0 - float(self.inside[thin].mean())


def find_body(array: Grid, geometry: Geometry, *, unit: str, modality: str) -> Body | None:
    """Find the body: the largest connected piece of tissue and everything enclosed along two of three axes.

    Tissue is above -500 HU, and above Otsu's threshold where values have no unit. An image that is nearly all tissue
    or nearly all air (a crop, a scan of parts) has no outline to speak of.

    Args:
        array: First channel ``[k, j, i]``.
        geometry: Its grid.
        unit: Meaning of a value.
        modality: Modality.
    """
    if modality in _NO_BODY or min(array.shape) < 2:
        return None
    k, j, i = (max(1, round(size / _SIDE)) for size in array.shape)
    thin = np.nan_to_num(array[::k, ::j, ::i].astype(np.float32), posinf=0.0, neginf=0.0)
    threshold = _TISSUE_HU if unit == "HU" else _otsu(thin)
    tissue = _largest(thin > threshold)
    if not _LEAST_SHARE < float(tissue.mean()) < _MOST_SHARE:
        return None
    inside = _enclosed(tissue)
    return Body(_grown(inside), (k, j, i), _facts(inside, geometry, (k, j, i)))


def _otsu(thin: Grid) -> float:
    finder = sitk.OtsuThresholdImageFilter()
    finder.SetNumberOfThreads(1)
    finder.Execute(sitk.GetImageFromArray(thin))
    return float(finder.GetThreshold())


def _largest(tissue: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    finder = sitk.ConnectedComponentImageFilter()
    finder.SetNumberOfThreads(1)
    numbered = sitk.GetArrayFromImage(finder.Execute(sitk.GetImageFromArray(tissue.view(np.uint8))))
    sizes = np.bincount(numbered.reshape(-1))
    if len(sizes) < 2:
        return tissue
    largest: npt.NDArray[np.bool_] = numbered == 1 + int(sizes[1:].argmax())
    return largest


def _enclosed(tissue: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Keep tissue and every voxel that has tissue before and behind it along at least two axes."""
    between = np.zeros(tissue.shape, dtype=np.uint8)
    for axis in range(3):
        before = np.maximum.accumulate(tissue, axis=axis)
        behind = np.flip(np.maximum.accumulate(np.flip(tissue, axis), axis=axis), axis)
        between += before & behind
    return np.asarray(tissue | (between >= 2))


def _grown(inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    grown = inside.copy()
    for axis in range(3):
        wide, was = np.moveaxis(grown, axis, 0), np.moveaxis(grown.copy(), axis, 0)
        wide[1:] |= was[:-1]
        wide[:-1] |= was[1:]
    return grown


def _facts(inside: npt.NDArray[np.bool_], geometry: Geometry, steps: tuple[int, int, int]) -> BodyFacts:
    """Measure the body from right to left along the axis that runs that way."""
    axis = next(number for number, letter in enumerate(orientation_of(geometry)) if letter in "LR")
    others = tuple(number for number in range(3) if number != 2 - axis)
    columns = np.flatnonzero(inside.any(axis=others))
    step, size = steps[2 - axis], inside.shape[2 - axis]
    centre = [(length - 1) / 2 for length in geometry.shape]
    ends = []
    for column in (columns[0], columns[-1]):
        centre[axis] = float(column) * step
        ends.append(geometry.position_lps(centre)[0])
    is_whole = bool(columns[0] > 0 and columns[-1] < size - 1)
    return BodyFacts(sum(ends) / 2, abs(ends[1] - ends[0]), is_whole)
