"""Decoding that does not give up: one decoder after the other, each checked for shape, sign and range."""

from __future__ import annotations

import struct
import warnings
import zlib
from dataclasses import dataclass

import pydicom
from pydicom import uid as pydicom_uid
from pydicom.encaps import get_frame, parse_basic_offsets, parse_fragments

from racoon_data.dicom.decoders import chain_of, packages_of
from racoon_data.dicom.frame_codecs import DEFLATED_FRAME, RLE_LOSSLESS
from racoon_data.dicom.headers import value_of
from racoon_data.dicom.layout import NATIVE, Array, Layout, demand_frames, native_frame, without_unused_bits
from racoon_data.errors import DicomError, FrameCountError, TruncatedError, UnsupportedPixelsError

# Syntaxes that pydicom 3.0 does not know; it takes an unknown one for implicit little endian elsewhere.
_NEW_SYNTAXES = {
    DEFLATED_FRAME: "Deflated Image Frame Compression",
    "1.2.840.10008.1.2.4.110": "JPEG XL Lossless",
    "1.2.840.10008.1.2.4.111": "JPEG XL JPEG Recompression",
    "1.2.840.10008.1.2.4.112": "JPEG XL",
}
for _uid, _name in _NEW_SYNTAXES.items():
    pydicom_uid.UID_dictionary.setdefault(_uid, (_name, "Transfer Syntax", "", "", _name.replace(" ", "")))

_DECODER_ERRORS = (
    RuntimeError, ValueError, TypeError, AttributeError, KeyError, IndexError, OSError, NotImplementedError,
    MemoryError, struct.error, zlib.error, ImportError,
)  # fmt: skip
_JPEG_FAMILY = "1.2.840.10008.1.2.4."
_START_MARKERS = (b"\xff\xd8", b"\xff\x4f")
_END_MARKER = b"\xff\xd9"
_TAIL_BYTES = 64


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """One decoded frame.

    Attributes:
        array: Stored values ``[j, i]``, or colours ``[j, i, sample]``.
        decoder: Which decoder gave them; empty where the bytes were not compressed.
        passed_over: Decoders that failed or gave something impossible, and why.
    """

    array: Array
    decoder: str = ""
    passed_over: tuple[str, ...] = ()


def decode_frame(dataset: pydicom.Dataset, layout: Layout, frame: int = 0) -> Decoded:
    """Decode one frame to stored values.

    Args:
        dataset: Read with its pixels.
        layout: How they lie.
        frame: Index from 0.

    Raises:
        UnsupportedPixelsError: No decoder manages; the hint names the packages that would.
        FrameCountError: There are fewer or more frames than the header says.
        TruncatedError: The compressed frame ends early.
    """
    keyword = next((key for key in ("PixelData", "FloatPixelData", "DoubleFloatPixelData") if key in dataset), "")
    buffer = value_of(dataset, keyword) if keyword else None
    if not isinstance(buffer, bytes):
        raise UnsupportedPixelsError("the image has no pixel data", hint="retrieve it again")
    if layout.syntax in NATIVE:
        array = _native(dataset, buffer, layout, frame)
        kept = without_unused_bits(array, layout)
        words = () if kept is array else (f"bits above the {layout.bits_stored} stored ones",)
        return Decoded(kept, passed_over=words)
    return decode_fragment(_frame_bytes(buffer, layout, frame), layout)


def _native(dataset: pydicom.Dataset, buffer: bytes, layout: Layout, frame: int) -> Array:
    is_odd = layout.bits_allocated == 1 or layout.photometric == "YBR_FULL_422"
    is_swapped_word = layout.bits_allocated == 8 and not layout.is_little_endian and dataset["PixelData"].VR == "OW"
    if not (is_odd or is_swapped_word or layout.photometric.startswith("YBR")):
        return native_frame(buffer, layout, frame)
    demand_frames(len(buffer), layout)
    return _by_pydicom(dataset, layout, frame)


