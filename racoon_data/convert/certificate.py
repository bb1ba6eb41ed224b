"""Does a written file hold, at each patient position, the value the DICOM header promises there?

The check takes another way than the conversion: attributes and pixel bytes come from the structure
scanner instead of the parser, positions from each slice's own header, and voxels from the bytes that were written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from racoon_data.dicom.facts import Facts, read_facts
from racoon_data.dicom.headers import read_dataset
from racoon_data.dicom.pixels import decode
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


@dataclass(frozen=True, slots=True, eq=False)
class _Promise:
    """Sampled points of one slice: where they lie, what they are worth, and how close is close enough."""

    positions_lps: Numbers
    values: Numbers
    is_padding: npt.NDArray[np.bool_]
    tolerance: Numbers


def certify(raw: bytes, series: Series, *, name: str) -> Certificate:
    """Check the bytes of a NIfTI file against the headers of its slices.

    Args:
        raw: The file as written.
        series: Where it came from.
        name: What to call it in errors.

    Raises:
        UncertifiedError: A sampled voxel is elsewhere, holds another value, or slices and file differ in size.
        DicomError: A slice cannot be read again.
    """
    array, geometry = parse_nifti(raw, name=name)
    to_index = np.linalg.inv(geometry.matrix)
    expected = sum(header.rows * header.columns for header in series.slices)
    if array.size != expected:
        raise UncertifiedError("the file has other voxels than its slices", ref=series.ref, hint=_HINT)
    seen: set[tuple[float, ...]] = set()
    offset = difference = 0.0
    voxels = padding = 0
    for k, header in enumerate(series.slices):
        promise = _promise(header, k)
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
    facts = read_facts(header.path, _KEYWORDS, pixels=True)
    stored = _stored(facts, header)
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


def _stored(facts: Facts, header: SliceHeader) -> npt.NDArray[Any]:
    """Stored values ``[j, i]``, straight from the bytes unless they are encapsulated."""
    rows, columns, bits = facts.whole("Rows"), facts.whole("Columns"), facts.whole("BitsAllocated")
    if not facts.pixel_bytes:
        return decode(read_dataset(header.path, pixels=True), shape=(rows, columns))
    order, sign = "<" if facts.is_little_endian else ">", "i" if facts.whole("PixelRepresentation") else "u"
    dtype = np.dtype(f"{order}{sign}{bits // 8}")
    return np.frombuffer(facts.pixel_bytes, dtype=dtype, count=rows * columns).reshape(rows, columns)


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
