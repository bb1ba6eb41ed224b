"""One cleaned object to its file: written beside it by whoever is ready, put in its place in turns."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from racoon_data.deid.receipts import is_done
from racoon_data.deid.writing import Encoded
from racoon_data.files.atomic import whole_file, write_all
from racoon_data.site.lock import turns_in


class _DoneAlready(Exception):  # noqa: N818
    """Another worker, that was given a copy, published the same object meanwhile."""


def publish(encoded: Encoded, path: Path, *, receipt: str, is_hashed: bool) -> str | None:
    """Write an object whole or not at all; workers take turns only at putting it in its place.

    Args:
        encoded: The object.
        path: Its place.
        receipt: Mark of input and treatment.
        is_hashed: Give the hash of what was written.

    Returns:
        The hash, empty where none was asked for; ``None`` where the same object was published meanwhile.

    Raises:
        QuarantineError: Another object was published under the name meanwhile.
        StorageError: The disk is full.
    """
    digest = hashlib.sha256()
    try:
        with whole_file(path, gate=_turn(path, receipt)) as partial, partial.open("wb", buffering=0) as stream:
            for part in encoded.parts():
                if is_hashed:
                    digest.update(part)
                write_all(stream, part)
    except _DoneAlready:
        return None
    return digest.hexdigest() if is_hashed else ""


@contextmanager
def _turn(path: Path, receipt: str) -> Iterator[None]:
    with turns_in(path.parent):
        if is_done(path, receipt):
            raise _DoneAlready
        yield
