"""One instance on its way to disk: guarded by its own header, written beside its place, renamed when whole."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from racoon_data.errors import DiskFullError, StorageError, UnreadableError
from racoon_data.files.atomic import make_folder, sha256_of, storage_errors
from racoon_data.pacs.heads import file_is_whole, identity_in
from racoon_data.pacs.part10 import Identity, data_set_at, file_head, read_file_head
from racoon_data.pacs.statuses import CANNOT_UNDERSTAND, OUT_OF_RESOURCES
from racoon_data.pacs.uids import safe_name
from racoon_data.refs import InstanceRef
from racoon_data.site.ledger import InstanceState

CONFLICTS = ".conflicts"
MAX_INSTANCE_BYTES = 64 << 30
_CHUNK = 1 << 20
# Two associations may send one instance at the same time; whoever comes second must see the first.
_PLACING = threading.Lock()
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Announced:
    """What a C-STORE request says it sends.

    Attributes:
        sop_class_uid: The command's SOP class.
        sop_uid: The command's SOP instance.
        transfer_syntax: How the data set is encoded.
    """

    sop_class_uid: str
    sop_uid: str
    transfer_syntax: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an instance is not taken.

    Attributes:
        status: What the sender is answered.
        reason: In words, without patient values.
        state: How the ledger remembers it.
    """

    status: int
    reason: str
    state: InstanceState = InstanceState.REFUSED


@dataclass(frozen=True, slots=True)
class Landed:
    """An instance that lies whole on disk.

    Attributes:
        ref: The instance.
        path: Its file.
        size: Bytes of the file.
        sha256: Hash of the file, hexadecimal.
        is_new: Whether it was not there before.
        aside: Where a second, different file under the same UID was put; the first stays.
    """

    ref: InstanceRef
    path: str
    size: int
    sha256: str
    is_new: bool = True
    aside: str = ""


Admit = Callable[[Announced, Identity], InstanceRef | Refusal]


