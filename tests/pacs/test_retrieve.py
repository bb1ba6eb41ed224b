"""Retrieval: whole files, byte for byte, and only what is missing."""

import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pydicom

from racoon_data.errors import ExitCode
from racoon_data.events import Event
from racoon_data.faults import NO_FAULTS, FaultPlan
from racoon_data.files.atomic import sha256_of
from racoon_data.pacs.expecting import expectation
from racoon_data.pacs.getting import get
from racoon_data.pacs.part10 import dataset_bytes
from racoon_data.pacs.receiving import Receiver
from racoon_data.pacs.retrieve import retrieve
from racoon_data.pacs.serve import EmbeddedPacs
from racoon_data.refs import StudyRef
from racoon_data.site.ledger import InstanceState, Ledger, StudyVerdict, Verdict
from racoon_data.testing.makers import a_series
from tests.pacs.kill_loop import kill_loop

ROOT = Path(__file__).parents[2]


def files_in(folder):
    """Every file below a folder, hidden and partial ones included."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def pull(port, out, *, limit_bytes=None):
    """Start ``racoon pacs pull`` in a process of its own, with a limit on file sizes if given."""

    def limit():
        if limit_bytes:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))

    command = [sys.executable, "-m", "racoon_data", "pacs", "pull", "--port", str(port), "--out", str(out)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=limit)


def test_the_list_of_instances_is_the_expectation(pacs, archive):
    """The PACS is asked for every UID, with SOP classes and modalities."""
    expected = expectation(pacs.node(), archive.study)

    assert {ref.sop_uid for ref in expected.instances} == archive.sop_uids
    assert expected.sop_classes == ("1.2.840.10008.5.1.4.1.1.2",)
    assert expected.modalities == ("CT",)


def test_bytes_arrive_untouched(pacs, archive, spool, ledger):
    """The data set on disk equals the PACS's, byte for byte; hash and size stand in the ledger."""
    retrieve(pacs.node(), [archive.study], spool=spool, ledger=ledger)

    sent = {
        uid: path
        for made in (archive.ct, archive.ct_thick)
        for uid, path in zip(made.sop_uids, made.paths, strict=True)
    }
    for row in ledger.instances(archive.study.study_uid):
        assert row.path is not None
        assert dataset_bytes(row.path) == dataset_bytes(sent[row.ref.sop_uid])
        assert (sha256_of(row.path), row.path.stat().st_size) == (row.sha256, row.size)
        assert pydicom.dcmread(row.path).file_meta.MediaStorageSOPInstanceUID == row.ref.sop_uid


def test_a_second_retrieval_fetches_nothing(pacs, archive, spool, ledger):
    """What is there, and in the ledger, is not asked for again."""
    retrieve(pacs.node(), [archive.study], spool=spool, ledger=ledger)
    events: list[Event] = []

    (verdict,) = retrieve(pacs.node(), [archive.study], spool=spool, ledger=ledger, on_event=events.append)

    assert verdict.verdict is Verdict.COMPLETE
    assert [event.kind for event in events] == ["retrieve"]
    assert {row.attempts for row in ledger.instances(archive.study.study_uid)} == {1}


def test_a_lost_or_damaged_file_is_fetched_again(pacs, archive, spool, ledger):
    """A deleted file and one of another size come back, the others stay."""
    retrieve(pacs.node(), [archive.study], spool=spool, ledger=ledger)
    first, second, *_ = files_in(spool)
    first.unlink()
    second.write_bytes(b"torn")
    events: list[Event] = []

    (verdict,) = retrieve(pacs.node(), [archive.study], spool=spool, ledger=ledger, on_event=events.append)

    assert verdict.verdict is Verdict.COMPLETE
    assert [event.kind for event in events].count("receive") == 2
    assert second.read_bytes() != b"torn"


def test_a_file_the_ledger_missed_is_adopted(pacs, archive, spool, ledger, tmp_path):
    """A kill between rename and journal costs no second transfer."""
    retrieve(pacs.node(), [archive.study], spool=spool, ledger=ledger)
    events: list[Event] = []
    with Ledger(tmp_path / "site" / "new.sqlite") as fresh:
        (verdict,) = retrieve(pacs.node(), [archive.study], spool=spool, ledger=fresh, on_event=events.append)

    assert verdict == StudyVerdict(archive.study, Verdict.COMPLETE, 10, 10)
    assert [event.kind for event in events] == ["retrieve"]


def test_other_bytes_under_a_known_uid_are_a_conflict(pacs, archive, spool, ledger):
    """The first file stays, the second is put aside once, and nobody fetches it for ever."""
    retrieve(pacs.node(), [archive.study], spool=spool, ledger=ledger)
    first = next(row for row in ledger.instances(archive.study.study_uid) if row.ref.series_uid.endswith(".1.1"))
    assert first.path is not None
    before = first.path.read_bytes()
    served = dict(zip(archive.ct.sop_uids, archive.ct.paths, strict=True))[first.ref.sop_uid]
    changed = bytearray(served.read_bytes())
    changed[-1] ^= 1
    served.write_bytes(bytes(changed))
    ledger.failed(first.ref, InstanceState.WANTED, "asked for again")
    aside_uid = {first.ref.sop_uid: first.ref}
    for _ in range(2):
        receiver = Receiver(first.ref.study_uid, aside_uid, spool=spool, ledger=ledger, on_arrival=lambda landed: None)
        expected = expectation(pacs.node(), archive.study)
        get(pacs.node(), expected, lambda: (first.ref,), receiver)

    (aside,) = (spool / ".conflicts").iterdir()
    assert first.path.read_bytes() == before
    assert dataset_bytes(aside) == dataset_bytes(served)
    assert ledger.missing(archive.study.study_uid) == ()
    assert next(one for one in ledger.instances(first.ref.study_uid) if one.ref == first.ref).state == "conflicting"


