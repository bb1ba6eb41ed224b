"""Decoders of single frames that no library offers: packed bits, run-length coded bits, deflated frames."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

from racoon_data.errors import UnsupportedPixelsError

RLE_LOSSLESS = "1.2.840.10008.1.2.5"
DEFLATED_FRAME = "1.2.840.10008.1.2.8.1"
ENCAPSULATED_UNCOMPRESSED = "1.2.840.10008.1.2.1.98"

_AGAIN = "ask the sender for a new export"
_RLE_HEADER_BYTES = 64


def unpack_bits(packed: npt.NDArray[np.uint8], *, start: int, shape: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Unpack one frame of 1-bit pixels (PS3.5 8.1.1: the first pixel is the lowest bit).

    Args:
        packed: Bytes that hold the frame.
        start: Bits of the first byte that belong to the frame before, 0 to 7.
        shape: Rows, columns.

    Returns:
        Zeros and ones ``[row, column]`` (uint8).

    Raises:
        UnsupportedPixelsError: The bytes end before the frame does.
    """
    size = shape[0] * shape[1]
    if packed.size * 8 < start + size:
        raise UnsupportedPixelsError("a frame ends before its last pixel", hint=_AGAIN)
    return np.unpackbits(packed, count=start + size, bitorder="little")[start:].reshape(shape)


def inflate_frame(raw: bytes, *, size: int) -> bytes:
    """Inflate one frame of the Deflated Image Frame transfer syntax (PS3.5 8.2.16, RFC 1951).

    Some writers put a zlib header in front; it is read over.

    Args:
        raw: The frame's bytes; a padding byte at the end does not matter.
        size: Bytes the frame has once inflated.

    Raises:
        UnsupportedPixelsError: It is no deflated data, or shorter than the frame.
    """
    for window in (-zlib.MAX_WBITS, zlib.MAX_WBITS):
        try:
            data = zlib.decompressobj(window).decompress(raw, size + 1)
        except zlib.error:
            continue
        if len(data) >= size:
            return data[:size]
    raise UnsupportedPixelsError("a deflated frame cannot be inflated to its size", hint=_AGAIN)


def expand_rle_bits(raw: bytes, *, shape: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Decode a run-length coded frame of 1-bit pixels (PS3.5 Annex G, one segment).

    Pixels are packed eight to a byte before coding; writers that code one byte a pixel are read too.

    Args:
        raw: The frame's bytes, RLE header included.
        shape: Rows, columns.

    Returns:
        Zeros and ones ``[row, column]`` (uint8).

    Raises:
        UnsupportedPixelsError: Not one segment, or it holds neither bits nor bytes of this frame.
    """
    if len(raw) < _RLE_HEADER_BYTES:
        raise UnsupportedPixelsError("a run-length coded frame has no header", hint=_AGAIN)
    count, offset = struct.unpack_from("<II", raw)
    if count != 1 or offset < _RLE_HEADER_BYTES:
        raise UnsupportedPixelsError(f"a run-length coded frame of bits has {count} segments", hint=_AGAIN)
    size = shape[0] * shape[1]
    data = np.frombuffer(expand_packbits(raw[offset:], most=size), dtype=np.uint8)
    if data.size >= size > 8:
        set_bytes: npt.NDArray[np.uint8] = (data[:size] != 0).astype(np.uint8)
        return set_bytes.reshape(shape)
    return unpack_bits(data, start=0, shape=shape)


def expand_packbits(coded: bytes, *, most: int) -> bytes:
    """Expand one run-length coded segment (PackBits), to at most ``most`` bytes."""
    out = bytearray()
    place, end = 0, len(coded)
    while place < end and len(out) < most:
        control = coded[place]
        if control < 128:
            out += coded[place + 1 : place + 2 + control]
            place += control + 2
        elif control > 128:
            out += coded[place + 1 : place + 2] * (257 - control)
            place += 2
        else:
            place += 1
    return bytes(out[:most])


def decode_special(
    raw: bytes, *, syntax: str, bits: int, shape: tuple[int, int], is_little: bool = True
) -> npt.NDArray[Any] | None:
    """Decode one encapsulated frame where only racoon can, ``None`` where a library decodes it.

    Args:
        raw: The frame's bytes.
        syntax: Transfer syntax UID.
        bits: BitsAllocated: 1, 8 or 16.
        shape: Rows, columns.
        is_little: Byte order of 16-bit values.

    Raises:
        UnsupportedPixelsError: The bytes are not what the transfer syntax says.
    """
    if syntax == RLE_LOSSLESS and bits == 1:
        return expand_rle_bits(raw, shape=shape)
    if syntax == DEFLATED_FRAME:
        raw = inflate_frame(raw, size=-(-shape[0] * shape[1] * bits // 8))
    elif syntax != ENCAPSULATED_UNCOMPRESSED:
        return None
    return native_frame(raw, bits=bits, shape=shape, is_little=is_little)


def native_frame(
    raw: bytes, *, bits: int, shape: tuple[int, int], start: int = 0, is_little: bool = True
) -> npt.NDArray[Any]:
    """Turn the bytes of an uncompressed single-sample frame into an array ``[row, column]``.

    Raises:
        UnsupportedPixelsError: They end before the frame does, or BitsAllocated is none of 1, 8, 16.
    """
    if bits == 1:
        return unpack_bits(np.frombuffer(raw, dtype=np.uint8), start=start, shape=shape)
    if bits not in (8, 16):
        raise UnsupportedPixelsError(f"{bits} bits allocated in a segmentation", hint=_AGAIN)
    dtype = np.dtype(np.uint8 if bits == 8 else "<u2" if is_little else ">u2")
    size = shape[0] * shape[1]
    if len(raw) < size * dtype.itemsize:
        raise UnsupportedPixelsError("a frame ends before its last pixel", hint=_AGAIN)
    return np.frombuffer(raw, dtype=dtype, count=size).reshape(shape)
