"""Polygons to voxels: even-odd filling at voxel centres, the path included, holes by nesting or XOR."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from racoon_data.labels import Mask
from racoon_data.policies import Nesting

# Vertices in voxel units, one row (i, j) each; the last vertex joins the first.
Polygon = npt.NDArray[np.float64]
_Integers = npt.NDArray[np.int64]

# A voxel centre this near to the path (in voxels) lies on it. Coordinates are stored with about 1e-3 mm,
# so a wider band would move centres that the writer had meant outside.
PATH_TOLERANCE = 1e-6

NESTED = "lie inside another one and were read as holes or islands in holes"
JOINED = "lie inside another one and were joined with it, as asked"
OVERLAPPING = "cross another one and were joined with it"
DUPLICATE = "repeat another one and were read once"


@dataclass(frozen=True, slots=True, eq=False)
class Edges:
    """Edges of many polygons.

    Attributes:
        start: Where each edge starts, (i, j) in voxel units.
        stop: Where it ends.
        plane: Which slice of the result it is drawn on.
    """

    start: Polygon
    stop: Polygon
    plane: _Integers


def edges_of(polygons: Sequence[Polygon], planes: Sequence[int], *, is_closed: bool = True) -> Edges:
    """Collect the edges of polygons, or of open lines, with the slice each is drawn on."""
    sizes = np.array([len(polygon) for polygon in polygons], dtype=np.int64)
    start = np.concatenate(polygons) if len(polygons) else np.zeros((0, 2))
    last = np.cumsum(sizes) - 1
    following = np.arange(1, len(start) + 1)
    following[last] = last - sizes + 1 if is_closed else last
    return Edges(start, start[following], np.repeat(np.asarray(planes, dtype=np.int64), sizes))


def fill(edges: Edges, *, shape: tuple[int, int, int]) -> Mask:
    """Fill closed polygons slice by slice: voxel centres inside by parity over all edges of the slice.

    A centre exactly on a left or lower edge is inside, on a right or upper edge outside, so polygons
    that share an edge never claim a centre twice; ``mark_path`` gives what lies on the edges.

    Args:
        edges: Edges of closed polygons.
        shape: Slices, rows and columns of the result.

    Returns:
        Boolean array ``[k, j, i]``.
    """
    _, rows, columns = shape
    start, stop = edges.start, edges.stop
    low = np.minimum(start[:, 1], stop[:, 1])
    high = np.maximum(start[:, 1], stop[:, 1])
    edge, row = _lines(np.ceil(low), np.ceil(high) - 1, limit=rows)
    begin, end = start[edge], stop[edge]
    crossing = begin[:, 0] + (row - begin[:, 1]) * (end[:, 0] - begin[:, 0]) / (end[:, 1] - begin[:, 1])
    column = np.ceil(crossing)
    is_here = column < columns  # what crosses right of the image changes nothing on it
    line = edges.plane[edge[is_here]] * rows + row[is_here]
    place = line * columns + np.maximum(column[is_here], 0).astype(np.int64)
    toggles = np.zeros(shape, dtype=np.uint8)
    toggled, times = np.unique(place, return_counts=True)
    toggles.reshape(-1)[toggled[times % 2 == 1]] = 1
    return np.bitwise_xor.accumulate(toggles, axis=2, out=toggles).view(np.bool_)


def mark_path(edges: Edges, mask: Mask) -> None:
    """Mark voxel centres that lie on the edges (PS3.3 C.8.8.6.3: they belong to the ROI).

    Args:
        edges: Edges of polygons or lines.
        mask: Boolean array ``[k, j, i]``, changed in place.
    """
    run = np.abs(edges.stop - edges.start)
    is_steep = run[:, 1] >= run[:, 0]
    _mark(mask, Edges(edges.start[is_steep], edges.stop[is_steep], edges.plane[is_steep]))
    flat = Edges(edges.start[~is_steep, ::-1], edges.stop[~is_steep, ::-1], edges.plane[~is_steep])
    _mark(mask.transpose(0, 2, 1), flat)


def _mark(mask: Mask, edges: Edges) -> None:
    """Mark centres on edges that rise at least as much as they run (a transposed view does the others)."""
    start, stop = edges.start, edges.stop
    low = np.minimum(start[:, 1], stop[:, 1]) - PATH_TOLERANCE
    high = np.maximum(start[:, 1], stop[:, 1]) + PATH_TOLERANCE
    edge, row = _lines(np.ceil(low), np.floor(high), limit=mask.shape[1])
    begin, end = start[edge], stop[edge]
    rise = end[:, 1] - begin[:, 1]
    part = np.clip((row - begin[:, 1]) / np.where(rise == 0, 1, rise), 0, 1)
    crossing = begin[:, 0] + part * (end[:, 0] - begin[:, 0])
    nearest = np.rint(crossing)
    hit = (np.abs(crossing - nearest) <= PATH_TOLERANCE) & (nearest >= 0) & (nearest < mask.shape[2])
    mask[edges.plane[edge[hit]], row[hit], nearest[hit].astype(np.int64)] = True


def _lines(first: npt.NDArray[np.float64], last: npt.NDArray[np.float64], *, limit: int) -> tuple[_Integers, _Integers]:
    """List every integer line from ``first`` to ``last`` of each edge, within 0 and ``limit``."""
    begin = np.clip(first, 0, limit).astype(np.int64)
    count = np.maximum(np.clip(last, -1, limit - 1).astype(np.int64) - begin + 1, 0)
    edge = np.repeat(np.arange(len(count)), count)
    offset = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count)
    return edge, begin[edge] + offset


def combine(
    groups: Sequence[Sequence[Polygon]], shapes: Sequence[tuple[int, int]], *, nesting: Nesting = Nesting.XOR
) -> list[tuple[Mask, Counter[str]]]:
    """Fill plain contours (CLOSED_PLANAR) that lie inside or across each other, group by group.

    Args:
        groups: Closed contours of one slice and ROI, vertices (i, j) in voxel units.
        shapes: Rows and columns of each group's result.
        nesting: What contours inside others mean, which the standard leaves open: ``XOR`` makes a contour
            inside an odd number of others a hole (as most systems mean it) and joins contours that merely
            cross; ``UNION`` joins all.

    Returns:
        For each group a boolean array ``[j, i]`` and how many contours were nested, crossing or repeated.
    """
    if not groups:
        return []
    sizes = [len(group) for group in groups]
    edges = edges_of([polygon for group in groups for polygon in group], range(sum(sizes)))
    rows, columns = (max(shape[axis] for shape in shapes) for axis in (0, 1))
    fills = fill(edges, shape=(sum(sizes), rows, columns))
    paths = np.zeros((len(groups), rows, columns), dtype=np.bool_)
    of_group = np.repeat(np.arange(len(groups)), sizes)
    mark_path(Edges(edges.start, edges.stop, of_group[edges.plane]), paths)
    ends = np.cumsum(sizes)
    results = []
    for path, end, size, (high, wide) in zip(paths, ends, sizes, shapes, strict=True):
        counts: Counter[str] = Counter()
        mask = _nest(list(fills[end - size : end, :high, :wide]), counts, nesting) | path[:high, :wide]
        results.append((mask, +counts))
    return results


def _nest(fills: Sequence[Mask], counts: Counter[str], nesting: Nesting) -> Mask:
    """Combine plain contours from the largest to the smallest: inside an odd number of others is a hole."""
    result = np.zeros_like(fills[0])
    placed: list[Mask] = []
    for one in sorted(fills, key=lambda mask: -int(np.count_nonzero(mask))):
        touching = [other for other in placed if (one & other).any()]
        if any((one == other).all() for other in touching):
            counts[DUPLICATE] += 1
            continue
        around = sum(not (one & ~other).any() for other in touching)
        counts[NESTED if nesting is Nesting.XOR else JOINED] += around > 0
        counts[OVERLAPPING] += around < len(touching)
        placed.append(one)
        is_hole = around % 2 and nesting is Nesting.XOR
        result = result & ~one if is_hole else result | one
    return result
