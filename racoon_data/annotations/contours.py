"""Contours in patient space to polygons on the slices of an image."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from racoon_data.annotations.rasterize import Polygon, combine, edges_of, fill, mark_path
from racoon_data.geometry import Geometry
from racoon_data.labels import BoxedMask, Mask
from racoon_data.policies import Nesting

Points = npt.NDArray[np.float64]
_Box = tuple[slice, slice, slice]

OBLIQUE = "are not parallel to the image's slices and were left out"
OUTSIDE = "lie outside the image's slices and were left out"
FARTHER = "share a slice with a plane of contours nearer to it and were left out"
OFF_PLANE = "lie more than a tenth of the slice spacing from their slice and were drawn on the nearest one"
BEYOND_EDGE = "reach beyond the edge of the image and were cut there"

_HALF = 0.5 + 1e-6
_OFF_PLANE = 0.1
_SAME_PLANE = 0.05
# Groups that are drawn in one stroke; more take more memory and are hardly faster.
_AT_ONCE = 32


@dataclass(frozen=True, slots=True, eq=False)
class Contour:
    """One closed contour.

    Attributes:
        is_xor: Declared CLOSEDPLANAR_XOR.
        points_lps: Vertices in mm, shape (n, 3).
    """

    is_xor: bool
    points_lps: Points


@dataclass(frozen=True, slots=True, eq=False)
class _Placed:
    """A contour on its slice.

    Attributes:
        k: The slice.
        offset: How far its plane lies from the slice, in slices.
        is_xor: Declared CLOSEDPLANAR_XOR.
        polygon: Vertices (i, j).
        low: Smallest i and j.
        high: Largest i and j.
    """

    k: int
    offset: float
    is_xor: bool
    polygon: Polygon
    low: Polygon
    high: Polygon

    def touches(self, other: _Placed) -> bool:
        """Tell whether the boxes around two contours overlap."""
        return bool((self.low <= other.high).all() and (other.low <= self.high).all())


def draw(
    contours: Sequence[Contour], geometry: Geometry, *, nesting: Nesting = Nesting.XOR
) -> tuple[BoxedMask, Counter[str]]:
    """Draw the contours of one ROI on an image grid.

    Slices are found by position in the plane of the grid, so oblique, coronal, sagittal and sheared
    stacks need nothing special.

    Args:
        contours: Closed contours in patient space.
        geometry: The image grid.
        nesting: What plain contours inside others mean.

    Returns:
        The mask, kept around the contours, and a count for each thing that was repaired or left out.
    """
    slices, counts = _by_slice(contours, geometry)
    placed = [one for k in sorted(slices) for one in slices[k]]
    box = _box(placed, geometry.array_shape)
    if box is None:
        return BoxedMask(geometry.array_shape, (0, 0, 0), np.zeros((0, 0, 0), dtype=np.bool_)), +counts
    piece = _drawn(slices, box, counts, nesting)
    return BoxedMask(geometry.array_shape, (box[0].start, box[1].start, box[2].start), piece), +counts


def ijk_of(points_lps: Points, geometry: Geometry) -> Points:
    """Give the voxel indices (i, j, k), shape (n, 3), of points in mm LPS."""
    inverse = np.linalg.inv(geometry.matrix)
    indices: Points = points_lps @ inverse[:3, :3].T + inverse[:3, 3]
    return indices


def _by_slice(contours: Sequence[Contour], geometry: Geometry) -> tuple[dict[int, list[_Placed]], Counter[str]]:
    counts: Counter[str] = Counter()
    found: dict[int, list[_Placed]] = defaultdict(list)
    sizes = np.array([len(contour.points_lps) for contour in contours], dtype=np.int64)
    if not sizes.size:
        return found, counts
    ijk = ijk_of(np.concatenate([contour.points_lps for contour in contours]), geometry)
    starts = np.cumsum(sizes) - sizes
    low: Points = np.minimum.reduceat(ijk, starts)
    high: Points = np.maximum.reduceat(ijk, starts)
    height: Points = np.add.reduceat(ijk[:, 2], starts) / sizes
    nearest = np.floor(height + 0.5).astype(np.int64)
    is_oblique = np.maximum(high[:, 2] - height, height - low[:, 2]) > _HALF
    is_outside = np.asarray((nearest < 0) | (nearest >= geometry.shape[2]))
    edge = np.array([geometry.shape[0], geometry.shape[1]]) - 0.5
    is_beyond = np.asarray((low[:, :2] < -0.5).any(axis=1) | (high[:, :2] > edge).any(axis=1))
    counts[OBLIQUE] = int(is_oblique.sum())
    counts[OUTSIDE] = int((is_outside & ~is_oblique).sum())
    for one in np.flatnonzero(~is_oblique & ~is_outside).tolist():
        k, polygon = int(nearest[one]), ijk[starts[one] : starts[one] + sizes[one], :2]
        offset = float(height[one]) - k
        counts[BEYOND_EDGE] += bool(is_beyond[one])
        found[k].append(_Placed(k, offset, contours[one].is_xor, polygon, low[one, :2], high[one, :2]))
    return {k: _nearest_plane(placed, counts) for k, placed in found.items()}, counts


def _nearest_plane(placed: list[_Placed], counts: Counter[str]) -> list[_Placed]:
    """Keep the one plane of contours nearest to the slice: planes must not punch holes into each other."""
    best = min((one.offset for one in placed), key=lambda offset: (round(abs(offset), 6), offset))
    kept = [one for one in placed if abs(one.offset - best) <= _SAME_PLANE]
    counts[FARTHER] += len(placed) - len(kept)
    counts[OFF_PLANE] += len(kept) if abs(best) > _OFF_PLANE else 0
    return kept


def _box(placed: Sequence[_Placed], array_shape: tuple[int, int, int]) -> _Box | None:
    """Bound the voxels the contours can touch, ``None`` where there are none on the image."""
    if not placed:
        return None
    size = np.array([array_shape[2], array_shape[1]])
    first = np.clip(np.floor(np.min([one.low for one in placed], axis=0)), 0, size).astype(np.int64)
    last = np.clip(np.ceil(np.max([one.high for one in placed], axis=0)), -1, size - 1).astype(np.int64)
    if (last < first).any():
        return None
    heights = [one.k for one in placed]
    rows, columns = slice(int(first[1]), int(last[1]) + 1), slice(int(first[0]), int(last[0]) + 1)
    return slice(min(heights), max(heights) + 1), rows, columns


def _drawn(slices: dict[int, list[_Placed]], box: _Box, counts: Counter[str], nesting: Nesting) -> Mask:
    """Draw within a box: in one stroke what stands alone or is declared XOR, one by one what nests or crosses."""
    groups = [group for placed in slices.values() for group in _groups(placed)]
    alone = [one for group in groups if _is_by_parity(group) for one in group]
    corner = np.array([box[2].start, box[1].start])
    edges = edges_of([one.polygon - corner for one in alone], [one.k - box[0].start for one in alone])
    drawn = fill(edges, shape=(box[0].stop - box[0].start, box[1].stop - box[1].start, box[2].stop - box[2].start))
    mark_path(edges, drawn)
    others = [group for group in groups if not _is_by_parity(group)]
    for start in range(0, len(others), _AT_ONCE):
        _combine(others[start : start + _AT_ONCE], (box, drawn), counts, nesting)
    return drawn


def _combine(groups: Sequence[list[_Placed]], onto: tuple[_Box, Mask], counts: Counter[str], nesting: Nesting) -> None:
    """Draw groups of contours that nest or cross, all in one stroke, each in a box of its own."""
    box, drawn = onto
    limits = (box[0].stop, box[1].stop, box[2].stop)
    parts = [(group, part) for group in groups if (part := _box(group, limits)) is not None]
    polygons = [[one.polygon - np.array([part[2].start, part[1].start]) for one in group] for group, part in parts]
    sizes = [(part[1].stop - part[1].start, part[2].stop - part[2].start) for _, part in parts]
    for (group, part), (mask, nested) in zip(parts, combine(polygons, sizes, nesting=nesting), strict=True):
        counts.update(nested)
        top, left = part[1].start - box[1].start, part[2].start - box[2].start
        drawn[group[0].k - box[0].start, top : top + mask.shape[0], left : left + mask.shape[1]] |= mask


def _is_by_parity(group: Sequence[_Placed]) -> bool:
    return len(group) == 1 or any(one.is_xor for one in group)


def _groups(placed: Iterable[_Placed]) -> list[list[_Placed]]:
    """Share contours of a slice out to groups whose boxes do not overlap."""
    groups: list[list[_Placed]] = []
    for one in placed:
        near = [group for group in groups if any(one.touches(other) for other in group)]
        groups = [group for group in groups if all(group is not other for other in near)]
        groups.append([*(other for group in near for other in group), one])
    return groups
