"""The attributes of one file as values, from one pass over its bytes: what sorting needs, at sorting's speed."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from racoon_data.dicom.charsets import encodings_of
from racoon_data.dicom.claims import check_claims, claimed_bytes
from racoon_data.dicom.scanner import Found, Unusual, scan_plain
from racoon_data.dicom.tags import PRIVATE_GROUPS, TABLE
from racoon_data.dicom.walk import LIMITS, UNDEFINED, Limits

_BINARY = {"US": ("H", 2), "SS": ("h", 2), "UL": ("I", 4), "SL": ("i", 4), "FL": ("f", 4), "FD": ("d", 8)}
_PIXEL_DATA = 0x7FE00010
_PIXELS = frozenset((0x7FE00008, 0x7FE00009, _PIXEL_DATA))
_SIZES = ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated")
_DEFLATED = "1.2.840.10008.1.2.1.99"
_NO_SEQUENCES: frozenset[str] = frozenset()
_DECODERS = {b"ISO_IR 100": "latin-1", b"ISO_IR 192": "utf-8"}


@dataclass(frozen=True, slots=True, eq=False)
class Facts:
    """Attributes of one file, decoded when they are asked for.

    Attributes:
        transfer_syntax_uid: As the file meta says, empty where it says nothing.
        has_pixels: The file has pixel data.
        is_little_endian: Byte order of the data set.
        values: Keyword to values that stand in for those of the file (a frame's own); no values mean that the
            attribute is absent.
        raw: Keyword of ``tags.TABLE`` to bytes.
        private: Tag of a short private element to value representation (empty if implicit) and bytes.
        sequences: Keywords of the sequences of ``tags.TABLE`` that are there.
        pixels: Offset and length of native PixelData in the file, ``None`` where there is none to be read as it stands.
        cache: What was decoded so far.
    """

    transfer_syntax_uid: str
    has_pixels: bool
    is_little_endian: bool
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    raw: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    private: Mapping[int, tuple[bytes, bytes]] = field(default_factory=dict, repr=False)
    sequences: frozenset[str] = frozenset()
    pixels: tuple[int, int] | None = None
    cache: dict[str, tuple[str, ...]] = field(default_factory=dict, init=False, repr=False)

    def texts(self, keyword: str) -> tuple[str, ...]:
        """Give every value as text."""
        known = self.values.get(keyword)
        if known is not None:
            return known
        if (known := self.cache.get(keyword)) is not None:
            return known
        raw = self.raw.get(keyword)
        found = () if not raw else self._decoded(raw, TABLE[keyword][1])
        self.cache[keyword] = found
        return found

    def text(self, keyword: str) -> str:
        """Give the values joined by a backslash, empty where there is none."""
        found = self.texts(keyword)
        return found[0] if len(found) == 1 else "\\".join(found)

    def numbers(self, keyword: str, *, count: int) -> tuple[float, ...] | None:
        """Give the first ``count`` values as numbers, ``None`` where fewer parse."""
        try:
            numbers = tuple(map(float, self.texts(keyword)[:count]))
        except ValueError:
            return None
        return numbers if len(numbers) == count else None

    def number(self, keyword: str) -> float | None:
        """Give the first value as a number, ``None`` where there is none."""
        numbers = self.numbers(keyword, count=1)
        return numbers[0] if numbers else None

    def whole(self, keyword: str) -> int:
        """Give the first value as a whole number, 0 where there is none."""
        number = self.number(keyword)
        return int(number) if number is not None and abs(number) < 2**53 else 0

    def stated(self, keyword: str) -> object:
        """Give something that differs where values differ, without decoding: for grouping."""
        known = self.values.get(keyword)
        return self.raw.get(keyword, b"") if known is None else known

    def _decoded(self, raw: bytes, vr: str) -> tuple[str, ...]:
        if vr in _BINARY:
            letter, size = _BINARY[vr]
            count = len(raw) // size
            order = "<" if self.is_little_endian else ">"
            return tuple(map(str, struct.unpack(f"{order}{count}{letter}", raw[: count * size])))
        is_plain = raw.isascii() and b"\x1b" not in raw
        text = raw.decode("ascii") if is_plain else _text(raw, self.raw.get("SpecificCharacterSet", b""))
        text = text.strip("\0 ")
        return tuple([value.strip("\0 ") for value in text.split("\\")]) if text else ()


def read_facts(path: Path, *, limits: Limits = LIMITS) -> Facts:
    """Read the top-level attributes of ``tags.TABLE``, short private elements, and where the pixels lie.

    Args:
        path: The file.
        limits: What the guard lets through.

    Raises:
        NotDicomError: It is no DICOM file.
        TruncatedError: It ends too early.
        UnreadableError: Its elements do not nest.
        HostileFileError: The guard refuses its structure.
    """
    try:
        found = scan_plain(path, limits=limits)
    except Unusual:
        return _unusual(path, limits)
    if found.has_pixels:
        _check_claims(found, limits)
    return Facts(
        transfer_syntax_uid=found.transfer_syntax_uid,
        has_pixels=found.has_pixels,
        is_little_endian=True,
        raw=found.raw,
        private=found.private,
        sequences=frozenset(found.sequences) if found.sequences else _NO_SEQUENCES,
        pixels=found.pixels,
    )


def _check_claims(found: Found, limits: Limits) -> None:
    raw = found.raw
    rows, columns, samples, bits = (int.from_bytes(raw.get(keyword, b"")[:2], "little") for keyword in _SIZES)
    claimed = claimed_bytes(
        values=rows * columns * (samples or 1),
        bits=bits,
        frames=raw.get("NumberOfFrames", b""),
        photometric=raw.get("PhotometricInterpretation", b""),
    )
    check_claims(claimed, stored=found.stored_bytes, is_encapsulated=found.is_encapsulated, limits=limits)


def _unusual(path: Path, limits: Limits) -> Facts:
    """Read a file of any encoding through the guard's walk."""
    from racoon_data.dicom import guard

    tags = {tag: keyword for keyword, (tag, vr) in TABLE.items() if vr != "SQ"}
    seen = guard.scan(path, keep=tags, limits=limits)
    private = {tag: place.vr for tag, place in seen.elements.items() if _is_private(tag) and 0 < place.length <= 64}
    kept = guard.scan(path, keep=private, limits=limits).kept if private else {}
    is_raw = seen.is_little_endian and seen.transfer_syntax_uid != _DEFLATED
    pixels = seen.elements.get(_PIXEL_DATA)
    return Facts(
        transfer_syntax_uid=seen.transfer_syntax_uid,
        has_pixels=not _PIXELS.isdisjoint(seen.elements),
        is_little_endian=seen.is_little_endian,
        raw={tags[tag]: value for tag, value in seen.kept.items()},
        private={tag: (b"" if seen.is_implicit else private[tag], value) for tag, value in kept.items()},
        sequences=frozenset(name for name, (tag, vr) in TABLE.items() if vr == "SQ" and tag in seen.elements),
        pixels=(pixels.start, pixels.length) if pixels and pixels.length != UNDEFINED and is_raw else None,
    )


def _is_private(tag: int) -> bool:
    return tag >> 16 & 1 == 1 and (tag & 0xFFFF < 0x100 or tag >> 16 in PRIVATE_GROUPS)


def _text(raw: bytes, charset: bytes) -> str:
    """Decode text; what does not decode becomes a replacement character (pydicom would warn each time)."""
    term = charset.strip(b"\0 ")
    if term in _DECODERS:
        return raw.decode(_DECODERS[term], "replace")
    return _by_pydicom(raw, term)


def _by_pydicom(raw: bytes, charset: bytes) -> str:
    from pydicom.charset import decode_bytes

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return str(decode_bytes(raw, _encodings(charset), {ord("\\")}))


def _encodings(raw: bytes) -> tuple[str, ...]:
    return encodings_of(tuple(term.strip() for term in raw.decode("ascii", "replace").strip("\0 ").split("\\")))
