"""A look at a file's structure before any parser sees it: depth, counts, lengths, inflation, pixel claims."""

from __future__ import annotations

import mmap
import struct
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pydicom.datadict import DicomDictionary
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from racoon_data.errors import HostileFileError, NotDicomError, TruncatedError, UnreadableError

_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_LONG_VRS = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
_BULK_VRS = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW"))
_TRANSFER_SYNTAX = 0x00020010
_PIXEL_TAGS = (0x7FE00010, 0x7FE00008, 0x7FE00009)
_ROWS, _COLUMNS, _BITS_ALLOCATED = 0x00280010, 0x00280011, 0x00280100
_SAMPLES, _PHOTOMETRIC, _FRAMES = 0x00280002, 0x00280004, 0x00280008

Buffer = bytes | mmap.mmap


@dataclass(frozen=True, slots=True)
class Limits:
    """What the guard lets through.

    Attributes:
        depth: Sequences inside sequences; pydicom exhausts the stack at about 200.
        elements: Elements, items and fragments in all; two million empty items cost a parser 40 s.
        inflated_bytes: Size of a deflated data set once inflated.
        pixel_bytes: Rows x columns x frames x bits as claimed.
        expansion: Claimed pixel bytes per stored byte, where more than 64 MiB are claimed.
    """

    depth: int = 32
    elements: int = 400_000
    inflated_bytes: int = 192 << 20
    pixel_bytes: int = 6 << 30
    expansion: int = 4000


LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Element:
    """Where the value of one top-level element lies in the (inflated) data."""

    vr: bytes
    start: int
    length: int


@dataclass(frozen=True, slots=True)
class Scan:
    """What the guard learned.

    Attributes:
        transfer_syntax_uid: As the file meta says, empty where it says nothing.
        has_preamble: 128 bytes and ``DICM`` come first.
        is_implicit: The data set's encoding leaves the value representations out.
        is_little_endian: Its byte order.
        elements: Top-level elements by tag, of the data set and the file meta.
        kept: Raw values of the elements asked for that are there and have a length.
    """

    transfer_syntax_uid: str
    has_preamble: bool
    is_implicit: bool
    is_little_endian: bool
    elements: dict[int, Element]
    kept: dict[int, bytes]


@dataclass(slots=True)
class _Level:
    """One open data set, sequence or run of fragments."""

    end: int
    is_implicit: bool
    holds_items: bool = False
    is_undefined: bool = False
    is_fragments: bool = False


