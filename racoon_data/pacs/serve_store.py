"""How the embedded PACS keeps an instance: checked, durable, indexed, and only then confirmed."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from racoon_data.errors import DicomError, DiskFullError, StorageError
from racoon_data.files.atomic import make_folder, storage_errors
from racoon_data.pacs.part10 import FileHead, Identity, dataset_bytes, identity_of
from racoon_data.pacs.statuses import (
    CANNOT_UNDERSTAND,
    DOES_NOT_MATCH,
    DUPLICATE,
    NOT_AUTHORISED,
    OUT_OF_RESOURCES,
    PROCESSING_FAILURE,
    SUCCESS,
)
from racoon_data.pacs.uids import instance_path

if TYPE_CHECKING:
    from racoon_data.pacs.serve import EmbeddedPacs

logger = logging.getLogger(__name__)

RECEIVED = "received"
_IDENTITY_BYTES = 4 << 20


@contextmanager
def incoming(pacs: EmbeddedPacs) -> Iterator[Path]:
    """Give a file to write an instance to; what is left of it is removed.

    Raises:
        StorageError: The folder cannot be written.
    """
    make_folder(pacs.folder / RECEIVED)
    path = pacs.folder / RECEIVED / f".{uuid4().hex}.partial"
    try:
        yield path
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def keep(pacs: EmbeddedPacs, partial: Path, head: FileHead, *, study_uid: str = "") -> int:
    """Take a whole file into the archive and its index.

    Args:
        pacs: The PACS.
        partial: The file, with our file meta information.
        head: What it was sent as.
        study_uid: The study it must belong to; empty for any.

    Returns:
        A status of C-STORE; success only where the file is safe on disk and can be found.
    """
    if pacs.is_read_only:
        return NOT_AUTHORISED
    try:
        with storage_errors("an instance"):
            return _keep(pacs, partial, head, study_uid)
    except DiskFullError:
        return OUT_OF_RESOURCES
    except DicomError:
        return CANNOT_UNDERSTAND
    except (StorageError, sqlite3.Error) as error:
        logger.error("an instance was not kept: %s", type(error).__name__)
        return PROCESSING_FAILURE


def _keep(pacs: EmbeddedPacs, partial: Path, head: FileHead, study_uid: str) -> int:
    identity = _identity(partial, head.transfer_syntax)
    if (head.sop_class_uid, head.sop_uid) != (identity.sop_class_uid, identity.ref.sop_uid):
        return DOES_NOT_MATCH
    is_elsewhere = study_uid not in ("", identity.ref.study_uid)
    if is_elsewhere or not (identity.ref.study_uid and identity.ref.series_uid):
        return DOES_NOT_MATCH
    with pacs.store_lock:
        present = pacs.index.stored("IMAGE", {"SOPInstanceUID": identity.ref.sop_uid})
        if present:
            return SUCCESS if _is_same(present[0].path, partial) else DUPLICATE
        path = instance_path(pacs.folder / RECEIVED, identity.ref)
        _settle(partial, path)
        try:
            is_found = pacs.index.add(path)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        if not is_found:
            path.unlink(missing_ok=True)
            return CANNOT_UNDERSTAND
    return SUCCESS


def _settle(partial: Path, path: Path) -> None:
    """Make a file durable and give it its name, durably too."""
    make_folder(path.parent)
    for place in (partial, path.parent):
        handle = os.open(place, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        if place is partial:
            partial.replace(path)


def _identity(path: Path, transfer_syntax: str) -> Identity:
    with path.open("rb") as stream:
        stream.seek(140)
        stream.seek(144 + int.from_bytes(stream.read(4), "little"))
        return identity_of(stream.read(_IDENTITY_BYTES), transfer_syntax)


def _is_same(path: Path, partial: Path) -> bool:
    with suppress(FileNotFoundError, DicomError):
        return dataset_bytes(path) == dataset_bytes(partial)
    return False
