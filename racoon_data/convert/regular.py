"""A regular copy of a tilted or uneven stack: resampled linearly from the true positions of its slices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from racoon_data.dicom.filling import Stacked
from racoon_data.dicom.meaning import Wanted
from racoon_data.dicom.series import Series
from racoon_data.dicom.stacking import stack_slices
from racoon_data.errors import UnsupportedPixelsError
from racoon_data.geometry import Geometry, as_affine

Array = npt.NDArray[Any]
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class TruePlaces:
    """Where the slices of a stack lie, along its own axes.

    Attributes:
        heights_mm: Along the normal, ascending from 0.
        shifts: Of each slice against the first, in voxels along rows (j) and columns (i) ``[slice, 2]``.
    """

    heights_mm: Numbers
    shifts: Numbers


def places_of(series: Series) -> TruePlaces:
    """Work out where the slices lie against the first one."""
    first = series.slices[0]
    row, column = np.array(first.row_direction), np.array(first.column_direction)
    apart = np.array([header.position_lps for header in series.slices]) - np.array(first.position_lps)
    between_rows, between_columns = first.pixel_spacing_mm
    shifts = np.stack([apart @ column / between_rows, apart @ row / between_columns], axis=1)
    return TruePlaces(apart @ np.cross(row, column), shifts)


def regular_geometry(series: Series) -> Geometry:
    """Give the right-angled grid that covers every slice, at the median slice distance."""
    first, places = series.slices[0], places_of(series)
    row, column = np.array(first.row_direction), np.array(first.column_direction)
    between_rows, between_columns = first.pixel_spacing_mm
    step_mm = float(np.median(np.diff(places.heights_mm)))
    low, high = np.floor(places.shifts.min(axis=0) + 1e-3), np.ceil(places.shifts.max(axis=0) - 1e-3)
    rows, columns = (int(size) for size in np.array([first.rows, first.columns]) + high - low)
    matrix = np.eye(4)
    matrix[:3, 0], matrix[:3, 1] = row * between_columns, column * between_rows
    matrix[:3, 2] = np.cross(row, column) * step_mm
    matrix[:3, 3] = np.array(first.position_lps) + matrix[:3, 1] * low[0] + matrix[:3, 0] * low[1]
    count = int(np.floor(places.heights_mm[-1] / step_mm + 1e-3)) + 1
    return Geometry((columns, rows, count), as_affine(matrix), series.frame_of_reference)


def regular_copy(series: Series, wanted: Wanted) -> Stacked:
    """Resample a stack onto its regular grid; outside its slices stands the lowest value.

    Values between slices and pixels are linear; whole numbers are rounded.

    Raises:
        UnsupportedPixelsError: It is in colour.
        DicomError: A slice cannot be read.
    """
    source = stack_slices(series, wanted)
    if source.array.dtype.names is not None:
        raise UnsupportedPixelsError("colours are not resampled", hint="leave --regular out")
    geometry, places = regular_geometry(series), places_of(series)
    step_mm, low = geometry.spacing_mm[2], np.floor(places.shifts.min(axis=0) + 1e-3)
    lowest = source.array.min()
    out = np.empty(geometry.array_shape, dtype=source.array.dtype)
    for k in range(geometry.shape[2]):
        below, above, weight = bracket(places.heights_mm, k * step_mm)
        plane = _shifted(source.array[below], places.shifts[below] - low, out.shape[1:])
        if weight:
            upper = _shifted(source.array[above], places.shifts[above] - low, out.shape[1:])
            plane = plane * (1 - weight) + upper * weight
        known = np.where(np.isnan(plane), np.float64(lowest), plane)
        out[k] = np.rint(known) if out.dtype.kind in "iu" else known
    decision = "resampled linearly from the true slice positions onto a right-angled grid"
    return Stacked(out, geometry, source.unit, source.slope, source.intercept, (*source.decisions, decision))


def bracket(heights_mm: Numbers, height_mm: float) -> tuple[int, int, float]:
    """Find the slices below and above a height and the weight of the upper one."""
    above = int(np.searchsorted(heights_mm, height_mm - 1e-6))
    above = min(max(above, 1), len(heights_mm) - 1)
    below = above - 1
    weight = float((height_mm - heights_mm[below]) / (heights_mm[above] - heights_mm[below]))
    return below, above, 0.0 if abs(weight) < 1e-6 else min(weight, 1.0)


def _shifted(plane: Array, shift: Numbers, shape: tuple[int, ...]) -> Numbers:
    """Lay a slice into the larger plane, moved by voxels along j and i; NaN where it does not reach."""
    whole = np.floor(shift + 1e-9)
    part_j, part_i = (float(part) if part > 1e-6 else 0.0 for part in shift - whole)
    values = plane.astype(np.float64)
    if part_j:
        values = values[1:] * (1 - part_j) + values[:-1] * part_j
    if part_i:
        values = values[:, 1:] * (1 - part_i) + values[:, :-1] * part_i
    out: Numbers = np.full(shape, np.nan)
    j, i = int(whole[0]) + (part_j > 0), int(whole[1]) + (part_i > 0)
    out[j : j + values.shape[0], i : i + values.shape[1]] = values
    return out
