"""A sorted series to a Volume: slice positions to Geometry, pixels to values; gaps are named, never filled."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from racoon_data.dicom.headers import number_of, read_dataset
from racoon_data.dicom.pixels import Pixels, read_pixels
from racoon_data.dicom.series import Series
from racoon_data.errors import (
    InconsistentSeriesError,
    MissingSlicesError,
    NoGeometryError,
    UnsupportedPixelsError,
    about,
)
from racoon_data.geometry import Geometry, as_affine
from racoon_data.volumes import Volume

_SAME_PLACE_MM = 1e-3
_EXPORT_AGAIN = "retrieve the series again, or ask the sender for a new export"

Vectors = npt.NDArray[np.float64]


def geometry_of(series: Series) -> Geometry:
    """Work out the grid from the true slice positions.

    The step from slice to slice is a vector, so a tilted gantry gives an exact, sheared affine. No
    slice may lie further from the grid than 5 % of the step (at least 0.01 mm, at most 0.1 mm):
    positions are often written with two decimals.

    Args:
        series: Slices ascending along their normal.

    Returns:
        The grid, with its first voxel at the lowest slice.

    Raises:
        NoGeometryError: There is no slice, or a single one of unknown thickness.
        MissingSlicesError: The positions lie on a regular grid with gaps.
        InconsistentSeriesError: Slices differ in size, repeat a position or are unevenly spaced.
    """
    with about(series.ref):
        return _geometry(series)


def _geometry(series: Series) -> Geometry:
    if not series.slices:
        raise NoGeometryError("the series has no slices", hint=_EXPORT_AGAIN)
    first = series.slices[0]
    if len({(header.rows, header.columns) for header in series.slices}) > 1:
        raise InconsistentSeriesError("slices differ in size", hint="sort the files again")
    row, column = np.array(first.row_direction), np.array(first.column_direction)
    if not np.isfinite([*row, *column, *first.position_lps]).all() or np.linalg.norm(np.cross(row, column)) < 0.5:
        raise NoGeometryError("the orientation makes no sense", hint=_EXPORT_AGAIN)
    normal = np.cross(row, column)
    matrix = np.eye(4)
    matrix[:3, 0] = row * first.pixel_spacing_mm[1]
    matrix[:3, 1] = column * first.pixel_spacing_mm[0]
    matrix[:3, 2] = _step(series, normal)
    matrix[:3, 3] = first.position_lps
    shape = (first.columns, first.rows, len(series.slices))
    return Geometry(shape, as_affine(matrix), series.frame_of_reference)


def _step(series: Series, normal: Vectors) -> Vectors:
    """Give the vector from one slice to the next (mm)."""
    if len(series.slices) == 1:
        return normal * _thickness_mm(series)
    positions = np.array([header.position_lps for header in series.slices])
    heights = np.diff(positions @ normal)
    repeated = np.flatnonzero(heights < _SAME_PLACE_MM)
    if repeated.size:
        where = ", ".join(f"{k} and {k + 1}" for k in repeated[:10])
        message = f"slices lie in the same place (or out of order): {where}"
        raise InconsistentSeriesError(message, hint="several volumes or a repeated slice; keep one of each")
    mean: Vectors = (positions[-1] - positions[0]) / len(heights)
    wanted = positions[0] + np.arange(len(positions))[:, None] * mean
    if np.linalg.norm(positions - wanted, axis=1).max() > _tolerance_mm(float(mean @ normal)):
        _explain_gaps(np.diff(positions, axis=0), heights)
    return mean


def _tolerance_mm(step_mm: float) -> float:
    return min(max(0.05 * step_mm, 0.01), 0.1)


def _thickness_mm(series: Series) -> float:
    """A single slice is as thick as it says; SpacingBetweenSlices answers where SliceThickness does not."""
    thickness = series.acquisition.slice_thickness_mm
    if thickness is None or thickness <= 0:
        header = read_dataset(series.slices[0].path, tags=["SpacingBetweenSlices"])
        thickness = number_of(header, "SpacingBetweenSlices")
    if thickness is None or thickness <= 0:
        raise NoGeometryError("a single slice of unknown thickness", hint="nothing racoon could know")
    return thickness


def _explain_gaps(steps: Vectors, heights: Vectors) -> None:
    """Say what is wrong with an irregular stack: slices that are missing, or uneven spacing."""
    shortest = int(heights.argmin())
    counts = np.rint(heights / heights[shortest]).astype(int)
    off_mm = np.linalg.norm(steps - counts[:, None] * steps[shortest], axis=1)
    tolerance_mm = _tolerance_mm(float(heights[shortest]))
    if (off_mm <= tolerance_mm * counts).all() and counts.max() > 1:
        starts = np.concatenate(([0], np.cumsum(counts)))
        missing = tuple(sorted(set(range(int(starts[-1]))) - {int(start) for start in starts}))
        listed = ", ".join(map(str, missing[:20])) + (" ..." if len(missing) > 20 else "")
        message = f"{len(missing)} of {int(starts[-1]) + 1} slices are missing, at index {listed}"
        raise MissingSlicesError(message, missing=missing, hint=_EXPORT_AGAIN)
    worst = int(np.abs(heights - np.median(heights)).argmax())
    message = (
        f"slices are unevenly spaced: {heights.min():.3f} to {heights.max():.3f} mm, "
        f"worst between slices {worst} and {worst + 1}"
    )
    raise InconsistentSeriesError(message, hint="uneven stacks are not resampled; leave the series out")


def stack(series: Series) -> Volume:
    """Read every slice into one volume of real values.

    Each slice keeps its own rescale slope and intercept. Whole-number rescaling keeps whole numbers
    (int16 where they fit, else int32); anything else gives float32. Padding keeps its rescaled value
    where that is below the image; padding above the image (a negative number in unsigned pixels) takes the
    lowest image value.

    Args:
        series: Slices ascending along their normal.

    Returns:
        Values ``[k, j, i]`` in HU, Bq/ml, SUVbw or without unit.

    Raises:
        MissingSlicesError: There are gaps.
        InconsistentSeriesError: The slices form no regular volume, or differ in unit.
        NoGeometryError: The place is unknown.
        UnsupportedPixelsError: A slice cannot be decoded.
        DicomError: A file cannot be read.
    """
    with about(series.ref):
        geometry = _geometry(series)
        array, unit = _values(series, geometry)
        return Volume(array, geometry, unit)


def _values(series: Series, geometry: Geometry) -> tuple[npt.NDArray[Any], str]:
    out: npt.NDArray[Any] = np.empty(geometry.array_shape, dtype=np.int32)
    padded: dict[int, npt.NDArray[np.bool_]] = {}
    units = set()
    for k, header in enumerate(series.slices):
        pixels = read_pixels(header.path, rows=header.rows, columns=header.columns)
        units.add(pixels.unit)
        if out.dtype == np.int32 and not _stays_whole(pixels):
            out = out.astype(np.float32)
        out[k] = rescale(pixels, dtype=out.dtype)
        if (mask := pixels.is_padding).any():
            padded[k] = mask
    if len(units) > 1:
        raise InconsistentSeriesError(f"slices differ in unit: {', '.join(sorted(units))}", hint=_EXPORT_AGAIN)
    _lower_padding(out, padded)
    return _narrow(out), units.pop()


def _stays_whole(pixels: Pixels) -> bool:
    if not pixels.is_whole or pixels.stored.dtype.kind not in "iu":
        return False
    info = np.iinfo(pixels.stored.dtype)
    ends = [edge * pixels.slope + pixels.intercept for edge in (info.min, info.max)]
    return max(map(abs, ends)) < 2**31


def rescale(pixels: Pixels, *, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Apply a slice's own slope and intercept, exactly for int32, in double precision for float32."""
    if dtype == np.int32:
        return pixels.stored.astype(np.int32) * np.int32(pixels.slope) + np.int32(pixels.intercept)
    values = pixels.stored.astype(np.float64) * pixels.slope + pixels.intercept
    if not np.isfinite(values).all():
        raise UnsupportedPixelsError("rescaled values are not finite", hint=_EXPORT_AGAIN)
    return values.astype(dtype)


def _lower_padding(out: npt.NDArray[Any], padded: dict[int, npt.NDArray[np.bool_]]) -> None:
    """Give padding that would stand above the image the lowest image value."""
    if not padded:
        return
    lows, highs = [], []
    for k, plane in enumerate(out):
        image = plane[~padded[k]] if k in padded else plane
        if image.size:
            lows.append(image.min())
            highs.append(image.max())
    if not lows:
        return
    for k, mask in padded.items():
        is_above = mask & (out[k] > max(highs))
        out[k][is_above] = min(lows)


def _narrow(out: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Keep whole numbers in int16 where they fit."""
    limits = np.iinfo(np.int16)
    if out.dtype == np.int32 and out.min() >= limits.min and out.max() <= limits.max:
        return out.astype(np.int16)
    return out
