"""Weekly windows: the hours in which a node may be asked, in local time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_DAY = 24 * 60
_WEEK = 7 * _DAY


def is_open(windows: Sequence[str], now: datetime) -> bool:
    """Tell whether a node may be asked now; without windows it always may.

    Args:
        windows: Texts such as ``Mon-Fri 18:00-07:00``, ``Sat 00:00-24:00`` or ``22:00-06:00``; an end that is not
            after its start lies on the next day.
        now: The moment, local time.
    """
    minute = _minute_of_week(now)
    return not windows or any((minute - start) % _WEEK < length for start, length in _spans(windows))


def seconds_until_open(windows: Sequence[str], now: datetime) -> float:
    """Say how long a node must be left alone; 0 where it may be asked now."""
    if is_open(windows, now):
        return 0.0
    minute = _minute_of_week(now)
    wait = min((start - minute) % _WEEK for start, _ in _spans(windows))
    return wait * 60 - now.second - now.microsecond / 1e6


def _minute_of_week(now: datetime) -> int:
    return now.weekday() * _DAY + now.hour * 60 + now.minute


def _spans(windows: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Give start (minutes from Monday 00:00) and length (minutes) of every day's opening."""
    for window in windows:
        days, _, hours = window.rpartition(" ")
        first, _, last = days.partition("-")
        begin = _DAYS.index(first) if first else 0
        count = (_DAYS.index(last) - begin) % 7 + 1 if last else 1 if first else 7
        opens, closes = (int(clock[:2]) * 60 + int(clock[3:]) for clock in hours.split("-"))
        length = (closes - opens) % _DAY or _DAY
        for day in range(begin, begin + count):
            yield (day % 7) * _DAY + opens, length
