"""Circles, ellipses and ellipsoids to voxels: the centres that satisfy the equation, no polygon in between."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from racoon_data.annotations.contours import ijk_of
from racoon_data.geometry import Geometry
from racoon_data.labels import Mask

_Points = npt.NDArray[np.float64]
# Coordinates are single precision: a centre this near to the outline (part of the radius) lies on it.
_TOLERANCE = 1e-5
_HALF = 0.5 + 1e-6


def mark_ellipse(graphic: str, points: _Points, geometry: Geometry, mask: Mask) -> int:
    """Mark the voxel centres inside or on a round graphic.

    A planar one lies on the slice nearest to its plane, up to half a slice away.

    Args:
        graphic: ``CIRCLE`` (centre, a point on it), ``ELLIPSE`` (ends of both axes) or ``ELLIPSOID``
            (ends of three axes).
        points: Points (mm, LPS), shape (n, 3).
        geometry: The image grid.
        mask: Boolean array ``[k, j, i]``, changed in place.

    Returns:
        How many voxels it holds.

    Raises:
        ValueError: The axes span nothing, or a planar graphic is not parallel to the slices; the text says which.
    """
    centre, axes = _axes(graphic, points, geometry)
    is_planar = len(axes) == 2
    reach = np.abs(axes @ np.linalg.inv(geometry.matrix)[:3, :3].T)
    middle = ijk_of(centre[None], geometry)[0]
    if is_planar and reach[:, 2].max() > _HALF:
        raise ValueError("is not parallel to the image's slices")
    spread = np.sqrt((reach**2).sum(axis=0)) if not is_planar else reach.sum(axis=0)
    low, high = np.ceil(middle - spread - 1e-6), np.floor(middle + spread + 1e-6)
    if is_planar:
        low[2] = high[2] = np.floor(middle[2] + 0.5)
    first = np.maximum(low, 0).astype(np.int64)
    last = np.minimum(high, np.array(geometry.shape) - 1).astype(np.int64)
    if (last < first).any():
        return 0
    k, j, i = np.mgrid[first[2] : last[2] + 1, first[1] : last[1] + 1, first[0] : last[0] + 1]
    height = np.full(k.shape, middle[2]) if is_planar else k
    places = np.stack([i, j, height], axis=-1) @ geometry.matrix[:3, :3].T + geometry.matrix[:3, 3] - centre
    inside = ((places @ np.linalg.pinv(axes)) ** 2).sum(axis=-1) <= 1 + _TOLERANCE
    mask[first[2] : last[2] + 1, first[1] : last[1] + 1, first[0] : last[0] + 1] |= inside
    return int(np.count_nonzero(inside))


def _axes(graphic: str, points: _Points, geometry: Geometry) -> tuple[_Points, _Points]:
    """Give the centre and the half axes (mm), one row each."""
    if graphic == "CIRCLE":
        radius = points[1] - points[0]
        i, j = (geometry.matrix[:3, axis] / np.linalg.norm(geometry.matrix[:3, axis]) for axis in (0, 1))
        axes = np.stack([i, j]) * np.linalg.norm(radius)
        centre = points[0]
    else:
        pairs = points[: 4 if graphic == "ELLIPSE" else 6].reshape(-1, 2, 3)
        centre = pairs.mean(axis=(0, 1))
        axes = (pairs[:, 1] - pairs[:, 0]) / 2
    lengths = np.linalg.norm(axes, axis=1)
    if lengths.min() <= 0:
        raise ValueError("has an axis without length")
    # axes of an ellipse drawn on pixels that are no squares are conjugate, not at right angles, in millimetres
    if abs(np.linalg.det((axes / lengths[:, None]) @ (axes / lengths[:, None]).T)) < 1e-4:
        raise ValueError("has axes that span nothing")
    return centre, axes
