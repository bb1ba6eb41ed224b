"""One pass over a file's bytes: what sorting and geometry need, where the pixels lie, and no parser.

Only plain files are read here: explicit or implicit little endian, elements in order. Whatever looks unusual raises
``Unusual`` and goes through the guard's walk, which knows every encoding and names every fault. Nested data sets of
undefined length are walked, those with a length are stepped over: nothing inside them is ever parsed here, and whoever
hands a file to pydicom sends it through the guard's walk first.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path
from struct import Struct
from struct import error as StructError  # noqa: N812

from racoon_data.dicom.tags import PRIVATE_GROUPS, TABLE
from racoon_data.dicom.walk import LIMITS, Limits

_FIRST_READ = 16 << 10
_LARGEST_KEPT = 1 << 12
_LARGEST_PRIVATE = 64
_LARGEST_HEADER = 64 << 20
_HEAD = 12
_UNDEFINED = 0xFFFFFFFF

# In little endian the four bytes of a tag read as one number have the element first.
_EXPLICIT = Struct("<I2sH").unpack_from
_IMPLICIT = Struct("<II").unpack_from
_LENGTH = Struct("<I").unpack_from

_SHORT = frozenset(b"AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US".split())
_LONG = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_ITEM, _ITEM_END, _SEQUENCE_END = 0xE000FFFE, 0xE00DFFFE, 0xE0DDFFFE
_PIXEL_DATA = 0x00107FE0
_PIXELS = frozenset((_PIXEL_DATA, 0x00087FE0, 0x00097FE0))


def _swapped(tag: int) -> int:
    return (tag & 0xFFFF) << 16 | tag >> 16


_WANTED = {_swapped(tag): keyword for keyword, (tag, vr) in TABLE.items() if vr != "SQ"}
_SEQUENCES = {_swapped(tag): keyword for keyword, (tag, vr) in TABLE.items() if vr == "SQ"}
_KEPT = frozenset((*_WANTED, *_SEQUENCES, *_PIXELS, _ITEM, _ITEM_END, _SEQUENCE_END))

_FIRST_GROUPS = (b"\x02\x00", b"\x08\x00")
_LAST_FIRST_GROUP = b"\x03"  # high byte; beyond it the file may be big endian without saying so
_OTHER_SYNTAXES = (b"1.2.840.10008.1.2.2", b"1.2.840.10008.1.2.1.99")


class Unusual(Exception):  # noqa: N818  no error: the guard's walk answers instead
    """The file is not plain; the guard's walk has to look."""


@dataclass(slots=True)
class Found:
    """What one pass found.

    Attributes:
        transfer_syntax_uid: As the file meta says, empty where it says nothing.
        raw: Keyword to the bytes of the value, where it has a length.
        private: Tag of short private elements to value representation and bytes; creators too.
        sequences: Keywords of the sequences of ``TABLE`` that are there.
        has_pixels: Pixel data of any kind.
        is_encapsulated: They are fragments.
        stored_bytes: Bytes they take in the file.
        pixels: Offset and length of native PixelData, ``None`` where absent or encapsulated.
    """

    transfer_syntax_uid: str = ""
    raw: dict[str, bytes] = field(default_factory=dict)
    private: dict[int, tuple[bytes, bytes]] = field(default_factory=dict)
    sequences: set[str] = field(default_factory=set)
    has_pixels: bool = False
    is_encapsulated: bool = False
    stored_bytes: int = 0
    pixels: tuple[int, int] | None = None