@dataclass(slots=True)
class _Walk:
    """A walk over the elements of one buffer, without recursion."""

    data: Buffer
    order: str
    limits: Limits
    count: int = 0
    elements: dict[int, Element] = field(default_factory=dict)

    def meta(self, offset: int) -> int:
        """Walk the file meta (group 0002) and return where the data set begins."""
        while offset + 8 <= len(self.data) and self.data[offset : offset + 2] == b"\x02\x00":
            offset = self._element([_Level(len(self.data), is_implicit=False)], offset)
        return offset

    def dataset(self, offset: int, *, is_implicit: bool) -> None:
        """Walk a data set to its end."""
        stack = [_Level(len(self.data), is_implicit)]
        while stack:
            level = stack[-1]
            if offset + 8 > level.end:
                if level.is_undefined:
                    raise TruncatedError("the file ends inside a sequence", hint="retrieve it again")
                offset = level.end
                stack.pop()
            else:
                offset = self._element(stack, offset)

    def _element(self, stack: list[_Level], offset: int) -> int:
        level = stack[-1]
        self.count += 1
        if self.count > self.limits.elements:
            raise HostileFileError(f"more than {self.limits.elements} elements", hint="keep the file out")
        group, number = struct.unpack_from(self.order + "HH", self.data, offset)
        tag = (group << 16) | number
        if group == 0xFFFE:
            return self._item(stack, tag, offset)
        if level.holds_items:
            raise UnreadableError("a sequence holds something that is no item", hint="ask the sender for a new export")
        vr, start, length = self._head(tag, offset, is_implicit=level.is_implicit)
        if len(stack) == 1:
            self.elements[tag] = Element(vr, start, length)
        if length == _UNDEFINED:
            is_fragments = vr in _BULK_VRS
            self._open(stack, _Level(level.end, level.is_implicit or vr == b"UN", True, True, is_fragments))
            return start
        self._fits(start + length, level)
        if self._is_sequence(vr, start, length):
            self._open(stack, _Level(start + length, level.is_implicit or vr == b"UN", True))
            return start
        return start + length

    def _head(self, tag: int, offset: int, *, is_implicit: bool) -> tuple[bytes, int, int]:
        vr = self.data[offset + 4 : offset + 6]
        if is_implicit or not (vr.isalpha() and vr.isupper()):
            entry = DicomDictionary.get(tag)
            known = entry[0][:2].encode() if entry else b"UN"
            return known, offset + 8, struct.unpack_from(self.order + "I", self.data, offset + 4)[0]
        if vr not in _LONG_VRS:
            return vr, offset + 8, struct.unpack_from(self.order + "H", self.data, offset + 6)[0]
        if offset + 12 > len(self.data):
            raise TruncatedError("the file ends inside an element", hint="retrieve it again")
        return vr, offset + 12, struct.unpack_from(self.order + "I", self.data, offset + 8)[0]

    def _is_sequence(self, vr: bytes, start: int, length: int) -> bool:
        if vr not in (b"SQ", b"UN") or length < 8:
            return False
        first = self.data[start : start + 4]
        return first == (b"\xfe\xff\x00\xe0" if self.order == "<" else b"\xff\xfe\xe0\x00")

    def _item(self, stack: list[_Level], tag: int, offset: int) -> int:
        level = stack[-1]
        length = struct.unpack_from(self.order + "I", self.data, offset + 4)[0]
        offset += 8
        if tag == _ITEM and level.holds_items:
            return self._open_item(stack, offset, length)
        if level.is_undefined and tag == (_SEQUENCE_END if level.holds_items else _ITEM_END):
            stack.pop()
        elif tag == _ITEM:
            raise UnreadableError("an item lies outside any sequence", hint="ask the sender for a new export")
        return offset

    def _open_item(self, stack: list[_Level], offset: int, length: int) -> int:
        level = stack[-1]
        if length != _UNDEFINED:
            self._fits(offset + length, level)
        if level.is_fragments:
            if length == _UNDEFINED:
                raise HostileFileError("a pixel fragment has no length", hint="keep the file out")
            return offset + length
        end = level.end if length == _UNDEFINED else offset + length
        is_implicit = level.is_implicit or not _looks_explicit(self.data, offset)
        self._open(stack, _Level(end, is_implicit, is_undefined=length == _UNDEFINED))
        return offset

    def _open(self, stack: list[_Level], level: _Level) -> None:
        if len(stack) >= 2 * self.limits.depth:
            raise HostileFileError(f"sequences nest deeper than {self.limits.depth}", hint="keep the file out")
        stack.append(level)

    def _fits(self, end: int, level: _Level) -> None:
        if end <= level.end:
            return
        if end > len(self.data):
            raise TruncatedError("an element is shorter than its length says", hint="retrieve it again")
        raise UnreadableError("an element is longer than its sequence", hint="ask the sender for a new export")


def _looks_explicit(data: Buffer, offset: int) -> bool:
    vr = data[offset + 4 : offset + 6]
    if data[offset : offset + 2] in (b"\xfe\xff", b"\xff\xfe"):
        return True
    return vr.isalpha() and vr.isupper()


def scan(path: Path, *, keep: Iterable[int] = (), limits: Limits = LIMITS) -> Scan:
    """Walk a file's structure without parsing values.

    Args:
        path: The file.
        keep: Tags of top-level elements whose raw values are wanted.
        limits: What is let through.

    Raises:
        NotDicomError: Neither the magic word nor a plausible first element is there.
        TruncatedError: The file ends before an element, sequence or its pixels do.
        UnreadableError: Elements do not nest.
        HostileFileError: A limit is passed.
    """
    with _bytes_of(path) as data:
        has_preamble = data[128:132] == b"DICM"
        if not has_preamble and not _starts_bare(data):
            raise NotDicomError("no DICOM object", hint="nothing to do if it was not meant to be one")
        return _scan(data, has_preamble, keep, limits)


