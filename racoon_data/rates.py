"""How fast work goes: items and megabytes a second, and the time that is left."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

from racoon_data.events import NOTE, Event

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
        left = f", {span(self.eta_s)} left" if self.eta_s else ""
        moved = f" {self.mb_per_s:.1f} MB/s" if self.mb_per_s else ""
        return f"{self.per_s:.1f}/s{moved}{left}"


class Rates:
    """Listens to events; work that moves bytes starts anew with each study."""

    def __init__(self) -> None:
        self._begun: dict[str, tuple[float, Event]] = {}
        self._last: dict[str, Event] = {}

    def of(self, event: Event) -> Rate | None:
        """Give the pace at an event, ``None`` where it cannot be told yet: at a first item that moves no bytes."""
        last = self._last.get(event.kind)
        if last is None or event.size < last.size or event.total != last.total or event.done < last.done:
            done = event.done - 1 if event.size else event.done
            self._begun[event.kind] = (time.monotonic(), Event(event.kind, event.ref, done, event.total, 0))
        self._last[event.kind] = event
        since, first = self._begun[event.kind]
        if event.done == first.done:
            return None
        seconds = max(time.monotonic() - since, _SHORTEST_S)
        per_s = (event.done - first.done) / seconds
        eta_s = (event.total - event.done) / per_s if event.total is not None and per_s > 0 else None
        return Rate(round(per_s, 1), round(event.size / seconds / 1e6, 2), None if eta_s is None else round(eta_s, 1))


def span(seconds: float) -> str:
    """Say a length of time as people do."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:.0f} days"


def event_document(event: Event, rate: Rate | None) -> dict[str, Any]:
    """Give an event as JSON, with its pace where that is known, and its bytes where it moves any."""
    if event.kind == NOTE:
        return {"type": NOTE, "text": event.ref}
    document = {"type": "progress", **asdict(event), **(asdict(rate) if rate else {})}
    if not event.size:
        document.pop("size")
        document.pop("mb_per_s", None)
    return document
