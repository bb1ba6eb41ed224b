"""Local worker processes: started once, one thread each, and an item that kills its process fails alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from typing import TypeVar

Item = TypeVar("Item")
Value = TypeVar("Value")

_ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def in_processes(
    work: Callable[[Item], Value], items: Sequence[Item], *, workers: int, preload: str
) -> Iterator[Value | None]:
    """Do work on items in local processes.

    A Dask cluster on the machine itself was weighed: its start costs two seconds of CPU, these processes a tenth of
    that, for they are forked from one that has loaded what the work needs.

    Args:
        work: A function of one argument, importable by name.
        items: What it is called with.
        workers: Processes; each has one item at a time, and its memory.
        preload: Module to load before processes are forked.

    Yields:
        One value per item, in order; ``None`` where the item's process died.
    """
    waiting = list(items)
    while waiting:
        done = 0
        with _pool(workers, preload) as pool:
            futures = [pool.submit(work, item) for item in waiting]
            try:
                for future in futures:
                    yield future.result()
                    done += 1
            except BrokenProcessPool:
                pass
        if done == len(waiting):
            return
        # Who killed the process is not known: the first one without a result has another chance, alone.
        yield _alone(work, waiting[done], preload)
        waiting = waiting[done + 1 :]


def _alone(work: Callable[[Item], Value], item: Item, preload: str) -> Value | None:
    with _pool(1, preload) as pool:
        try:
            return pool.submit(work, item).result()
        except BrokenProcessPool:
            return None


@contextmanager
def _pool(workers: int, preload: str) -> Iterator[ProcessPoolExecutor]:
    context = get_context("forkserver")
    context.set_forkserver_preload(["__main__", preload])
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(_ONE_THREAD)
    pool = ProcessPoolExecutor(workers, mp_context=context)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
