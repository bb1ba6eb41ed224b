"""Does a written file hold, at each patient position, the value the DICOM header promises there?

The check takes another way than the conversion: attributes and pixel bytes come from the structure
scanner instead of the parser, positions from each slice's own header, and voxels from the bytes that were written.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from racoon_data.dicom.facts import Facts, read_facts
from racoon_data.dicom.meaning import Wanted
from racoon_data.dicom.pixels import RGB, read_pixels
from racoon_data.dicom.series import Series, SliceHeader
from racoon_data.errors import UncertifiedError
from racoon_data.files.nifti import parse_nifti

SAMPLES_PER_SLICE = 24
_OFFSET_VOXELS = 0.06
_RELATIVE = 1e-6
_KEYWORDS = (
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns", "BitsAllocated",
    "PixelRepresentation", "RescaleSlope", "RescaleIntercept", "PixelPaddingValue", "PixelPaddingRangeLimit",
)  # fmt: skip
_HINT = "nothing was published; report it with the series"

Numbers = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Certificate:
    """What was compared.

    Attributes:
        slices: Slices checked: all of them.
        voxels: Sampled voxels whose value was compared.
        padding_voxels: Sampled voxels that hold padding; only their place was checked.
        largest_offset_voxels: Largest distance of a sampled position from a voxel centre.
        largest_difference: Largest difference of a value.
    """

    slices: int
    voxels: int
    padding_voxels: int
    largest_offset_voxels: float
    largest_difference: float

    def to_json(self) -> dict[str, object]:
        """Give the certificate as a JSON document."""
        return {
            "slices": self.slices,
            "voxels": self.voxels,
            "padding_voxels": self.padding_voxels,
            "largest_offset_voxels": round(self.largest_offset_voxels, 6),
            "largest_difference": float(f"{self.largest_difference:.3g}"),
        }


@dataclass(frozen=True, slots=True)
class Terms:
    """What a value in the file was made to mean.

    Attributes:
        wanted: Which values of an image were taken.
        is_plain: Each file holds one uncompressed slice of rescaled values, so its bytes alone can answer.
        factor: What rescaled values were multiplied by, such as a factor from Bq/ml to SUV.
    """

    wanted: Wanted = field(default_factory=Wanted)
    is_plain: bool = True
    factor: float = 1.0


PLAIN = Terms()


@dataclass(frozen=True, slots=True, eq=False)
class _Promise:
    """Sampled points of one slice: where they lie, what they are worth, and how close is close enough."""

    positions_lps: Numbers
    values: Numbers
    is_padding: npt.NDArray[np.bool_]
    tolerance: Numbers


def certify(raw: bytes, series: Series, *, name: str, terms: Terms = PLAIN) -> Certificate:
    """Check the bytes of a NIfTI file against the headers of its slices.

    Args:
        raw: The file as written.
        series: Where it came from.
        name: What to call it in errors.
        terms: What a value was made to mean.

    Raises:
        UncertifiedError: A sampled voxel is elsewhere, holds another value, or slices and file differ in size.
        DicomError: A slice cannot be read again.
    """
    array, geometry = parse_nifti(raw, name=name)
    array = _comparable(array)
    to_index = np.linalg.inv(geometry.matrix)
    expected = sum(header.rows * header.columns for header in series.slices)
    if array.size != expected:
        raise UncertifiedError("the file has other voxels than its slices", ref=series.ref, hint=_HINT)
    seen: set[tuple[float, ...]] = set()
    offset = difference = 0.0
    voxels = padding = 0
    for k, header in enumerate(series.slices):
        promise = _promise(header, k) if terms.is_plain else _worth(header, k, terms)
        index = promise.positions_lps @ to_index[:3, :3].T + to_index[:3, 3]
        nearest = np.rint(index).astype(np.int64)
        offset = max(offset, float(np.abs(index - nearest).max()))
        _demand_inside(nearest, geometry.shape, series, k)
        apart = np.abs(array[nearest[:, 2], nearest[:, 1], nearest[:, 0]].astype(np.float64) - promise.values)
        is_wrong = (apart > promise.tolerance) & ~promise.is_padding
        if offset > _OFFSET_VOXELS or is_wrong.any():
            message = f"slice {k} is not where its header says, or holds other values"
            raise UncertifiedError(message, ref=series.ref, hint=_HINT)
        difference = max(difference, float(apart[~promise.is_padding].max(initial=0.0)))
        voxels += int((~promise.is_padding).sum())
        padding += int(promise.is_padding.sum())
        seen.add(tuple(nearest[0].tolist()))
    if len(seen) != len(series.slices):
        raise UncertifiedError("several slices share one place in the file", ref=series.ref, hint=_HINT)
    return Certificate(len(series.slices), voxels, padding, offset, difference)


def _demand_inside(nearest: Indices, shape: tuple[int, int, int], series: Series, k: int) -> None:
    if (nearest < 0).any() or (nearest >= np.array(shape)).any():
        raise UncertifiedError(f"slice {k} lies outside the written grid", ref=series.ref, hint=_HINT)


def _promise(header: SliceHeader, k: int) -> _Promise:
    """What a plain slice promises, from its own bytes."""
    facts = read_facts(header.path, _KEYWORDS, pixels=True)
    stored = _stored(facts)
    rows, columns = _samples(stored, k)
    position = np.array(facts.numbers("ImagePositionPatient", count=3))
    cosines = np.array(facts.numbers("ImageOrientationPatient", count=6))
    between_rows, between_columns = facts.numbers("PixelSpacing", count=2) or (np.nan, np.nan)
    along_row = columns[:, None] * between_columns * cosines[:3]
    along_column = rows[:, None] * between_rows * cosines[3:]
    slope, intercept = facts.number("RescaleSlope") or 1.0, facts.number("RescaleIntercept") or 0.0
    sampled = stored[rows, columns].astype(np.float64)
    values = sampled * slope + intercept
    tolerance = _RELATIVE * (np.abs(values) + abs(slope))
    return _Promise(position + along_row + along_column, values, _is_padding(facts, sampled), tolerance)


def _stored(facts: Facts) -> npt.NDArray[Any]:
    """Stored values ``[j, i]``, straight from the bytes."""
    rows, columns, bits = facts.whole("Rows"), facts.whole("Columns"), facts.whole("BitsAllocated")
    order, sign = "<" if facts.is_little_endian else ">", "i" if facts.whole("PixelRepresentation") else "u"
    dtype = np.dtype(f"{order}{sign}{bits // 8}")
    return np.frombuffer(facts.pixel_bytes, dtype=dtype, count=rows * columns).reshape(rows, columns)


def _worth(header: SliceHeader, k: int, terms: Terms) -> _Promise:
    """What any other slice promises: decoded again, by the rules for its kind."""
    pixels = read_pixels(header, terms.wanted)
    real = _comparable(pixels.stored if pixels.is_colour else pixels.real()).astype(np.float64) * terms.factor
    rows, columns = _samples(real, k)
    between_rows, between_columns = header.pixel_spacing_mm
    along_row = columns[:, None] * between_columns * np.array(header.row_direction)
    along_column = rows[:, None] * between_rows * np.array(header.column_direction)
    values = real[rows, columns]
    mask = pixels.is_padding
    is_padding = np.zeros(values.shape, dtype=np.bool_) if mask is None else mask[rows, columns]
    step = abs(pixels.meaning.slope * terms.factor)
    tolerance = _RELATIVE * (np.abs(values) + step)
    return _Promise(np.array(header.position_lps) + along_row + along_column, values, is_padding, tolerance)


def _comparable(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Colours as one number each; numbers as they are."""
    if array.dtype != RGB:
        return array
    red, green, blue = (array[name].astype(np.int32) for name in "RGB")
    packed: npt.NDArray[Any] = (red << 16) | (green << 8) | blue
    return packed