def _by_pydicom(dataset: pydicom.Dataset, layout: Layout, frame: int) -> Array:
    """Bits, subsampled colour and swapped words: uncompressed, but not plain."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            array: Array = pydicom.pixels.pixel_array(dataset, index=frame)
    except _DECODER_ERRORS as error:
        raise UnsupportedPixelsError("the pixels cannot be unpacked", hint="ask for a new export") from error
    return array


def _frame_bytes(buffer: bytes, layout: Layout, frame: int) -> bytes:
    """Cut one compressed frame out (PS3.5 A.4)."""
    try:
        fragments, _ = parse_fragments(buffer[_offsets_end(buffer) :])
        if fragments < layout.frames:
            message = f"{fragments} compressed fragment(s) for {layout.frames} frame(s)"
            raise FrameCountError(message, hint="retrieve it again")
        return bytes(get_frame(buffer, frame, number_of_frames=layout.frames))
    except _DECODER_ERRORS as error:
        raise UnsupportedPixelsError(
            "the compressed frames cannot be told apart", hint="ask for a new export"
        ) from error


def _offsets_end(buffer: bytes) -> int:
    """Byte after the basic offset table."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        offsets = parse_basic_offsets(buffer)
    return 8 + 4 * len(offsets)


def decode_fragment(fragment: bytes, layout: Layout) -> Decoded:
    """Decode one compressed frame, with each decoder in turn.

    Raises:
        UnsupportedPixelsError: None manages; the hint names the packages that would.
        TruncatedError: It ends before its end marker.
    """
    _demand_end(fragment, layout)
    _demand_segments(fragment, layout)
    passed_over: list[str] = []
    missing: list[str] = []
    for decoder in chain_of(layout):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                array = decoder.decode(fragment, layout)
        except ModuleNotFoundError:
            missing.append(decoder.name)
            continue
        except _DECODER_ERRORS as error:
            passed_over.append(f"{decoder.name}: {type(error).__name__}")
            continue
        except DicomError as error:
            passed_over.append(f"{decoder.name}: {error.code}")
            continue
        if not (fault := fault_of(array, layout)):
            return Decoded(array, decoder.name, tuple(passed_over))
        passed_over.append(f"{decoder.name}: {fault}")
    tried = "".join(f"; {words}" for words in (*passed_over, *(f"{name}: not installed" for name in missing)))
    message = f"pixels in transfer syntax {layout.syntax} cannot be decoded{tried}"
    raise UnsupportedPixelsError(message, hint=f"what would decode it: {packages_of(layout)}")


def _demand_end(fragment: bytes, layout: Layout) -> None:
    """JPEG, JPEG-LS and JPEG 2000 end with a marker; decoders fill what is missing with grey, silently."""
    is_codestream = layout.syntax.startswith(_JPEG_FAMILY) and fragment[:2] in _START_MARKERS
    if is_codestream and _END_MARKER not in fragment[-_TAIL_BYTES:]:
        raise TruncatedError("a compressed frame ends before its end marker", hint="retrieve it again")


def _demand_segments(fragment: bytes, layout: Layout) -> None:
    """The header of a run-length coded frame counts its segments (PS3.5 G.5); GDCM divides by that, even by zero."""
    if layout.syntax != RLE_LOSSLESS:
        return
    header = struct.unpack("<16I", fragment[:64]) if len(fragment) >= 64 else (0,)
    offsets = header[1 : header[0] + 1] if 0 < header[0] < 16 else ()
    if not offsets or list(offsets) != sorted(offsets) or not 64 <= offsets[0] <= offsets[-1] < len(fragment):
        raise UnsupportedPixelsError("a run-length coded frame has no sound header", hint="ask for a new export")


def fault_of(array: Array, layout: Layout) -> str:
    """Say what is impossible about decoded values: their shape, sign or range; empty where nothing is."""
    if array.shape != layout.frame_shape:
        return f"gives {'x'.join(map(str, array.shape))}"
    if array.dtype.kind not in "iu":
        return f"gives {array.dtype.name}"
    if layout.samples == 1 and (array.dtype.kind == "i") != layout.is_signed:
        return "gives another sign"
    low, high = layout.value_range
    if array.size and (array.min() < low or array.max() > high):
        return f"gives values beyond {layout.bits_stored} bits"
    return ""
