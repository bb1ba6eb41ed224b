"""Against others: our client with a real Orthanc, dcmtk's tools with our embedded PACS."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from racoon_data.errors import PacsRefusedError
from racoon_data.events import Event
from racoon_data.outcomes import Status
from racoon_data.pacs.find import find
from racoon_data.pacs.node import echo
from racoon_data.pacs.part10 import dataset_bytes
from racoon_data.pacs.peer import PacsNode
from racoon_data.pacs.push import push
from racoon_data.pacs.retrieve import retrieve
from racoon_data.refs import Query
from racoon_data.site.ledger import Verdict
from racoon_data.testing.makers import a_seg

# pynetdicom installs commands of the same names; dcmdump is dcmtk's alone and shows its folder.
DCMTK = pytest.mark.peers("dcmdump")
ORTHANC = pytest.mark.peers("Orthanc")


def free_port() -> int:
    """A TCP port nobody uses right now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def an_orthanc(folder: Path, **further: object) -> Iterator[PacsNode]:
    """An Orthanc in a folder of its own that knows the title RACOON, with further settings."""
    port, web = free_port(), free_port()
    settings = {
        "Name": "test",
        "StorageDirectory": str(folder / "orthanc"),
        "IndexDirectory": str(folder / "orthanc"),
        "DicomAet": "ORTHANC",
        "DicomPort": port,
        "DicomCheckCalledAet": True,
        "HttpPort": web,
        "RemoteAccessAllowed": False,
        "DicomModalities": {"racoon": ["RACOON", "127.0.0.1", 104]},
        "DicomAlwaysAllowStore": True,
        "TcpNoDelay": True,
        **further,
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    command = [shutil.which("Orthanc") or "Orthanc", str(folder / "orthanc.json")]
    environment = {**os.environ, "TCP_NODELAY": "1"}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    try:
        _await_port(port, process)
        yield PacsNode("orthanc", "127.0.0.1", port, "ORTHANC", timeout_s=20.0)
    finally:
        process.terminate()
        process.wait(timeout=20)


@pytest.fixture
def orthanc(tmp_path: Path) -> Iterator[PacsNode]:
    """An Orthanc as installed."""
    with an_orthanc(tmp_path) as node:
        yield node


def _await_port(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        assert process.poll() is None, "Orthanc ended early"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError("Orthanc does not listen")


def dcmtk(tool: str, *arguments: object, cwd: Path | None = None) -> str:
    """Run one of dcmtk's tools and give back what it says."""
    program = Path(shutil.which("dcmdump") or "").with_name(tool)
    ended = subprocess.run(
        [str(part) for part in (program, *arguments)], capture_output=True, text=True, timeout=60, cwd=cwd, check=False
    )
    assert ended.returncode == 0, ended.stderr + ended.stdout
    return ended.stdout + ended.stderr


@ORTHANC
def test_orthanc_push_find_and_retrieve(orthanc, archive, spool, ledger):
    """What was pushed to Orthanc is found there and comes back with the same data sets, none missing."""
    plan = archive.ct.plan
    mask = np.zeros((plan.slices, plan.rows, plan.columns), bool)
    mask[1:3, 4:9, 5:11] = True
    (seg,) = a_seg(archive.folder / "seg", archive.ct, {"lesion": mask})
    paths = [*archive.ct.paths, *archive.ct_thick.paths, seg.path]
    outcomes = push(orthanc, paths)
    (match,) = find(orthanc, Query("STUDY", {"PatientID": "P1", "NumberOfStudyRelatedInstances": ""}))
    events: list[Event] = []
    (verdict,) = retrieve(orthanc, [archive.study], spool=spool, ledger=ledger, on_event=events.append)
    (again,) = retrieve(orthanc, [archive.study], spool=spool, ledger=ledger, on_event=events.append)

    assert echo(orthanc) > 0
    assert [one.status for one in outcomes] == [Status.DONE] * 11
    assert match.ref == archive.study
    assert (verdict.verdict, verdict.expected, verdict.arrived) == (Verdict.COMPLETE, 11, 11)
    assert again == verdict
    assert [event.kind for event in events].count("receive") == 11
    arrived = {path.stem: dataset_bytes(path) for path in spool.rglob("*.dcm")}
    for uid, path in zip(archive.ct.sop_uids, archive.ct.paths, strict=True):
        assert arrived[uid] == dataset_bytes(path)


@ORTHANC
def test_orthanc_resume_asks_for_what_is_missing(orthanc, archive, spool, ledger):
    """Three deleted files come back from Orthanc by an image-level request; the others are not sent."""
    push(orthanc, [*archive.ct.paths, *archive.ct_thick.paths])
    retrieve(orthanc, [archive.study], spool=spool, ledger=ledger)
    for path in sorted(spool.rglob("*.dcm"))[:3]:
        path.unlink()
    events: list[Event] = []

    (verdict,) = retrieve(orthanc, [archive.study], spool=spool, ledger=ledger, on_event=events.append)

    assert verdict.verdict is Verdict.COMPLETE
    assert [event.kind for event in events].count("receive") == 3


@ORTHANC
def test_orthanc_refusals_are_explained(orthanc):
    """A wrong called title is rejected; an unregistered calling title gets no status and the hint to register."""
    wrong = PacsNode("wrong", orthanc.host, orthanc.port, "OTHER", timeout_s=10.0)
    stranger = PacsNode("stranger", orthanc.host, orthanc.port, "ORTHANC", "STRANGER", timeout_s=10.0)

    with pytest.raises(PacsRefusedError, match="OTHER"):
        echo(wrong)
    with pytest.raises(PacsRefusedError) as caught:
        list(find(stranger, Query()))

    assert "regist" in caught.value.hint


@DCMTK
def test_echoscu_and_findscu(pacs):
    """dcmtk's echo is answered, and its study query sees counts and an umlaut-free wildcard match."""
    address = ("127.0.0.1", pacs.port)
    dcmtk("echoscu", "-aec", "PACS", *address)
    said = dcmtk(
        "findscu", "-S", "-aec", "PACS", *address, "-k", "QueryRetrieveLevel=STUDY", "-k", "PatientID=P?",
        "-k", "StudyDate=20200101-20201231", "-k", "NumberOfStudyRelatedInstances", "-k", "ModalitiesInStudy",
        "-k", "StudyInstanceUID",
    )  # fmt: skip

    assert "1.2.826.0.1.1" in said
    assert "1.2.826.0.1.2]" not in said
    assert "[10]" in said or "10 " in said


@DCMTK
def test_getscu_fetches_a_study(pacs, archive, tmp_path):
    """dcmtk's C-GET receives every instance, byte for byte."""
    (tmp_path / "got").mkdir()
    dcmtk(
        "getscu", "+B", "-S", "-aec", "PACS", "127.0.0.1", pacs.port, "-od", tmp_path / "got",
        "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={archive.study.study_uid}",
    )  # fmt: skip

    sent = {dataset_bytes(path) for made in (archive.ct, archive.ct_thick) for path in made.paths}
    assert {dataset_bytes(path) for path in (tmp_path / "got").iterdir()} == sent


@DCMTK
def test_movescu_receives_a_series(pacs, archive, tmp_path):
    """dcmtk's C-MOVE with its own receiver gets the series it asked for."""
    port = free_port()
    pacs.destinations["MOVER"] = ("127.0.0.1", port)
    dcmtk(
        "movescu", "-S", "-aet", "MOVER", "-aem", "MOVER", "-aec", "PACS", "+P", port, "127.0.0.1", pacs.port,
        "-k", "QueryRetrieveLevel=SERIES", "-k", f"StudyInstanceUID={archive.study.study_uid}",
        "-k", f"SeriesInstanceUID={archive.ct.ref.series_uid}", cwd=tmp_path,
    )  # fmt: skip

    assert len([path for path in tmp_path.iterdir() if path.is_file()]) == 6


@DCMTK
def test_dcmtk_over_the_patient_root(pacs, archive, tmp_path):
    """findscu, getscu and movescu ask at patient level under the Patient Root model, and get what P1 has."""
    port = free_port()
    pacs.destinations["MOVER"] = ("127.0.0.1", port)
    (tmp_path / "got").mkdir()
    (tmp_path / "moved").mkdir()
    ask = ("-P", "-aec", "PACS", "127.0.0.1", pacs.port, "-k", "QueryRetrieveLevel=PATIENT", "-k", "PatientID=P1")
    patients = dcmtk("findscu", *ask, "-k", "PatientName")
    studies = dcmtk(
        "findscu", *ask[:5], "-k", "QueryRetrieveLevel=STUDY", "-k", "PatientID=P2", "-k", "StudyInstanceUID"
    )
    dcmtk("getscu", "+B", *ask, "-od", tmp_path / "got")
    dcmtk("movescu", "-aet", "MOVER", "-aem", "MOVER", "+P", port, *ask, cwd=tmp_path / "moved")

    assert patients.count("Find Response:") == 1
    assert "1.2.826.0.1.2" in studies
    assert len(list((tmp_path / "got").iterdir())) == len(list((tmp_path / "moved").iterdir())) == 10


@DCMTK
def test_storescu_stores(pacs, archive, tmp_path):
    """dcmtk's C-STORE of the same files twice is accepted both times and stored once."""
    for _ in range(2):
        dcmtk("storescu", "-aec", "PACS", "127.0.0.1", pacs.port, *archive.mr.paths)
    (match,) = find(pacs.node(), Query("STUDY", {"PatientID": "P2"}))

    assert match.attributes["NumberOfStudyRelatedInstances"] == "3"
    assert list((archive.folder / "received").rglob("*.dcm")) == []
