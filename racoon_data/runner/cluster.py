"""Work on a Dask cluster: bounded, in order, a dead worker's items redone, an item that kills set apart."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from racoon_data.errors import SettingsError, WorkersLostError
from racoon_data.events import NOTE, Event, OnEvent, ignore
from racoon_data.files.sidecar import software
from racoon_data.runner.crew import LOCAL, Crew

logger = logging.getLogger(__name__)

Item = TypeVar("Item")
Value = TypeVar("Value")

_AHEAD = 4  # items a worker, so that the cluster never holds the whole batch
_CONNECT = "10s"
_LOOK_EACH_S = 2.0
_WITHOUT_WORKERS_S = 60.0


def on_dask(
    work: Callable[[Item], Value], items: Sequence[Item], crew: Crew, *, on_event: OnEvent = ignore
) -> Iterator[Value | None]:
    """Do work on items on a Dask cluster.

    When a worker dies, everything it had in hand is done again, each item alone: those that were merely beside the
    cause succeed, and the one that kills its worker a second time is given up.

    Args:
        work: A function of one argument, importable by name on the workers.
        items: What it is called with.
        crew: The scheduler, and what its workers must see.
        on_event: Listener, told the address of the dashboard.

    Yields:
        One value per item, in order; ``None`` where the item killed its worker twice.

    Raises:
        SettingsError: No scheduler answers, or its workers run another software or do not see the folder.
        WorkersLostError: The scheduler, or every worker, is gone.
    """
    with _client(crew) as client:
        check_crew(client, crew)
        on_event(Event(NOTE, f"dashboard: {client.dashboard_link}"))
        hands = max(1, sum(client.nthreads().values()))
        sent: deque[tuple[Item, Any]] = deque()
        coming = iter(items)
        while True:
            while len(sent) < _AHEAD * hands and (item := next(coming, None)) is not None:
                sent.append((item, client.submit(work, item, pure=False)))
            if not sent:
                return
            item, future = sent.popleft()
            yield _taken(client, work, item, future=future, others=[one for _, one in sent])


def _taken(client: Any, work: Callable[[Any], Any], item: Any, *, future: Any, others: Sequence[Any]) -> Any:
    """Wait for one item; where its worker died, do it once more with nothing beside it."""
    from dask.distributed import KilledWorker

    try:
        return _result(client, future)
    except KilledWorker:
        logger.info("a worker died; its item is done again, alone")
    for other in others:
        _end(client, other)
    try:
        return _result(client, client.submit(work, item, pure=False))
    except KilledWorker:
        return None


def _end(client: Any, future: Any) -> None:
    """Wait until a future has ended, well or badly, so that nothing runs beside an item that may kill."""
    while not future.done():
        _await_workers(client)
        time.sleep(_LOOK_EACH_S / 40)


def _result(client: Any, future: Any) -> Any:
    """Wait for a result as long as somebody works on it."""
    from dask.distributed import CancelledError
    from dask.distributed import TimeoutError as DaskTimeoutError
    from distributed.comm.core import CommClosedError

    try:
        while True:
            try:
                return future.result(timeout=_LOOK_EACH_S)
            except (TimeoutError, DaskTimeoutError):
                _await_workers(client)
    except (CancelledError, CommClosedError, OSError) as error:
        if not _is_lost(client, error):
            raise
        hint = "start it and its workers again; the same command continues"
        raise WorkersLostError("the Dask scheduler is gone", hint=hint) from error


def _is_lost(client: Any, error: Exception) -> bool:
    return not isinstance(error, OSError) or type(error).__name__ == "CommClosedError" or client.status != "running"


def _await_workers(client: Any) -> None:
    until = time.monotonic() + _WITHOUT_WORKERS_S
    while not client.nthreads():
        if time.monotonic() > until:
            hint = "start workers (dask worker ADDRESS); the same command continues"
            raise WorkersLostError("the Dask scheduler has no workers", hint=hint)
        time.sleep(_LOOK_EACH_S / 4)


@contextmanager
def _client(crew: Crew) -> Iterator[Any]:
    """Connect to a scheduler; one task at a time may be blamed for a dead worker, so that two tries are two."""
    import dask
    from dask.distributed import Client, LocalCluster

    with dask.config.set({"distributed.scheduler.allowed-failures": 0}):
        if crew.scheduler == LOCAL:
            memory = f"{crew.memory_mb}MiB" if crew.memory_mb else 0
            quiet = {"silence_logs": logging.CRITICAL, "dashboard_address": "127.0.0.1:0", "host": "127.0.0.1"}
            with (
                LocalCluster(crew.workers, threads_per_worker=1, memory_limit=memory, **quiet) as cluster,
                Client(cluster) as client,
            ):
                yield client
            return
        try:
            client = Client(crew.scheduler, timeout=_CONNECT)
        except (OSError, TimeoutError, ValueError) as error:
            hint = "name a running scheduler, such as tcp://127.0.0.1:8786, or use --workers"
            raise SettingsError(f"no Dask scheduler answers at {crew.scheduler}", hint=hint) from error
        with client, _two_tries(client):
            yield client


@contextmanager
def _two_tries(client: Any) -> Iterator[None]:
    """Let a scheduler give an item up at its first dead worker while we work: the second try is ours, alone."""
    before = client.run_on_scheduler(_allow_failures, allowed=0)
    try:
        yield
    finally:
        if client.status == "running":
            client.run_on_scheduler(_allow_failures, allowed=before)


def _allow_failures(allowed: int, dask_scheduler: Any) -> int:
    before, dask_scheduler.allowed_failures = dask_scheduler.allowed_failures, allowed
    return int(before)


def check_crew(client: Any, crew: Crew) -> None:
    """Refuse workers that would write other bytes, or write them elsewhere.

    Raises:
        SettingsError: They run other software, or do not see the folder.
        WorkersLostError: There are none.
    """
    _await_workers(client)
    mine = software()
    if others := [name for name, theirs in client.run(software).items() if theirs != mine]:
        hint = "install the same versions there; the walk writes the same bytes everywhere"
        raise SettingsError(f"{len(others)} Dask worker(s) run other software than this machine", hint=hint)
    if crew.folder is not None:
        crew.folder.mkdir(parents=True, exist_ok=True)
        if blind := [name for name, sees in client.run(_sees, str(crew.folder)).items() if not sees]:
            hint = "mount the site under the same path on every machine"
            raise SettingsError(f"{len(blind)} Dask worker(s) do not see the site folder", hint=hint)


def _sees(folder: str) -> bool:
    return Path(folder).is_dir()
