"""Slices between contoured slices, from the shapes around them: signed distances, blended by height."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from racoon_data.geometry import Geometry
from racoon_data.labels import Mask


def fill_gaps(mask: Mask, geometry: Geometry, *, most: int) -> tuple[int, int]:
    """Interpolate empty slices between drawn ones (shape-based interpolation, Raya and Udupa 1990).

    Each slice of a gap holds the voxels whose signed distances (mm, inside positive) to the outlines on
    the two slices around the gap, weighted by their nearness, sum to more than zero. Shapes that do not
    overlap between the two slices leave nothing between them.

    Args:
        mask: Boolean array ``[k, j, i]``, changed in place.
        geometry: Its grid.
        most: Longest gap that is filled, in slices.

    Returns:
        Slices that were filled, and empty slices that stay between drawn ones.
    """
    drawn = np.flatnonzero(mask.any(axis=(1, 2)))
    filled = left = 0
    column_mm, row_mm, _ = geometry.spacing_mm
    for below, above in itertools.pairwise(drawn):
        gap = int(above - below - 1)
        window = _window(mask[below] | mask[above]) if 0 < gap <= most else None
        if window is None:
            left += gap
            continue
        low, high = (_signed_mm(mask[k][window], (row_mm, column_mm)) for k in (below, above))
        for step in range(1, gap + 1):
            part = step / (gap + 1)
            mask[below + step][window] = (1 - part) * low + part * high > 0
            is_drawn = bool(mask[below + step].any())
            filled, left = filled + is_drawn, left + (not is_drawn)
    return filled, left


def _window(mask: Mask) -> tuple[slice, slice]:
    """Bound what is true; the result has an edge of one voxel around it where the image goes on."""
    spans = [np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0)]
    rows, columns = (slice(max(int(span[0]) - 1, 0), int(span[-1]) + 2) for span in spans)
    return rows, columns


def _signed_mm(mask: Mask, spacing_mm: tuple[float, float]) -> npt.NDArray[np.float64]:
    """Measure the distance to the nearest voxel of the other kind, inside positive."""
    # without an edge of background a slice that is full within the window has no other kind to measure to
    padded = np.pad(mask, 1)
    signed: npt.NDArray[np.float64] = (_distance_mm(~padded, spacing_mm) - _distance_mm(padded, spacing_mm))[1:-1, 1:-1]
    return signed


def _distance_mm(mask: Mask, spacing_mm: tuple[float, float]) -> npt.NDArray[np.float64]:
    """Measure how far each voxel lies from the nearest true one, 0 where it is true itself."""
    import SimpleITK as sitk  # noqa: N813 - the library's own habit

    image = sitk.GetImageFromArray(mask.view(np.uint8))
    image.SetSpacing(spacing_mm[::-1])
    found = sitk.SignedMaurerDistanceMap(image, squaredDistance=False, useImageSpacing=True)
    outside: npt.NDArray[np.float64] = np.maximum(sitk.GetArrayFromImage(found).astype(np.float64), 0)
    return outside
