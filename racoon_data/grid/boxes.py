"""Boxes of voxel indices: cut out what matters and carry it to another grid."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk  # noqa: N813 - the library's own habit


@dataclass(frozen=True, slots=True)
class Box:
    """A block of voxels.

    Attributes:
        start: First index along i, j, k.
        stop: One past the last index along i, j, k.
    """

    start: tuple[int, int, int]
    stop: tuple[int, int, int]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along i, j, k."""
        i, j, k = (high - low for low, high in zip(self.start, self.stop, strict=True))
        return (i, j, k)


def boxes_of(labels: npt.NDArray[Any], *, margin: int = 0) -> dict[int, Box]:
    """Give the box of every value but 0 in unsigned whole numbers ``[k, j, i]``, widened inside the array."""
    measure = sitk.LabelShapeStatisticsImageFilter()
    measure.SetNumberOfThreads(1)
    measure.ComputePerimeterOff()
    measure.Execute(sitk.GetImageFromArray(labels))
    size = np.array(labels.shape[::-1])
    boxes: dict[int, Box] = {}
    for value in sorted(measure.GetLabels()):
        found = np.array(measure.GetBoundingBox(value))
        boxes[value] = _box(np.maximum(found[:3] - margin, 0), np.minimum(found[:3] + found[3:] + margin, size))
    return boxes


def around(boxes: Iterable[Box]) -> Box:
    """Give the smallest box around one box or more."""
    starts, stops = zip(*((box.start, box.stop) for box in boxes), strict=True)
    return _box(np.min(starts, axis=0), np.max(stops, axis=0))


def within(box: Box, outer: Box) -> Box:
    """Restate a box in the indices of a box around it."""
    origin = np.array(outer.start)
    return _box(np.array(box.start) - origin, np.array(box.stop) - origin)


def _box(low: npt.NDArray[Any], high: npt.NDArray[Any]) -> Box:
    (i, j, k), (i_stop, j_stop, k_stop) = low.tolist(), high.tolist()
    return Box((i, j, k), (i_stop, j_stop, k_stop))


def cut(array: npt.NDArray[Any], box: Box) -> npt.NDArray[Any]:
    """Give the view of an array ``[k, j, i]`` inside a box."""
    i, j, k = (slice(low, high) for low, high in zip(box.start, box.stop, strict=True))
    return array[k, j, i]


def carried(box: Box, to_other: npt.NDArray[np.float64], shape: tuple[int, int, int]) -> Box | None:
    """Give the box of another grid that covers this one, or ``None`` where they do not meet.

    Args:
        box: Box on this grid.
        to_other: 4x4 matrix from this grid's index to the other's.
        shape: Voxels of the other grid along i, j, k.
    """
    edges = [(low - 1.0, float(high)) for low, high in zip(box.start, box.stop, strict=True)]
    points = np.array([(*corner, 1.0) for corner in product(*edges)]).T
    reached = (to_other @ points)[:3]
    low = np.maximum(np.floor(reached.min(axis=1)), 0).astype(int)
    high = np.minimum(np.ceil(reached.max(axis=1)) + 1, shape).astype(int)
    if np.any(low >= high):
        return None
    return _box(low, high)


def on(index_map: npt.NDArray[np.float64], *, source: Box, target: Box) -> npt.NDArray[np.float64]:
    """Restate a target-to-source index map for two boxes, whose indices start at zero."""
    moved = index_map.copy()
    moved[:3, 3] = index_map[:3, :3] @ np.array(target.start) + index_map[:3, 3] - np.array(source.start)
    return moved
