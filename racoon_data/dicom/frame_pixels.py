"""Frames of a multi-frame file, decoded one at a time; the pixel data are never read as a whole."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.uid import DeflatedExplicitVRLittleEndian

from racoon_data.dicom.decoding import decode_fragment
from racoon_data.dicom.frame_codecs import decode_special, native_frame
from racoon_data.dicom.guard import Scan
from racoon_data.dicom.headers import read_dataset, text_of, value_of, whole_of
from racoon_data.dicom.layout import NATIVE, Layout
from racoon_data.dicom.walk import UNDEFINED
from racoon_data.errors import UnsupportedPixelsError

_PIXEL_DATA = 0x7FE00010
_ITEM, _END = 0xFFFEE000, 0xFFFEE0DD
_AGAIN = "ask the sender for a new export"

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class FrameReader:
    """Reads frames of single-sample pixel data (1, 8 or 16 bits allocated) by number.

    Attributes:
        stream: The file, or its inflated pixel data.
        start: Where the pixel value begins in the stream.
        header: The data set without pixels.
        shape: Rows, columns.
        bits: BitsAllocated.
        frames: Where each frame's fragments lie (offset and length), ``None`` for native pixels.
        is_little: Byte order.
        is_swapped: Bytes lie in words of big-endian order (OW).
    """

    stream: BinaryIO
    start: int
    header: pydicom.Dataset
    shape: tuple[int, int]
    bits: int
    frames: tuple[tuple[Span, ...], ...] | None
    is_little: bool
    is_swapped: bool

    def read(self, index: int) -> npt.NDArray[Any]:
        """Decode one frame.

        Args:
            index: Zero-based frame number.

        Returns:
            Stored values ``[row, column]``; 1-bit pixels as uint8.

        Raises:
            UnsupportedPixelsError: It cannot be decoded here, or is not there.
        """
        bits = self.bits
        if self.frames is None:
            return self._native(index, bits)
        if index >= len(self.frames):
            raise UnsupportedPixelsError(f"frame {index + 1} has no pixels", hint=_AGAIN)
        raw = b"".join(self._bytes(*span) for span in self.frames[index])
        syntax = str(self.header.file_meta.TransferSyntaxUID)
        array = decode_special(raw, syntax=syntax, bits=bits, shape=self.shape, is_little=self.is_little)
        return array if array is not None else self._by_library(raw, bits)

    def read_shown(self, index: int) -> tuple[npt.NDArray[Any], int]:
        """Decode the rows of a frame that may hold anything but zero.

        Of packed bits whole words are looked at first, so empty rows are not unpacked; other frames come whole.

        Args:
            index: Zero-based frame number.

        Returns:
            Stored values ``[row, column]``, and the number of the first row.

        Raises:
            UnsupportedPixelsError: As for ``read``.
        """
        rows, columns = self.shape
        if self.frames is not None or self.is_swapped or self.bits != 1:
            return self.read(index), 0
        first, start = divmod(index * rows * columns, 8)
        raw = self._bytes(self.start + first, -(-(start + rows * columns) // 8))
        words = np.flatnonzero(np.frombuffer(raw + bytes(-len(raw) % 8), dtype=np.uint64))
        if not words.size:
            return np.zeros((1, columns), dtype=np.uint8), 0
        top = max(int(words[0]) * 64 - start, 0) // columns
        bottom = min((int(words[-1]) * 64 + 63 - start) // columns, rows - 1)
        place, offset = divmod(start + top * columns, 8)
        return native_frame(raw[place:], bits=1, shape=(bottom - top + 1, columns), start=offset), top

    def _native(self, index: int, bits: int) -> npt.NDArray[Any]:
        rows, columns = self.shape
        size = rows * columns * bits
        first, last = index * size // 8, -(-(index + 1) * size // 8)
        offset = first & 1 if self.is_swapped else 0
        raw = self._bytes(self.start + first - offset, last - first + offset + (self.is_swapped and (last & 1)))
        if self.is_swapped:
            raw = np.frombuffer(raw[: len(raw) & ~1], dtype=np.uint16).byteswap().tobytes()[offset:]
        return native_frame(raw, bits=bits, shape=(rows, columns), start=index * size % 8, is_little=self.is_little)

    def _bytes(self, offset: int, length: int) -> bytes:
        self.stream.seek(offset)
        return self.stream.read(length)

    def _by_library(self, raw: bytes, bits: int) -> npt.NDArray[Any]:
        """Decode through the chain of decoders; 1-bit images are coded as bytes by every such codec."""
        rows, columns = self.shape
        stored = 8 if bits == 1 else whole_of(self.header, "BitsStored") or bits
        photometric = text_of(self.header, "PhotometricInterpretation") or "MONOCHROME2"
        syntax = str(self.header.file_meta.TransferSyntaxUID)
        layout = Layout(
            rows, columns, 1, max(bits, 8), stored, stored - 1, False, False, photometric, False, 1, syntax, True
        )
        array = decode_fragment(raw, layout).array
        return (array != 0).astype(np.uint8) if bits == 1 else array


@contextmanager
def frame_reader(path: Path, header: pydicom.Dataset, scanned: Scan) -> Iterator[FrameReader]:
    """Open the pixel data of a file.

    Args:
        path: The file.
        header: Its data set, pixels not needed.
        scanned: What the guard saw.

    Raises:
        UnsupportedPixelsError: There is no pixel data, or fragments and frames cannot be told apart.
    """
    place = scanned.elements.get(_PIXEL_DATA)
    if place is None:
        raise UnsupportedPixelsError("there is no pixel data", hint=_AGAIN)
    sizes = (whole_of(header, "Rows"), whole_of(header, "Columns")), whole_of(header, "BitsAllocated")
    is_swapped = not scanned.is_little_endian and place.vr == b"OW" and whole_of(header, "BitsAllocated") < 16
    if scanned.transfer_syntax_uid == DeflatedExplicitVRLittleEndian:
        data = read_dataset(path, pixels=True).PixelData
        yield FrameReader(io.BytesIO(data), 0, header, *sizes, None, True, False)
        return
    with path.open("rb") as stream:
        frames = _frames(stream, place.start, header) if place.length == UNDEFINED else None
        yield FrameReader(stream, place.start, header, *sizes, frames, scanned.is_little_endian, is_swapped)


def spans_of(path: Path, scanned: Scan) -> tuple[tuple[Span, ...], ...] | None:
    """Find the fragments of each compressed frame by their lengths: no byte inside them can be taken for an end.

    Args:
        path: The file.
        scanned: What the guard saw.

    Returns:
        Offset and length of the fragments of each frame; ``None`` where pixels are not compressed, or fragments and
        frames can only be told apart by what they hold.

    Raises:
        DicomError: The file cannot be read.
    """
    place = scanned.elements.get(_PIXEL_DATA)
    syntax = scanned.transfer_syntax_uid
    if place is None or place.length != UNDEFINED or syntax in (*NATIVE, DeflatedExplicitVRLittleEndian, ""):
        return None
    header = read_dataset(path, tags=("NumberOfFrames", "ExtendedOffsetTable"), is_scanned=True)
    with path.open("rb") as stream:
        try:
            return _frames(stream, place.start, header)
        except UnsupportedPixelsError:
            return None


def _frames(stream: BinaryIO, start: int, header: pydicom.Dataset) -> tuple[tuple[Span, ...], ...]:
    """Give every frame its fragments (PS3.5 A.4): by the offset tables, or one fragment a frame."""
    table, fragments = _fragments(stream, start)
    count = max(whole_of(header, "NumberOfFrames"), 1)
    if count == 1:
        return (tuple(fragments),)
    if len(fragments) == count:
        return tuple((fragment,) for fragment in fragments)
    offsets = _offsets(header, table)
    if len(offsets) != count or not fragments:
        message = f"{len(fragments)} pixel fragments and {count} frames, and no table to tell them apart"
        raise UnsupportedPixelsError(message, hint=_AGAIN)
    starts = [offset - fragments[0][0] for offset, _ in fragments]
    borders = [*np.searchsorted(starts, offsets).tolist(), len(fragments)]
    return tuple(tuple(fragments[low:high]) for low, high in pairwise(borders))


def _fragments(stream: BinaryIO, start: int) -> tuple[bytes, list[Span]]:
    """List the basic offset table and where the fragments lie."""
    stream.seek(start)
    spans: list[Span] = []
    while len(head := stream.read(8)) == 8:
        group, number, length = struct.unpack("<HHI", head)
        if (group << 16 | number) != _ITEM:
            break
        spans.append((stream.tell(), length))
        stream.seek(length, 1)
    if not spans:
        raise UnsupportedPixelsError("the compressed pixel data hold nothing", hint=_AGAIN)
    stream.seek(spans[0][0])
    return stream.read(spans[0][1]), spans[1:]


def _offsets(header: pydicom.Dataset, table: bytes) -> tuple[int, ...]:
    extended = value_of(header, "ExtendedOffsetTable")
    if isinstance(extended, bytes):
        return struct.unpack(f"<{len(extended) // 8}Q", extended[: len(extended) // 8 * 8])
    return struct.unpack(f"<{len(table) // 4}I", table[: len(table) // 4 * 4])
