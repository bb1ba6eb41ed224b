"""WADO-RS through the same door as C-GET: ours against ours, with every fault of the plan."""

import errno
import os
import threading
import tracemalloc
from dataclasses import replace

import pytest
from pydicom import dcmread

from racoon_data.errors import DiskFullError, PacsError, PacsRefusedError
from racoon_data.events import Event
from racoon_data.faults import NO_FAULTS, FaultPlan
from racoon_data.pacs.part10 import dataset_bytes
from racoon_data.pacs.peer import Manners
from racoon_data.pacs.retrieve import retrieve
from racoon_data.pacs.serve_web import WebService
from racoon_data.refs import StudyRef
from racoon_data.site.ledger import InstanceState, Ledger, Verdict

HASTY = Manners(retries=1, backoff_s=0.01)


@pytest.fixture
def web(pacs):
    """The DICOMweb side of the embedded PACS."""
    with WebService(pacs) as running:
        yield running


@pytest.fixture
def fetched(web, archive, spool, ledger):
    """Retrieve the study under a fault plan."""

    def run(plan=NO_FAULTS, *, attempts=1, study=archive.study, on_event=lambda event: None, **options):
        web.pacs.faults = plan
        node = web.node(manners=HASTY, **{"timeout_s": 5.0, **options})
        (verdict,) = retrieve(node, [study], spool=spool, ledger=ledger, attempts=attempts, on_event=on_event)
        return verdict

    return run


def test_a_study_arrives_as_over_dicom(fetched, pacs, archive, spool, ledger, tmp_path):
    """The files are the same bytes whichever way the study came, and the ledger knows each."""
    verdict = fetched()
    with Ledger(tmp_path / "other" / "ledger.sqlite") as other:
        retrieve(pacs.node(), [archive.study], spool=tmp_path / "other" / "spool", ledger=other)

    over_http = {path.relative_to(spool): path.read_bytes() for path in spool.rglob("*.dcm")}
    second = tmp_path / "other" / "spool"
    over_dicom = {path.relative_to(second): path.read_bytes() for path in second.rglob("*.dcm")}
    assert (verdict.verdict, verdict.expected, verdict.arrived) == (Verdict.COMPLETE, 10, 10)
    assert over_http == over_dicom
    assert {row.state for row in ledger.instances(archive.study.study_uid)} == {InstanceState.ARRIVED}


def test_only_what_is_missing_is_asked_for(fetched, web, archive, spool):
    """A series that is gone is asked for as a series, a single file by name, and nothing else is sent."""
    fetched()
    for uid in archive.ct_thick.sop_uids:
        next(spool.rglob(f"{uid}.dcm")).unlink()
    next(spool.rglob(f"{archive.ct.sop_uids[2]}.dcm")).unlink()
    events: list[Event] = []
    before = web.served

    verdict = fetched(on_event=events.append)

    assert verdict.verdict is Verdict.COMPLETE
    assert [event.kind for event in events].count("receive") == 5
    assert web.served - before == 10  # count, series list and two image lists, two pages each; one series, one instance


CASES = {
    "die_after": (FaultPlan(die_after=4), 4, {InstanceState.FAILED}),
    "drop_last": (FaultPlan(drop_last=2), 8, {InstanceState.FAILED}),
    "wrong_uid": (FaultPlan(wrong_uid_at=2), 9, {InstanceState.REFUSED}),
    "renamed": (FaultPlan(renamed_at=0), 9, {InstanceState.FAILED}),
    "truncated": (FaultPlan(truncate_at=3), 3, {InstanceState.FAILED}),
    "first_truncated": (FaultPlan(truncate_at=1), 1, {InstanceState.FAILED}),
    "giant_part": (FaultPlan(giant_pdu_at=3), 3, {InstanceState.FAILED}),
    "too_long": (FaultPlan(wrong_length=100), 10, set()),
    "too_short": (FaultPlan(wrong_length=-100), 9, {InstanceState.FAILED}),
    "other_bytes": (FaultPlan(other_bytes_at=2), 9, {InstanceState.CONFLICTING}),
}


@pytest.mark.parametrize(("plan", "arrived", "states"), CASES.values(), ids=CASES.keys())
def test_a_fault_ends_in_the_right_verdict(fetched, archive, spool, ledger, plan, arrived, states):
    """What came whole is kept, the rest is named, no partial file exists, and a sound peer completes the study."""
    partial = fetched(plan)
    rows = ledger.instances(archive.study.study_uid)

    assert partial.arrived == arrived
    assert {row.state for row in rows} - {InstanceState.ARRIVED} == states
    assert list(spool.rglob("*.partial")) == []
    assert all(row.reason for row in rows if row.state is not InstanceState.ARRIVED)
    if InstanceState.CONFLICTING not in states:
        events: list[Event] = []
        assert fetched(on_event=events.append).verdict is Verdict.COMPLETE
        assert [event.kind for event in events].count("receive") == 10 - arrived


