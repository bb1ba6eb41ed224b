"""How large a mask is: its longest diameter in a slice and the widest extent across it, in mm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from racoon_data.geometry import Geometry

Points = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Diameters:
    """Long and short axis of a mask in the slice where it is longest.

    Attributes:
        long_mm: Longest distance between two points of the outline in one slice.
        short_mm: Extent across that line in the same slice.
        k: The slice.
    """

    long_mm: float
    short_mm: float
    k: int


def diameters_of(mask: npt.NDArray[np.bool_], geometry: Geometry) -> Diameters | None:
    """Measure a mask slice by slice, as a reader measures a lesion (RECIST: long axis, perpendicular short axis).

    The outline runs through the middle of the voxel faces between inside and outside, so one voxel is as
    wide as the spacing says. Only the convex hull matters for both lengths.

    Args:
        mask: Boolean array ``[k, j, i]``.
        geometry: Its grid.

    Returns:
        The diameters of the slice with the longest one, ``None`` for an empty mask.
    """
    axes = geometry.matrix[:3, :2]
    found = [_in_plane(mask[k], axes, int(k)) for k in np.flatnonzero(mask.any(axis=(1, 2)))]
    return max(found, key=lambda one: one.long_mm, default=None)


def _in_plane(plane: npt.NDArray[np.bool_], axes: Points, k: int) -> Diameters:
    hull = _hull(_outline(plane)) @ axes.T
    between = hull[:, None] - hull[None]
    distances = np.linalg.norm(between, axis=2)
    first, second = np.unravel_index(int(distances.argmax()), distances.shape)
    long_mm = float(distances[first, second])
    normal = np.cross(axes[:, 0], axes[:, 1])
    across = np.cross(normal, between[first, second])
    heights = hull @ (across / np.linalg.norm(across))
    return Diameters(long_mm, float(heights.max() - heights.min()), k)


def _outline(plane: npt.NDArray[np.bool_]) -> Points:
    """Give the middle of the outer voxel faces of every row and column, as (i, j)."""
    points = []
    for axis in (0, 1):
        turned = plane if axis == 0 else plane.T
        lines = np.flatnonzero(turned.any(axis=1))
        low = turned[lines].argmax(axis=1)
        high = turned.shape[1] - 1 - turned[lines, ::-1].argmax(axis=1)
        for edges, shift in ((low, -0.5), (high, 0.5)):
            pair = (edges + shift, lines.astype(np.float64))
            points.append(np.stack(pair if axis == 0 else pair[::-1], axis=1))
    return np.concatenate(points)


def _hull(points: Points) -> Points:
    """Give the corners of the convex hull (monotone chain)."""
    ordered = sorted(set(map(tuple, points.tolist())))
    lower = _chain(ordered)
    upper = _chain(ordered[::-1])
    return np.array(lower[:-1] + upper[:-1])


def _chain(points: list[tuple[float, ...]]) -> list[tuple[float, ...]]:
    chain: list[tuple[float, ...]] = []
    for point in points:
        while len(chain) > 1 and _turn(chain[-2], chain[-1], point) <= 0:
            chain.pop()
        chain.append(point)
    return chain


def _turn(a: tuple[float, ...], b: tuple[float, ...], c: tuple[float, ...]) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
