"""Masks as runs along i: pieces, surface, centre and box at a cost that follows the surface, not the volume."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from racoon_data.geometry import Point
from racoon_data.labels import Mask

Index = npt.NDArray[np.int64]
Corner = tuple[int, int, int]

# Rows that may touch a row and come after it, as steps along j and k; runs touch at corners too.
_AFTER = ((1, 0), (0, 1), (-1, 1), (1, 1))


@dataclass(frozen=True, slots=True, eq=False)
class Pieces:
    """Runs of a mask along i, grouped into connected pieces.

    Attributes:
        shape: Shape of the mask ``[k, j, i]``.
        starts: Where each run starts in rows of one voxel more than the mask's.
        stops: Where it stops, exclusive.
        owners: First run of the piece each run belongs to.
        neighbours: Pairs of voxels inside that are neighbours along i, j, k.
    """

    shape: tuple[int, int, int]
    starts: Index
    stops: Index
    owners: Index
    neighbours: Corner

    @property
    def count(self) -> int:
        """How many pieces there are."""
        return int(np.count_nonzero(self.owners == np.arange(len(self.owners))))

    @property
    def voxels(self) -> int:
        """How many voxels are inside."""
        return int((self.stops - self.starts).sum())

    @property
    def faces(self) -> Corner:
        """Voxel faces between inside and outside, across i, j, k; the border of the mask is outside."""
        i, j, k = (2 * (self.voxels - pairs) for pairs in self.neighbours)
        return (i, j, k)

    def centre(self) -> Point:
        """Give the mean index along i, j, k of a mask that is not empty."""
        k, j, first = self._places(self.starts)
        lengths, voxels = self.stops - self.starts, self.voxels
        i = float((lengths * (2 * first + lengths - 1)).sum()) / 2 / voxels
        return (i, float((j * lengths).sum()) / voxels, float((k * lengths).sum()) / voxels)

    def corners(self) -> tuple[Corner, Corner]:
        """Give the first and the last index along i, j, k of a mask that is not empty."""
        k, j, i = self._places(self.starts)
        _, _, last = self._places(self.stops - 1)
        return (int(i.min()), int(j.min()), int(k.min())), (int(last.max()), int(j.max()), int(k.max()))

    def some(self, most: int) -> tuple[Index, Index, Index]:
        """Give the index along k, j, i of every n-th voxel, about as many as asked for at most."""
        lengths = self.stops - self.starts
        picked = np.arange(0, self.voxels, max(1, -(-self.voxels // most)))
        ends = np.cumsum(lengths)
        run = np.searchsorted(ends, picked, side="right")
        return self._places(self.starts[run] + picked - (ends[run] - lengths[run]))

    def largest(self) -> Mask:
        """Give the mask of the piece with the most voxels; of equal ones the first."""
        if not len(self.owners):
            return np.zeros(self.shape, dtype=np.bool_)
        kept = self.owners == np.bincount(self.owners, weights=self.stops - self.starts).argmax()
        k, j, i = self.shape
        edges = np.zeros(k * j * (i + 1), dtype=np.int8)
        edges[self.starts[kept]] = 1
        edges[self.stops[kept]] = -1
        inside = np.cumsum(edges, dtype=np.int8).view(np.bool_).reshape(k, j, i + 1)
        return np.ascontiguousarray(inside[:, :, :i])

    def _places(self, flat: Index) -> tuple[Index, Index, Index]:
        row, i = np.divmod(flat, self.shape[2] + 1)
        k, j = np.divmod(row, self.shape[1])
        return k, j, i


def pieces(mask: Mask) -> Pieces:
    """Find the connected pieces of a mask, voxels touching at a corner included.

    Args:
        mask: Booleans ``[k, j, i]``.

    Example:
        >>> pieces(np.array([[[True, False, True]]])).count
        2
    """
    k, j, i = mask.shape
    rows = np.zeros(k * j * (i + 1) + 1, dtype=np.int8)
    rows[1:].reshape(k, j, i + 1)[:, :, :i] = mask
    changes = np.flatnonzero(rows[1:] != rows[:-1])  # a run starts and stops, by turns
    starts, stops = changes[::2], changes[1::2]
    pairs = [_touching(starts, stops, (j, i + 1), step) for step in _AFTER]
    along_j, along_k = (_overlap(starts, stops, *pairs[axis], step * (i + 1)) for axis, step in ((0, 1), (1, j)))
    first, second = (np.concatenate(side) for side in zip(*pairs, strict=True))
    inside = int((stops - starts).sum()) - len(starts)
    return Pieces((k, j, i), starts, stops, _grouped(len(starts), first, second), (inside, along_j, along_k))


def _touching(starts: Index, stops: Index, shape: tuple[int, int], step: tuple[int, int]) -> tuple[Index, Index]:
    """Pair the runs of a row with those of a later one that overlap them or touch at a corner."""
    (rows, length), (step_j, step_k) = shape, step
    shift = (step_k * rows + step_j) * length
    low = np.searchsorted(stops, starts + shift, side="left")
    counts = np.maximum(np.searchsorted(starts, stops + shift, side="right") - low, 0)
    if step_j:
        at_j = starts // length % rows + step_j
        counts[(at_j < 0) | (at_j >= rows)] = 0
    first = np.repeat(np.arange(len(starts)), counts)
    return first, np.arange(len(first)) - np.repeat(np.cumsum(counts) - counts - low, counts)


def _overlap(starts: Index, stops: Index, first: Index, second: Index, shift: int) -> int:
    """Count the voxels that paired runs share when the first is moved onto the row of the second."""
    shared = np.minimum(stops[first] + shift, stops[second]) - np.maximum(starts[first] + shift, starts[second])
    return int(np.maximum(shared, 0).sum())


def _grouped(count: int, first: Index, second: Index) -> Index:
    """Give every run the smallest run it is connected with: hook roots together, then shorten the paths."""
    owners = np.arange(count)
    while len(first):
        ours, theirs = owners[first], owners[second]
        smaller = np.minimum(ours, theirs)
        np.minimum.at(owners, ours, smaller)
        np.minimum.at(owners, theirs, smaller)
        while not np.array_equal(owners, shorter := owners[owners]):
            owners = shorter
        is_open = owners[first] != owners[second]
        first, second = first[is_open], second[is_open]
    return owners
