"""New values for old: shifted dates, cleaned text, dummies that keep an object valid."""

from __future__ import annotations

import re
from datetime import date, timedelta

from racoon_data.deid.identity import Identity

_DATE = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})")
_DATE_TIME = re.compile(r"(\d{4})(\d{2})?(\d{2})?(\d{2}(?:\d{2}(?:\d{2}(?:\.\d{1,6})?)?)?)?([+-]\d{4})?")
_TIME = re.compile(r"\d{2}:?(?:\d{2}:?(?:\d{2}(?:\.\d{0,6})?)?)?")
_ZONE = re.compile(r"[+-]\d{4}")
_AGE = re.compile(r"(\d{3})([DWMY])")
_OLDEST_YEARS = 90

_TOKEN = re.compile(r"\d+(?:[.,]\d+)+|[^\W_]+")
_HARMLESS = re.compile(r"\d{1,3}|\d{1,2}[.,]\d{1,3}|[a-z]{1,3}\d{1,3}[a-z]{0,2}|\d{1,3}[a-z]{1,3}|[a-z]", re.IGNORECASE)
_GAPS = re.compile(r"[^\w+<>%]{2,}|_{2,}")
_DATE_IN_TEXT = re.compile(
    r"(?<!\d)(?:(?:19|20)\d{2}[-./]?(?:0[1-9]|1[0-2])[-./]?(?:0[1-9]|[12]\d|3[01])|\d{1,2}[./]\d{1,2}[./](?:\d{4}|\d{2}))(?!\d)"
)

# Dummies by VR: valid, and nobody's.
_TEXT_VRS = frozenset(("CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT"))
_DUMMIES: dict[str, str | bytes] = {
    "AE": "ANON",
    "AS": "000Y",
    "CS": "ANON",
    "DA": "19000101",
    "DS": "0",
    "DT": "19000101000000",
    "IS": "0",
    "OB": b"\0\0",
    "OW": b"\0\0",
    "TM": "000000",
    "UN": b"\0\0",
    "UR": "about:blank",
}


def dummy(vr: str, length: int) -> bytes:
    """Give the value that stands for a removed one where a value must stand.

    Args:
        vr: Its value representation.
        length: Bytes of the removed value; numbers become as many zero bytes.
    """
    value = _DUMMIES.get(vr, "ANON" if vr in _TEXT_VRS else b"\0" * length)
    return value.encode("ascii") if isinstance(value, str) else value


def shifted(text: str, vr: str, days: int) -> str | None:
    """Shift one date or date-time by whole days; times and time zones stay as they are.

    Args:
        text: The value; a range ``from-to`` is shifted at both ends.
        vr: ``DA``, ``DT``, ``TM``, or ``SH`` for a time zone offset.
        days: Whole days to add.

    Returns:
        The new value, ``None`` where the old one cannot be read or leaves the calendar.
    """
    text = text.strip("\0 ")
    if vr in ("TM", "SH"):
        form = _TIME if vr == "TM" else _ZONE
        return text if form.fullmatch(text) else None
    if vr == "DA" and "-" in text:
        ends = [_shifted_date(end, days) if end else "" for end in text.split("-", 1)]
        return None if None in ends else "-".join(str(end) for end in ends)
    return _shifted_date(text, days) if vr == "DA" else _shifted_date_time(text, days)


def _shifted_date(text: str, days: int) -> str | None:
    found = _DATE.fullmatch(text)
    return _moved(found[1], found[2], found[3], days) if found else None


def _shifted_date_time(text: str, days: int) -> str | None:
    found = _DATE_TIME.fullmatch(text)
    if found is None or (found[4] and not found[3]):
        return None
    moved = _moved(found[1], found[2] or "01", found[3] or "01", days)
    precision = 4 + len(found[2] or "") + len(found[3] or "")
    return moved and f"{moved[:precision]}{found[4] or ''}{found[5] or ''}"


def _moved(year: str, month: str, day: str, days: int) -> str | None:
    try:
        return (date(int(year), int(month), int(day)) + timedelta(days=days)).strftime("%Y%m%d").rjust(8, "0")
    except (ValueError, OverflowError):
        return None


def capped_age(text: str) -> str | None:
    """Give an age as it is up to 89 years, ``090Y`` above, ``None`` where it is no age."""
    found = _AGE.fullmatch(text.strip("\0 "))
    if found is None:
        return None
    return "090Y" if found[2] == "Y" and int(found[1]) >= _OLDEST_YEARS else found[0]


def scrubbed(text: str, identity: Identity) -> str:
    """Take the patient's own identifiers, original UIDs and any calendar date out of a label."""
    if text.strip("\0 ").casefold() in identity.phrases:
        return ""
    without = _DATE_IN_TEXT.sub("", identity.taken_out(text))
    return text.strip("\0 ") if without == text else _GAPS.sub(" ", without).strip(" \0_-,;.:/()")


def cleaned(text: str, identity: Identity, words: frozenset[str]) -> str:
    """Keep known words, short numbers and short codes of a description; everything else goes.

    Args:
        text: The description.
        identity: Goes first, even where a name is a known word.
        words: Known words, in lower case.
    """

    def keep(found: re.Match[str]) -> str:
        token = found[0]
        is_known = token.casefold() in words or _HARMLESS.fullmatch(token)
        return token if is_known and token.casefold() not in identity.phrases else ""

    known = _TOKEN.sub(keep, scrubbed(text, identity))
    return text.strip("\0 ") if known == text else _GAPS.sub(" ", known).strip(" \0_-,;.:/()")
