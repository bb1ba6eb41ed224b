"""The certificate of a resampled copy: sampled voxels of the written bytes against pixels around their position."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from racoon_data.convert.certificate import Certificate, Seen
from racoon_data.convert.promises import Terms, promise_of, spread
from racoon_data.convert.regular import bracket, places_of
from racoon_data.dicom.series import Series, SliceHeader
from racoon_data.errors import UncertifiedError
from racoon_data.files.nifti_stream import NiftiStream

Numbers = npt.NDArray[np.float64]


def certify_resampled(path: Path, series: Series, *, terms: Terms) -> Seen:
    """Check sampled voxels of every slice of a resampled file, each from the pixels that surround its position.

    Args:
        path: The packed file as written.
        series: The slices it came from.
        terms: What a value was made to mean.

    Raises:
        UncertifiedError: A voxel is further from the interpolated value than rounding explains.
        DicomError: A slice cannot be read again.
    """
    stream = NiftiStream(path)
    try:
        columns, rows, count = stream.geometry.shape
        points = spread(rows, columns, count)
        heights_mm, step_mm = places_of(series).heights_mm, stream.geometry.spacing_mm[2]
        slope, shift = stream.header.scale
        rounding = 0.5 * abs(slope) if stream.header.dtype.kind in "iu" else 0.0
        voxels, difference = 0, 0.0
        for k, plane in enumerate(stream.planes()):
            j, i = points[0][k], points[1][k]
            index = np.stack([i, j, np.full_like(i, k), np.ones_like(i)])
            positions = (stream.geometry.matrix @ index)[:3].T
            below, above, weight = bracket(heights_mm, k * step_mm)
            wanted = _between(series.slices[below], positions, terms)
            if weight:
                wanted = wanted * (1 - weight) + _between(series.slices[above], positions, terms) * weight
            is_known = ~np.isnan(wanted)
            apart = np.abs(plane[j, i] * np.float64(slope) + shift - wanted)[is_known]
            if (apart > rounding + 1e-4 * (1 + np.abs(wanted[is_known]))).any():
                message = f"slice {k} of the resampled copy does not hold what lies around it"
                raise UncertifiedError(message, ref=series.ref, hint="nothing was published; report it with the series")
            voxels += int(is_known.sum())
            difference = max(difference, float(apart.max(initial=0.0)))
        outside = points[0].size - voxels
        return Seen(Certificate(count, voxels, outside, 0.0, difference), *stream.digest)
    finally:
        stream.close()


def _between(header: SliceHeader, positions: Numbers, terms: Terms) -> Numbers:
    """Interpolate between four pixels of one slice; NaN beside it."""
    apart = positions - np.array(header.position_lps)
    j = apart @ np.array(header.column_direction) / header.pixel_spacing_mm[0]
    i = apart @ np.array(header.row_direction) / header.pixel_spacing_mm[1]
    j, i = (np.where(np.abs(one - np.rint(one)) < 1e-6, np.rint(one), one) for one in (j, i))
    is_inside = (j >= 0) & (i >= 0) & (j <= header.rows - 1) & (i <= header.columns - 1)
    top, left = np.floor(j).clip(0, header.rows - 1), np.floor(i).clip(0, header.columns - 1)
    bottom, right = np.minimum(top + 1, header.rows - 1), np.minimum(left + 1, header.columns - 1)
    flat = np.concatenate([r * header.columns + c for r in (top, bottom) for c in (left, right)]).astype(np.int64)
    a, b, c, d = promise_of(header, flat, terms).values.reshape(4, -1)
    down, along = j - top, i - left
    found = (a * (1 - along) + b * along) * (1 - down) + (c * (1 - along) + d * along) * down
    return np.where(is_inside, found, np.nan)
