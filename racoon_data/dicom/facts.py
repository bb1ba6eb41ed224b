"""A few attributes of a file in one pass, without a parser: what sorting needs, at sorting's speed."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pydicom.charset import convert_encodings, decode_bytes
from pydicom.datadict import dictionary_VR, tag_for_keyword

from racoon_data.dicom.guard import Scan, scan
from racoon_data.dicom.walk import LIMITS, Limits

_CHARSET = 0x00080005
_PIXEL_DATA = 0x7FE00010
_PIXELS = frozenset((0x7FE00008, 0x7FE00009, _PIXEL_DATA))
_BINARY = {"US": ("H", 2), "SS": ("h", 2), "UL": ("I", 4), "SL": ("i", 4), "FL": ("f", 4), "FD": ("d", 8)}


@dataclass(frozen=True, slots=True)
class Facts:
    """Attributes of one file as text.

    Attributes:
        transfer_syntax_uid: As the file meta says, empty where it says nothing.
        has_pixels: The file has pixel data.
        is_little_endian: Byte order of the data set.
        values: Keyword to values; an attribute that is absent or empty is not listed.
        pixel_bytes: PixelData as stored, where it was asked for and is not encapsulated.
    """

    transfer_syntax_uid: str
    has_pixels: bool
    is_little_endian: bool
    values: Mapping[str, tuple[str, ...]]
    pixel_bytes: bytes = b""

    def texts(self, keyword: str) -> tuple[str, ...]:
        """Give every value as text."""
        return self.values.get(keyword, ())

    def text(self, keyword: str) -> str:
        """Give the values joined by a backslash, empty where there is none."""
        return "\\".join(self.texts(keyword))

    def numbers(self, keyword: str, *, count: int) -> tuple[float, ...] | None:
        """Give the first ``count`` values as numbers, ``None`` where fewer parse."""
        try:
            numbers = tuple(float(text) for text in self.texts(keyword)[:count])
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


def read_facts(path: Path, keywords: Iterable[str], *, pixels: bool = False, limits: Limits = LIMITS) -> Facts:
    """Read top-level attributes that are no sequences.

    Args:
        path: The file.
        keywords: DICOM keywords.
        pixels: Read PixelData too.
        limits: What the guard lets through.

    Raises:
        NotDicomError: It is no DICOM file.
        TruncatedError: It ends too early.
        UnreadableError: Its elements do not nest.
        HostileFileError: The guard refuses its structure.
    """
    wanted = _wanted(tuple(keywords))
    seen = scan(path, keep=(*wanted, _CHARSET, *((_PIXEL_DATA,) if pixels else ())), limits=limits)
    encodings = _encodings(seen.kept.get(_CHARSET, b""))
    found = {
        wanted[tag][0]: _values(raw, wanted[tag][1], seen, encodings) for tag, raw in seen.kept.items() if tag in wanted
    }
    return Facts(
        transfer_syntax_uid=seen.transfer_syntax_uid,
        has_pixels=not _PIXELS.isdisjoint(seen.elements),
        is_little_endian=seen.is_little_endian,
        values={keyword: values for keyword, values in found.items() if values},
        pixel_bytes=seen.kept.get(_PIXEL_DATA, b""),
    )


@lru_cache(maxsize=16)
def _wanted(keywords: tuple[str, ...]) -> dict[int, tuple[str, str]]:
    tags = {keyword: tag_for_keyword(keyword) for keyword in keywords}
    return {tag: (keyword, dictionary_VR(tag)[:2]) for keyword, tag in tags.items() if tag is not None}


@lru_cache(maxsize=64)
def _encodings(raw: bytes) -> tuple[str, ...]:
    terms = [term.strip() for term in raw.decode("ascii", "replace").strip("\0 ").split("\\")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return tuple(convert_encodings(terms))


def _values(raw: bytes, vr: str, seen: Scan, encodings: tuple[str, ...]) -> tuple[str, ...]:
    if vr in _BINARY:
        letter, size = _BINARY[vr]
        count = len(raw) // size
        order = "<" if seen.is_little_endian else ">"
        return tuple(str(value) for value in struct.unpack(f"{order}{count}{letter}", raw[: count * size]))
    text = (raw.decode("ascii") if raw.isascii() and b"\x1b" not in raw else _decoded(raw, encodings)).strip("\0 ")
    return tuple(value.strip("\0 ") for value in text.split("\\")) if text else ()


def _decoded(raw: bytes, encodings: tuple[str, ...]) -> str:
    """Decode text; what does not decode becomes a replacement character (pydicom would warn each time)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return str(decode_bytes(raw, encodings, {ord("\\")}))