def scan_plain(path: Path | str, *, limits: Limits = LIMITS) -> Found:
    """Read what a plain file holds in one pass.

    Raises:
        Unusual: The guard's walk has to look: an encoding, a fault or a form that is not handled here.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise Unusual from error
    try:
        return _Pass(descriptor, limits).run()
    except (StructError, OSError, IndexError) as error:
        raise Unusual from error
    finally:
        os.close(descriptor)


class _Pass:
    """One pass over one open file; ``data`` holds its beginning and grows where the header is long."""

    __slots__ = ("data", "descriptor", "found", "limit", "limits", "size")

    def __init__(self, descriptor: int, limits: Limits) -> None:
        self.descriptor, self.limits = descriptor, limits
        self.size = os.fstat(descriptor).st_size
        self.data = os.pread(descriptor, _FIRST_READ, 0)
        self.limit = len(self.data) - _HEAD
        self.found = Found()

    def run(self) -> Found:
        offset = self._meta(self._start())
        syntax = self.found.raw.get("TransferSyntaxUID", b"").rstrip(b"\0 ")
        if syntax in _OTHER_SYNTAXES or offset + 8 > self.size:
            raise Unusual
        self.found.transfer_syntax_uid = syntax.decode("ascii", "replace")
        vr = self.data[offset + 4 : offset + 6]
        if self.data[offset + 1 : offset + 2] > _LAST_FIRST_GROUP:
            raise Unusual
        if vr in _SHORT or vr in _LONG:
            self._explicit(offset)
        elif not vr.isalpha():
            self._implicit(offset)
        else:
            raise Unusual
        return self.found

    def _start(self) -> int:
        """Give where the first element stands: behind the preamble, or at once."""
        if self.data[128:132] == b"DICM" and self.size >= 144:
            return 132
        if self.data[:2] in _FIRST_GROUPS and self.data[4:6] in _SHORT:
            return 0
        raise Unusual

    def _meta(self, offset: int) -> int:
        """Walk the file meta, which is explicit, and give where the data set begins."""
        data = self.data
        while data[offset : offset + 2] == b"\x02\x00":
            tag, vr, length = _EXPLICIT(data, offset)
            offset += 8
            if vr in _LONG:
                (length,) = _LENGTH(data, offset)
                offset += 4
            elif vr not in _SHORT:
                raise Unusual
            if (keyword := _WANTED.get(tag)) is not None:
                self.found.raw[keyword] = data[offset : offset + length]
            offset += length
        return offset

    def _explicit(self, offset: int) -> None:
        """Walk explicit elements up to the pixels or the end."""
        for _ in repeat(None, self.limits.elements):
            if offset > self.limit and self._is_end(offset):
                return
            tag, vr, length = _EXPLICIT(self.data, offset)
            offset += 8
            if vr in _LONG:
                (length,) = _LENGTH(self.data, offset)
                offset += 4
            elif vr not in _SHORT:
                raise Unusual
            if (tag in _KEPT or tag & 1) and self._keep(tag, vr, offset, length):
                return
            offset = offset + length if length != _UNDEFINED else self._after(offset, vr)
        raise Unusual

    def _implicit(self, offset: int) -> None:
        """Walk implicit elements up to the pixels or the end."""
        for _ in repeat(None, self.limits.elements):
            if offset > self.limit and self._is_end(offset):
                return
            tag, length = _IMPLICIT(self.data, offset)
            offset += 8
            if (tag in _KEPT or tag & 1) and self._keep(tag, b"", offset, length):
                return
            offset = offset + length if length != _UNDEFINED else self._after(offset, b"")
        raise Unusual

    def _keep(self, tag: int, vr: bytes, start: int, length: int) -> bool:
        """Keep the value of an element that is wanted; True at the pixels, which end the pass."""
        if tag in _PIXELS:
            self._pixels(tag, start, length)
            return True
        if tag & 0xFFFF == 0xFFFE:
            raise Unusual
        if (keyword := _SEQUENCES.get(tag)) is not None:
            if length:
                self.found.sequences.add(keyword)
        elif (keyword := _WANTED.get(tag)) is not None:
            self.found.raw[keyword] = self._value(start, length)
        elif length <= _LARGEST_PRIVATE and (tag >> 16 < 0x100 or tag & 0xFFFF in PRIVATE_GROUPS):
            self.found.private[_swapped(tag)] = (vr, self._value(start, length))
        return False

    def _value(self, start: int, length: int) -> bytes:
        if length > _LARGEST_KEPT:
            raise Unusual
        if start + length > len(self.data):
            self._read_to(start + length)
        return self.data[start : start + length]

    def _after(self, offset: int, vr: bytes) -> int:
        """Walk through a sequence of undefined length and give where it ends; nothing inside is kept."""
        if vr not in (b"SQ", b""):
            raise Unusual
        depth = 1
        for _ in repeat(None, self.limits.elements):
            if offset > self.limit and self._is_end(offset):
                raise Unusual
            tag, length = _IMPLICIT(self.data, offset)
            if tag & 0xFFFF == 0xFFFE:
                step, offset = _step(tag, length, offset + 8)
                depth += step
            elif vr:
                depth, offset = self._inner(offset, depth)
            else:
                depth, offset = (depth + 1, offset + 8) if length == _UNDEFINED else (depth, offset + 8 + length)
            if not depth:
                return offset
            if depth > 2 * self.limits.depth:
                raise Unusual
        raise Unusual

    def _inner(self, offset: int, depth: int) -> tuple[int, int]:
        """Step over an explicit element inside a sequence, or into a sequence of undefined length."""
        _, vr, length = _EXPLICIT(self.data, offset)
        if vr in _SHORT:
            return depth, offset + 8 + length
        (length,) = _LENGTH(self.data, offset + 8)
        if vr not in _LONG or (length == _UNDEFINED and vr != b"SQ"):
            raise Unusual
        return (depth + 1, offset + 12) if length == _UNDEFINED else (depth, offset + 12 + length)

    def _is_end(self, offset: int) -> bool:
        """Tell whether the file ends here; read on where it does not."""
        if offset == self.size:
            return True
        self._read_to(offset + 8)
        return False

    def _read_to(self, end: int) -> None:
        if end > self.size or end > _LARGEST_HEADER:
            raise Unusual
        self.data = os.pread(self.descriptor, max(end + _FIRST_READ, 4 * len(self.data)), 0)
        self.limit = len(self.data) - _HEAD

    def _pixels(self, tag: int, start: int, length: int) -> None:
        found = self.found
        found.has_pixels, found.is_encapsulated = True, length == _UNDEFINED
        found.stored_bytes = self.size - start if found.is_encapsulated else length
        if not found.is_encapsulated:
            if start + length > self.size:
                raise Unusual
            found.pixels = (start, length) if tag == _PIXEL_DATA else None
            return
        for _ in repeat(None, self.limits.elements):
            fragment, length = _IMPLICIT(os.pread(self.descriptor, 8, start), 0)
            start += 8
            if fragment == _SEQUENCE_END:
                return
            if fragment != _ITEM or start + length > self.size:
                raise Unusual
            start += length
        raise Unusual


def _step(tag: int, length: int, offset: int) -> tuple[int, int]:
    """Step into, over or out of an item: change of depth, and where the next element begins."""
    if tag == _ITEM:
        return (1, offset) if length == _UNDEFINED else (0, offset + length)
    if tag in (_ITEM_END, _SEQUENCE_END) and not length:
        return -1, offset
    raise Unusual
