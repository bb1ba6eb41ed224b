"""Ways to ask for less: halves of a date range, halves of a day, first letters of an identifier."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

_DATES = re.compile(r"(?P<low>\d{8})?(?P<dash>-)?(?P<high>\d{8})?")
_TIMES = re.compile(r"(?P<low>\d{2,6}(\.\d+)?)?-(?P<high>\d{2,6}(\.\d+)?)?")
_FLOOR, _CEILING = date(1850, 1, 1), date(2199, 12, 31)
_EXACT = "\0"
# A window of one second, read back with its rounded end.
_SHORTEST_S = 3
_DAY_S = 24 * 3600
# Without what DICOM takes for a wildcard, and what peers that ask their database with LIKE do (Orthanc 1.10).
_LETTERS = string.digits + string.ascii_letters + "".join(c for c in string.punctuation if c not in "*?\\%_")
_SWEPT = ("PatientID", "AccessionNumber", "StudyID", "PatientName")


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a query that is asked in its place.

    Attributes:
        filters: All filters of the part.
        swept: The identifier whose first letters the part gives, empty for a part by date or time.
        prefix: Those letters.
    """

    filters: Mapping[str, str]
    swept: str = ""
    prefix: str = ""


def batches_of(part: Part) -> Iterator[tuple[Part, ...]]:
    """Split a query for studies whose answer was not whole.

    A range of days is halved, no day is in both halves or in none. A day is halved by time: the halves share their
    boundary, so that 120000, 1200 and 12:00:00.5 are in one of them whatever the peer compares. What has no date or
    time is in no such half; it is swept for by the first letters of an identifier, which needs no date. A sweep that
    is still too large goes on with longer letters.

    Yields:
        The parts; then, for a caller who finds that they lack what the whole query answered, sweeps by further
        identifiers. Nothing where nothing is left to split by.
    """
    if part.swept:
        yield from filter(None, [_longer(part)])
        return
    halves, is_dated = _halves(part)
    sweeps = [
        _longer(Part(part.filters, keyword)) for keyword in _SWEPT if not part.filters.get(keyword, "").strip("*")
    ]
    if halves and is_dated:
        yield halves
    elif halves or sweeps:
        yield (*halves, *(sweeps.pop(0) if sweeps else ()))
    yield from sweeps


def _halves(part: Part) -> tuple[tuple[Part, ...], bool]:
    """Halve by days, else by time; tell whether what has no date (or time) is left out by the query itself."""
    days = days_of(part.filters.get("StudyDate", ""))
    if days is None:
        return (), False
    if days[0] < days[1]:
        return _halves_of_days(part, *days), bool(part.filters.get("StudyDate"))
    return _halves_of_times(part), bool(part.filters.get("StudyTime"))


def days_of(text: str) -> tuple[date, date] | None:
    """Read a StudyDate filter: first and last day; everything where it is empty, ``None`` where it is no range."""
    match = _DATES.fullmatch(text.strip())
    if match is None:
        return None
    low, high = match["low"], match["high"]
    if low and not match["dash"]:
        return (None if high else _pair(low, low)) if low else None
    return _pair(low, high)


def _pair(low: str | None, high: str | None) -> tuple[date, date] | None:
    try:
        first = date.fromisoformat(low) if low else _FLOOR
        last = date.fromisoformat(high) if high else _CEILING
    except ValueError:
        return None
    return (first, last) if first <= last else None


def _halves_of_days(part: Part, first: date, last: date) -> tuple[Part, ...]:
    middle = first + timedelta(days=(last - first).days // 2)
    spans = ((first, middle), (middle + timedelta(days=1), last))
    return tuple(Part({**part.filters, "StudyDate": _days(*span)}) for span in spans)


def _days(first: date, last: date) -> str:
    if first == last:
        return f"{first:%Y%m%d}"
    low = "" if first == _FLOOR else f"{first:%Y%m%d}"
    high = "" if last == _CEILING else f"{last:%Y%m%d}"
    return f"{low}-{high}"


def _halves_of_times(part: Part) -> tuple[Part, ...]:
    seconds = _seconds_of(part.filters.get("StudyTime", ""))
    if seconds is None or seconds[1] - seconds[0] < _SHORTEST_S:
        return ()
    first, last = seconds
    middle = (first + last) // 2
    return tuple(Part({**part.filters, "StudyTime": _times(*span)}) for span in ((first, middle), (middle, last)))


def _seconds_of(text: str) -> tuple[int, int] | None:
    """Read a StudyTime filter as seconds of the day, the last one rounded up; ``None`` where it is no range."""
    if not text.strip():
        return 0, _DAY_S
    match = _TIMES.fullmatch(text.strip().replace(":", ""))
    if match is None:
        return None
    low = _second(match["low"]) if match["low"] else 0
    high = _second(match["high"], pad="5959") + 1 if match["high"] else _DAY_S
    return (low, high) if low < high else None


def _second(text: str, pad: str = "0000") -> int:
    digits = (text.split(".")[0] + pad[len(text.split(".")[0]) - 2 :])[:6]
    return int(digits[:2]) * 3600 + int(digits[2:4]) * 60 + int(digits[4:])


def _times(first: int, last: int) -> str:
    end = "235959.999999" if last >= _DAY_S else _clock(last)
    return f"{_clock(first)}-{end}"


def _clock(second: int) -> str:
    return f"{second // 3600:02}{second // 60 % 60:02}{second % 60:02}"


def _longer(part: Part) -> tuple[Part, ...]:
    if part.prefix.endswith(_EXACT):
        return ()
    letters = _LETTERS if part.swept != "PatientName" else _LETTERS.replace(string.ascii_lowercase, "")
    if part.prefix:
        letters += " "
    longer = tuple(
        Part({**part.filters, part.swept: f"{part.prefix}{letter}*"}, part.swept, part.prefix + letter)
        for letter in letters
    )
    if not part.prefix:
        return longer
    return (Part({**part.filters, part.swept: part.prefix}, part.swept, part.prefix + _EXACT), *longer)
