"""The DICOM JSON model (PS3.18 annex F) of flat attributes: text to JSON and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydicom.datadict import tag_for_keyword

from racoon_data.pacs.matching import vr_of

Json = dict[str, Any]

_WHOLE = frozenset({"IS", "US", "SS", "UL", "SL", "UV", "SV"})
_REAL = frozenset({"DS", "FL", "FD"})
_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")


def tag_of(keyword: str) -> str:
    """Give the eight hexadecimal digits of a keyword's tag, empty where DICOM has no such keyword."""
    tag = tag_for_keyword(keyword)
    return "" if tag is None else f"{tag:08X}"


def to_json(values: Mapping[str, str]) -> Json:
    """Turn flat attributes into the JSON model.

    Args:
        values: Keyword to text, several values joined by a backslash; unknown keywords are left out.
    """
    found = sorted((tag, keyword) for keyword in values if (tag := tag_of(keyword)))
    return {tag: _element(vr_of(keyword), values[keyword]) for tag, keyword in found}


def _element(vr: str, text: str) -> Json:
    if not text:
        return {"vr": vr}
    return {"vr": vr, "Value": [_value(vr, part) for part in text.split("\\")]}


def _value(vr: str, text: str) -> Any:
    if vr == "PN":
        return {name: part for name, part in zip(_GROUPS, text.split("="), strict=False) if part}
    try:
        if vr in _WHOLE:
            return int(text)
        if vr in _REAL:
            return float(text)
    except ValueError:
        return text
    return text or None


def text_in(document: Mapping[str, Any], keyword: str) -> str:
    """Read one attribute of a JSON document as text, whatever state it is in.

    Returns:
        The value, several values joined by a backslash; empty where absent, a sequence or binary.
    """
    element = document.get(tag_of(keyword))
    values = element.get("Value") if isinstance(element, Mapping) else None
    if not isinstance(values, Sequence) or isinstance(values, str):
        return ""
    return "\\".join(_text(value) for value in values)


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return "=".join(str(value.get(name) or "") for name in _GROUPS).rstrip("=")
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value).strip("\0 ")
