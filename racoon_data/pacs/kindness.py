"""Kindness to a peer: shared connection slots, weekly windows, and a pace, kept by all processes together."""

from __future__ import annotations

import fcntl
import hashlib
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from racoon_data.errors import PacsBusyError, PacsPausedError
from racoon_data.events import Event, OnEvent, ignore
from racoon_data.files.atomic import make_folder, storage_errors
from racoon_data.pacs.peer import Manners, PacsNode, WebNode
from racoon_data.pacs.windows import is_open, seconds_until_open

Opened = TypeVar("Opened")

_LOOK_S = 0.1
_LONGEST_REST_S = 5.0
_LONGEST_DEBT_S = 600.0
_LONGEST_BACKOFF_S = 300.0


class Pace:
    """How one connection shares the peer's time: it rests after each instance, and stops when the window closes.

    At 25 percent a second of work is followed by three of rest. A rest within a transfer is at most five seconds,
    so that no peer loses patience; what is owed then is waited for before the slot is used again.

    Attributes:
        debt_s: Rest that is still owed (seconds).
    """

    def __init__(self, node: PacsNode | WebNode) -> None:
        """Start working now."""
        self._node = node
        self.debt_s = 0.0
        self.begin()

    def begin(self) -> None:
        """Count work from here."""
        self._since = time.monotonic()

    def step(self) -> None:
        """Rest after an instance.

        Raises:
            PacsPausedError: The weekly window has closed: end the connection here.
        """
        self.settle()
        if self.debt_s >= _LOOK_S:
            rest = min(self.debt_s, _LONGEST_REST_S)
            time.sleep(rest)
            self.debt_s -= rest
            self.begin()
        if not is_open(self._node.manners.windows, datetime.now()):
            hint = "the next run, or this one when the window opens, goes on from here"
            raise PacsPausedError("the weekly window of the node has closed", ref=self._node, hint=hint)

    def settle(self) -> None:
        """Count the work since the last rest."""
        now = time.monotonic()
        percent = self._node.manners.utilisation_percent
        self.debt_s += (now - self._since) * (100 - percent) / percent
        self._since = now


@contextmanager
def admitted(node: PacsNode | WebNode, *, on_event: OnEvent = ignore) -> Iterator[Pace]:
    """Wait until the node's window is open and one of its slots is free, and hold the slot while the block runs.

    Slots are locks on files that all processes of this user share, so that two jobs together never exceed the limit;
    the lock of a process that died is free again.

    Args:
        node: The peer.
        on_event: Listener; ``wait`` says that the window is closed or every slot is taken.

    Yields:
        The pace to keep; call ``step`` after each instance.

    Raises:
        StorageError: The folder of the slots cannot be written.
    """
    _await_window(node, on_event)
    handle, path = _take_slot(node, on_event)
    pace = Pace(node)
    try:
        _await_rest(handle)
        pace.begin()
        yield pace
    finally:
        pace.settle()
        _give_back(handle, path, min(pace.debt_s, _LONGEST_DEBT_S))


def knocked(node: PacsNode | WebNode, knock: Callable[[], Opened], *, on_event: OnEvent = ignore) -> Opened:
    """Open a connection; where the peer is busy for now, knock again, later each time.

    Raises:
        PacsBusyError: It still was busy after the last knock.
    """
    for attempt in range(1, node.manners.retries + 1):
        try:
            return knock()
        except PacsBusyError:
            wait_s = backoff_s(node.manners, attempt)
            on_event(Event("wait", f"{node.name} is busy: knock {attempt} again in {wait_s:.1f} s"))
            time.sleep(wait_s)
    return knock()


def backoff_s(manners: Manners, attempt: int) -> float:
    """Say how long to wait before knocking again: doubled each time, with jitter, at most five minutes.

    Args:
        manners: How the node is treated.
        attempt: Knocks so far, from 1.
    """
    longest: float = min(manners.backoff_s * 2.0 ** (attempt - 1), _LONGEST_BACKOFF_S)
    return longest * random.uniform(0.5, 1.0)


def slot_folder() -> Path:
    """Say where slots lie: the same folder for every process of this user."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "racoon" / "slots"


def _await_window(node: PacsNode | WebNode, on_event: OnEvent) -> None:
    while wait := seconds_until_open(node.manners.windows, datetime.now()):
        on_event(Event("wait", f"{node.name}: its window opens in {wait / 60:.0f} min"))
        time.sleep(min(wait, 60.0))


def _take_slot(node: PacsNode | WebNode, on_event: OnEvent) -> tuple[int, Path]:
    folder = slot_folder()
    make_folder(folder)
    name = hashlib.sha256(node.address.encode()).hexdigest()[:24]
    is_told = False
    while True:
        for number in range(node.manners.max_associations):
            path = folder / f"{name}-{number}"
            if (handle := _lock(path)) is not None:
                return handle, path
        if not is_told:
            on_event(Event("wait", f"{node.name}: {node.manners.max_associations} associations are in use"))
            is_told = True
        time.sleep(random.uniform(_LOOK_S / 2, _LOOK_S))


def _lock(path: Path) -> int | None:
    """Lock a slot's file, or give ``None``; a file that was removed meanwhile is none."""
    with storage_errors("a slot"):
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(handle).st_ino == path.stat().st_ino:
            return handle
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(handle)
    return None


def _await_rest(handle: int) -> None:
    """Wait until the time the last holder owed its peer is over."""
    with suppress(ValueError):
        wait_s = float(os.pread(handle, 64, 0) or b"0") - time.time()
        time.sleep(min(max(wait_s, 0.0), _LONGEST_DEBT_S))


def _give_back(handle: int, path: Path, debt_s: float) -> None:
    try:
        if debt_s > 0:
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{time.time() + debt_s:.3f}".encode(), 0)
        else:
            path.unlink(missing_ok=True)
    except OSError:
        return  # the lock ends with the handle; a rest that could not be noted is a courtesy lost
    finally:
        os.close(handle)
