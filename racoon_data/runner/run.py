"""Many items to many outcomes: serial, local workers or a Dask scheduler; the one place that catches."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from racoon_data.errors import RacoonError, StorageError, WorkerKilledError, WorkerMemoryError
from racoon_data.events import Event, OnEvent, ignore
from racoon_data.outcomes import Outcome, Status, outcome_of
from racoon_data.refs import Ref
from racoon_data.runner.cluster import on_dask
from racoon_data.runner.crew import Crew
from racoon_data.runner.processes import in_processes

logger = logging.getLogger(__name__)

Item = TypeVar("Item")
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Result(Generic[Value]):
    """One item's end and, when done, its value."""

    outcome: Outcome
    value: Value | None = None


def run_items(
    step: str,
    items: Sequence[tuple[Ref, Item]],
    work: Callable[[Item], Value],
    *,
    workers: int = 1,
    crew: Crew | None = None,
    on_event: OnEvent = ignore,
) -> Iterator[Result[Value]]:
    """Do the same work on many items; one bad item never stops the others.

    Args:
        step: The verb, used as event kind and as ``Outcome.step``.
        items: Reference and argument of each item.
        work: A function of one argument; with workers it must be importable by name.
        workers: Local worker processes; 1 runs in this process.
        crew: More about who works; its ``workers`` then hold.
        on_event: Listener.

    Yields:
        One result per item, in the order of ``items``.

    Raises:
        StorageError: The disk is full or locked: going on would lose every further item.
        SettingsError: No scheduler answers at the address, or its workers cannot do this work.
        WorkersLostError: The scheduler, or every worker, is gone.
    """
    attempt = partial(_attempt, step, work)
    crew = crew or Crew(workers)
    if crew.scheduler is not None and items:
        results: Iterator[Result[Value]] = _judged(step, items, on_dask(attempt, items, crew, on_event=on_event))
    elif crew.memory_mb or (crew.workers > 1 and len(items) > 1):
        results = _on_processes(step, attempt, items, crew)
    else:
        results = map(attempt, items)
    for done, outcome in enumerate(results, start=1):
        on_event(Event(step, str(outcome.outcome.ref), done, len(items)))
        yield outcome


def _attempt(step: str, work: Callable[[Item], Value], item: tuple[Ref, Item]) -> Result[Value]:
    ref, argument = item
    try:
        return Result(Outcome(ref, step), work(argument))
    except StorageError:
        raise
    except RacoonError as error:
        return Result(outcome_of(error, ref=ref, step=step))
    except MemoryError:
        hint = "allow a worker more memory, or use fewer workers"
        return Result(outcome_of(WorkerMemoryError("memory ran out", hint=hint), ref=ref, step=step))
    except Exception as error:
        logger.exception("unexpected %s at %s on %s", type(error).__name__, step, ref)
        message = f"unexpected {type(error).__name__}"
        return Result(Outcome(ref, step, Status.FAILED, "racoon.error", message, "report it with the log"))


def _on_processes(
    step: str, attempt: Callable[[tuple[Ref, Item]], Result[Value]], items: Sequence[tuple[Ref, Item]], crew: Crew
) -> Iterator[Result[Value]]:
    module, workers = _module_of(attempt), min(crew.workers, max(1, len(items)))
    return _judged(step, items, in_processes(attempt, items, workers=workers, preload=module, memory_mb=crew.memory_mb))


def _judged(
    step: str, items: Sequence[tuple[Ref, Any]], values: Iterator[Result[Value] | None]
) -> Iterator[Result[Value]]:
    for (ref, _), value in zip(items, values, strict=True):
        yield _killed(step, ref) if value is None else value


def _module_of(work: object) -> str:
    """Name the module of the function at the heart of partial calls: what workers load before they fork."""
    while isinstance(work, partial):
        inner = next((one for one in work.args if callable(one)), None)
        work = inner if work.func is _attempt and inner is not None else work.func
    return str(getattr(work, "__module__", __name__))


def _killed(step: str, ref: Ref) -> Result[Any]:
    hint = "give a worker more memory or use fewer workers; look at this item alone with --only"
    error = WorkerKilledError("it killed its worker process twice", hint=hint)
    return Result(outcome_of(error, ref=ref, step=step))
