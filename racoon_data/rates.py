"""How fast work goes: items and megabytes a second, and the time that is left."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

from racoon_data.events import Event

# The first event of a study comes when its first item is done: before that nothing was measured.
_SHORTEST_S = 0.05


@dataclass(frozen=True, slots=True)
class Rate:
    """The pace of one kind of work since it (or its study) began.

    Attributes:
        per_s: Items a second.
        mb_per_s: Megabytes (10^6 bytes) a second.
        eta_s: Seconds left, ``None`` where nobody knows the total.
    """

    per_s: float
    mb_per_s: float
    eta_s: float | None

    def __str__(self) -> str:
        left = f", {self.eta_s:.0f} s left" if self.eta_s is not None else ""
        return f"{self.per_s:.1f}/s {self.mb_per_s:.1f} MB/s{left}"


class Rates:
    """Listens to events that move bytes; each study starts anew."""

    def __init__(self) -> None:
        self._begun: dict[str, tuple[float, Event]] = {}
        self._last: dict[str, Event] = {}

    def of(self, event: Event) -> Rate | None:
        """Give the pace at an event, ``None`` where it moves no bytes."""
        if not event.size:
            return None
        last = self._last.get(event.kind)
        if last is None or event.size < last.size or event.total != last.total:
            first = Event(event.kind, event.ref, event.done - 1, event.total, 0)
            self._begun[event.kind] = (time.monotonic(), first)
        self._last[event.kind] = event
        since, first = self._begun[event.kind]
        seconds = max(time.monotonic() - since, _SHORTEST_S)
        per_s = (event.done - first.done) / seconds
        eta_s = (event.total - event.done) / per_s if event.total is not None and per_s > 0 else None
        return Rate(round(per_s, 1), round(event.size / seconds / 1e6, 2), None if eta_s is None else round(eta_s, 1))


def event_document(event: Event, rate: Rate | None) -> dict[str, Any]:
    """Give an event as JSON, with its size and pace where it moves bytes."""
    document = asdict(event)
    if rate is None:
        document.pop("size")
        return document
    return {**document, **asdict(rate)}
