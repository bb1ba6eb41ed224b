"""Processes on one site or folder take turns: a lock that names its holder, and one that waits."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self, TextIO

from racoon_data.documents import parse_json
from racoon_data.errors import LockedError
from racoon_data.files.atomic import make_folder, storage_errors
from racoon_data.site.audit import account

LOCK_NAME = ".lock"
_EACH_S = 0.2


@dataclass(frozen=True, slots=True)
class Holder:
    """Who works on a site.

    Attributes:
        who: The operator, or the account.
        what: What is done, such as ``run lung``.
        process: Process id on its host.
        host: The host.
        since: UTC time, ISO 8601.
    """

    who: str
    what: str
    process: int
    host: str
    since: str

    @classmethod
    def me(cls, what: str = "", who: str = "") -> Self:
        """Describe this process."""
        since = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(who or account(), what, os.getpid(), socket.gethostname(), since)

    def __str__(self) -> str:
        doing = f": {self.what}" if self.what else ""
        return f"{self.who} works on this site{doing} (process {self.process} on {self.host}, since {self.since})"


@contextmanager
def turns_in(folder: Path) -> Iterator[None]:
    """Let processes that write into one folder take turns; each waits for the one before."""
    make_folder(folder)
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextmanager
def site_lock(root: Path, *, what: str = "", who: str = "", wait_s: float = 0.0) -> Iterator[Holder]:
    """Hold the site's lock while the block runs.

    The kernel frees the lock of a process that died, however it died, so nobody ever has to remove it by hand.

    Args:
        root: The site folder.
        what: What is done meanwhile, for those who have to wait.
        who: Who works; empty for the account that runs the process.
        wait_s: How long to wait for one's turn (seconds).

    Raises:
        LockedError: Another process holds it; the message names person, work, process, host and since when.
    """
    make_folder(root)
    with storage_errors(LOCK_NAME), (root / LOCK_NAME).open("a+", encoding="utf-8") as stream:
        _take(stream, wait_s)
        holder = Holder.me(what, who)
        _tell(stream, holder)
        try:
            yield holder
        finally:
            stream.truncate(0)


def _take(stream: TextIO, wait_s: float) -> None:
    # whoever asks for the holder's name holds the file for an instant too
    until = time.monotonic() + max(wait_s, _EACH_S)
    while True:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= until:
                holder = _read(stream)
                hint = "wait until it ends (racoon jobs list), or end it with racoon jobs cancel"
                raise LockedError(str(holder or "another process works on this site"), hint=hint) from error
            time.sleep(_EACH_S / 4)
        else:
            return


def _tell(stream: TextIO, holder: Holder) -> None:
    stream.truncate(0)
    stream.write(json.dumps(asdict(holder), ensure_ascii=False))
    stream.flush()


def _read(stream: TextIO) -> Holder | None:
    stream.seek(0)
    try:
        return Holder(**parse_json(stream.read()))
    except (ValueError, TypeError):
        return None


def holder_of(root: Path) -> Holder | None:
    """Tell who works on a site right now, ``None`` where nobody does."""
    path = root / LOCK_NAME
    if not path.is_file():
        return None
    with path.open(encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _read(stream) or Holder("somebody", "", 0, "", "")
        return None
