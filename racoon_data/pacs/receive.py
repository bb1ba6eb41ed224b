"""Receive: a storage SCP that takes what known senders send, into a spool with a ledger."""

from __future__ import annotations

import queue
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from racoon_data.errors import DiskFullError, SettingsError
from racoon_data.files.atomic import make_folder, sweep_partials
from racoon_data.pacs.accepting import Welcome, is_within
from racoon_data.pacs.landing import Announced, Landed, Refusal
from racoon_data.pacs.part10 import Identity
from racoon_data.pacs.peer import Tls, check_port, check_title
from racoon_data.pacs.receiving import End, Intake, Journal, is_as_announced
from racoon_data.pacs.statuses import DOES_NOT_MATCH
from racoon_data.pacs.storage_scp import NO_LIMITS, Limits, StorageScp
from racoon_data.refs import InstanceRef, StudyRef, is_uid
from racoon_data.site.ledger import Ledger, StudyVerdict, Verdict

_BACKLOG = 256
_LOOK_S = 0.2
_FLUSH_EVERY = 5
_RESERVE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Desk:
    """Where the receiver listens, to whom, and how much it bears.

    Attributes:
        welcome: Our title and who may come in.
        host: Address to listen on.
        port: Port, 0 for any free one.
        limits: What is borne.
        tls: Files for encrypted connections.

    Raises:
        SettingsError: A title, port or network is none; or everybody could come in from everywhere.
    """

    welcome: Welcome
    host: str = "127.0.0.1"
    port: int = 11112
    limits: Limits = NO_LIMITS
    tls: Tls | None = None

    def __post_init__(self) -> None:
        for title in (self.welcome.ae_title, *self.welcome.callers):
            check_title(title)
        if self.port:
            check_port(self.port)
        try:
            is_within("127.0.0.1", self.welcome.hosts)
            is_local = is_within(self.host, ("127.0.0.0/8", "::1"))
        except ValueError as error:
            hint = "addresses are numbers, networks like 10.1.0.0/16"
            raise SettingsError(f"{error}", hint=hint) from error
        if not is_local and not (self.welcome.callers or self.welcome.hosts):
            hint = "name the AE titles or the addresses that may send"
            raise SettingsError("a receiver that others can reach must know its senders", hint=hint)


class AnyRule:
    """Takes any instance that is what it was sent as and is named by UIDs."""

    def before(self, announced: Announced) -> Refusal | None:
        """Judge the command alone."""
        if is_uid(announced.sop_uid):
            return None
        return Refusal(DOES_NOT_MATCH, "its SOPInstanceUID is no UID")

    def admit(self, announced: Announced, identity: Identity) -> InstanceRef | Refusal:
        """Judge by what the data set says it is."""
        if not is_as_announced(announced, identity):
            return Refusal(DOES_NOT_MATCH, "the data set carries other UIDs than it was sent under")
        if not (is_uid(identity.ref.study_uid) and is_uid(identity.ref.series_uid)):
            return Refusal(DOES_NOT_MATCH, "its study or series has no UID")
        return identity.ref


def receive(
    desk: Desk,
    *,
    spool: Path,
    ledger: Ledger,
    is_over: Callable[[], bool],
    on_end: Callable[[Mapping[str, str]], None],
    on_ready: Callable[[StorageScp], None] = lambda scp: None,
) -> Counter[str]:
    """Take what is sent until told to stop; then let what is under way arrive.

    The same bytes again are fine; other bytes under a known SOPInstanceUID are put aside and the first stay. On a
    full disk everything is answered "out of resources" until there is room again.

    Args:
        desk: Where to listen and to whom.
        spool: Folder for files, ``<study>/<series>/<sop>.dcm``.
        ledger: Remembers every instance; each study is ``unknown-expected`` unless a retrieval said more.
        is_over: Asked several times a second whether to stop.
        on_end: Listener; one table per instance: what became of it, its UIDs, its sender, the reason.
        on_ready: Called when it listens.

    Returns:
        How many instances were stored, duplicates, conflicts or refused.

    Raises:
        StorageError: The port is taken, or the spool cannot be used.
    """
    make_folder(spool)
    sweep_partials(spool)
    ends: queue.Queue[End] = queue.Queue(_BACKLOG)
    intake = Intake(spool, AnyRule(), on_end=ends.put)
    clerk = _Clerk(spool, ledger, on_end)
    scp = StorageScp(desk.welcome, intake, address=(desk.host, desk.port), limits=desk.limits, tls=desk.tls)
    try:
        with scp:
            on_ready(scp)
            while not is_over():
                clerk.take(ends, _LOOK_S)
                _resume_where_free(intake, spool)
            scp.close_door()
            while scp.is_ending():
                clerk.take(ends, _LOOK_S)
    finally:
        clerk.take(ends, 0.0)
        clerk.close()
    return clerk.counts


def _resume_where_free(intake: Intake, spool: Path) -> None:
    if isinstance(intake.error, DiskFullError) and shutil.disk_usage(spool).free > _RESERVE_BYTES:
        intake.error = None


class _Clerk:
    """Notes ends: in the ledger, in the counts, and to the listener."""

    def __init__(self, spool: Path, ledger: Ledger, on_end: Callable[[Mapping[str, str]], None]) -> None:
        self._journal = Journal(ledger, spool)
        self._ledger = ledger
        self._on_end = on_end
        self._studies: set[str] = set()
        self._quiet = 0
        self.counts: Counter[str] = Counter()

    def take(self, ends: queue.Queue[End], wait_s: float) -> None:
        """Note everything that waits; after a quiet second the batch is closed."""
        try:
            end = ends.get(timeout=wait_s) if wait_s else ends.get_nowait()
        except queue.Empty:
            self._quiet += 1
            if self._quiet == _FLUSH_EVERY:
                self.close()
            return
        self._quiet = 0
        self._note(end)
        while not ends.empty():
            self._note(ends.get_nowait())

    def _note(self, one: End) -> None:
        end = one.end
        said = {"sop_uid": one.announced.sop_uid[:64], "sender": one.sender}
        if isinstance(end, Refusal):
            self._tell("refused", {**said, "reason": end.reason, "status": f"0x{end.status:04X}"})
            return
        self._journal.landed(end)
        self._studies.add(end.ref.study_uid)
        self._tell(_kind(end), {**said, "study_uid": end.ref.study_uid, "series_uid": end.ref.series_uid})

    def _tell(self, kind: str, said: dict[str, str]) -> None:
        self.counts[kind] += 1
        self._on_end({"event": kind, **said})

    def close(self) -> None:
        """Close the batch and say of each study that nobody knows whether it is whole."""
        self._journal.flush()
        known = self._ledger.verdicts() if self._studies else {}
        for uid in sorted(self._studies):
            if uid not in known or known[uid].verdict is Verdict.UNKNOWN_EXPECTED:
                arrived = sum(row.path is not None for row in self._ledger.instances(uid))
                self._ledger.set_verdict(StudyVerdict(StudyRef(uid), Verdict.UNKNOWN_EXPECTED, 0, arrived))
        self._studies.clear()


def _kind(landed: Landed) -> str:
    if landed.aside:
        return "conflict"
    return "stored" if landed.is_new else "duplicate"
