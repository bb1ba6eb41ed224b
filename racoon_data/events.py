"""Progress as values: what long work reports while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

# Kind of an event that is a sentence for the person, such as where a dashboard is; its ``ref`` holds the sentence.
NOTE = "note"


@dataclass(frozen=True, slots=True)
class Event:
    """One step forward.

    Attributes:
        kind: Name of the step, such as ``retrieve`` or ``deidentify``.
        ref: What the step worked on, as text without patient values.
        done: Items finished.
        total: Items in all, or ``None`` where nobody knows yet.
        size: Bytes moved so far, 0 where nothing is moved.
    """

    kind: str
    ref: str = ""
    done: int = 0
    total: int | None = None
    size: int = 0


OnEvent = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Take an event and do nothing: the default listener."""
