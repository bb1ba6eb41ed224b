"""How the pixels of an image lie in its bytes: size, samples, bits, sign, photometric interpretation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from racoon_data.errors import FrameCountError, UnsupportedPixelsError

if TYPE_CHECKING:
    from racoon_data.dicom.facts import Facts

Array = npt.NDArray[Any]

IMPLICIT, EXPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
NATIVE = frozenset((IMPLICIT, EXPLICIT, BIG_ENDIAN, DEFLATED, ""))
KEYWORDS = (
    "Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
    "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Layout:
    """How the pixels of one image lie in its bytes (PS3.3 C.7.6.3).

    Attributes:
        rows: Rows of a frame.
        columns: Columns of a frame.
        samples: Values per pixel: 1, or 3 for colour.
        bits_allocated: Bits a value takes: 1, 8, 16, 32 or 64.
        bits_stored: Bits of them that are used.
        high_bit: Number of the highest one used.
        is_signed: Values are two's complement.
        is_float: Values are floating point numbers.
        photometric: PhotometricInterpretation.
        is_planar: All red values of a frame come first, then all green ones.
        frames: Frames the header claims.
        syntax: Transfer syntax UID.
        is_little_endian: Byte order.
    """

    rows: int
    columns: int
    samples: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    is_signed: bool
    is_float: bool
    photometric: str
    is_planar: bool
    frames: int
    syntax: str
    is_little_endian: bool

    @property
    def is_native(self) -> bool:
        """Values stand in the bytes as they are."""
        return self.syntax in NATIVE

    @property
    def is_colour(self) -> bool:
        """A pixel is a colour once decoded."""
        return self.samples > 1 or self.photometric == "PALETTE COLOR"

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """Shape of one decoded frame ``[j, i]``, or ``[j, i, sample]``."""
        plane = (self.rows, self.columns)
        return plane if self.samples == 1 else (*plane, self.samples)

    @property
    def frame_bits(self) -> int:
        """Bits one uncompressed frame takes."""
        values = self.rows * self.columns * self.samples
        if self.photometric == "YBR_FULL_422":
            values = values * 2 // 3
        return values * self.bits_allocated

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a value in the machine's byte order."""
        letter = "f" if self.is_float else "i" if self.is_signed else "u"
        return np.dtype(f"{letter}{max(self.bits_allocated // 8, 1)}")

    @property
    def value_range(self) -> tuple[int, int]:
        """Lowest and highest value the bits stored can hold."""
        if self.is_signed:
            return -(1 << (self.bits_stored - 1)), (1 << (self.bits_stored - 1)) - 1
        return 0, (1 << self.bits_stored) - 1


def layout_of(facts: Facts, *, float_bits: int = 0) -> Layout:
    """Read the layout from facts; ``float_bits`` says that values are floating point numbers and how wide.

    Raises:
        UnsupportedPixelsError: It has no size, or allocates bits in a way no image does.
    """
    allocated = float_bits or facts.whole("BitsAllocated")
    stored = allocated if float_bits else facts.whole("BitsStored") or allocated
    high = facts.whole("HighBit") if facts.texts("HighBit") and not float_bits else stored - 1
    layout = Layout(
        rows=facts.whole("Rows"),
        columns=facts.whole("Columns"),
        samples=facts.whole("SamplesPerPixel") or 1,
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=high,
        is_signed=facts.whole("PixelRepresentation") == 1 and not float_bits,
        is_float=bool(float_bits),
        photometric=facts.text("PhotometricInterpretation"),
        is_planar=facts.whole("PlanarConfiguration") == 1,
        frames=facts.whole("NumberOfFrames") or 1,
        syntax=facts.transfer_syntax_uid,
        is_little_endian=facts.is_little_endian,
    )
    _demand_sense(layout)
    return layout


def _demand_sense(layout: Layout) -> None:
    has_size = layout.rows > 0 and layout.columns > 0 and layout.samples in (1, 3, 4) and layout.frames > 0
    has_bits = layout.bits_allocated in (1, 8, 16, 32, 64) and 0 < layout.bits_stored <= layout.bits_allocated
    is_inside = layout.bits_stored - 1 <= layout.high_bit < layout.bits_allocated
    if not (has_size and has_bits and is_inside):
        message = (
            f"{layout.rows}x{layout.columns} pixels of {layout.samples} samples in {layout.bits_stored} "
            f"of {layout.bits_allocated} bits up to bit {layout.high_bit} make no sense"
        )
        raise UnsupportedPixelsError(message, hint="ask the sender for a new export")


def native_frame(buffer: bytes, layout: Layout, frame: int) -> Array:
    """Give one uncompressed frame of whole bytes, without a copy where the machine's byte order allows.

    Args:
        buffer: All frames.
        layout: How they lie there; not 1 bit and not subsampled colour.
        frame: Index from 0.

    Raises:
        FrameCountError: The bytes end before the frame does, or hold more frames than the header says.
    """
    size = layout.frame_bits // 8
    demand_frames(len(buffer), layout)
    stored = layout.dtype.newbyteorder("<" if layout.is_little_endian else ">")
    raw = np.frombuffer(buffer, dtype=stored, count=size // stored.itemsize, offset=frame * size)
    values = raw.astype(layout.dtype, copy=False)
    if layout.samples == 1 or not layout.is_planar:
        return values.reshape(layout.frame_shape)
    planes = values.reshape(layout.samples, layout.rows, layout.columns)
    return np.ascontiguousarray(np.moveaxis(planes, 0, -1))


def demand_frames(size: int, layout: Layout) -> None:
    """Compare the bytes of uncompressed pixels with what the header claims.

    Raises:
        FrameCountError: The bytes end before the last frame does, or hold a whole frame more.
    """
    claimed = (layout.frame_bits * layout.frames + 7) // 8
    if size < claimed:
        message = f"{size} bytes of pixels, {claimed} are needed for {layout.frames} frame(s)"
        raise FrameCountError(message, hint="retrieve it again")
    if size - claimed >= max(layout.frame_bits // 8, 2):
        message = f"{size} bytes of pixels hold more than the {layout.frames} frame(s) the header says"
        raise FrameCountError(message, hint="ask the sender for a new export; the number of frames is wrong")


def without_unused_bits(array: Array, layout: Layout) -> Array:
    """Drop what stands in bits that hold no value, such as old overlays, and carry the sign (PS3.5 8.1.1)."""
    if layout.is_float or layout.bits_allocated == 1 or layout.bits_stored == layout.bits_allocated:
        return array
    low, high = layout.value_range
    if layout.high_bit == layout.bits_stored - 1 and array.min() >= low and array.max() <= high:
        return array
    up = layout.bits_allocated - 1 - layout.high_bit
    down = layout.bits_allocated - layout.bits_stored
    kept: Array = (array << up).astype(array.dtype) >> down
    return kept
