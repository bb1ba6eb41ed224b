"""Where each value of a label map lies: its voxels found in one scan, its volume and centre in the patient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from racoon_data.geometry import Geometry, Point

_WORD = 8


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Where one label value lies.

    Attributes:
        voxels: How many.
        centre: Mean index along i, j, k.
        low: First index along i, j, k.
        high: Last index along i, j, k.
        flat: Position of each voxel in the flattened array, rising.
    """

    voxels: int
    centre: Point
    low: tuple[int, int, int]
    high: tuple[int, int, int]
    flat: npt.NDArray[np.int64]


def places(labels: npt.NDArray[np.uint8]) -> dict[int, Place]:
    """Find where each value above 0 lies, looking at eight voxels at a time: most hold nothing.

    Args:
        labels: Values ``[k, j, i]``.

    Returns:
        A place for each value, in order of value.
    """
    flat = _labelled(np.ascontiguousarray(labels).reshape(-1))
    values = labels.reshape(-1)[flat]
    found = np.flatnonzero(np.bincount(values, minlength=1)) if values.size else ()
    return {int(value): _place(flat[values == value], labels.shape) for value in found}


def _labelled(flat: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    whole = flat.size - flat.size % _WORD
    words = np.flatnonzero(flat[:whole].view(np.uint64))
    near = (words[:, None] * _WORD + np.arange(_WORD)).reshape(-1)
    near = np.concatenate([near, np.arange(whole, flat.size)])
    kept: npt.NDArray[np.int64] = near[flat[near] != 0]
    return kept


def _place(flat: npt.NDArray[np.int64], shape: tuple[int, ...]) -> Place:
    index = np.unravel_index(flat, shape)[::-1]
    centre = tuple(float(axis.mean()) for axis in index)
    low, high = (tuple(int(find(axis)) for axis in index) for find in (np.min, np.max))
    return Place(flat.size, centre, low, high, flat)  # type: ignore[arg-type]


def place_rows(labels: npt.NDArray[np.uint8], geometry: Geometry) -> list[Mapping[str, Any]]:
    """Describe each value for a sidecar: ``value``, ``ml`` and ``centroid_mm`` (LPS, to a hundredth)."""
    return [
        {
            "value": value,
            "ml": round(place.voxels * geometry.voxel_ml, 6),
            "centroid_mm": [round(mm, 2) for mm in geometry.position_lps(place.centre)],
        }
        for value, place in places(labels).items()
    ]
