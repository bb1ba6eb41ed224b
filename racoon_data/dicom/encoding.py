"""Elements to bytes: one header and one even value, in the encoding of the data set they stand in."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from pydicom import charset

_LONG = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"))
_NUL_PADDED = frozenset(("UI", "OB", "UN"))
_ITEM = (0xFFFE, 0xE000)


def encoded_element(tag: int, vr: str, value: bytes, *, is_implicit: bool, order: str = "<") -> bytes:
    """Encode one element (PS3.5 7.1); an odd value is padded as its VR asks."""
    if len(value) % 2:
        value += b"\0" if vr in _NUL_PADDED else b" "
    group, number = tag >> 16, tag & 0xFFFF
    if is_implicit:
        return struct.pack(order + "HHI", group, number, len(value)) + value
    if vr in _LONG:
        return struct.pack(order + "HH2sHI", group, number, vr.encode("ascii"), 0, len(value)) + value
    return struct.pack(order + "HH2sH", group, number, vr.encode("ascii"), len(value)) + value


def encoded_items(items: Sequence[bytes], *, order: str = "<") -> bytes:
    """Encode the value of a sequence from its encoded data sets."""
    return b"".join(struct.pack(order + "HHI", *_ITEM, len(item)) + item for item in items)


def encoded_texts(values: Sequence[str], encodings: tuple[str, ...]) -> bytes:
    """Encode text values, joined by backslashes, in the character set of their data set."""
    text = "\\".join(values)
    return text.encode("ascii") if text.isascii() else bytes(charset.encode_string(text, list(encodings)))
