"""Stored pixels of one slice: decoded, checked, and what they mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from racoon_data.dicom.layout import layout_of
from racoon_data.dicom.meaning import Meaning, Wanted, as_suv
from racoon_data.dicom.series import SliceHeader
from racoon_data.errors import UnsupportedPixelsError

Array = npt.NDArray[Any]
RGB = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
_LARGEST_WHOLE = 2**31


@dataclass(frozen=True, slots=True, eq=False)
class Pixels:
    """Stored values of one slice and what they mean.

    Attributes:
        stored: Stored values ``[j, i]``; colours have fields R, G and B.
        meaning: How they become real.
        decisions: What was decided while decoding, in words.
    """

    stored: Array
    meaning: Meaning
    decisions: tuple[str, ...] = ()

    @property
    def is_colour(self) -> bool:
        """A pixel is a colour."""
        return self.stored.dtype.names is not None

    @property
    def is_whole(self) -> bool:
        """Real values are whole numbers of at most 32 bits."""
        meaning = self.meaning
        if meaning.table is not None:
            return meaning.table.values.dtype.kind in "iu"
        if not (meaning.slope.is_integer() and meaning.intercept.is_integer() and self.stored.dtype.kind in "iu"):
            return False
        info = np.iinfo(self.stored.dtype)
        return all(abs(edge * meaning.slope + meaning.intercept) < _LARGEST_WHOLE for edge in (info.min, info.max))

    @property
    def keeps_scale(self) -> bool:
        """Stored values with a slope in single precision are as exact as float32 values would be."""
        meaning = self.meaning
        is_small = self.stored.dtype.kind in "iu" and self.stored.dtype.itemsize <= 2
        if self.is_whole or not is_small or meaning.table is not None or meaning.slope <= 0:
            return False
        return meaning.intercept == 0 or (_is_single(meaning.slope) and _is_single(meaning.intercept))

    @property
    def is_padding(self) -> npt.NDArray[np.bool_] | None:
        """Where the slice holds padding ``[j, i]``, ``None`` where nothing declares any."""
        if self.meaning.padding is None or self.is_colour:
            return None
        low, high = self.meaning.padding
        return (self.stored >= low) & (self.stored <= high)

    def real(self) -> Array:
        """Give real values ``[j, i]``: int32 where they are whole, else float32 by way of double precision."""
        meaning = self.meaning
        if meaning.table is not None:
            looked_up = meaning.table.look_up(self.stored)
            return looked_up if self.is_whole else looked_up.astype(np.float32)
        if self.is_whole:
            return self.stored.astype(np.int32) * np.int32(meaning.slope) + np.int32(meaning.intercept)
        return (self.stored.astype(np.float64) * meaning.slope + meaning.intercept).astype(np.float32)


def _is_single(value: float) -> bool:
    return float(np.float32(value)) == value


def read_pixels(header: SliceHeader, wanted: Wanted | None = None) -> Pixels:
    """Read and decode one slice.

    Args:
        header: The slice.
        wanted: Which values, where there are several; plain rescaled grey ones where absent.

    Raises:
        UnsupportedPixelsError: It is in colour and that is not wanted, cannot be decoded here (the hint
            names the packages that would), decodes to another size, or its lookup table is broken.
        FrameCountError: The header and the stored pixels disagree about the number of frames.
        DicomError: It cannot be read.
    """
    from racoon_data.dicom.frames import open_frames

    chosen = wanted or Wanted()
    source = open_frames(header.path, is_kept=header.frame is not None)
    facts = header.facts or source.facts
    layout = layout_of(facts, float_bits=source.float_bits)
    if layout.is_colour and not chosen.is_colour:
        raise UnsupportedPixelsError("the image is in colour", hint="racoon convert --colour keep keeps it")
    frame = 0 if header.frame is None or header.tiles else header.frame
    decoded = source.decode(layout, frame)
    array = _cut(source.colours(decoded.array, layout) if layout.is_colour else decoded.array, header)
    if array.shape != (header.rows, header.columns):
        found = "x".join(map(str, array.shape))
        raise UnsupportedPixelsError(f"the pixels decode to {found}, not {header.rows}x{header.columns}", hint="")
    meaning = source.meaning(facts, frame, chosen, is_signed=layout.is_signed)
    if header.suv_factor is not None:
        meaning = as_suv(meaning, header.suv_factor)
    passed_over = tuple(f"passed over {words}" for words in decoded.passed_over)
    by = (f"decoded by {decoded.decoder}",) if decoded.decoder else ()
    return Pixels(array, meaning, (*by, *passed_over))


def _cut(array: Array, header: SliceHeader) -> Array:
    """Cut the tile of a mosaic out."""
    if not header.tiles or header.frame is None:
        return array
    row, column = divmod(header.frame, header.tiles)
    top, left = row * header.rows, column * header.columns
    return array[top : top + header.rows, left : left + header.columns]
