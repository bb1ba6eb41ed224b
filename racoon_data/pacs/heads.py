"""The head of an encoded data set, walked element by element: whose instance it is, and whether it is whole."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

from racoon_data.errors import NotDicomError, UnreadableError
from racoon_data.pacs.part10 import Identity, data_set_at, identity_of, read_file_head
from racoon_data.refs import InstanceRef

_IMPLICIT = "1.2.840.10008.1.2"
_ODD = frozenset({"1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"})
_WINDOW = 64 * 1024
MAX_WINDOW = 4 * 1024 * 1024
_MAX_DEPTH = 32
_UNDEFINED = 0xFFFFFFFF

_CLASS, _SOP, _STUDY, _SERIES = 0x00080016, 0x00080018, 0x0020000D, 0x0020000E
_IDENTIFYING = frozenset({_CLASS, _SOP, _STUDY, _SERIES})
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
# Value representations with a four-byte length after two reserved bytes (PS3.5 7.1.2).
_LONG = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
_SHORT_HEAD = struct.Struct("<HH2sH")
_IMPLICIT_HEAD = struct.Struct("<HHI")
_LENGTH = struct.Struct("<I")

Bytes = bytes | bytearray | memoryview | mmap.mmap


class _NeedMoreError(Exception):
    """The walk ran off the end of what is here."""


def identity_in(data: Bytes, transfer_syntax: str, *, is_all: bool) -> Identity | None:
    """Read the identifying UIDs from the beginning of a data set, as soon as they are there.

    Args:
        data: The data set from its first byte, as far as it came.
        transfer_syntax: UID of its encoding.
        is_all: Whether nothing more will come.

    Returns:
        The identity, or ``None`` where more bytes are needed.

    Raises:
        UnreadableError: These bytes are no data set, or its identity lies too deep.
    """
    if transfer_syntax in _ODD:
        return identity_of(bytes(data), transfer_syntax) if is_all or len(data) >= _WINDOW else None
    try:
        return _identity(data, is_implicit=transfer_syntax == _IMPLICIT)
    except _NeedMoreError:
        if is_all or len(data) > MAX_WINDOW:
            hint = "the sender's file is damaged"
            raise UnreadableError("the data set cannot be parsed", hint=hint) from None
        return None


def _identity(data: Bytes, *, is_implicit: bool) -> Identity:
    found: dict[int, str] = {}
    at, last = 0, -1
    while at < len(data):
        tag, vr, length, at = _element(data, at, is_implicit)
        if tag > _SERIES:
            break
        if tag <= last:
            raise UnreadableError("the data set's elements are out of order", hint="the sender's file is damaged")
        last = tag
        if tag in _IDENTIFYING:
            found[tag] = _text(data, at, length)
        at = _behind(data, at, length, is_implicit or vr == b"UN", 0)
    else:
        raise _NeedMoreError
    ref = InstanceRef(found.get(_STUDY, ""), found.get(_SERIES, ""), found.get(_SOP, ""))
    return Identity(ref, found.get(_CLASS, ""))


def raw_values(data: Bytes, transfer_syntax: str, wanted: frozenset[int], *, size: int) -> dict[int, bytes] | None:
    """Read top-level values from the beginning of a data set, without judging them.

    Args:
        data: The data set from its first byte, as far as it was read.
        transfer_syntax: UID of its encoding.
        wanted: Their tags.
        size: Bytes of the whole data set.

    Returns:
        Tag to value, or ``None`` where this walk is not enough: the values lie further on, the encoding is an odd
        one, the data set is damaged or ends too early.
    """
    if transfer_syntax in _ODD:
        return None
    found: dict[int, bytes] = {}
    is_implicit, highest = transfer_syntax == _IMPLICIT, max(wanted)
    at, tag = 0, -1
    try:
        while at < len(data):
            before = tag
            tag, vr, length, start = _element(data, at, is_implicit)
            if tag <= before:
                return None
            if length == _UNDEFINED and tag > highest:
                return found
            at = _behind(data, start, length, is_implicit or vr == b"UN", 0)
            if tag in wanted and at <= len(data):
                found[tag] = bytes(data[start:at])
    except (_NeedMoreError, UnreadableError):
        return None
    return found if tag > highest and at <= size else None


def _text(data: Bytes, at: int, length: int) -> str:
    if length == _UNDEFINED or length > 1024:
        raise UnreadableError("an identifying UID is no text", hint="the sender's file is damaged")
    if at + length > len(data):
        raise _NeedMoreError
    return bytes(data[at : at + length]).rstrip(b"\0 ").lstrip(b" ").decode("ascii", "backslashreplace")


def _element(data: Bytes, at: int, is_implicit: bool) -> tuple[int, bytes, int, int]:
    """Read an element's head: tag, VR, length and where its value begins."""
    if at + 8 > len(data):
        raise _NeedMoreError
    if is_implicit:
        group, element, length = _IMPLICIT_HEAD.unpack_from(data, at)
        return group << 16 | element, b"", length, at + 8
    group, element, vr, short = _SHORT_HEAD.unpack_from(data, at)
    if group == 0xFFFE:
        return group << 16 | element, b"", _LENGTH.unpack_from(data, at + 4)[0], at + 8
    if vr not in _LONG:
        if not vr.isalpha() or not vr.isupper():
            raise UnreadableError("the data set cannot be parsed", hint="the sender's file is damaged")
        return group << 16 | element, vr, short, at + 8
    if at + 12 > len(data):
        raise _NeedMoreError
    return group << 16 | element, vr, _LENGTH.unpack_from(data, at + 8)[0], at + 12


