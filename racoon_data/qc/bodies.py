"""Where the body is: found on a thinned image, without a model of anatomy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from racoon_data.geometry import Geometry
from racoon_data.grid.pieces import Index, pieces
from racoon_data.grid.reorient import orientation_of
from racoon_data.qc.facts import BodyFacts

_SIDE = 48
_TISSUE_HU = -500.0
_LEAST_SHARE, _MOST_SHARE = 0.02, 0.98

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

    def outside_share(self, index: tuple[Index, Index, Index]) -> float:
        """Give the share of voxels, by their index along k, j, i, that lie outside the body."""
        thin = tuple(
            np.minimum((axis + step // 2) // step, size - 1)
            for axis, step, size in zip(index, self.steps, self.inside.shape, strict=True)
        )
        return 1.0 - float(self.inside[thin].mean())


def find_body(array: Grid, geometry: Geometry, *, unit: str) -> Body | None:
    """Find the body: the largest connected piece of tissue and everything enclosed along two of three axes.

    Tissue is above -500 HU. Other values draw no reliable outline: a threshold between dark and bright, tried on MR,
    took muscle for air. An image that is nearly all tissue or nearly all air (a crop, a scan of parts) has none either.

    Args:
        array: First channel ``[k, j, i]``.
        geometry: Its grid.
        unit: Meaning of a value.
    """
    if unit != "HU" or min(array.shape) < 2:
        return None
    k, j, i = (max(1, round(size / _SIDE)) for size in array.shape)
    thin = array[::k, ::j, ::i].astype(np.float32)
    if array.dtype.kind == "f":
        thin = np.nan_to_num(thin, copy=False, posinf=0.0, neginf=0.0)
    tissue = pieces(thin > _TISSUE_HU).largest()
    if not _LEAST_SHARE < float(tissue.mean()) < _MOST_SHARE:
        return None
    inside = _enclosed(tissue)
    return Body(_grown(inside), (k, j, i), _facts(inside, geometry, (k, j, i)))


def _enclosed(tissue: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Keep tissue and every voxel that has tissue before and behind it along at least two axes."""
    between = np.zeros(tissue.shape, dtype=np.uint8)
    for axis in range(3):
        before, behind = tissue.copy(), tissue.copy()
        planes, from_behind = before.swapaxes(0, axis), behind.swapaxes(0, axis)[::-1]
        for last, now in zip(range(len(planes)), range(1, len(planes)), strict=False):
            planes[now] |= planes[last]
            from_behind[now] |= from_behind[last]
        between += before & behind
    return np.asarray(tissue | (between >= 2))


def _grown(inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    grown = inside.copy()
    for axis in range(3):
        wide, was = grown.swapaxes(0, axis), grown.copy().swapaxes(0, axis)
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
