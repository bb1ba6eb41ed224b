"""What DICOM headers promise of single pixels: where each lies, what it is worth, how close is close enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from racoon_data.dicom.layout import Layout, without_unused_bits
from racoon_data.dicom.meaning import RESCALE, Wanted, plain_meaning
from racoon_data.dicom.native import plain_layout, sample
from racoon_data.dicom.pixels import RGB, read_pixels
from racoon_data.dicom.series import SliceHeader

SAMPLES_PER_SLICE = 24
_RELATIVE = 1e-6

Array = npt.NDArray[Any]
Numbers = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Terms:
    """What a value in the file was made to mean.

    Attributes:
        wanted: Which values of an image were taken.
    """

    wanted: Wanted = field(default_factory=Wanted)


@dataclass(frozen=True, slots=True, eq=False)
class Promise:
    """Pixels of one slice: what they are worth, which of them are padding, and how close is close enough."""

    values: Numbers
    is_padding: npt.NDArray[np.bool_]
    tolerance: Numbers


def spread(rows: int, columns: int, slices: int) -> tuple[Indices, Indices]:
    """Choose pixels of every slice: the corners and points spread evenly, others on each slice.

    Returns:
        Rows and columns, ``[slice, point]``; two points less than ``SAMPLES_PER_SLICE``, for the extremes.
    """
    count = SAMPLES_PER_SLICE - 6
    # The plastic number's sequence spreads points over a square (M. Roberts, 2018: R2).
    steps = np.arange(1, count + 1) + count * np.arange(slices)[:, None]
    spread_rows = np.floor(np.modf(0.5 + steps * 0.7548776662466927)[0] * rows)
    spread_columns = np.floor(np.modf(0.5 + steps * 0.5698402909980532)[0] * columns)
    corner_rows = np.tile([0, 0, rows - 1, rows - 1], (slices, 1))
    corner_columns = np.tile([0, columns - 1, 0, columns - 1], (slices, 1))
    j = np.hstack([corner_rows, spread_rows]).astype(np.int64)
    i = np.hstack([corner_columns, spread_columns]).astype(np.int64)
    return j, i


def positions_of(headers: Sequence[SliceHeader], rows: Indices, columns: Indices) -> Numbers:
    """Give the patient position (mm, LPS) of pixels ``[slice, point]``, each slice by its own header."""
    origin = np.array([header.position_lps for header in headers])
    along_row = np.array([header.row_direction for header in headers])
    along_column = np.array([header.column_direction for header in headers])
    between = np.array([header.pixel_spacing_mm for header in headers])
    right = (columns * between[:, 1:])[:, :, None] * along_row[:, None]
    down = (rows * between[:, :1])[:, :, None] * along_column[:, None]
    positions: Numbers = origin[:, None] + right + down
    return positions


def promise_of(header: SliceHeader, flat: Indices, terms: Terms) -> Promise:
    """Say what pixels are worth, from their own file.

    Args:
        header: The slice.
        flat: Index of each pixel in row-major order.
        terms: What a value was made to mean.

    Raises:
        DicomError: The slice cannot be read again.
    """
    layout = plain_layout(header) if terms.wanted.values == RESCALE else None
    return _careful(header, flat, terms) if layout is None else _plain(header, layout, flat)


def _plain(header: SliceHeader, layout: Layout, flat: Indices) -> Promise:
    """Single values straight from the bytes of the file."""
    stored = without_unused_bits(sample(header, layout, flat), layout)
    meaning = plain_meaning(header.facts) if header.facts is not None else None
    slope, shift = (meaning.slope, meaning.intercept) if meaning else (1.0, 0.0)
    padding = meaning.padding if meaning else None
    none = np.zeros(stored.shape, dtype=np.bool_)
    is_padding = none if padding is None else (stored >= padding[0]) & (stored <= padding[1])
    values = stored * np.float64(slope) + shift
    return Promise(values, is_padding, _tolerance(values, slope))


def _careful(header: SliceHeader, flat: Indices, terms: Terms) -> Promise:
    """Any other slice, decoded again, by the rules for its kind."""
    pixels = read_pixels(header, terms.wanted)
    real = comparable(pixels.stored if pixels.is_colour else pixels.real())
    values = real.reshape(-1)[flat].astype(np.float64)
    mask = pixels.is_padding
    is_padding = np.zeros(values.shape, dtype=np.bool_) if mask is None else mask.reshape(-1)[flat]
    return Promise(values, is_padding, _tolerance(values, pixels.meaning.slope))


def _tolerance(values: Numbers, step: float) -> Numbers:
    return _RELATIVE * (np.abs(values) + abs(step))


def comparable(array: Array) -> Array:
    """Colours as one number each; numbers as they are."""
    if array.dtype != RGB:
        return array
    red, green, blue = (array[name].astype(np.int32) for name in "RGB")
    packed: Array = (red << 16) | (green << 8) | blue
    return packed
