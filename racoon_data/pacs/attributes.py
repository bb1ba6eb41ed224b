"""Attributes as text: values of query answers and headers, tolerant of character sets that lie."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

from pydicom.charset import convert_encodings
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

_BINARY = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d"}
_LOCAL_TEXT = frozenset({"PN", "LO", "SH", "ST", "LT", "UC", "UT"})


def text_of(dataset: Dataset, keyword: str, *, fallback: str = "latin-1") -> str:
    """Read one attribute as text, whatever state it is in.

    A value that does not decode with the declared character set is tried as UTF-8 and then as
    ``fallback``, which never fails: an answer is never lost over a letter.

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
    return "\\".join(part.strip() for part in _decoded(raw, (*codecs, "utf-8", fallback)).rstrip("\0 ").split("\\"))


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
    for codec in codecs:
        try:
            return raw.decode(codec)
        except (UnicodeDecodeError, LookupError):
            continue
    return raw.decode("ascii", "replace")


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