def _samples(stored: npt.NDArray[Any], k: int) -> tuple[Indices, Indices]:
    """Choose pixels: the corners, the extremes and points spread evenly, others on each slice."""
    rows, columns = stored.shape
    extremes = np.array([stored.argmin(), stored.argmax()])
    count = SAMPLES_PER_SLICE - 6
    # The plastic number's sequence spreads points over a square (M. Roberts, 2018: R2).
    steps = np.arange(1, count + 1) + count * k
    spread_rows = np.floor(np.modf(0.5 + steps * 0.7548776662466927)[0] * rows)
    spread_columns = np.floor(np.modf(0.5 + steps * 0.5698402909980532)[0] * columns)
    corner_rows, corner_columns = [0, 0, rows - 1, rows - 1], [0, columns - 1, 0, columns - 1]
    j = np.concatenate([corner_rows, extremes // columns, spread_rows]).astype(np.int64)
    i = np.concatenate([corner_columns, extremes % columns, spread_columns]).astype(np.int64)
    return j, i


def _is_padding(facts: Facts, sampled: Numbers) -> npt.NDArray[np.bool_]:
    lowest = facts.number("PixelPaddingValue")
    if lowest is None:
        return np.zeros(sampled.shape, dtype=np.bool_)
    highest = facts.number("PixelPaddingRangeLimit")
    bounds = [_signed(facts, value) for value in (lowest, lowest if highest is None else highest)]
    return (sampled >= min(bounds)) & (sampled <= max(bounds))


def _signed(facts: Facts, value: float) -> float:
    return value - 0x10000 if facts.whole("PixelRepresentation") and value >= 0x8000 else value
