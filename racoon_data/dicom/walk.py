"""A walk over the elements of a DICOM file, without recursion and without parsing values."""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass, field

from racoon_data.errors import HostileFileError, TruncatedError, UnreadableError

UNDEFINED = 0xFFFFFFFF
_HIGHEST = 0xFFFFFFFF
_DENSE_BYTES, _LOOK_EVERY = 12, 1000
ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_LONG_VRS = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
_BULK_VRS = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW"))

Buffer = bytes | mmap.mmap


@dataclass(frozen=True, slots=True)
class Limits:
    """What the guard lets through.

    Attributes:
        depth: Sequences inside sequences; pydicom exhausts the stack at about 200.
        elements: Elements, items and fragments in all; two million empty items cost a parser 40 s. Files
            beyond 100 MB may hold more, one for each 256 bytes.
        dense_elements: Elements that may take fewer than 12 bytes each on average, as empty ones do; honest data sets
            with that many take about 18.
        inflated_bytes: Size of a deflated data set once inflated.
        pixel_bytes: Rows x columns x frames x bits as claimed.
        expansion: Claimed pixel bytes per stored byte, where more than 64 MiB are claimed.
    """

    depth: int = 32
    elements: int = 400_000
    dense_elements: int = 70_000
    inflated_bytes: int = 192 << 20
    pixel_bytes: int = 6 << 30
    expansion: int = 4000

    def elements_in(self, size: int) -> int:
        """Give the number of elements let through in a file of this many bytes."""
        return max(self.elements, size // 256)

    def more_elements(self, count: int, walked: int, size: int) -> int:
        """Give how many elements may have come at the next look.

        Args:
            count: Elements so far.
            walked: Bytes they take.
            size: Bytes of the file.

        Raises:
            HostileFileError: There are too many already.
        """
        if count > self.elements_in(size) or count > self.dense_elements + walked // _DENSE_BYTES:
            raise HostileFileError("more elements than the limit for a file of its size", hint="keep the file out")
        return count + _LOOK_EVERY


LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Traced:
    """One element or item seen anywhere in the data set, in file order.

    Attributes:
        depth: Sequences it lies in: 0 at the top level.
        tag: Its tag; an item of a sequence has tag FFFE,E000.
        raw: Its stored value, empty for sequences and items.
    """

    depth: int
    tag: int
    raw: bytes


@dataclass(frozen=True, slots=True)
class Element:
    """Where the value of one top-level element lies in the (inflated) data."""

    vr: bytes
    start: int
    length: int


@dataclass(slots=True)
class _Level:
    """One open data set, sequence or run of fragments."""

    end: int
    is_implicit: bool
    holds_items: bool = False
    is_undefined: bool = False
    is_fragments: bool = False


@dataclass(slots=True)
class Walk:
    """A walk over the elements of one buffer, without recursion."""

    data: Buffer
    order: str
    limits: Limits
    watched: frozenset[int] = frozenset()
    count: int = 0
    bound: int = 0
    elements: dict[int, Element] = field(default_factory=dict)
    trace: list[Traced] = field(default_factory=list)

    def raw(self, tag: int) -> bytes:
        """Give the bytes of a top-level element, none where it is absent or has no length."""
        place = self.elements.get(tag)
        if place is None or place.length == UNDEFINED:
            return b""
        return bytes(self.data[place.start : place.start + place.length])

    def unsigned(self, tag: int) -> int:
        """Give the first US value of a top-level element, 0 where it is absent."""
        raw = self.raw(tag)
        return int(struct.unpack(self.order + "H", raw[:2])[0]) if len(raw) >= 2 else 0

    def meta(self, offset: int) -> int:
        """Walk the file meta (group 0002) and return where the data set begins."""
        while offset + 8 <= len(self.data) and self.data[offset : offset + 2] == b"\x02\x00":
            offset = self._element([_Level(len(self.data), is_implicit=False)], offset)
        return offset

    def dataset(self, offset: int, *, is_implicit: bool, last: int = _HIGHEST) -> None:
        """Walk a data set to its end, or to the first top-level element behind a tag; that one is not looked at."""
        stack = [_Level(len(self.data), is_implicit)]
        while stack:
            level = stack[-1]
            if last < _HIGHEST and len(stack) == 1 and offset + 4 <= level.end and self._tag(offset) > last:
                return
            if offset + 8 > level.end:
                if level.is_undefined:
                    raise TruncatedError("the file ends inside a sequence", hint="retrieve it again")
                offset = level.end
                stack.pop()
            else:
                offset = self._element(stack, offset)

    def _tag(self, offset: int) -> int:
        group, number = struct.unpack_from(self.order + "HH", self.data, offset)
        return int(group << 16 | number)

    def _element(self, stack: list[_Level], offset: int) -> int:
        level = stack[-1]
        self.count += 1
        if self.count > self.bound:
            self.bound = self.limits.more_elements(self.count, offset, len(self.data))
        group, number = struct.unpack_from(self.order + "HH", self.data, offset)
        tag = group << 16 | number
        if tag >> 16 == 0xFFFE:
            return self._item(stack, tag, offset)
        if level.holds_items:
            raise UnreadableError("a sequence holds something that is no item", hint="ask the sender for a new export")
        vr, start, length = self._head(tag, offset, is_implicit=level.is_implicit)
        if len(stack) == 1:
            self.elements[tag] = Element(vr, start, length)
        if tag in self.watched:
            has_value = vr != b"SQ" and length != UNDEFINED
            raw = bytes(self.data[start : start + length]) if has_value else b""
            self.trace.append(Traced(len(stack) // 2, tag, raw))
        if length == UNDEFINED:
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
            return _known_vr(tag), offset + 8, struct.unpack_from(self.order + "I", self.data, offset + 4)[0]
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
        if tag == ITEM and level.holds_items:
            return self._open_item(stack, offset, length)
        if level.is_undefined and tag == (_SEQUENCE_END if level.holds_items else _ITEM_END):
            stack.pop()
        elif tag == ITEM:
            raise UnreadableError("an item lies outside any sequence", hint="ask the sender for a new export")
        elif length or tag not in (_ITEM_END, _SEQUENCE_END):
            raise UnreadableError("a delimiter has a value, or is none", hint="ask the sender for a new export")
        return offset

    def _open_item(self, stack: list[_Level], offset: int, length: int) -> int:
        level = stack[-1]
        if length != UNDEFINED:
            self._fits(offset + length, level)
        if level.is_fragments:
            if length == UNDEFINED:
                raise HostileFileError("a pixel fragment has no length", hint="keep the file out")
            return offset + length
        if ITEM in self.watched:
            self.trace.append(Traced(len(stack) // 2, ITEM, b""))
        end = level.end if length == UNDEFINED else offset + length
        is_implicit = level.is_implicit or not looks_explicit(self.data, offset)
        self._open(stack, _Level(end, is_implicit, is_undefined=length == UNDEFINED))
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


def _known_vr(tag: int) -> bytes:
    from pydicom.datadict import DicomDictionary

    entry = DicomDictionary.get(tag)
    return entry[0][:2].encode() if entry else b"UN"


def looks_explicit(data: Buffer, offset: int) -> bool:
    """Tell whether the element at an offset spells its value representation out."""
    vr = data[offset + 4 : offset + 6]
    if data[offset : offset + 2] in (b"\xfe\xff", b"\xff\xfe"):
        return True
    return vr.isalpha() and vr.isupper()
