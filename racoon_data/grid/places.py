"""Where each value of a label map lies: found in one scan, with its volume and centre in the patient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from racoon_data.geometry import Geometry, Point
from racoon_data.grid.pieces import Corner, Index, Pieces, pieces

_WORD = 8
_ONES, _HIGHS = 0x0101010101010101, 0x8080808080808080


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Where one label value lies.

    Attributes:
        voxels: How many.
        centre: Mean index along i, j, k.
        low: First index along i, j, k.
        high: Last index along i, j, k.
        pieces: Its runs and pieces, in a box.
        origin: Index along k, j, i where the box begins.
    """

    voxels: int
    centre: Point
    low: Corner
    high: Corner
    pieces: Pieces
    origin: Corner

    def some(self, most: int) -> tuple[Index, Index, Index]:
        """Give the index along k, j, i of every n-th voxel, at most as many as asked for."""
        k, j, i = (axis + start for axis, start in zip(self.pieces.some(most), self.origin, strict=True))
        return k, j, i


def places(labels: npt.NDArray[np.uint8]) -> dict[int, Place]:
    """Find where each value above 0 lies, looking at eight voxels at a time: most hold nothing.

    Args:
        labels: Values ``[k, j, i]``.

    Returns:
        A place for each value, in order of value.
    """
    labels = np.ascontiguousarray(labels)
    flat = labels.reshape(-1)
    padded = np.pad(flat, (0, -flat.size % _WORD)) if flat.size % _WORD else flat
    words = padded.view(np.uint64)
    hot = np.flatnonzero(words)
    held = words[hot]
    values = np.flatnonzero(np.bincount(held.view(np.uint8), minlength=2)[1:]) + 1 if hot.size else ()
    return {int(value): _place(labels, int(value), hot[_holds(held, int(value))]) for value in values}


def _holds(words: npt.NDArray[np.uint64], value: int) -> npt.NDArray[np.bool_]:
    """Tell which words hold a value among their bytes: the old trick that finds a byte of zero."""
    apart = words ^ np.uint64(value * _ONES)
    found: npt.NDArray[np.bool_] = (apart - np.uint64(_ONES)) & ~apart & np.uint64(_HIGHS) != 0
    return found


def _place(labels: npt.NDArray[np.uint8], value: int, words: Index) -> Place:
    """Look closely at the slices and rows in which words hold a value."""
    _, rows, columns = labels.shape
    first, last = words * _WORD // columns, np.minimum(words * _WORD + _WORD - 1, labels.size - 1) // columns
    k = slice(int(first[0]) // rows, int(last[-1]) // rows + 1)
    is_whole = (first // rows != last // rows).any()
    j = slice(0, rows) if is_whole else slice(int((first % rows).min()), int((last % rows).max()) + 1)
    found = pieces(labels[k, j] == value)
    low, high = found.corners()
    centre, start = found.centre(), (0, j.start, k.start)
    return Place(
        found.voxels, _moved(centre, start), _moved(low, start), _moved(high, start), found, (k.start, j.start, 0)
    )


def _moved(index: tuple[Any, Any, Any], start: Corner) -> tuple[Any, Any, Any]:
    i, j, k = (own + first for own, first in zip(index, start, strict=True))
    return (i, j, k)


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