def test_the_first_of_two_different_files_stays(fetched, archive, spool):
    """The second one lies aside, marked as a conflict."""
    fetched(FaultPlan(other_bytes_at=0))

    kept = [path for path in spool.rglob("*.dcm") if ".conflicts" not in path.parts]
    aside = [path for path in spool.rglob("*.dcm") if ".conflicts" in path.parts]
    assert len(kept) == 10
    assert not any("PatientComments" in dcmread(path) for path in kept)
    assert [dcmread(path).PatientComments for path in aside] == ["altered"]


def test_a_hanging_service_is_left(fetched):
    """Silence ends the attempt by our own clock; what came is kept."""
    verdict = fetched(FaultPlan(hang_after=3), timeout_s=0.5)

    assert (verdict.verdict, verdict.arrived) == (Verdict.PARTIAL, 3)


def test_a_path_as_uid_leads_nowhere(fetched, spool, tmp_path):
    """An instance listed and sent under a path lies in the spool under a hash."""
    verdict = fetched(FaultPlan(traversal_uid_at=1))

    assert (verdict.verdict, verdict.expected) == (Verdict.COMPLETE, 10)
    assert list(tmp_path.rglob("*racoon-escape*")) == []
    assert len(list(spool.rglob("*/*/uid-*.dcm"))) == 1


def test_what_nobody_asked_for_is_refused(fetched, archive, spool):
    """Instances of another study do not enter the spool."""
    verdict = fetched(FaultPlan(unrequested=2))

    assert verdict.verdict is Verdict.COMPLETE
    assert {path.stem for path in spool.rglob("*.dcm")} == archive.sop_uids


def test_a_redirect_to_another_host_is_refused(fetched):
    """The request and its secret go nowhere else."""
    with pytest.raises(PacsRefusedError, match=r"evil\.example\.org"):
        fetched(FaultPlan(redirect_to="http://evil.example.org"))


def test_a_busy_service_is_waited_for(fetched):
    """One 503 with Retry-After is borne."""
    assert fetched(FaultPlan(busy=1, retry_after_s=0)).verdict is Verdict.COMPLETE


def test_a_service_that_lists_nothing_gives_an_unknown_expectation(fetched):
    """Without a list the whole study is taken, and the verdict does not claim that it is complete."""
    verdict = fetched(FaultPlan(silent_cap=0))

    assert (verdict.verdict, verdict.arrived) == (Verdict.UNKNOWN_EXPECTED, 10)


def test_lying_counts_do_not_make_a_study_partial(fetched):
    """The list of instances decides."""
    assert fetched(FaultPlan(lie_about_counts=7)).verdict is Verdict.COMPLETE


def test_nothing_there_is_empty(fetched):
    """A study the service does not hold is empty, and the reason names the status."""
    verdict = fetched(study=StudyRef("1.2.3.4"))

    assert verdict.verdict is Verdict.EMPTY


def test_nobody_there_is_an_error(fetched, web):
    """A service that is gone is an error before anything is judged."""
    web.stop()

    with pytest.raises(PacsError):
        fetched()


def test_a_full_disk_ends_the_retrieval(fetched, archive, spool, ledger, monkeypatch):
    """No space is an error of its own; what arrived before is in the ledger."""
    real, count = os.write, 0

    def full(handle, data):
        nonlocal count
        count += len(data) > 600
        if count > 5:
            raise OSError(errno.ENOSPC, "no space")
        return real(handle, data)

    monkeypatch.setattr("racoon_data.pacs.landing.os.write", full)
    with pytest.raises(DiskFullError):
        fetched()
    monkeypatch.undo()

    assert list(spool.rglob("*.partial")) == []
    assert fetched().verdict is Verdict.COMPLETE


def test_two_gigabytes_would_not_be_gathered(fetched, web, archive, tmp_path, spool, ledger):
    """A 64 MiB multi-frame passes with a few MiB of memory."""
    large = dcmread(archive.mr.paths[0])
    large.StudyInstanceUID, large.SeriesInstanceUID, large.SOPInstanceUID = "1.2.77", "1.2.77.1", "1.2.77.1.1"
    large.file_meta.MediaStorageSOPInstanceUID = "1.2.77.1.1"
    large.Rows, large.Columns, large.NumberOfFrames = 1024, 1024, 32
    large.PixelData = bytes(1024 * 1024 * 2 * 32)
    large.save_as(archive.folder / "large.dcm")
    del large
    web.pacs.index.refresh()
    tracemalloc.start()
    verdict = fetched(study=StudyRef("1.2.77"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert verdict.verdict is Verdict.COMPLETE
    assert peak < 16 << 20


def test_sessions_leave_no_thread(fetched):
    """The client runs in the caller's thread alone."""
    before = threading.active_count()
    fetched()

    assert threading.active_count() <= before + 3  # threads of the service's own connections


def test_a_node_with_a_web_side_can_use_it(pacs, web, archive, spool, ledger):
    """A DICOM peer whose ``retrieve`` is wado is asked over DICOM and fetched from over HTTP."""
    node = replace(pacs.node(), retrieve="wado", web=web.node())

    (verdict,) = retrieve(node, [archive.study], spool=spool, ledger=ledger)

    assert verdict.verdict is Verdict.COMPLETE
    assert web.served == 1
    assert {dataset_bytes(path) for path in spool.rglob("*.dcm")} == {
        dataset_bytes(path) for path in (*archive.ct.paths, *archive.ct_thick.paths)
    }
