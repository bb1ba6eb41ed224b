"""Run lengths of 1-bit images, which other decoders leave out (PS3.5 annex G)."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import numpy.typing as npt

from racoon_data.errors import TruncatedError, UnreadableError

_HEADER_BYTES = 64


def unpacked_bytes(segment: bytes, *, most: int) -> bytes:
    """Unpack one PackBits segment.

    Args:
        segment: A run below 128 copies the next bytes, one above repeats the next byte, 128 is nothing.
        most: Bytes after which to stop; trailing padding is not read.

    Raises:
        TruncatedError: The segment ends inside a run.
    """
    out = bytearray()
    place = 0
    while len(out) < most and place < len(segment):
        count = segment[place]
        place += 1
        if count == 128:
            continue
        step = count + 1 if count < 128 else 1
        run = segment[place : place + step]
        if len(run) < step:
            raise TruncatedError("a run of compressed pixels ends early", hint="retrieve it again")
        out += run if count < 128 else run * (257 - count)
        place += step
    return bytes(out[:most])


def decode_bits(fragment: bytes, *, rows: int, columns: int) -> npt.NDArray[Any]:
    """Decode a 1-bit frame in RLE Lossless.

    The single segment holds the bits packed, lowest first, as an uncompressed frame would have them.

    Returns:
        0 and 1 ``[j, i]``, uint8.

    Raises:
        TruncatedError: There are fewer bits than pixels.
        UnreadableError: The header names another number of segments.
    """
    if len(fragment) < _HEADER_BYTES:
        raise TruncatedError("the compressed frame has no header", hint="retrieve it again")
    count, offset = struct.unpack_from("<2I", fragment)
    if count != 1 or not _HEADER_BYTES <= offset <= len(fragment):
        raise UnreadableError(f"{count} segments in a 1-bit frame", hint="ask the sender for a new export")
    needed = (rows * columns + 7) // 8
    packed = unpacked_bytes(fragment[offset:], most=needed)
    if len(packed) < needed:
        raise TruncatedError("the compressed frame holds fewer pixels than its size says", hint="retrieve it again")
    bits = np.unpackbits(np.frombuffer(packed, dtype=np.uint8), count=rows * columns, bitorder="little")
    return bits.reshape(rows, columns)
