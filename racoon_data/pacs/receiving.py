"""What arrives: admitted by rule, landed whole, answered, and noted in the ledger once it is safe on disk."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from racoon_data.errors import RacoonError, StorageError
from racoon_data.files.atomic import make_folder, sha256_of
from racoon_data.pacs import commands
from racoon_data.pacs.channel import Accepted, Channel
from racoon_data.pacs.commands import Command
from racoon_data.pacs.durable import make_durable
from racoon_data.pacs.heads import file_is_whole
from racoon_data.pacs.landing import Announced, Landed, Landing, Refusal
from racoon_data.pacs.part10 import Identity, dataset_bytes, identity_of, read_file_head
from racoon_data.pacs.statuses import DOES_NOT_MATCH, NOT_AUTHORISED, OUT_OF_RESOURCES, SUCCESS
from racoon_data.pacs.uids import instance_path
from racoon_data.refs import InstanceRef
from racoon_data.site.ledger import InstanceState, Ledger

logger = logging.getLogger(__name__)

_JOURNAL_EVERY = 1000
_JOURNAL_BYTES = 64 << 20


class Rule(Protocol):
    """Decides which instances are taken."""

    def before(self, announced: Announced) -> Refusal | None:
        """Judge by the command alone, before a byte of the data set is looked at."""

    def admit(self, announced: Announced, identity: Identity) -> InstanceRef | Refusal:
        """Judge by what the data set says it is."""


def is_as_announced(announced: Announced, identity: Identity) -> bool:
    """Tell whether a data set carries the class and instance it was sent under."""
    return (identity.sop_class_uid, identity.ref.sop_uid) == (announced.sop_class_uid, announced.sop_uid)


@dataclass(frozen=True, slots=True)
class StudyRule:
    """Takes what was asked for: the listed instances of one study, or all of it where the peer could not list them.

    Attributes:
        study_uid: The study.
        wanted: References by SOPInstanceUID; empty where every instance of the study is taken.
    """

    study_uid: str
    wanted: Mapping[str, InstanceRef]

    def before(self, announced: Announced) -> Refusal | None:
        """Refuse what is not on the list."""
        if self.wanted and announced.sop_uid not in self.wanted:
            return Refusal(NOT_AUTHORISED, "it was not asked for")
        return None

    def admit(self, announced: Announced, identity: Identity) -> InstanceRef | Refusal:
        """Refuse what is another object, or of another study, than it was sent as."""
        ref = self.wanted.get(announced.sop_uid, identity.ref)
        if not is_as_announced(announced, identity) or identity.ref != ref:
            return Refusal(DOES_NOT_MATCH, "the data set carries other UIDs than it was sent under")
        if ref.study_uid != self.study_uid:
            return Refusal(NOT_AUTHORISED, "it does not belong to the study that was asked for")
        return ref


@dataclass(frozen=True, slots=True)
class End:
    """What became of one C-STORE request.

    Attributes:
        announced: What was sent.
        end: The file, or why there is none.
        sender: AE title of the sender.
    """

    announced: Announced
    end: Landed | Refusal
    sender: str = ""


class Intake:
    """Answers C-STORE requests: one rule, one spool; each end is handed to the owner, who journals it.

    Attributes:
        error: The storage error after which everything is answered "out of resources".
    """

    def __init__(self, spool: Path, rule: Rule, *, on_end: Callable[[End], None]) -> None:
        """Prepare to receive.

        Args:
            spool: Folder for files.
            rule: What is taken.
            on_end: Called after each request was answered.
        """
        self._spool = str(spool)
        self._rule = rule
        self._on_end = on_end
        self.error: StorageError | None = None

    def store(self, channel: Channel, context: Accepted, command: Command) -> None:
        """Take one instance from a channel and answer it."""
        sop_class, sop_uid = command.text(commands.AFFECTED_CLASS), command.text(commands.AFFECTED_UID)
        announced = Announced(sop_class, sop_uid, context.transfer_syntax)
        landing = Landing(announced, spool=self._spool, admit=self._rule.admit)
        if self.error is not None:
            landing.refusal = Refusal(OUT_OF_RESOURCES, self.error.message, InstanceState.FAILED)
        else:
            landing.refusal = self._rule.before(announced)
        try:
            if command.has_data_set:
                channel.read_data(context, landing.write)
            end = landing.finish()
        finally:
            landing.abandon()
        self.error = self.error or landing.error
        channel.send(
            context,
            {
                commands.AFFECTED_CLASS: sop_class,
                commands.FIELD: commands.C_STORE | commands.RESPONSE,
                commands.ANSWERED_ID: command.number(commands.MESSAGE_ID),
                commands.DATA_SET: commands.NO_DATA_SET,
                commands.STATUS: end.status if isinstance(end, Refusal) else SUCCESS,
                commands.AFFECTED_UID: sop_uid,
            },
        )
        channel.link.note_progress()
        self._on_end(End(announced, end, channel.peer_title))
        if channel.pace is not None:
            channel.pace.step()


class Journal:
    """Notes ends in the ledger: in batches, and only after what they stand for is safe on disk.

    While the next batch arrives, a thread waits for the disk to take the last one; the ledger is written by the
    owner's thread alone.
    """

    def __init__(self, ledger: Ledger, spool: Path) -> None:
        """Begin an empty batch.

        Args:
            ledger: Where each end is noted.
            spool: The folder whose file system is made durable first.
        """
        self._ledger = ledger
        self._spool = spool
        self._landed: list[Landed] = []
        self._failed: list[tuple[InstanceRef, Refusal]] = []
        self._bytes = 0
        self._pending: list[Landed] = []
        self._syncing: Future[None] | None = None
        self._helper = ThreadPoolExecutor(1, thread_name_prefix="journal")

    def landed(self, landed: Landed) -> None:
        """Note a file; the batch is closed where it grew large."""
        self._landed.append(landed)
        self._bytes += landed.size
        is_large = len(self._landed) >= _JOURNAL_EVERY or self._bytes >= _JOURNAL_BYTES
        if is_large and (self._syncing is None or self._syncing.done()):
            self._finish()
            self._pending, self._landed, self._bytes = self._landed, [], 0
            self._syncing = self._helper.submit(make_durable, self._spool)

    def refused(self, ref: InstanceRef, refusal: Refusal) -> None:
        """Note why an instance is not there."""
        self._failed.append((ref, refusal))

    def flush(self) -> None:
        """Close every batch: durability first, then the ledger.

        Raises:
            DiskFullError: The disk is full.
        """
        self._finish()
        if self._landed:
            make_durable(self._spool)
        landed, failed = self._landed, self._failed
        self._landed, self._failed, self._bytes = [], [], 0
        self._note(landed)
        for ref, refusal in failed:
            self._ledger.failed(ref, refusal.state, refusal.reason)

    def _finish(self) -> None:
        """Wait until the pending batch is durable and note it."""
        if self._syncing is not None:
            syncing, pending = self._syncing, self._pending
            self._syncing, self._pending = None, []
            syncing.result()
            self._note(pending)

    def _note(self, landed: Sequence[Landed]) -> None:
        if landed:
            self._ledger.arrived_many((one.ref, one.path, one.size, one.sha256) for one in landed if not one.aside)
        for one in landed:
            if one.aside:
                there = "/".join(Path(one.aside).parts[-2:])
                reason = f"other bytes than the file already here, which stays; the second lies in the spool as {there}"
                self._ledger.failed(one.ref, InstanceState.CONFLICTING, reason)


class Receiver:
    """Receives one study: the intake, its journal, and the listener who hears of each new file."""

    def __init__(
        self,
        study_uid: str,
        wanted: Mapping[str, InstanceRef],
        *,
        spool: Path,
        ledger: Ledger,
        on_arrival: Callable[[Landed], None],
    ) -> None:
        """Prepare to receive.

        Args:
            study_uid: The study that was asked for.
            wanted: References by SOPInstanceUID; empty where the PACS could not list them.
            spool: Folder for files.
            ledger: Where each end is noted.
            on_arrival: Called after each new file, between two instances; what it raises ends the retrieval.
        """
        make_folder(spool)
        self._wanted = wanted
        self._on_arrival = on_arrival
        self.journal = Journal(ledger, spool)
        self.rule = StudyRule(study_uid, wanted)
        self.spool = spool
        self.arrivals = 0

    def note(self, one: End) -> None:
        """Note what became of one request."""
        if isinstance(one.end, Landed):
            self.arrivals += 1
            self.journal.landed(one.end)
            if one.end.is_new:
                self._on_arrival(one.end)
            return
        sop_uid = one.announced.sop_uid
        if sop_uid in self._wanted:
            self.journal.refused(self._wanted[sop_uid], one.end)
        logger.warning("instance %s %s: %s", sop_uid[:64], one.end.state, one.end.reason)


def adopt(spool: Path, ledger: Ledger, refs: tuple[InstanceRef, ...]) -> None:
    """Note files that are whole in the spool though the ledger does not know: the process was killed in between.

    A row whose file is gone or has another size is made due again.
    """
    known = {row.ref.sop_uid: row for row in ledger.instances(refs[0].study_uid)} if refs else {}
    for ref in refs:
        path = instance_path(spool, ref)
        row = known.get(ref.sop_uid)
        if row is None or row.state in (InstanceState.CONFLICTING, InstanceState.PASSED):
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
        return identity_of(dataset_bytes(path), head.transfer_syntax).ref == ref and file_is_whole(path)
    except RacoonError:
        return False
