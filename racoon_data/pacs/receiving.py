"""What arrives during a retrieval: checked, written whole, noted in the ledger, answered."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet

from racoon_data.errors import RacoonError, StorageError, UnreadableError
from racoon_data.files.atomic import sha256_of, write_bytes
from racoon_data.pacs.part10 import dataset_bytes, file_head, identity_of, read_file_head
from racoon_data.pacs.statuses import CANNOT_UNDERSTAND, DOES_NOT_MATCH, NOT_AUTHORISED, OUT_OF_RESOURCES, SUCCESS
from racoon_data.pacs.uids import instance_path
from racoon_data.refs import InstanceRef
from racoon_data.site.ledger import InstanceState, Ledger

GET_MODEL = StudyRootQueryRetrieveInformationModelGet
GET_MESSAGE_ID = 1
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Arrival:
    """One C-STORE request.

    Attributes:
        sop_class_uid: The command's SOP class.
        sop_uid: The command's SOP instance.
        transfer_syntax: How the data set is encoded.
        encoded: The data set, as sent.
    """

    sop_class_uid: str
    sop_uid: str
    transfer_syntax: str
    encoded: bytes


class Receiver:
    """Takes the instances of one study into the spool.

    An instance that was not asked for, or whose data set is not what the command says, is refused.
    The same bytes again are fine; other bytes under a UID that is already there leave the first file
    untouched and mark the instance as conflicting.

    Attributes:
        error: The storage error that ended the retrieval, if one did.
        heard_at: When the peer was last heard (monotonic seconds).
    """

    def __init__(
        self,
        study_uid: str,
        wanted: Mapping[str, InstanceRef],
        *,
        spool: Path,
        ledger: Ledger,
        on_arrival: Callable[[InstanceRef], None],
    ) -> None:
        """Prepare to receive.

        Args:
            study_uid: The study that was asked for.
            wanted: References by SOPInstanceUID; empty where the PACS could not list them, then
                every instance of the study is taken.
            spool: Folder for files.
            ledger: Where each end is noted.
            on_arrival: Called after each instance that was written.
        """
        self._study_uid = study_uid
        self._wanted = wanted
        self._spool = spool
        self._ledger = ledger
        self._on_arrival = on_arrival
        self.error: StorageError | None = None
        self.heard_at = time.monotonic()

    def on_store(self, event: Any) -> int:
        """Answer a C-STORE request of pynetdicom with a status.

        When the disk is full the peer is asked to stop (C-CANCEL); whatever it sends nonetheless is
        answered "out of resources" without another write.
        """
        request = event.request
        arrival = Arrival(
            str(request.AffectedSOPClassUID),
            str(request.AffectedSOPInstanceUID),
            str(event.context.transfer_syntax),
            event.encoded_dataset(include_meta=False),
        )
        was_well = self.error is None
        status = self.take(arrival)
        if was_well and self.error is not None:
            event.assoc.send_c_cancel(GET_MESSAGE_ID, query_model=GET_MODEL)
        return status

    def take(self, arrival: Arrival) -> int:
        """Check, write and note one instance.

        Returns:
            The C-STORE status for the sender. A full disk is also kept in ``error``.
        """
        self.heard_at = time.monotonic()
        if self.error is not None:
            return OUT_OF_RESOURCES
        try:
            return self._take(arrival)
        except StorageError as error:
            self.error = error
            return OUT_OF_RESOURCES
        except Exception as error:  # noqa: BLE001 - the border to the peer: whatever it sent, it gets a status
            logger.error("unexpected %s while receiving", type(error).__name__)
            self._refuse(arrival.sop_uid, f"unexpected {type(error).__name__}", InstanceState.FAILED)
            return CANNOT_UNDERSTAND

    def _take(self, arrival: Arrival) -> int:
        if self._wanted and arrival.sop_uid not in self._wanted:
            logger.warning("refused instance %s: it was not asked for", arrival.sop_uid[:64])
            return NOT_AUTHORISED
        try:
            identity = identity_of(arrival.encoded, arrival.transfer_syntax)
        except UnreadableError as error:
            self._refuse(arrival.sop_uid, error.message, InstanceState.FAILED)
            return CANNOT_UNDERSTAND
        ref = self._wanted.get(arrival.sop_uid, identity.ref)
        if (identity.ref, identity.sop_class_uid) != (ref, arrival.sop_class_uid) or ref.sop_uid != arrival.sop_uid:
            self._refuse(arrival.sop_uid, "the data set carries other UIDs than it was sent under")
            return DOES_NOT_MATCH
        if ref.study_uid != self._study_uid:
            self._refuse(arrival.sop_uid, "it does not belong to the study that was asked for")
            return NOT_AUTHORISED
        return self._keep(ref, file_head(arrival.sop_class_uid, ref.sop_uid, arrival.transfer_syntax), arrival.encoded)

    def _keep(self, ref: InstanceRef, head: bytes, encoded: bytes) -> int:
        path = instance_path(self._spool, ref)
        digest = hashlib.sha256(head)
        digest.update(encoded)
        sha256 = digest.hexdigest()
        if path.exists() and sha256_of(path) != sha256:
            self._refuse(ref.sop_uid, "other bytes than the file already there", InstanceState.CONFLICTING)
            return SUCCESS
        if not path.exists():
            write_bytes(path, head + encoded)
        self._ledger.arrived(ref, path, len(head) + len(encoded), sha256)
        self._on_arrival(ref)
        return SUCCESS

    def _refuse(self, sop_uid: str, reason: str, state: InstanceState = InstanceState.REFUSED) -> None:
        if sop_uid in self._wanted:
            self._ledger.failed(self._wanted[sop_uid], state, reason)
        logger.warning("instance %s %s: %s", sop_uid[:64], state, reason)


def adopt(spool: Path, ledger: Ledger, refs: tuple[InstanceRef, ...]) -> None:
    """Note files that are whole in the spool though the ledger does not know: the process was killed in between.

    A row whose file is gone or has another size is made due again.
    """
    known = {row.ref.sop_uid: row for row in ledger.instances(refs[0].study_uid)} if refs else {}
    for ref in refs:
        path = instance_path(spool, ref)
        row = known.get(ref.sop_uid)
        if row is None or row.state is InstanceState.CONFLICTING:
            continue
        is_there = path.is_file() and path.stat().st_size > 0
        if row.state is InstanceState.ARRIVED:
            if not is_there or path.stat().st_size != row.size or row.path != path.resolve():
                ledger.failed(ref, InstanceState.WANTED, "the file is gone or was changed")
                path.unlink(missing_ok=True)
        elif is_there:
            if _is_instance(path, ref):
                ledger.arrived(ref, path, path.stat().st_size, sha256_of(path))
            else:
                path.unlink()


def _is_instance(path: Path, ref: InstanceRef) -> bool:
    try:
        head = read_file_head(path)
        return identity_of(dataset_bytes(path), head.transfer_syntax).ref == ref
    except RacoonError:
        return False
