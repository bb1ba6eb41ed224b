"""Receiving from others: who may send, what is taken, and what becomes of it."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pydicom
import pytest
from pynetdicom import AE
from pynetdicom.sop_class import CTImageStorage

from racoon_data.errors import PacsBusyError, PacsRefusedError, SettingsError
from racoon_data.files.atomic import sha256_of
from racoon_data.outcomes import Status
from racoon_data.pacs.accepting import Welcome
from racoon_data.pacs.node import echo
from racoon_data.pacs.part10 import dataset_bytes
from racoon_data.pacs.peer import Manners, PacsNode
from racoon_data.pacs.push import push
from racoon_data.pacs.receive import Desk, receive
from racoon_data.pacs.storage_scp import Limits
from racoon_data.site.ledger import Ledger, Verdict
from racoon_data.testing.makers import a_series

ROOT = Path(__file__).parents[2]


@contextmanager
def receiver(folder, welcome=None, **limits):
    """A receiver in a thread: gives a node that sends to it, and the list of its ends."""
    ends, ready, over = [], threading.Event(), threading.Event()
    ports = []

    def run():
        desk = Desk(welcome or Welcome("RECEIVER"), port=0, limits=Limits(**limits))
        with Ledger(folder / "ledger.sqlite") as ledger:
            receive(
                desk, spool=folder / "spool", ledger=ledger, is_over=over.is_set, on_end=ends.append,
                on_ready=lambda scp: (ports.append(scp.port), ready.set()),
            )  # fmt: skip

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(10)
    try:
        yield PacsNode("receiver", "127.0.0.1", ports[0], "RECEIVER", timeout_s=5.0, manners=Manners(retries=0)), ends
    finally:
        over.set()
        thread.join()


def test_what_known_senders_send_is_stored_and_noted(archive, tmp_path):
    """Files lie byte for byte, hashes stand in the ledger, and nobody claims that the study is whole."""
    with receiver(tmp_path / "in") as (node, ends):
        assert echo(node) > 0
        outcomes = push(node, archive.ct.paths)

    assert {one.status for one in outcomes} == {Status.DONE}
    assert [end["event"] for end in ends] == ["stored"] * 6
    with Ledger(tmp_path / "in" / "ledger.sqlite") as ledger:
        rows = ledger.instances(archive.study.study_uid)
        assert ledger.verdicts()[archive.study.study_uid].verdict is Verdict.UNKNOWN_EXPECTED
    sent = dict(zip(archive.ct.sop_uids, archive.ct.paths, strict=True))
    assert {row.ref.sop_uid for row in rows} == set(sent)
    for row in rows:
        assert row.path is not None
        assert sha256_of(row.path) == row.sha256
        assert dataset_bytes(row.path) == dataset_bytes(sent[row.ref.sop_uid])


def test_the_same_again_is_fine_and_another_object_is_put_aside(archive, tmp_path):
    """A duplicate changes nothing; other bytes under a known UID lie in .conflicts, and the first stay."""
    changed = pydicom.dcmread(archive.ct.paths[0])
    changed.SeriesDescription = "changed"
    changed.save_as(tmp_path / "changed.dcm")
    with receiver(tmp_path / "in") as (node, ends):
        push(node, archive.ct.paths[:1])
        push(node, archive.ct.paths[:1])
        push(node, [tmp_path / "changed.dcm"])

    spool = tmp_path / "in" / "spool"
    (stored,) = [path for path in spool.rglob("*.dcm") if ".conflicts" not in path.parts]
    (aside,) = (spool / ".conflicts").iterdir()
    assert [end["event"] for end in ends] == ["stored", "duplicate", "conflict"]
    assert dataset_bytes(stored) == dataset_bytes(archive.ct.paths[0])
    assert dataset_bytes(aside) == dataset_bytes(tmp_path / "changed.dcm")


def test_unknown_titles_and_addresses_are_rejected(tmp_path):
    """A caller that is not on the list, and one that calls another title, hear why."""
    cases = {
        "alling AE title": Welcome("RECEIVER", callers=("SCANNER",)),
        "rejected": Welcome("RECEIVER", hosts=("10.0.0.0/8",)),
        "alled AE title": Welcome("OTHER"),
    }
    for number, (said, welcome) in enumerate(cases.items()):
        with receiver(tmp_path / str(number), welcome) as (node, _), pytest.raises(PacsRefusedError, match=said):
            echo(node)


def test_too_many_associations_are_turned_away_for_now(tmp_path):
    """The third of two is a transient rejection, and room that is free again is used."""
    with receiver(tmp_path / "in", max_associations=2) as (node, _):
        entity = AE(ae_title="RACOON")
        entity.add_requested_context(CTImageStorage)
        held = [entity.associate("127.0.0.1", node.port, ae_title="RECEIVER") for _ in range(2)]
        with pytest.raises(PacsBusyError):
            echo(node)
        for one in held:
            one.release()
        time.sleep(0.3)
        assert echo(node) > 0


def test_a_hostile_instance_is_refused_with_its_reason(tmp_path):
    """UIDs that are none never become files, not even hashed ones."""
    made = a_series(tmp_path / "hostile", slices=1)
    hostile = pydicom.dcmread(made.paths[0])
    hostile.file_meta.MediaStorageSOPInstanceUID = "1.2/../../../x"
    hostile.SOPInstanceUID = pydicom.uid.UID("1.2/../../../x", validation_mode=0)
    hostile.save_as(tmp_path / "hostile.dcm", enforce_file_format=False)
    with receiver(tmp_path / "in") as (node, ends):
        (outcome,) = push(node, [tmp_path / "hostile.dcm"])

    assert (outcome.status, "0xA900" in outcome.message) == (Status.FAILED, True)
    assert [(end["event"], end["reason"]) for end in ends] == [("refused", "its SOPInstanceUID is no UID")]
    assert list((tmp_path / "in" / "spool").rglob("*.dcm")) == []


def test_a_full_disk_is_answered_and_left_without_a_trace(archive, tmp_path, monkeypatch):
    """ENOSPC becomes status A700 for this and the next instance, and no torn file stays."""
    real_write, calls = os.write, []

    def full(descriptor, data):
        calls.append(descriptor)
        if len(calls) > 3:
            raise OSError(28, "No space left on device")
        return real_write(descriptor, data)

    monkeypatch.setattr("racoon_data.pacs.landing.os.write", full)
    monkeypatch.setattr("racoon_data.pacs.receive._RESERVE_BYTES", 1 << 62)
    with receiver(tmp_path / "in") as (node, ends):
        outcomes = push(node, archive.ct.paths[:3])
        monkeypatch.undo()
        time.sleep(0.5)
        again = push(node, archive.ct.paths[:3])

    assert [one.status for one in outcomes] == [Status.DONE, Status.FAILED, Status.FAILED]
    assert all("0xA700" in one.message for one in outcomes[1:])
    assert [one.status for one in again] == [Status.DONE] * 3
    assert len(list((tmp_path / "in" / "spool").rglob("*.dcm"))) == 3
    assert [path for path in tmp_path.rglob("*.partial")] == []
    assert [end["event"] for end in ends] == ["stored", "refused", "refused", "duplicate", "stored", "stored"]


def test_a_receiver_others_can_reach_must_know_its_senders():
    """Listening to the network without an allow-list, or with one that makes no sense, is refused."""
    with pytest.raises(SettingsError, match="senders"):
        Desk(Welcome("RECEIVER"), host="0.0.0.0")
    with pytest.raises(SettingsError):
        Desk(Welcome("RECEIVER", hosts=("hospital",)))
    assert Desk(Welcome("RECEIVER", callers=("SCANNER",)), host="0.0.0.0").port == 11112


def test_silent_and_senseless_callers_do_not_stay(tmp_path):
    """A caller that says nothing, one that speaks HTTP and one that claims 4 GiB are dropped; the next is served."""
    with receiver(tmp_path / "in", silence_s=0.5) as (node, _):
        began = time.monotonic()
        for opening in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\x01\0\xff\xff\xff\xff" + b"x" * 100):
            with socket.create_connection(("127.0.0.1", node.port), timeout=5) as caller:
                caller.sendall(opening)
                with suppress(ConnectionResetError):
                    assert caller.recv(100) == b""
        assert time.monotonic() - began < 5
        assert echo(node) > 0


def test_a_rate_is_kept(archive, tmp_path):
    """Six slices at 200 kB/s take the time they must."""
    size = sum(path.stat().st_size for path in archive.ct.paths)
    with receiver(tmp_path / "in", bytes_per_s=size / 1.5) as (node, _):
        began = time.monotonic()
        push(node, archive.ct.paths)

        assert time.monotonic() - began > 1.0


def test_the_command_stops_gracefully_and_tells(archive, tmp_path):
    """SIGTERM ends ``racoon pacs receive`` after its sum; its lines are JSON and name each instance."""
    command = [sys.executable, "-m", "racoon_data", "pacs", "receive", "--port", "0", "--from", "RACOON", "--json"]
    process = subprocess.Popen([*command, "--out", str(tmp_path / "in")], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = json.loads(process.stdout.readline())
    node = PacsNode("receiver", "127.0.0.1", said["port"], "RACOON", timeout_s=5.0)
    push(node, archive.mr.paths)
    process.send_signal(signal.SIGTERM)
    lines = [json.loads(line) for line in process.communicate(timeout=30)[0].splitlines()]

    assert (process.returncode, said["event"]) == (0, "listening")
    assert [line["event"] for line in lines] == ["stored"] * 3 + ["sum"]
    assert lines[-1]["stored"] == 3
    with Ledger(tmp_path / "in" / "ledger.sqlite") as ledger:
        assert len(ledger.instances("1.2.826.0.1.2")) == 3


@pytest.mark.peers("dcmdump")
def test_storescu_sends_to_us(archive, tmp_path):
    """dcmtk's storescu delivers a series, and its second delivery is a duplicate."""
    with receiver(tmp_path / "in") as (node, ends):
        tool = next(path for path in ("/usr/bin/storescu", shutil.which("storescu")) if path and Path(path).exists())
        call = [tool, "-aec", "RECEIVER", "127.0.0.1", str(node.port), *map(str, archive.ct.paths)]
        for _ in range(2):
            subprocess.run(call, check=True, capture_output=True, timeout=60)

    assert [end["event"] for end in ends] == ["stored"] * 6 + ["duplicate"] * 6
