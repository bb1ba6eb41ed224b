"""Many items to many outcomes: serial, local workers or a Dask scheduler; the one place that catches."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from racoon_data.errors import RacoonError, StorageError
from racoon_data.events import Event, OnEvent, ignore
from racoon_data.outcomes import Outcome, Status, outcome_of
from racoon_data.refs import Ref

logger = logging.getLogger(__name__)

_ONE_THREAD = {"OMP_NUM_THREADS": 1, "MKL_NUM_THREADS": 1, "OPENBLAS_NUM_THREADS": 1}

_LARGEST_BUNDLE = 64
_BUNDLES_PER_WORKER = 16
_UNKNOWN_WORKERS = 16

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
    scheduler: str | None = None,
    on_event: OnEvent = ignore,
) -> Iterator[Result[Value]]:
    """Do the same work on many items; one bad item never stops the others.

    Args:
        step: The verb, used as event kind and as ``Outcome.step``.
        items: Reference and argument of each item.
        work: A function of one argument; with workers it must be importable by name.
        workers: Local worker processes; 1 runs in this process.
        scheduler: Address of a Dask scheduler to use instead.
        on_event: Listener.

    Yields:
        One result per item, in the order of ``items``.

    Raises:
        StorageError: The disk is full or locked: going on would lose every further item.
    """
    attempt = partial(_attempt, step, work)
    parallel = scheduler is not None or (workers > 1 and len(items) > 1)
    results = _on_dask(step, attempt, items, workers, scheduler) if parallel else map(attempt, items)
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
    except Exception as error:
        logger.exception("unexpected %s at %s on %s", type(error).__name__, step, ref)
        message = f"unexpected {type(error).__name__}"
        return Result(Outcome(ref, step, Status.FAILED, "racoon.error", message, "report it with the log"))


def _on_dask(
    step: str,
    attempt: Callable[[tuple[Ref, Item]], Result[Value]],
    items: Sequence[tuple[Ref, Item]],
    workers: int,
    scheduler: str | None,
) -> Iterator[Result[Value]]:
    import dask
    from dask.distributed import Client, KilledWorker, LocalCluster

    cluster = None
    if scheduler is None:
        # Dask's own environment also sets MALLOC_TRIM_THRESHOLD_, which doubles the CPU time of work on large arrays.
        # Without an address of its own the scheduler asks for port 8787, which another run may hold.
        with dask.config.set({"distributed.nanny.pre-spawn-environ": _ONE_THREAD}):
            cluster = LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                host="127.0.0.1",
                dashboard_address=None,
                scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
                silence_logs=40,
            )
    try:
        with Client(cluster or scheduler) as client:
            bundles = _bundles(items, workers if scheduler is None else _UNKNOWN_WORKERS)
            futures = [client.submit(_attempt_all, attempt, bundle, pure=False) for bundle in bundles]
            for bundle, future in zip(bundles, futures, strict=True):
                try:
                    yield from future.result()
                except KilledWorker:
                    yield from _one_by_one(client, attempt, bundle, step)
    finally:
        if cluster is not None:
            cluster.close()


def _bundles(items: Sequence[tuple[Ref, Item]], workers: int) -> list[Sequence[tuple[Ref, Item]]]:
    """Let many small items travel together: a task costs the scheduler some milliseconds, whatever it holds."""
    size = max(1, min(_LARGEST_BUNDLE, len(items) // (_BUNDLES_PER_WORKER * workers)))
    return [items[start : start + size] for start in range(0, len(items), size)]


def _attempt_all(
    attempt: Callable[[tuple[Ref, Item]], Result[Value]], items: Sequence[tuple[Ref, Item]]
) -> list[Result[Value]]:
    return [attempt(item) for item in items]


def _one_by_one(
    client: Any, attempt: Callable[[tuple[Ref, Item]], Result[Value]], items: Sequence[tuple[Ref, Item]], step: str
) -> Iterator[Result[Value]]:
    """Find the item that kills its worker; the others of its bundle are done again."""
    from dask.distributed import KilledWorker

    for ref, argument in items:
        try:
            yield client.submit(attempt, (ref, argument), pure=False).result()
        except KilledWorker:
            message, hint = "its worker process was killed", "use fewer workers: memory may be short"
            yield Result(Outcome(ref, step, Status.FAILED, "racoon.error", message, hint))
