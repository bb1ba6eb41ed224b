"""Local worker processes: started once, one thread each, and an item that kills its process fails alone."""

from __future__ import annotations

import os
import resource
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import active_children, get_context
from typing import Any, TypeVar

Item = TypeVar("Item")
Value = TypeVar("Value")

# What to do, the module to load before, and the memory of a process (MiB).
_Crew = tuple[Callable[[Any], Any], str, int]

_ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
# Messages cost the parent more than small items cost a worker, so these travel together; large ones go alone.
_BUNDLE_S = 0.1
_LARGEST_BUNDLE = 32
_AHEAD = 8  # bundles a worker, so that a slow item does not make the others wait


def in_processes(
    work: Callable[[Item], Value], items: Sequence[Item], *, workers: int, preload: str, memory_mb: int = 0
) -> Iterator[Value | None]:
    """Do work on items in local processes.

    A Dask cluster on the machine itself was weighed: its start costs two seconds of CPU, these processes a tenth of
    that, for they are forked from one that has loaded what the work needs. The work is sent to each process once.

    Args:
        work: A function of one argument, importable by name.
        items: What it is called with.
        workers: Processes; each has one item at a time, and its memory.
        preload: Module to load before processes are forked.
        memory_mb: Most memory of one process (MiB of data and heap, as the kernel counts them); 0 sets no bound.

    Yields:
        One value per item, in order; ``None`` where the item's process died twice, the second time alone.
    """
    waiting = list(items)
    crew = (work, preload, memory_mb)
    while waiting:
        done, sent = 0, Sent()
        with suppress(BrokenProcessPool), _pool(crew, workers) as pool:
            for bundle in _bundled(pool, waiting, sent, ahead=_AHEAD * workers):
                yield from bundle
                done += len(bundle)
        if done < len(waiting):
            # Who killed the process is not known: what was under way has another chance, each item alone.
            yield from _one_by_one(crew, waiting[done : sent.count])
        waiting = waiting[max(done, sent.count) :]


@dataclass
class Sent:
    """How many items have been given to a pool."""

    count: int = 0


def _bundled(pool: ProcessPoolExecutor, items: Sequence[Item], given: Sent, *, ahead: int) -> Iterator[list[Any]]:
    """Send items in bundles that take a tenth of a second, as far as the first ones tell."""
    sent: deque[Future[tuple[list[Any], float]]] = deque()
    size = 1
    while sent or given.count < len(items):
        while given.count < len(items) and len(sent) < ahead:
            sent.append(pool.submit(_do, items[given.count : given.count + size]))
            given.count = min(given.count + size, len(items))
        values, taken_s = sent.popleft().result()
        size = max(1, min(_LARGEST_BUNDLE, int(_BUNDLE_S * len(values) / max(taken_s, 1e-6))))
        yield values


def _one_by_one(crew: _Crew, items: Sequence[Any]) -> Iterator[Any]:
    """Do items in one process, one after the other; whoever kills it now did so alone."""
    waiting = list(items)
    while waiting:
        try:
            with _pool(crew, 1) as pool:
                while waiting:
                    ((value,), _) = pool.submit(_do, [waiting[0]]).result()
                    del waiting[0]
                    yield value
        except BrokenProcessPool:
            del waiting[0]
            yield None


_works: list[Callable[[Any], Any]] = []


def _begin(work: Callable[[Any], Any], memory_mb: int) -> None:
    """Keep what this process is to do, within its memory."""
    _works[:] = [work]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends its workers
    if memory_mb:
        resource.setrlimit(resource.RLIMIT_DATA, (memory_mb << 20, memory_mb << 20))


def _do(items: Sequence[Any]) -> tuple[list[Any], float]:
    began = time.perf_counter()
    return [_works[0](item) for item in items], time.perf_counter() - began


@contextmanager
def _pool(crew: _Crew, workers: int) -> Iterator[ProcessPoolExecutor]:
    work, preload, memory_mb = crew
    context = get_context("forkserver")
    context.set_forkserver_preload(["__main__", preload])
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(_ONE_THREAD)
    others = frozenset(active_children())
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(work, memory_mb))
    try:
        yield pool
    except BrokenProcessPool:
        # The executor ends its processes once, when it sees that one is dead. One that was being started at that
        # moment is missed, and waited for without end.
        for process in frozenset(active_children()) - others:
            process.kill()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
