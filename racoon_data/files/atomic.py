"""Writes that are whole or absent: a temporary name, then a rename."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from racoon_data.errors import DiskFullError, StorageError

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_WAY = {
    *(errno.EACCES, errno.EPERM, errno.EROFS),
    *(errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG),
}
_CHUNK = 1 << 20
_PARTIAL = ".partial"


@contextmanager
def storage_errors(what: str) -> Iterator[None]:
    """Turn a disk that cannot take a file into an error a person understands.

    Raises:
        DiskFullError: The disk or quota is full.
        StorageError: The place is read-only, closed to us, or something else stands there.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise DiskFullError(f"the disk is full while writing {what}", hint="free space and run again") from error
        if error.errno in _NO_WAY:
            hint = "name another folder, or ask for the right to write there"
            raise StorageError(f"{what} cannot be written: {error.strerror}", hint=hint) from error
        raise


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, where they are absent.

    Raises:
        StorageError: It cannot be made, or the disk is full.
    """
    with storage_errors(f"folder {folder.name}"):
        folder.mkdir(parents=True, exist_ok=True)


@contextmanager
def whole_file(path: Path, *, gate: AbstractContextManager[object] | None = None) -> Iterator[Path]:
    """Give a temporary path beside ``path`` and rename it there when the block succeeds.

    The temporary file is removed when the block fails, so what exists under ``path`` is whole.

    Args:
        path: Where the file is to stand.
        gate: Held while the file is renamed; an error that it raises keeps the file away.

    Raises:
        StorageError: The disk is full or the place cannot be written; nothing is left behind.
    """
    make_folder(path.parent)
    partial = path.with_name(f".{path.name[:80]}.{os.getpid()}{_PARTIAL}")
    try:
        with storage_errors(path.name):
            yield partial
            with gate or nullcontext():
                os.replace(partial, path)
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


def write_all(stream: io.RawIOBase, part: bytes | memoryview) -> None:
    """Write bytes to an unbuffered stream, all of them: one call may take fewer."""
    left = memoryview(part)
    while left:
        left = left[stream.write(left) or 0 :]


def is_partial(name: str) -> bool:
    """Tell whether a name is the temporary one of ``whole_file``: a killed process may leave such a file behind."""
    return name.startswith(".") and name.endswith(_PARTIAL)


def sweep_partials(folder: Path, *, ending: str = "") -> int:
    """Remove temporary files below a folder that killed processes left; those of living processes stay.

    Args:
        folder: Where to look.
        ending: Only those of files whose names end so, such as ``.dcm``.

    Returns:
        How many were removed.
    """
    pattern = f".*{ending}.*{_PARTIAL}" if ending else f".*{_PARTIAL}"
    left = [path for path in folder.rglob(pattern) if not _is_alive(_writer_of(path))]
    for path in left:
        path.unlink(missing_ok=True)
    return len(left)


def _writer_of(path: Path) -> int:
    """Read the process id in a temporary name (``.NAME.PID.partial`` or ``.NAME.PID.NUMBER.partial``)."""
    numbers = [part for part in path.name.removesuffix(_PARTIAL).split(".")[-2:] if part.isdigit()]
    return int(numbers[0]) if numbers else 0


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0) if process else None
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return process != 0


def share_file(source: Path, target: Path, *, is_copy: bool = False) -> None:
    """Put a file in a second place: a hard link where the disk knows them, else a copy, whole or not at all.

    Args:
        source: The file.
        target: Where it is to stand too; what stands there goes.
        is_copy: Make a copy in any case.

    Raises:
        StorageError: The disk is full or the place cannot be written.
    """
    make_folder(target.parent)
    with storage_errors(target.name):
        target.unlink(missing_ok=True)
        try:
            if not is_copy:
                os.link(source, target)
                return
        except OSError:  # another disk, or a network disk that knows no hard links
            pass
    with whole_file(target) as partial:
        shutil.copyfile(source, partial)


def write_bytes(path: Path, data: bytes) -> None:
    """Write bytes whole or not at all."""
    with whole_file(path) as partial:
        partial.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text whole or not at all."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, document: Any) -> None:
    """Write JSON whole or not at all: keys in given order, two spaces, a final newline."""
    write_text(path, json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def sha256_of(path: Path) -> str:
    """Hash a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        update: Callable[[bytes], None] = digest.update
        while chunk := stream.read(_CHUNK):
            update(chunk)
    return digest.hexdigest()
