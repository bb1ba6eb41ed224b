"""Attributes as text: values of query answers and headers, tolerant of character sets that lie."""

from __future__ import annotations

import re
import struct
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from pydicom.charset import convert_encodings, decode_bytes
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

_BINARY = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d"}
_SINGLE_BYTE = ("ascii", "iso8859", "iso-8859", "latin", "cp125", "tis-620", "cp874")
# The first byte of a two or three byte letter in UTF-8 and one that follows, both read as Latin-1 or cp1252.
_MANGLED = re.compile(
    "[\u00c2-\u00ef][\u0080-\u00bf\u20ac\u201a-\u201e\u2020-\u2026\u2030\u2039\u203a\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u02c6\u02dc\u2018-\u2019\u201c-\u201d\u2013\u2014\u2122]"
)
_ESCAPE = b"\x1b"
# Where a value returns to its first character set: line breaks, and the signs between parts of names and values.
_DELIMITERS = {0x0A, 0x0C, 0x0D, 0x09, 0x5C, 0x5E, 0x3D}
_LOCAL_TEXT = frozenset({"PN", "LO", "SH", "ST", "LT", "UC", "UT"})


def text_of(dataset: Dataset, keyword: str, *, fallback: str = "latin-1") -> str:
    """Read one attribute as text, whatever state it is in.

    The declared character set is a hint. Bytes that are UTF-8 are read as UTF-8 where the declared set is none or
    has one byte per letter (a peer that labels ``Müller`` wrongly); text that was encoded twice is read back.
    What does not decode is tried as UTF-8 and then as ``fallback``, which never fails: an answer is never lost over
    a letter.

    Args:
        dataset: Any data set.
        keyword: DICOM keyword of a flat attribute.
        fallback: Python codec used last.

    Returns:
        The value, several values joined by a backslash; empty where absent.
    """
    tag = tag_for_keyword(keyword)
    if tag is None or tag not in dataset:
        return ""
    element = dataset.get_item(tag)
    if not isinstance(element, RawDataElement):
        return _joined(element.value)
    raw = element.value or b""
    vr = element.VR or dictionary_VR(tag)
    if vr in _BINARY:
        return _numbers(raw, _BINARY[vr], "<" if element.is_little_endian else ">")
    codecs = _codecs(dataset) if vr in _LOCAL_TEXT else ("ascii",)
    text = unmangled(_decoded(raw, _tried(raw, codecs, fallback)))
    return "\\".join(part.strip() for part in text.rstrip("\0 ").split("\\"))


def _tried(raw: bytes, codecs: tuple[str, ...], fallback: str) -> tuple[str, ...]:
    """Order the codecs to try; letters of several bytes in UTF-8 are hardly ever text in a set of single bytes."""
    if codecs[0].replace("_", "-").lower().startswith(_SINGLE_BYTE) and not raw.isascii():
        return ("utf-8", *codecs, fallback)
    return (*codecs, "utf-8", fallback)


def unmangled(text: str) -> str:
    """Read back text that was encoded as UTF-8, read as Latin-1 and encoded again: ``MÃ¼ller`` is ``Müller``."""
    if not _MANGLED.search(text):
        return text
    for codec in ("latin-1", "cp1252"):
        try:
            return text.encode(codec).decode("utf-8")
        except UnicodeError:
            continue
    return text


def _joined(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return "\\".join(str(part) for part in value)
    return str(value)


def _numbers(raw: bytes, code: str, order: str) -> str:
    size = struct.calcsize(code)
    count = len(raw) // size
    return "\\".join(str(number) for number in struct.unpack(f"{order}{count}{code}", raw[: count * size]))


def _codecs(dataset: Dataset) -> tuple[str, ...]:
    raw = dataset.get_item("SpecificCharacterSet")
    if raw is None or not raw.value:
        return ("ascii",)
    value = raw.value.decode("ascii", "replace") if isinstance(raw.value, bytes) else _joined(raw.value)
    names = [name.strip() for name in value.split("\\")]
    try:
        return tuple(str(codec) for codec in convert_encodings(names)) if names != [""] else ("ascii",)
    except (LookupError, ValueError, UserWarning):
        return ("ascii",)


def _decoded(raw: bytes, codecs: tuple[str, ...]) -> str:
    if _ESCAPE in raw and (text := _with_escapes(raw, codecs)) is not None:
        return text
    for codec in codecs:
        try:
            return raw.decode(codec)
        except (UnicodeDecodeError, LookupError):
            continue
    return raw.decode("ascii", "replace")


def _with_escapes(raw: bytes, codecs: tuple[str, ...]) -> str | None:
    """Decode text that changes its character set on the way (ISO 2022: Japanese, Korean, Chinese)."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # pydicom warns where an escape sequence does not fit the character set
            return str(decode_bytes(raw, list(codecs), _DELIMITERS))
    except (UserWarning, LookupError, ValueError):
        return None


def flat_dataset(values: Mapping[str, str]) -> Dataset:
    """Build a data set of text attributes in UTF-8, without judging the values.

    Args:
        values: Keyword to text; several values joined by a backslash, empty for a universal key.
    """
    dataset = Dataset()
    put(dataset, "SpecificCharacterSet", "ISO_IR 192")
    for keyword, value in values.items():
        put(dataset, keyword, value)
    return dataset


def put(dataset: Dataset, keyword: str, value: str) -> None:
    """Set one attribute from text; bytes go in as they are, so odd values survive.

    Raises:
        KeyError: DICOM has no such keyword.
    """
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise KeyError(keyword)
    vr = dictionary_VR(tag)
    dataset[tag] = RawDataElement(BaseTag(tag), vr, len(_encoded(value, vr)), _encoded(value, vr), 0, False, True)


def _encoded(value: str, vr: str) -> bytes:
    if vr in _BINARY:
        numbers = [int(part) for part in value.split("\\") if part.strip().isdigit()]
        return struct.pack(f"<{len(numbers)}{_BINARY[vr]}", *numbers)
    raw = value.encode("utf-8")
    return raw + (b"\0" if vr == "UI" else b" ") * (len(raw) % 2)
