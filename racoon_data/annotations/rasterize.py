"""Polygons to voxels: even-odd filling at voxel centres, the path included, holes by nesting or XOR."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from racoon_data.labels import Mask

# Vertices in voxel units, one row (i, j) each; the last vertex joins the first.
Polygon = npt.NDArray[np.float64]
_Integers = npt.NDArray[np.int64]

# A voxel centre this near to the path (in voxels) lies on it. Coordinates are stored with about 1e-3 mm,
# so a wider band would move centres that the writer had meant outside.
PATH_TOLERANCE = 1e-6

NESTED = "lie inside another one and were read as holes or islands in holes"
OVERLAPPING = "cross another one and were joined with it"
DUPLICATE = "repeat another one and were read once"


def fill(polygon: Polygon, *, shape: tuple[int, int]) -> Mask:
    """Fill one closed polygon: voxel centres inside by parity.

    A centre exactly on a left or lower edge is inside, on a right or upper edge outside, so polygons
    that share an edge never claim a centre twice; ``path`` gives what lies on the edges.

    Args:
        polygon: Vertices (i, j) in voxel units.
        shape: Rows and columns of the result.

    Returns:
        Boolean array ``[j, i]``.
    """
    rows, columns = shape
    start, stop = polygon, np.roll(polygon, -1, axis=0)
    low = np.minimum(start[:, 1], stop[:, 1])
    high = np.maximum(start[:, 1], stop[:, 1])
    edge, row = _lines(np.ceil(low), np.ceil(high) - 1, limit=rows)
    rise = stop[edge, 1] - start[edge, 1]
    crossing = start[edge, 0] + (row - start[edge, 1]) * (stop[edge, 0] - start[edge, 0]) / rise
    column = np.clip(np.ceil(crossing), 0, columns).astype(np.int64)
    toggles = np.bincount(row * (columns + 1) + column, minlength=rows * (columns + 1))
    odd = np.cumsum(toggles.reshape(rows, columns + 1)[:, :columns], axis=1) & 1
    return odd.astype(np.bool_)


def path(polygon: Polygon, *, shape: tuple[int, int]) -> Mask:
    """Mark voxel centres that lie on the polygon's path (PS3.3 C.8.8.6.3: they belong to the ROI).

    Args:
        polygon: Vertices (i, j) in voxel units.
        shape: Rows and columns of the result.

    Returns:
        Boolean array ``[j, i]``.
    """
    on_path = np.zeros(shape, dtype=np.bool_)
    start, stop = polygon, np.roll(polygon, -1, axis=0)
    run = np.abs(stop - start)
    is_steep = run[:, 1] >= run[:, 0]
    _mark(on_path, start[is_steep], stop[is_steep])
    _mark(on_path.T, start[~is_steep][:, ::-1], stop[~is_steep][:, ::-1])
    return on_path


def _mark(on_path: Mask, start: Polygon, stop: Polygon) -> None:
    """Mark centres on edges that rise at least as much as they run (a transposed view does the others)."""
    low = np.minimum(start[:, 1], stop[:, 1]) - PATH_TOLERANCE
    high = np.maximum(start[:, 1], stop[:, 1]) + PATH_TOLERANCE
    edge, row = _lines(np.ceil(low), np.floor(high), limit=on_path.shape[0])
    rise = stop[edge, 1] - start[edge, 1]
    part = np.clip((row - start[edge, 1]) / np.where(rise == 0, 1, rise), 0, 1)
    crossing = start[edge, 0] + part * (stop[edge, 0] - start[edge, 0])
    nearest = np.rint(crossing)
    hit = (np.abs(crossing - nearest) <= PATH_TOLERANCE) & (nearest >= 0) & (nearest < on_path.shape[1])
    on_path[row[hit], nearest[hit].astype(np.int64)] = True


def _lines(first: Polygon, last: Polygon, *, limit: int) -> tuple[_Integers, _Integers]:
    """List every integer line from ``first`` to ``last`` of each edge, within 0 and ``limit``."""
    begin = np.clip(first, 0, limit).astype(np.int64)
    count = np.maximum(np.clip(last, -1, limit - 1).astype(np.int64) - begin + 1, 0)
    edge = np.repeat(np.arange(len(count)), count)
    offset = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count)
    return edge, begin[edge] + offset


def combine(polygons: Sequence[Polygon], *, shape: tuple[int, int], xor: bool) -> tuple[Mask, Counter[str]]:
    """Fill the contours of one ROI in one slice.

    Args:
        polygons: Closed contours, vertices (i, j) in voxel units.
        shape: Rows and columns of the slice.
        xor: The contours are declared CLOSEDPLANAR_XOR; otherwise they are plain CLOSED_PLANAR, for
            which the standard leaves nesting open: a contour inside an odd number of others is a hole
            (XOR, as most systems mean it), contours that merely cross are joined.

    Returns:
        Boolean array ``[j, i]`` and how many contours were nested, crossing or repeated.
    """
    mask = np.zeros(shape, dtype=np.bool_)
    counts: Counter[str] = Counter()
    if not (window := _window(polygons, shape)):
        return mask, counts
    rows, columns = window
    size = (rows.stop - rows.start, columns.stop - columns.start)
    moved = [polygon - np.array([columns.start, rows.start]) for polygon in polygons]
    fills = [fill(polygon, shape=size) for polygon in moved]
    inside = np.logical_xor.reduce(fills) if xor or len(fills) == 1 else _nest(fills, counts)
    for polygon in moved:
        inside |= path(polygon, shape=size)
    mask[rows, columns] = inside
    return mask, +counts


def _window(polygons: Sequence[Polygon], shape: tuple[int, int]) -> tuple[slice, slice] | None:
    """Bound the voxels the polygons can touch, ``None`` where there are none on the image."""
    points = np.concatenate(polygons)
    size = np.array([shape[1], shape[0]])
    first = np.clip(np.floor(points.min(axis=0)), 0, size).astype(np.int64)
    last = np.clip(np.ceil(points.max(axis=0)), -1, size - 1).astype(np.int64)
    if (last < first).any():
        return None
    return slice(int(first[1]), int(last[1]) + 1), slice(int(first[0]), int(last[0]) + 1)


def _nest(fills: Sequence[Mask], counts: Counter[str]) -> Mask:
    """Combine plain contours from the largest to the smallest: inside an odd number of others is a hole."""
    result = np.zeros_like(fills[0])
    placed: list[Mask] = []
    for one in sorted(fills, key=lambda mask: -int(mask.sum())):
        touching = [other for other in placed if (one & other).any()]
        if any((one == other).all() for other in touching):
            counts[DUPLICATE] += 1
            continue
        around = sum(not (one & ~other).any() for other in touching)
        counts[NESTED] += around > 0
        counts[OVERLAPPING] += around < len(touching)
        placed.append(one)
        result = result & ~one if around % 2 else result | one
    return result