class Landing:
    """Takes the pieces of one data set; nothing is written before its header says that it may.

    Attributes:
        refusal: Why it is not taken, as soon as that is known.
        error: The storage error that stopped it, if one did.
    """

    __slots__ = (
        "_admit", "_announced", "_descriptor", "_digest", "_look_at", "_partial", "_path", "_size", "_spool", "_window",
        "error", "ref", "refusal",
    )  # fmt: skip

    def __init__(self, announced: Announced, *, spool: str, admit: Admit) -> None:
        """Prepare to take one instance.

        Args:
            announced: What the command says.
            spool: Folder for files.
            admit: Decides, once the header is known, which instance this is or why it is refused.
        """
        self._announced = announced
        self._spool = spool
        self._admit = admit
        self._descriptor = -1
        self._window = b""
        self._look_at = 0
        self._size = 0
        self._path = self._partial = ""
        self.ref: InstanceRef | None = None
        self.refusal: Refusal | None = None
        self.error: StorageError | None = None

    def write(self, piece: memoryview) -> None:
        """Take the next piece; after a refusal or an error the rest is let go."""
        if self._descriptor >= 0:
            self._append(piece)
        elif self.refusal is None and self.error is None:
            self._begin(piece, is_all=False)

    def _begin(self, piece: memoryview | bytes, *, is_all: bool) -> None:
        """Open the file when what came so far is admitted."""
        data = self._window + piece if self._window else piece
        if len(data) < self._look_at and not is_all:
            self._window = bytes(data)
            return
        self.look(data, is_all=is_all)
        if self.ref is not None:
            self._open(self.ref)
            self._append(data)

    def look(self, data: memoryview | bytes, *, is_all: bool) -> None:
        """Read the header as far as it came, and judge whether it is admitted."""
        try:
            identity = identity_in(data, self._announced.transfer_syntax, is_all=is_all)
        except UnreadableError as error:
            self.refusal = Refusal(CANNOT_UNDERSTAND, error.message, InstanceState.FAILED)
            self._window = b""
            return
        if identity is None:
            # A header made of many elements is walked again only once it has doubled.
            self._window, self._look_at = bytes(data), 2 * len(data)
            return
        self._window = b""
        verdict = self._admit(self._announced, identity)
        if isinstance(verdict, Refusal):
            self.refusal = verdict
            return
        self.ref = verdict

    def land(self, data: memoryview) -> Landed | Refusal:
        """Put a whole data set that was looked at and admitted in its place."""
        if self.ref is not None:
            self._open(self.ref)
            self._append(data)
        return self.finish()

    def _open(self, ref: InstanceRef) -> None:
        folder = f"{self._spool}/{safe_name(ref.study_uid)}/{safe_name(ref.series_uid)}"
        name = safe_name(ref.sop_uid)
        self._path = f"{folder}/{name}.dcm"
        self._partial = f"{folder}/.{name}.{os.getpid()}.{id(self):x}.partial"
        head = file_head(self._announced.sop_class_uid, ref.sop_uid, self._announced.transfer_syntax)
        self._digest = hashlib.sha256()
        try:
            with storage_errors(f"{name}.dcm"):
                try:
                    self._descriptor = os.open(self._partial, _FLAGS, 0o600)
                except FileNotFoundError:
                    make_folder(Path(folder))
                    self._descriptor = os.open(self._partial, _FLAGS, 0o600)
        except StorageError as error:
            self._give_up(error)
            return
        self._append(head)

    def _append(self, piece: memoryview | bytes) -> None:
        if self._descriptor < 0:
            return
        self._size += len(piece)
        if self._size > MAX_INSTANCE_BYTES:
            self.refusal = Refusal(OUT_OF_RESOURCES, "the instance is larger than 64 GiB", InstanceState.FAILED)
            self.abandon()
            return
        self._digest.update(piece)
        try:
            with storage_errors(f"{safe_name(self._announced.sop_uid)}.dcm"):
                written = os.write(self._descriptor, piece)
                while written < len(piece):
                    written += os.write(self._descriptor, piece[written:])
        except StorageError as error:
            self._give_up(error)

    def _give_up(self, error: StorageError) -> None:
        self.error = error
        is_full = isinstance(error, DiskFullError)
        reason = "the disk is full" if is_full else error.message
        self.refusal = Refusal(OUT_OF_RESOURCES, reason, InstanceState.FAILED)
        self.abandon()

    def abandon(self) -> None:
        """Leave nothing of an instance behind that did not come whole."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            with suppress(OSError):
                os.unlink(self._partial)  # noqa: PTH108 - a hot path, texts throughout

    def finish(self) -> Landed | Refusal:
        """Put the file in its place, now that the data set has ended.

        Returns:
            The file, or why there is none.
        """
        if self._descriptor < 0 and self.refusal is None:
            self._begin(b"", is_all=True)
        if self.refusal is not None or self.ref is None:
            return self.refusal or Refusal(CANNOT_UNDERSTAND, "the data set is empty", InstanceState.FAILED)
        os.close(self._descriptor)
        self._descriptor = -1
        try:
            with _PLACING, storage_errors(f"{safe_name(self.ref.sop_uid)}.dcm"):
                return self._place(self.ref)
        except StorageError as error:
            self._give_up(error)
            with suppress(OSError):
                os.unlink(self._partial)  # noqa: PTH108
            return Refusal(OUT_OF_RESOURCES, error.message, InstanceState.FAILED)

    def _place(self, ref: InstanceRef) -> Landed:
        sha256 = self._digest.hexdigest()
        try:
            os.stat(self._path)  # noqa: PTH116
        except FileNotFoundError:
            os.rename(self._partial, self._path)  # noqa: PTH104
            return Landed(ref, self._path, self._size, sha256)
        there, came = Path(self._path), Path(self._partial)
        if not file_is_whole(there):  # a power failure tore it before it was safe
            came.replace(there)
            return Landed(ref, self._path, self._size, sha256)
        if is_same_object(there, came):
            came.unlink()
            return Landed(ref, self._path, there.stat().st_size, sha256_of(there), is_new=False)
        aside = Path(self._spool) / CONFLICTS / f"{safe_name(ref.sop_uid)}.{sha256[:16]}.dcm"
        make_folder(aside.parent)
        came.replace(aside)
        return Landed(ref, self._path, self._size, sha256, is_new=False, aside=str(aside))


def is_same_object(one: Path, other: Path) -> bool:
    """Tell whether two files hold the same data set in the same encoding, byte for byte.

    The file meta information is left out but for the encoding: another version of racoon names itself there.
    """
    if read_file_head(one).transfer_syntax != read_file_head(other).transfer_syntax:
        return False
    start, begin = data_set_at(one), data_set_at(other)
    if one.stat().st_size - start != other.stat().st_size - begin:
        return False
    with one.open("rb") as first, other.open("rb") as second:
        first.seek(start)
        second.seek(begin)
        while chunk := first.read(_CHUNK):
            if chunk != second.read(_CHUNK):
                return False
    return True
