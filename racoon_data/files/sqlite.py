"""What goes wrong with a SQLite file, told as an error a person understands."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from racoon_data.errors import DiskFullError, LockedError, StorageError


@contextmanager
def sqlite_errors(path: Path) -> Iterator[None]:
    """Turn the errors of a SQLite file into ours.

    Raises:
        DiskFullError: No space is left.
        LockedError: Another process holds it.
        StorageError: It is no such file, or the disk cannot be used.
    """
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_FULL:
            raise DiskFullError(
                f"the disk is full while writing {path.name}", hint="free space and run again"
            ) from error
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise LockedError(f"{path.name} is held by another process", hint="wait until it ends") from error
        raise StorageError(f"{path.name} cannot be used: {error}", hint="check the disk and the file") from error
