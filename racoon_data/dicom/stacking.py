"""A sorted series to a Volume: slice positions to Geometry, pixels to values; gaps are named, never filled."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from racoon_data.dicom.filling import Stacked, fill
from racoon_data.dicom.meaning import Wanted
from racoon_data.dicom.series import Series
from racoon_data.errors import (
    InconsistentSeriesError,
    MissingSlicesError,
    NoGeometryError,
    UnevenSpacingError,
    about,
)
from racoon_data.geometry import Geometry, as_affine
from racoon_data.volumes import Volume

_SAME_PLACE_MM = 1e-3
_RESAMPLE = "retrieve the series again; or racoon convert --regular resamples it from the true positions"
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
        facts = series.slices[0].facts
        thickness = facts.number("SpacingBetweenSlices") if facts is not None else None
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
        places = ", ".join(f"{index * heights[shortest]:.2f}" for index in missing[:20])
        gaps = f"{len(missing)} of {int(starts[-1]) + 1} slices are missing"
        message = f"{gaps}, at index {listed} ({places} mm from the first)"
        raise MissingSlicesError(message, missing=missing, hint=_RESAMPLE)
    worst = int(np.abs(heights - np.median(heights)).argmax())
    message = (
        f"slices are unevenly spaced: {heights.min():.3f} to {heights.max():.3f} mm, "
        f"worst between slices {worst} and {worst + 1}, {heights[:worst].sum():.2f} mm from the first"
    )
    raise UnevenSpacingError(message, hint=_RESAMPLE)


def stack(series: Series, wanted: Wanted | None = None) -> Volume:
    """Read every slice into one volume of real values.

    Each slice keeps its own rescale slope and intercept; see ``fill`` for how whole numbers stay whole and
    what becomes of padding.

    Args:
        series: Slices ascending along their normal.
        wanted: Which values, where there are several; plain rescaled grey ones where absent.

    Returns:
        Values ``[k, j, i]`` in HU, Bq/ml, SUVbw or without unit.

    Raises:
        MissingSlicesError: There are gaps.
        InconsistentSeriesError: The slices form no regular volume, or differ in unit.
        NoGeometryError: The place is unknown.
        UnsupportedPixelsError: A slice cannot be decoded.
        DicomError: A file cannot be read.
    """
    return stack_stored(series, wanted).volume


def stack_stored(series: Series, wanted: Wanted | None = None) -> Stacked:
    """Read every slice into one volume as it is written: numbers and their common scale; see ``stack``."""
    with about(series.ref):
        return fill(series, _geometry(series), wanted or Wanted())


def stack_slices(series: Series, wanted: Wanted | None = None) -> Stacked:
    """Read every slice as it stands, whatever their distances; the geometry is that of the first and no more."""
    with about(series.ref):
        first = series.slices[0]
        alone = replace(series, slices=(first,), acquisition=replace(series.acquisition, slice_thickness_mm=1.0))
        single = _geometry(alone)
        return fill(series, replace(single, shape=(first.columns, first.rows, len(series.slices))), wanted or Wanted())
