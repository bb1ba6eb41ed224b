"""Matching of query keys as the standard has it: wildcards, ranges, UID lists, names (PS3.4 C.2.2.2)."""

from __future__ import annotations

import re
from collections.abc import Callable

from pydicom.datadict import dictionary_VR, tag_for_keyword

Matcher = Callable[[str], bool]

_TEMPORAL = frozenset({"DA", "TM", "DT"})


def vr_of(keyword: str) -> str:
    """Give the value representation of a keyword, ``LO`` for one DICOM does not know."""
    tag = tag_for_keyword(keyword)
    return str(dictionary_VR(tag)) if tag is not None else "LO"


def matcher(keyword: str, key: str) -> Matcher | None:
    """Turn one query key into a test of stored values.

    Args:
        keyword: DICOM keyword; its value representation decides how to match.
        key: The key as sent: empty, a value, a list, a range or a wildcard.

    Returns:
        A function of the stored value, or ``None`` where everything matches.
    """
    key = key.strip()
    if key in ("", "*"):
        return None
    vr = vr_of(keyword)
    if vr == "UI":
        wanted = frozenset(key.split("\\"))
        return lambda value: not wanted.isdisjoint(value.split("\\"))
    if vr in _TEMPORAL:
        return _temporal(key, vr)
    patterns = [_pattern(part, ignore_case=vr == "PN") for part in key.split("\\")]
    if vr == "PN":
        return lambda value: any(_name_matches(pattern, value) for pattern in patterns)
    return lambda value: any(pattern.fullmatch(part.strip()) for pattern in patterns for part in value.split("\\"))


def wildcard(pattern: str) -> Matcher:
    """Turn a pattern with ``*`` and ``?`` into a test of text, without regard to case."""
    compiled = _pattern(pattern, ignore_case=True)
    return lambda value: compiled.fullmatch(value.strip()) is not None


def _pattern(key: str, *, ignore_case: bool) -> re.Pattern[str]:
    text = key.strip().rstrip("^=") if ignore_case else key.strip()
    parts = [".*" if letter == "*" else "." if letter == "?" else re.escape(letter) for letter in text]
    return re.compile("".join(parts), re.DOTALL | (re.IGNORECASE if ignore_case else 0))


def _name_matches(pattern: re.Pattern[str], value: str) -> bool:
    groups = [value, *value.split("=")]
    return any(pattern.fullmatch(group.strip().rstrip("^=")) for group in groups)


def _temporal(key: str, vr: str) -> Matcher:
    low, dash, high = _clean(key, vr).partition("-")
    if not dash:
        return lambda value: bool(value) and _clean(value, vr).startswith(low)
    floor, ceiling = low, (high + "9" * 24)[:24] if high else "9" * 24
    return lambda value: bool(value) and floor <= _clean(value, vr) <= ceiling


def _clean(value: str, vr: str) -> str:
    """Drop the separators old files carry: ``2020.01.31`` and ``10:15:00``; a dot in a time starts its fraction."""
    return value.strip().replace(":", "").replace(".", "" if vr == "DA" else ".")
