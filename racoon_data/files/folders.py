"""Folders that are whole or absent: built beside their place, then renamed into it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from racoon_data.files.atomic import make_folder, storage_errors


@contextmanager
def whole_folder(final: Path) -> Iterator[Path]:
    """Give a temporary folder beside ``final`` and put it in its place when the block succeeds.

    It is removed when the block fails; one that a kill left behind is cleared first.

    Raises:
        StorageError: The disk is full or the place cannot be written; what stood there stands.
    """
    partial = final.with_name(f".{final.name}.partial")
    mend_place(final)
    shutil.rmtree(partial, ignore_errors=True)
    make_folder(partial)
    try:
        yield partial
        put_in_place(partial, final)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def mend_place(final: Path) -> None:
    """Bring back what stood in a place whose change was cut between its two renames."""
    old = _aside(final)
    if old.exists() and not final.exists():
        old.rename(final)
    shutil.rmtree(old, ignore_errors=True)


def put_in_place(partial: Path, final: Path) -> None:
    """Rename a finished folder into its place; what stood there goes when the new one stands."""
    old = _aside(final)
    with storage_errors(final.name):
        if final.exists():
            final.rename(old)
        partial.rename(final)
    shutil.rmtree(old, ignore_errors=True)


def _aside(final: Path) -> Path:
    return final.with_name(f".{final.name}.old")