def test_an_instance_that_moved_to_another_study_is_fetched(tmp_path, spool, ledger):
    """A PACS that sorts an image into another study lists a known UID there; both studies are accounted for."""
    made = a_series(tmp_path / "archive", study_uid="1.2.5", series_uid="1.2.5.1", slices=3)
    with EmbeddedPacs(tmp_path / "archive") as pacs:
        retrieve(pacs.node(), [StudyRef("1.2.5")], spool=spool, ledger=ledger)
        moved = pydicom.dcmread(made.paths[0])
        moved.StudyInstanceUID, moved.SeriesInstanceUID = "1.2.6", "1.2.6.1"
        moved.save_as(made.paths[0])
        pacs.index.refresh()

        (verdict,) = retrieve(pacs.node(), [StudyRef("1.2.6")], spool=spool, ledger=ledger)

    assert verdict == StudyVerdict(StudyRef("1.2.6"), Verdict.COMPLETE, 1, 1)
    assert [row.state for row in ledger.instances("1.2.6")] == [InstanceState.ARRIVED]
    assert len(ledger.instances("1.2.5")) == 3


def test_a_second_node_does_not_hide_what_the_first_still_owes(pacs, archive, spool, ledger, tmp_path):
    """A cache that holds fewer instances cannot make a study complete; the first node can."""
    pacs.faults = FaultPlan(drop_last=2)
    retrieve(pacs.node(), [archive.study], spool=spool, ledger=ledger, attempts=1)
    for path in spool.rglob("*.dcm"):
        (tmp_path / "cache" / path.name).parent.mkdir(exist_ok=True)
        (tmp_path / "cache" / path.name).write_bytes(path.read_bytes())
    pacs.faults = NO_FAULTS
    with EmbeddedPacs(tmp_path / "cache") as cache:
        node = replace(cache.node(), name="cache")
        (from_cache,) = retrieve(node, [archive.study], spool=spool, ledger=ledger)
    (from_first,) = retrieve(pacs.node(), [archive.study], spool=spool, ledger=ledger)

    assert from_cache == StudyVerdict(archive.study, Verdict.PARTIAL, 10, 8)
    assert from_first == StudyVerdict(archive.study, Verdict.COMPLETE, 10, 10)


def test_what_a_node_withdrew_before_it_arrived_is_no_longer_expected(pacs, archive, spool, ledger):
    """An instance deleted at the PACS does not leave its study partial for ever."""
    pacs.faults = FaultPlan(drop_last=1)
    retrieve(pacs.node(), [archive.study], spool=spool, ledger=ledger, attempts=1)
    (owed,) = ledger.missing(archive.study.study_uid)
    dict(zip(archive.ct_thick.sop_uids, archive.ct_thick.paths, strict=True))[owed.sop_uid].unlink()
    pacs.index.refresh()

    (verdict,) = retrieve(pacs.node(), [archive.study], spool=spool, ledger=ledger)

    assert verdict == StudyVerdict(archive.study, Verdict.COMPLETE, 9, 9)


def test_a_study_nobody_has_is_empty(pacs, spool, ledger):
    """A study the PACS does not list gets a verdict of its own."""
    (verdict,) = retrieve(pacs.node(), [StudyRef("1.2.3.4")], spool=spool, ledger=ledger)

    assert (verdict.verdict, verdict.expected, verdict.arrived) == (Verdict.EMPTY, 0, 0)


def test_a_full_disk_stops_and_leaves_no_torn_file(tmp_path):
    """The command ends with the storage code, what arrived is whole, and the next one completes the study."""
    a_series(tmp_path / "archive" / "a", study_uid="1.2.7", series_uid="1.2.7.1", slices=3)
    a_series(tmp_path / "archive" / "b", study_uid="1.2.7", series_uid="1.2.7.2", slices=2, rows=512, columns=512)
    out = tmp_path / "out"
    with EmbeddedPacs(tmp_path / "archive") as pacs:
        full = pull(pacs.port, out, limit_bytes=400_000)
        _, talk = full.communicate(timeout=60)
        after_full = [path for path in files_in(out) if path.suffix != ".lock" and "ledger" not in path.name]
        again = pull(pacs.port, out)
        again.communicate(timeout=60)

    assert full.returncode == ExitCode.STORAGE, talk.decode()
    assert sorted(path.suffix for path in after_full if path.name != ".lock") == [".dcm"] * 3
    assert again.returncode == 0
    with Ledger(out / "ledger.sqlite") as ledger:
        assert ledger.verdicts()["1.2.7"] == StudyVerdict(StudyRef("1.2.7"), Verdict.COMPLETE, 5, 5)
        assert {row.attempts for row in ledger.instances("1.2.7") if row.ref.series_uid == "1.2.7.1"} == {1}


def test_killed_pulls_end_complete(tmp_path):
    """After three kill -9 at random moments the next pull completes the study: none torn, lost or fetched twice."""
    account = kill_loop(tmp_path, kills=3, instances=200, seed=7)

    assert account.is_clean, account
    assert account.kills == 3
