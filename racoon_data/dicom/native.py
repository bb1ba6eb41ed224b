"""Plain pixels straight from their files: uncompressed, one grey value each, read into place without a parser."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from racoon_data.dicom.facts import Facts
from racoon_data.dicom.layout import NATIVE, Layout, layout_of
from racoon_data.dicom.meaning import Meaning, plain_meaning
from racoon_data.dicom.series import Series, SliceHeader
from racoon_data.errors import TruncatedError, UnreadableError

Array = npt.NDArray[Any]
Scale = tuple[float, float]

_SAME = (
    "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
    "NumberOfFrames", "Modality", "RescaleType", "Units", "SUVType", "PixelPaddingValue", "PixelPaddingRangeLimit",
)  # fmt: skip
_GREY = ("MONOCHROME1", "MONOCHROME2")
_PHILIPS_SCALE = 0x2005100E
_SMALL_PLANE = 1 << 17
_INT16, _UINT16 = (-(1 << 15), (1 << 15) - 1), (0, (1 << 16) - 1)


@dataclass(frozen=True, slots=True)
class Plain:
    """What all slices of a plain series share.

    Attributes:
        layout: How the pixels lie in their bytes.
        meaning: What a value of the first slice means.
        scales: Slope and intercept of every slice.
    """

    layout: Layout
    meaning: Meaning
    scales: tuple[Scale, ...]


@dataclass(frozen=True, slots=True, eq=False)
class PlainValues:
    """Values of a whole series ``[k, j, i]`` and the scale that is left to apply."""

    array: Array
    scale: Scale = (1.0, 0.0)


def plain_layout(header: SliceHeader) -> Layout | None:
    """Give the layout of a slice whose pixels can be read as they stand, ``None`` for any other."""
    facts = header.facts
    if facts is None or facts.pixels is None or header.frame is not None or header.tiles or facts.sequences:
        return None
    if header.suv_factor is not None:
        return None
    if _PHILIPS_SCALE in facts.private:
        return None  # which of its two scales was taken is a decision to be told
    if not facts.is_little_endian or facts.transfer_syntax_uid not in NATIVE:
        return None
    layout = layout_of(facts)
    plane = layout.frame_bits // 8
    is_grey = layout.samples == 1 and layout.photometric in _GREY and layout.bits_allocated in (8, 16)
    is_whole = layout.frames == 1 and plane <= facts.pixels[1] <= plane + 1
    is_low = layout.high_bit == layout.bits_stored - 1
    return layout if is_grey and is_whole and is_low else None


def plain_series(series: Series) -> Plain | None:
    """Tell whether every slice can be read as it stands and means the same, and what they share."""
    first = series.slices[0]
    layout, facts = plain_layout(first), first.facts
    if layout is None or facts is None:
        return None
    shared = _stated(facts)
    scales: list[Scale] = []
    for header in series.slices:
        own = header.facts
        if own is None or _stated(own) != shared or not _is_like(header, layout):
            return None
        slope, intercept = own.number("RescaleSlope"), own.number("RescaleIntercept")
        if slope == 0:
            return None
        scales.append((slope or 1.0, intercept or 0.0))
    return Plain(layout, plain_meaning(facts), tuple(scales))


def _stated(facts: Facts) -> list[object]:
    return [facts.stated(keyword) for keyword in _SAME]


def _is_like(header: SliceHeader, layout: Layout) -> bool:
    facts, plane = header.facts, layout.frame_bits // 8
    return (
        facts is not None
        and facts.pixels is not None
        and header.frame is None
        and not facts.sequences
        and _PHILIPS_SCALE not in facts.private
        and facts.is_little_endian
        and plane <= facts.pixels[1] <= plane + 1
        and (header.rows, header.columns) == (layout.rows, layout.columns)
        and facts.transfer_syntax_uid in NATIVE
    )


def read_plain(series: Series) -> tuple[PlainValues, Plain] | None:
    """Read a whole plain series; ``None`` where the careful way has to be taken.

    Whole real values are int16 (uint16 where they need it); one slope for all slices is handed on, others give
    float32 by way of double precision: what ``filling.fill`` gives, without a copy of the pixels.

    Raises:
        TruncatedError: A file is shorter than it was when it was sorted.
    """
    plain = plain_series(series)
    if plain is None:
        return None
    is_one_scale = len(set(plain.scales)) == 1
    if not is_one_scale and all(slope.is_integer() and shift.is_integer() for slope, shift in plain.scales):
        return None
    values = _whole(series, plain) if is_one_scale else _single(series, plain)
    return None if values is None else (values, plain)


def _whole(series: Series, plain: Plain) -> PlainValues | None:
    layout, (slope, shift) = plain.layout, plain.scales[0]
    array = np.empty((len(series.slices), layout.rows, layout.columns), dtype=layout.dtype)
    low, high = _read_into(series.slices, array)
    if not _is_careless(plain, low, high):
        return None
    if slope.is_integer() and shift.is_integer():
        ends = sorted((low * int(slope) + int(shift), high * int(slope) + int(shift)))
        shifted = _shifted(array, int(slope), int(shift), ends)
        return None if shifted is None else PlainValues(shifted)
    keeps = slope > 0 and (shift == 0 or (np.float32(slope) == slope and np.float32(shift) == shift))
    kept = _shifted(array, 1, 0, [low, high]) if keeps else None
    return None if kept is None else PlainValues(kept, (slope, shift))


def _shifted(array: Array, slope: int, shift: int, ends: Sequence[int]) -> Array | None:
    """Rescale whole numbers in place: 16-bit arithmetic wraps, and the result is right where it fits."""
    fits = [bounds for bounds in (_INT16, _UINT16) if bounds[0] <= ends[0] and ends[1] <= bounds[1]]
    if not fits:
        return None
    if array.dtype.itemsize == 1:
        array = array.astype(np.int16)
    raw = array.view(np.uint16)
    if slope != 1:
        np.multiply(raw, np.uint16(slope & 0xFFFF), out=raw)
    if shift:
        np.add(raw, np.uint16(shift & 0xFFFF), out=raw)
    return raw.view(np.int16 if fits[0] is _INT16 else np.uint16)


def _single(series: Series, plain: Plain) -> PlainValues | None:
    layout = plain.layout
    if plain.meaning.padding is not None:
        return None
    array = np.empty((len(series.slices), layout.rows, layout.columns), dtype=np.float32)
    stored = np.empty((1, layout.rows, layout.columns), dtype=layout.dtype)
    real = np.empty((layout.rows, layout.columns), dtype=np.float64)
    for k, (header, (slope, shift)) in enumerate(zip(series.slices, plain.scales, strict=True)):
        low, high = _read_into((header,), stored)
        if not _is_careless(plain, low, high):
            return None
        np.multiply(stored[0], slope, out=real)
        if shift:
            real += shift
        array[k] = real
    return PlainValues(array) if np.isfinite(plain.scales).all() and np.isfinite(array).all() else None


def _is_careless(plain: Plain, low: int, high: int) -> bool:
    """No bits beyond those stored are used, and no padding stands above the image."""
    lowest, highest = plain.layout.value_range
    padding = plain.meaning.padding
    return lowest <= low and high <= highest and (padding is None or padding[1] < high or padding[0] > high)


def _read_into(headers: Sequence[SliceHeader], array: Array) -> tuple[int, int]:
    """Read pixels into their planes; give the lowest and highest value."""
    lows, highs = [], []
    for header, plane in zip(headers, array, strict=True):
        _fill(header, plane)
        lows.append(plane.min())
        highs.append(plane.max())
    return int(min(lows)), int(max(highs))


def _start(header: SliceHeader) -> int:
    if header.facts is None or header.facts.pixels is None:
        raise UnreadableError("the pixels do not stand in the file as they are", hint="decode them")
    return header.facts.pixels[0]


def _fill(header: SliceHeader, plane: Array) -> None:
    descriptor = os.open(header.path, os.O_RDONLY)
    try:
        count = os.preadv(descriptor, [plane.reshape(-1).view(np.uint8).data], _start(header))
    finally:
        os.close(descriptor)
    if count != plane.nbytes:
        raise TruncatedError("the file was changed while it was read", hint="run again when nothing writes there")


def sample(header: SliceHeader, layout: Layout, flat: npt.NDArray[np.int64]) -> Array:
    """Read single stored values of a plain slice.

    Args:
        header: The slice.
        layout: Its ``plain_layout``.
        flat: Index of each value in row-major order.
    """
    start, size = _start(header), layout.dtype.itemsize
    descriptor = os.open(header.path, os.O_RDONLY)
    try:
        if layout.rows * layout.columns * size <= _SMALL_PLANE:
            whole = os.pread(descriptor, layout.rows * layout.columns * size, start)
            return np.asarray(np.frombuffer(whole, dtype=layout.dtype)[flat])
        read = b"".join([os.pread(descriptor, size, start + size * int(index)) for index in flat.tolist()])
    finally:
        os.close(descriptor)
    return np.frombuffer(read, dtype=layout.dtype)
