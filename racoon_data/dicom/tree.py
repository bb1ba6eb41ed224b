"""A data set as a tree of byte ranges: what is not touched is copied as it stands, what is read is decoded then."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from pydicom import charset
from pydicom.datadict import DicomDictionary
from pydicom.valuerep import PN_DELIMS, TEXT_VR_DELIMS

from racoon_data.dicom.charsets import encodings_of
from racoon_data.dicom.walk import ITEM, LIMITS, UNDEFINED, Buffer, Limits
from racoon_data.errors import HostileFileError, TruncatedError, UnreadableError

_ITEM_END, _SEQUENCE_END = 0xFFFEE00D, 0xFFFEE0DD
_LONG = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"))
_BULK = frozenset(("OB", "OD", "OF", "OL", "OV", "OW"))
_WORDED = frozenset(("LO", "LT", "PN", "SH", "ST", "UC", "UT"))
_SINGLE = frozenset(("LT", "ST", "UT", "UR"))
_CHARSET = 0x00080005
_DEFAULT_ENCODINGS = ("iso8859",)


@dataclass(slots=True)
class Node:
    """One element.

    Attributes:
        tag: Its tag.
        vr: Value representation, from the dictionary where the file does not say.
        start: Where it begins.
        value: Where its value begins.
        end: What lies behind it, delimiters included.
        items: Data sets of a sequence, ``None`` for any other element.
        is_encapsulated: Its value is a run of fragments.
    """

    tag: int
    vr: str
    start: int
    value: int
    end: int
    items: list[Level] | None = None
    is_encapsulated: bool = False


@dataclass(slots=True)
class Level:
    """One data set: the root, or an item of a sequence.

    Attributes:
        nodes: Its elements by tag, in file order.
        is_implicit: Its encoding leaves the value representations out.
    """

    nodes: dict[int, Node]
    is_implicit: bool


class Tree:
    """The elements of one encoded data set, found without reading their values.

    Depth, number of elements and every length are checked against the bytes that are there.
    """

    def __init__(
        self, data: Buffer, offset: int, *, is_implicit: bool, order: str = "<", limits: Limits = LIMITS
    ) -> None:
        """Find every element of a data set.

        Args:
            data: The bytes of a file, or an inflated data set.
            offset: Where the data set begins.
            is_implicit: Its encoding leaves the value representations out.
            order: Byte order, ``<`` or ``>``.
            limits: What is let through.

        Raises:
            TruncatedError: It ends before an element does.
            UnreadableError: Elements do not nest.
            HostileFileError: A limit is passed.
        """
        self.data = data
        self.order = order
        self._limits = limits
        self._count = self._bound = 0
        self._short = struct.Struct(order + "HH2sH")
        self._tag = struct.Struct(order + "HH")
        self._long = struct.Struct(order + "I")
        self.root, _ = self._level(offset, len(data), is_implicit=is_implicit, depth=0, is_open=False)

    def _level(self, offset: int, end: int, *, is_implicit: bool, depth: int, is_open: bool) -> tuple[Level, int]:
        nodes: dict[int, Node] = {}
        while offset + 8 <= end:
            group, number, vr, length = self._short.unpack_from(self.data, offset)
            tag = group << 16 | number
            if group == 0xFFFE:
                if is_open and tag == _ITEM_END:
                    return Level(nodes, is_implicit), offset + 8
                raise UnreadableError("an item lies outside any sequence", hint="ask the sender for a new export")
            self._counted(offset)
            if is_implicit or not (vr.isalpha() and vr.isupper()):
                node = self._implicit(tag, offset, end, depth)
            elif (name := vr.decode("ascii")) in _LONG:
                node = self._explicit(tag, name, offset, end, depth, is_implicit=is_implicit)
            else:
                node = Node(tag, name, offset, offset + 8, offset + 8 + length)
            if node.end > end:
                raise _too_long(node.end, len(self.data))
            nodes[tag] = node
            offset = node.end
        if is_open or any(self.data[offset:end]):
            raise TruncatedError("the file ends inside an element or sequence", hint="retrieve it again")
        return Level(nodes, is_implicit), end

    def _counted(self, offset: int) -> None:
        self._count += 1
        if self._count > self._bound:
            self._bound = self._limits.more_elements(self._count, offset, len(self.data))

    def _implicit(self, tag: int, offset: int, end: int, depth: int) -> Node:
        (length,) = self._long.unpack_from(self.data, offset + 4)
        vr = _vr_of(tag)
        if length == UNDEFINED and vr not in _BULK:
            vr = "SQ"
        return self._valued(Node(tag, vr, offset, offset + 8, 0), length, end, depth, is_implicit=True)

    def _explicit(self, tag: int, vr: str, offset: int, end: int, depth: int, *, is_implicit: bool) -> Node:
        if offset + 12 > end:
            raise TruncatedError("the file ends inside an element", hint="retrieve it again")
        (length,) = self._long.unpack_from(self.data, offset + 8)
        node = Node(tag, vr, offset, offset + 12, 0)
        if vr == "UN" and (length == UNDEFINED or _vr_of(tag) == "SQ"):
            # PS3.5 6.2.2: a sequence that travelled as UN is encoded as implicit VR little endian.
            node.vr, is_implicit = "SQ", True
        elif vr == "UN":
            node.vr = _vr_of(tag)
        return self._valued(node, length, end, depth, is_implicit=is_implicit)

    def _valued(self, node: Node, length: int, end: int, depth: int, *, is_implicit: bool) -> Node:
        if node.vr == "SQ":
            self._items(node, length, end, depth, is_implicit=is_implicit)
        elif length == UNDEFINED:
            node.end, node.is_encapsulated = self._fragments_end(node.value, end), True
        else:
            node.end = node.value + length
        return node

    def _items(self, node: Node, length: int, end: int, depth: int, *, is_implicit: bool) -> None:
        if depth >= self._limits.depth:
            raise HostileFileError(f"sequences nest deeper than {self._limits.depth}", hint="keep the file out")
        is_open = length == UNDEFINED
        stop = end if is_open else node.value + length
        if stop > end:
            raise _too_long(stop, len(self.data))
        node.items, offset = [], node.value
        while offset + 8 <= stop:
            tag, size = self._item(offset)
            offset += 8
            if tag == _SEQUENCE_END and is_open:
                node.end = offset
                return
            if tag != ITEM:
                raise UnreadableError(
                    "a sequence holds something that is no item", hint="ask the sender for a new export"
                )
            self._counted(offset)
            item_end = stop if size == UNDEFINED else offset + size
            if item_end > stop:
                raise _too_long(item_end, len(self.data))
            implicit = is_implicit or not self._looks_explicit(offset)
            level, offset = self._level(
                offset, item_end, is_implicit=implicit, depth=depth + 1, is_open=size == UNDEFINED
            )
            node.items.append(level)
        if is_open:
            raise TruncatedError("the file ends inside a sequence", hint="retrieve it again")
        node.end = stop

    def _fragments_end(self, offset: int, end: int) -> int:
        while offset + 8 <= end:
            tag, size = self._item(offset)
            offset += 8
            if tag == _SEQUENCE_END:
                return offset
            self._counted(offset)
            if tag != ITEM or size == UNDEFINED:
                raise HostileFileError("a pixel fragment has no length", hint="keep the file out")
            offset += size
        raise TruncatedError("the file ends inside its pixel data", hint="retrieve it again")

    def _item(self, offset: int) -> tuple[int, int]:
        group, number = self._tag.unpack_from(self.data, offset)
        return group << 16 | number, self._long.unpack_from(self.data, offset + 4)[0]

    def _looks_explicit(self, offset: int) -> bool:
        vr = self.data[offset + 4 : offset + 6]
        return (vr.isalpha() and vr.isupper()) or self.data[offset : offset + 2] in (b"\xfe\xff", b"\xff\xfe")

    def raw(self, node: Node) -> bytes:
        """Give the stored value of an element."""
        return bytes(self.data[node.value : node.end])

    def texts(self, node: Node, encodings: tuple[str, ...] = _DEFAULT_ENCODINGS) -> tuple[str, ...]:
        """Decode the values of a text element; padding is taken off, several values stay apart."""
        raw = self.raw(node)
        if node.vr in _WORDED and not (raw.isascii() and b"\x1b" not in raw):
            delimiters = PN_DELIMS if node.vr == "PN" else TEXT_VR_DELIMS
            text = charset.decode_bytes(raw, encodings, delimiters)
        else:
            text = raw.decode("latin-1")
        if node.vr in _SINGLE:
            return (text.rstrip("\0 "),)
        return tuple(value.strip("\0 ") for value in text.split("\\"))

    def encodings_of(self, level: Level, above: tuple[str, ...] = _DEFAULT_ENCODINGS) -> tuple[str, ...]:
        """Give the Python names of the character encodings a data set declares, else those of the one above."""
        node = level.nodes.get(_CHARSET)
        return encodings_of(self.texts(node)) if node is not None and node.end > node.value else above

    def uids(self) -> Iterator[str]:
        """Give every UID at every depth that is not in a private element."""
        yield from self._uids(self.root)

    def _uids(self, level: Level) -> Iterator[str]:
        for tag, node in level.nodes.items():
            if tag >> 16 & 1:
                continue
            if node.vr == "UI":
                yield from (uid for uid in self.texts(node) if uid)
            for item in node.items or ():
                yield from self._uids(item)


def _vr_of(tag: int) -> str:
    entry = DicomDictionary.get(tag)
    return entry[0][:2] if entry else "UN"


def _too_long(end: int, size: int) -> TruncatedError | UnreadableError:
    if end > size:
        return TruncatedError("an element is shorter than its length says", hint="retrieve it again")
    return UnreadableError("an element is longer than its sequence", hint="ask the sender for a new export")
