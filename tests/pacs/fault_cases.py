"""Fault cases of the wire: what a peer does, the verdict it must get, and a run that shows the verdict it gets."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from racoon_data.errors import StorageError
from racoon_data.pacs import commands
from racoon_data.pacs.channel import Channel
from racoon_data.pacs.expecting import Expectation, verdict_of
from racoon_data.pacs.getting import get
from racoon_data.pacs.link import fragment_head
from racoon_data.pacs.part10 import dataset_bytes
from racoon_data.pacs.peer import PacsNode
from racoon_data.pacs.receiving import Receiver
from racoon_data.refs import InstanceRef, StudyRef
from racoon_data.site.ledger import InstanceState, Ledger
from racoon_data.testing.makers import a_series
from tests.pacs.raw import first_storage, scripted

CT = "1.2.840.10008.5.1.4.1.1.2"
STUDY, SERIES = "1.2.826.0.77", "1.2.826.0.77.1"


@dataclass
class Peer:
    """What a fault case says through a channel: its three instances, and whatever else it makes up."""

    channel: Channel
    data: dict[str, bytes]

    def store(self, uid: str, data: bytes | None = None, *, command_uid: str | None = None) -> None:
        """Send one instance and read the answer."""
        self.announce(uid if command_uid is None else command_uid)
        self.pour(self.data[uid] if data is None else data)
        self.channel.message()

    def announce(self, uid: str, *, has_data: bool = True) -> None:
        """Send a C-STORE command."""
        kind = commands.HAS_DATA_SET if has_data else commands.NO_DATA_SET
        self.channel.send(
            first_storage(self.channel, CT),
            {
                commands.AFFECTED_CLASS: CT, commands.FIELD: commands.C_STORE, commands.MESSAGE_ID: 1,
                commands.PRIORITY: 0, commands.DATA_SET: kind, commands.AFFECTED_UID: uid,
            },
        )  # fmt: skip

    def pour(self, data: bytes, *, is_last: bool = True) -> None:
        """Send a data set in pieces."""
        number = first_storage(self.channel, CT).number
        for start in range(0, len(data) or 1, 4000):
            piece = data[start : start + 4000]
            last = 2 if is_last and start + 4000 >= len(data) else 0
            self.channel.link.send(fragment_head(number, last, len(piece)) + piece)

    def final(self, status: int = 0, completed: int = 3) -> None:
        """End the C-GET."""
        context = self.channel.context_of("1.2.840.10008.5.1.4.1.2.2.3")
        assert context is not None
        self.channel.send(
            context,
            {
                commands.AFFECTED_CLASS: context.abstract_syntax, commands.FIELD: commands.C_GET | commands.RESPONSE,
                commands.ANSWERED_ID: 1, commands.DATA_SET: commands.NO_DATA_SET, commands.STATUS: status,
                commands.COMPLETED: completed, commands.FAILED: 0, commands.WARNED: 0,
            },
        )  # fmt: skip

    def all(self, *, but: str = "") -> None:
        """Send every instance, or all but one."""
        for uid in self.data:
            if uid != but:
                self.store(uid)


@dataclass(frozen=True)
class Case:
    """One fault.

    Attributes:
        name: What the peer does.
        act: How it does it.
        expected: Verdict, arrived of expected, then what became of the others.
        listed: What the peer lists beside its three instances.
        full_after: Instances until the disk is full, ``None`` for a disk with room.
        timeout_s: Longest silence we bear (seconds).
    """

    name: str
    act: Callable[[Peer], None]
    expected: str
    listed: tuple[str, ...] = ()
    full_after: int | None = None
    timeout_s: float = 0.4


def uids() -> tuple[str, str, str]:
    """The three instances of the study."""
    return f"{SERIES}.1", f"{SERIES}.2", f"{SERIES}.3"


ONE, TWO, THREE = uids()
HOSTILE = "../../../../evil"


def _swap(peer: Peer, uid: str, old: str, new: str) -> bytes:
    """The data set of an instance with one UID changed to another of the same length."""
    return peer.data[uid].replace(old.encode(), new.encode())


def _of_another_study(peer: Peer) -> bytes:
    return _swap(peer, TWO, f"UI\x0c\0{STUDY}", "UI\x0c\x001.2.826.0.78")


def _cut_within(peer: Peer) -> None:
    peer.store(ONE)
    peer.announce(TWO)
    peer.pour(peer.data[TWO][:5000], is_last=False)
    peer.channel.link.close()


def _hang_within(peer: Peer) -> None:
    peer.store(ONE)
    peer.announce(TWO)
    peer.pour(peer.data[TWO][:5000], is_last=False)
    time.sleep(1.5)


def _pending_for_ever(peer: Peer) -> None:
    while True:
        peer.final(0xFF00, 0)
        time.sleep(0.05)


def _raw(peer: Peer, data: bytes) -> None:
    peer.store(ONE)
    peer.channel.link.send(data)


def _foreign_context(peer: Peer) -> None:
    peer.store(ONE)
    peer.channel.link.send_command(255, commands.encode({commands.FIELD: commands.C_STORE}))


def _then(*steps: Callable[[Peer], None]) -> Callable[[Peer], None]:
    def act(peer: Peer) -> None:
        for step in steps:
            step(peer)

    return act


def _final(peer: Peer) -> None:
    peer.final()


CASES = (
    Case("sends everything, as it should", _then(Peer.all, _final), "complete 3/3"),
    Case("sends an instance named ../../../../evil that nobody asked for",
         _then(lambda p: p.store(ONE, command_uid=HOSTILE), Peer.all, _final), "complete 3/3"),
    Case("lists an instance named ../../../../evil and sends it",
         _then(Peer.all, lambda p: p.store(ONE, _swap(p, ONE, ONE, HOSTILE.ljust(len(ONE), "\0")), command_uid=HOSTILE),
               _final), "complete 4/4", (HOSTILE,)),
    Case("sends an instance with an empty UID", _then(lambda p: p.store(ONE, command_uid=""), Peer.all, _final),
         "complete 3/3"),
    Case("sends an instance with a UID of 300 digits",
         _then(lambda p: p.store(ONE, command_uid="1." + "9" * 298), Peer.all, _final), "complete 3/3"),
    Case("sends one instance's data set under another's UID",
         _then(lambda p: p.all(but=TWO), lambda p: p.store(ONE, command_uid=TWO), _final), "partial 2/3, 1 refused"),
    Case("sends a data set of another study under a listed UID",
         _then(lambda p: p.all(but=TWO), lambda p: p.store(TWO, _of_another_study(p)), _final),
         "partial 2/3, 1 refused"),
    Case("sends the same instance twice", _then(Peer.all, lambda p: p.store(ONE), _final), "complete 3/3"),
    Case("sends other bytes under a UID it has sent already",
         _then(Peer.all, lambda p: p.store(ONE, p.data[ONE][:-2] + b"\7\7"), _final),
         "partial 2/3, 1 conflicting, 1 aside"),
    Case("leaves one out and reports success", _then(lambda p: p.all(but=THREE), _final), "partial 2/3, 1 failed"),
    Case("sends nothing and reports three completed", _final, "empty 0/3, 3 failed"),
    Case("counts 60,000 completed", _then(lambda p: p.all(but=THREE), lambda p: p.final(0, 60000)),
         "partial 2/3, 1 failed"),
    Case("sends everything and reports failure", _then(Peer.all, lambda p: p.final(0xC000, 0)), "complete 3/3"),
    Case("closes the connection within a data set", _cut_within, "partial 1/3, 2 failed"),
    Case("falls silent within a data set", _hang_within, "partial 1/3, 2 failed"),
    Case("aborts between two instances", _then(lambda p: p.store(ONE), lambda p: p.channel.abort()),
         "partial 1/3, 2 failed"),
    Case("releases without a final status",
         _then(lambda p: p.store(ONE), lambda p: p.channel.link.send(bytes([5, 0, 0, 0, 0, 4, 0, 0, 0, 0]))),
         "partial 1/3, 2 failed"),
    Case("claims a PDU of 4 GiB", lambda p: _raw(p, b"\x04\0\xff\xff\xff\xff" + bytes(64)), "partial 1/3, 2 failed"),
    Case("sends a piece longer than its PDU", lambda p: _raw(p, b"\x04\0\0\0\0\x0a\0\0\xff\xff\x03\x02" + bytes(64)),
         "partial 1/3, 2 failed"),
    Case("sends a PDU of a type that does not exist", lambda p: _raw(p, b"\x4d\0\0\0\0\x04" + bytes(4)),
         "partial 1/3, 2 failed"),
    Case("uses a context that was not accepted", _foreign_context, "partial 1/3, 2 failed"),
    Case("ends a data set within its header", _then(lambda p: p.all(but=TWO), lambda p: p.store(TWO, p.data[TWO][:60]),
         _final), "partial 2/3, 1 failed"),
    Case("sends noise in place of a data set", _then(lambda p: p.all(but=TWO), lambda p: p.store(TWO, b"\xa5" * 9000),
         _final), "partial 2/3, 1 failed"),
    Case("sends a header of 5 MiB before any UID",
         _then(lambda p: p.all(but=TWO), lambda p: p.store(TWO, b"\x07\x00\x10\x00OB\0\0\0\0\0\x7f" + bytes(5 << 20)),
               _final), "partial 2/3, 1 failed"),
    Case("sends a command without a data set",
         _then(lambda p: p.all(but=TWO), lambda p: (p.announce(TWO, has_data=False), p.channel.message()), _final),
         "partial 2/3, 1 failed"),
    Case("answers pending for ever and sends nothing", _pending_for_ever, "empty 0/3, 3 failed", timeout_s=0.1),
    Case("(our disk is full after one instance)", _then(Peer.all, _final), "partial 1/3, storage.full", (), 1),
)  # fmt: skip


def run(case: Case, folder: Path) -> str:
    """Let a case happen and say what became of the study.

    Raises:
        AssertionError: Something was written outside the spool, or left torn.
    """
    made = a_series(folder / "made", study_uid=STUDY, series_uid=SERIES, slices=3)
    data = {uid: _renamed(dataset_bytes(path), old, uid) for path, old, uid in
            zip(made.paths, made.sop_uids, uids(), strict=True)}  # fmt: skip
    spool = folder / "site" / "spool"
    refs = tuple(InstanceRef(STUDY, SERIES, uid) for uid in (*uids(), *case.listed))

    def script(channel: Channel) -> None:
        context, _ = channel.message()
        channel.small_data(context)
        case.act(Peer(channel, data))

    with Ledger(folder / "site" / "ledger.sqlite") as ledger, scripted(script, timeout_s=case.timeout_s) as node:
        expected = Expectation(node.name, StudyRef(STUDY), refs, (CT,), ("CT",), dict.fromkeys(uids(), CT))
        ledger.expect(node.name, refs)
        wanted = {ref.sop_uid: ref for ref in refs}
        receiver = Receiver(STUDY, wanted, spool=spool, ledger=ledger, on_arrival=lambda landed: None)
        room = float("inf") if case.full_after is None else (case.full_after + 0.5) * made.paths[0].stat().st_size
        said = _fetch(node, expected, receiver, ledger, room)
        verdict = verdict_of(ledger, expected)
        states = Counter(row.state for row in ledger.instances(STUDY) if row.state is not InstanceState.ARRIVED)
    others = [f"{count} {state}" for state, count in sorted(states.items()) if said == ""]
    aside = len(list((spool / ".conflicts").glob("*"))) if (spool / ".conflicts").exists() else 0
    _assert_clean(folder, spool)
    return ", ".join(
        [f"{verdict.verdict} {verdict.arrived}/{verdict.expected}", *others, *([f"{aside} aside"] if aside else []),
         *([said] if said else [])]
    )  # fmt: skip


def _renamed(data: bytes, old: str, new: str) -> bytes:
    """Give a data set another SOPInstanceUID, its element's length included."""
    padded, fresh = old.encode() + b"\0" * (len(old) % 2), new.encode() + b"\0" * (len(new) % 2)
    head = b"\x08\x00\x18\x00UI"
    return data.replace(
        head + len(padded).to_bytes(2, "little") + padded, head + len(fresh).to_bytes(2, "little") + fresh
    )


def _fetch(node: PacsNode, expected: Expectation, receiver: Receiver, ledger: Ledger, full_after_bytes: float) -> str:
    """Retrieve once; give the code of the storage error that ended it, if one did."""
    written = 0
    real = os.write

    def write(descriptor: int, data: bytes) -> int:
        nonlocal written
        written += len(data)
        if written > full_after_bytes:
            raise OSError(28, "No space left on device")
        return real(descriptor, data)

    try:
        with mock.patch("racoon_data.pacs.landing.os.write", write):
            reason = get(node, expected, lambda: ledger.missing(STUDY), receiver)
    except StorageError as error:
        return error.code
    for ref in ledger.missing(STUDY):
        row = next(row for row in ledger.instances(STUDY) if row.ref == ref)
        if row.state is InstanceState.WANTED:
            ledger.failed(ref, InstanceState.FAILED, reason)
    return ""


def _assert_clean(folder: Path, spool: Path) -> None:
    outside = [path for path in folder.rglob("*") if path.is_file() and not path.is_relative_to(spool)]
    outside = [path for path in outside if path.parent.name != "made" and "ledger" not in path.name]
    assert outside == []
    assert list(folder.rglob("*.partial")) == []