@contextmanager
def _bytes_of(path: Path) -> Iterator[Buffer]:
    try:
        with path.open("rb") as stream:
            is_tiny = path.stat().st_size < 16
            data = b"" if is_tiny else mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise UnreadableError("the file cannot be opened", hint="check its permissions") from error
    try:
        yield data
    finally:
        if isinstance(data, mmap.mmap):
            data.close()


def _starts_bare(data: Buffer) -> bool:
    """Tell whether a file without preamble begins like a data set (groups 0002 or 0008)."""
    if data[0:2] not in (b"\x02\x00", b"\x08\x00", b"\x00\x08") or len(data) < 16:
        return False
    length = struct.unpack_from("<I", data, 4)[0]
    return _looks_explicit(data, 0) or length < min(len(data), 1 << 16)


def _scan(data: Buffer, has_preamble: bool, keep: Iterable[int], limits: Limits) -> Scan:
    meta = _Walk(data, "<", limits)
    offset = meta.meta(132 if has_preamble else 0)
    syntax = _raw(meta, _TRANSFER_SYNTAX).strip(b"\0 ").decode("ascii", "replace")
    if offset + 8 > len(data):
        raise TruncatedError("the file has no data set", hint="retrieve it again")
    if syntax == DeflatedExplicitVRLittleEndian:
        data, offset = _inflate(data[offset:], limits), 0
    order = ">" if _is_big_endian(data, offset, syntax) else "<"
    walk = _Walk(data, order, limits)
    is_implicit = not _looks_explicit(data, offset)
    walk.dataset(offset, is_implicit=is_implicit)
    _check_pixels(walk)
    kept = {tag: raw for tag in keep if (raw := _raw(walk, tag) or _raw(meta, tag))}
    return Scan(syntax, has_preamble, is_implicit, order == "<", meta.elements | walk.elements, kept)


def _is_big_endian(data: Buffer, offset: int, syntax: str) -> bool:
    if syntax == ImplicitVRLittleEndian:
        return False
    group = struct.unpack_from("<H", data, offset)[0]
    return syntax == ExplicitVRBigEndian or (not syntax and group >= 0x0400)


def _inflate(data: bytes, limits: Limits) -> bytes:
    try:
        inflated = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, limits.inflated_bytes + 1)
    except zlib.error as error:
        raise UnreadableError("the deflated data set cannot be inflated", hint="retrieve it again") from error
    if len(inflated) > limits.inflated_bytes:
        raise HostileFileError("the data set inflates beyond the limit", hint="keep the file out")
    return inflated


def _check_pixels(walk: _Walk) -> None:
    """Compare what the header claims of the pixels with what is stored (PS3.5, section 8)."""
    stored = next((walk.elements[tag] for tag in _PIXEL_TAGS if tag in walk.elements), None)
    if stored is None:
        return
    claimed = _claimed_bytes(walk)
    if claimed > walk.limits.pixel_bytes:
        raise HostileFileError("the header claims more pixels than the limit", hint="keep the file out")
    size = len(walk.data) - stored.start if stored.length == _UNDEFINED else stored.length
    if claimed > 64 << 20 and claimed > walk.limits.expansion * size:
        raise HostileFileError("the header claims far more pixels than are stored", hint="keep the file out")
    if stored.length != _UNDEFINED and size < claimed:
        raise TruncatedError("the pixel data are shorter than rows, columns and frames say", hint="retrieve it again")


def _claimed_bytes(walk: _Walk) -> int:
    rows, columns, bits = (_unsigned(walk, tag) for tag in (_ROWS, _COLUMNS, _BITS_ALLOCATED))
    samples = _unsigned(walk, _SAMPLES) or 1
    digits = _raw(walk, _FRAMES).strip(b"\0 ")
    frames = int(digits) if digits.isdigit() and len(digits) < 12 else 1
    values = rows * columns * samples * frames
    if _raw(walk, _PHOTOMETRIC).strip(b"\0 ") == b"YBR_FULL_422":
        values = values * 2 // 3
    return (values * bits + 7) // 8


def _raw(walk: _Walk, tag: int) -> bytes:
    place = walk.elements.get(tag)
    if place is None or place.length == _UNDEFINED:
        return b""
    return bytes(walk.data[place.start : place.start + place.length])


def _unsigned(walk: _Walk, tag: int) -> int:
    raw = _raw(walk, tag)
    return int(struct.unpack(walk.order + "H", raw[:2])[0]) if len(raw) >= 2 else 0
