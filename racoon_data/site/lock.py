"""Two processes on one site take turns: a lock that names its holder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from racoon_data.errors import LockedError


@contextmanager
def site_lock(root: Path) -> Iterator[None]:
    """Hold the site's lock while the block runs; a dead holder's lock is free again.

    Raises:
        LockedError: Another process holds it; the message names its process id.
    """
    root.mkdir(parents=True, exist_ok=True)
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
