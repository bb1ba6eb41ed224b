"""The only printer: results to stdout, talk and progress to stderr."""

from __future__ import annotations

import csv
import io
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from racoon_data.errors import RacoonError
from racoon_data.events import NOTE, Event, OnEvent
from racoon_data.rates import Rate, Rates, event_document


def talk(message: str) -> None:
    """Say something to the person, on stderr."""
    print(message, file=sys.stderr, flush=True)


def result(text: str) -> None:
    """Print a line of the result, on stdout."""
    print(text, flush=True)


def document(value: Any) -> None:
    """Print one JSON document, on stdout."""
    print(json.dumps(value, indent=2, ensure_ascii=False, default=str), flush=True)


def line(value: Any) -> None:
    """Print one JSON line of a stream, on stdout."""
    print(json.dumps(value, ensure_ascii=False, default=str), flush=True)


def csv_line(cells: Iterable[object]) -> None:
    """Print one line of CSV, on stdout."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(cells)
    print(text.getvalue(), flush=True)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str = "") -> None:
    """Print a table, on stdout: drawn in a terminal, plain columns elsewhere."""
    if not sys.stdout.isatty():
        for text in _plain_table([columns, *rows], title):
            print(text)
        sys.stdout.flush()
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(title=title or None, title_justify="left", box=_box())
    for column in columns:
        drawn.add_column(column, overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(str(cell)) for cell in row))
    Console(highlight=False).print(drawn)


def _plain_table(rows: Sequence[Sequence[object]], title: str) -> Iterator[str]:
    """Give the lines outside a terminal: no cell is folded, so that UIDs can be copied and lines searched."""
    if title:
        yield title
    texts = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for row in texts:
        yield " " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " "


def _box() -> Any:
    from rich import box

    return box.SIMPLE_HEAD


def failure(error: RacoonError, *, as_json: bool = False) -> None:
    """Print an error with its code and remedy, on stderr; for machines a JSON line more."""
    talk(f"error: {error} ({error.code})")
    if error.hint:
        talk(f"  what helps: {error.hint}")
    if as_json:
        document = {"type": "error", "code": error.code, "message": error.message, "hint": error.hint}
        talk(json.dumps({**document, "exit_code": int(error.exit_code)}, ensure_ascii=False))


@contextmanager
def progress(*, as_json: bool = False, every_s: float = 2.0) -> Iterator[OnEvent]:
    """Listen to events and show them: a line that moves in a terminal, plain lines elsewhere.

    Args:
        as_json: Write JSON lines on stderr instead.
        every_s: Shortest time between two lines of the same kind; the first and the last are always written.
    """
    if as_json:
        yield _paced(every_s, lambda event, rate: talk(json.dumps(event_document(event, rate), ensure_ascii=False)))
    elif sys.stderr.isatty():
        with _drawn() as listener:
            yield listener
    else:
        yield _paced(every_s, _say)


def _say(event: Event, rate: Rate | None) -> None:
    pace = f" ({rate})" if rate else ""
    talk(f"{event.kind}: {event.done}/{event.total or '?'} {event.ref}".rstrip() + pace)


def _paced(every_s: float, write: Callable[[Event, Rate | None], None]) -> OnEvent:
    """Write a line when a kind of work was silent for a while, and one when it ends."""
    spoken: dict[str, tuple[float, bool]] = {}
    rates = Rates()

    def listen(event: Event) -> None:
        if event.kind == NOTE:
            write(event, None) if write is not _say else talk(event.ref)
            return
        rate = rates.of(event)
        is_end = event.total is not None and event.done >= event.total
        since, was_end = spoken.get(event.kind, (-every_s, False))
        if time.monotonic() - since >= every_s or (is_end and not was_end):
            spoken[event.kind] = (time.monotonic(), is_end)
            write(event, rate)

    return listen


@contextmanager
def _drawn() -> Iterator[OnEvent]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description:<14}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[pace]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, Any] = {}
        rates = Rates()

        def listen(event: Event) -> None:
            if event.kind == NOTE:
                bars.console.print(event.ref, markup=False, highlight=False)
                return
            if event.kind not in tasks:
                tasks[event.kind] = bars.add_task(event.kind, total=event.total, pace="")
            rate = rates.of(event)
            bars.update(tasks[event.kind], completed=event.done, total=event.total, pace=str(rate or ""))

        yield listen
