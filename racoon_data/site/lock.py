"""Processes on one site or folder take turns: a lock that names its holder, and one that waits."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from racoon_data.errors import LockedError
from racoon_data.files.atomic import make_folder


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
def site_lock(root: Path) -> Iterator[None]:
    """Hold the site's lock while the block runs; a dead holder's lock is free again.

    Raises:
        LockedError: Another process holds it; the message names its process id.
    """
    make_folder(root)
    with (root / ".lock").open("a+", encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            stream.seek(0)
            holder = stream.read().strip() or "unknown"
            hint = "wait until it ends, or end it"
            raise LockedError(f"process {holder} works on this site", hint=hint) from error
        stream.truncate(0)
        stream.write(str(os.getpid()))
        stream.flush()
        yield