def _behind(data: Bytes, at: int, length: int, is_implicit: bool, depth: int) -> int:
    """Give the position behind a value; one of undefined length is walked item by item."""
    if length != _UNDEFINED:
        return at + length
    if depth > _MAX_DEPTH:
        raise UnreadableError("sequences are nested too deeply", hint="the sender's file is hostile or damaged")
    while True:
        tag, _, size, at = _element(data, at, True)
        if tag == _SEQUENCE_END:
            return at
        if tag != _ITEM:
            raise UnreadableError("a sequence holds something else than items", hint="the sender's file is damaged")
        at = _behind_item(data, at, is_implicit, depth) if size == _UNDEFINED else at + size


def _behind_item(data: Bytes, at: int, is_implicit: bool, depth: int) -> int:
    while True:
        tag, vr, length, at = _element(data, at, is_implicit)
        if tag == _ITEM_END:
            return at
        at = _behind(data, at, length, is_implicit or vr == b"UN", depth + 1)


def is_whole(data: Bytes, transfer_syntax: str) -> bool:
    """Tell whether a data set ends where its last element ends; a file cut short by a power failure does not.

    Args:
        data: The whole data set; a memory map will do, values are not read.
        transfer_syntax: UID of its encoding; deflated and big endian ones are taken as they are.
    """
    if transfer_syntax in _ODD:
        return True
    is_implicit = transfer_syntax == _IMPLICIT
    at = 0
    try:
        while at < len(data):
            _, vr, length, at = _element(data, at, is_implicit)
            at = _behind(data, at, length, is_implicit or vr == b"UN", 0)
    except (_NeedMoreError, UnreadableError):
        return False
    return at == len(data) > 0


def file_is_whole(path: Path) -> bool:
    """Tell whether a DICOM file ends where its last element ends."""
    try:
        syntax, start = read_file_head(path).transfer_syntax, data_set_at(path)
        if start >= path.stat().st_size:
            return False
        with (
            path.open("rb") as stream,
            mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
            memoryview(mapped) as view,
            view[start:] as data,
        ):
            return is_whole(data, syntax)
    except NotDicomError:
        return False
