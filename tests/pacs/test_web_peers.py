"""DICOMweb against others: our client with a real Orthanc and its DICOMweb plug-in."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import JPEG2000Lossless

from racoon_data.events import Event
from racoon_data.outcomes import Status
from racoon_data.pacs.part10 import dataset_bytes, read_file_head
from racoon_data.pacs.peer import WebNode
from racoon_data.pacs.retrieve import retrieve
from racoon_data.pacs.web.qido import echo, find
from racoon_data.pacs.web.stow import push
from racoon_data.refs import Query
from racoon_data.site.ledger import Verdict
from tests.pacs.test_peers import _await_port, free_port

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
ORTHANC = pytest.mark.peers("Orthanc")


@pytest.fixture
def orthanc(tmp_path, monkeypatch):
    """An Orthanc with DICOMweb that asks for a user and a password."""
    if not PLUGIN.exists():
        pytest.skip("orthanc-dicomweb is not installed")
    web = free_port()
    settings = {
        "StorageDirectory": str(tmp_path / "orthanc"), "IndexDirectory": str(tmp_path / "orthanc"),
        "DicomPort": free_port(), "HttpPort": web, "RemoteAccessAllowed": False, "Plugins": [str(PLUGIN)],
        "AuthenticationEnabled": True, "RegisteredUsers": {"racoon": "geheim"}, "DicomWeb": {"Enable": True},
    }  # fmt: skip
    (tmp_path / "orthanc.json").write_text(json.dumps(settings))
    monkeypatch.setenv("ORTHANC_PASSWORD", "geheim")
    command = [shutil.which("Orthanc") or "Orthanc", str(tmp_path / "orthanc.json")]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": os.environ}
    process = subprocess.Popen(command, **quiet)
    url = f"http://127.0.0.1:{web}/dicom-web"
    try:
        _await_port(web, process)
        yield WebNode("orthanc", url, url, url, user="racoon", password_env="ORTHANC_PASSWORD")
    finally:
        process.terminate()
        process.wait(timeout=20)


@ORTHANC
def test_orthanc_takes_lists_and_returns_a_study(orthanc, archive, spool, ledger):
    """STOW-RS, QIDO-RS at every level with an umlaut and a range, WADO-RS with the same data sets; resume by name."""
    paths = [*archive.ct.paths, *archive.ct_thick.paths, *archive.mr.paths]
    outcomes = push(orthanc, paths)
    (study,) = find(orthanc, Query("STUDY", {"PatientID": "P1", "StudyDate": "20200101-20201231"}))
    (other,) = find(orthanc, Query("STUDY", {"PatientName": "Müller*"}))
    series = list(find(orthanc, Query("SERIES", {"StudyInstanceUID": archive.study.study_uid})))
    images = list(find(orthanc, Query("IMAGE", {"StudyInstanceUID": archive.study.study_uid})))
    (verdict,) = retrieve(orthanc, [archive.study], spool=spool, ledger=ledger)
    for path in sorted(spool.rglob("*.dcm"))[:3]:
        path.unlink()
    events: list[Event] = []
    (again,) = retrieve(orthanc, [archive.study], spool=spool, ledger=ledger, on_event=events.append)

    assert echo(orthanc) > 0
    assert {one.status for one in outcomes} == {Status.DONE}
    assert study.ref == archive.study
    assert study.attributes["NumberOfStudyRelatedInstances"] == "10"
    assert other.attributes["PatientName"] == "Müller^Jörg"
    assert len(series) == 2
    assert {image.ref.sop_uid for image in images} == archive.sop_uids
    assert (verdict.verdict, verdict.arrived) == (Verdict.COMPLETE, 10)
    assert again == verdict
    assert [event.kind for event in events].count("receive") == 3
    sent = {dataset_bytes(path) for path in (*archive.ct.paths, *archive.ct_thick.paths)}
    assert {dataset_bytes(path) for path in spool.rglob("*.dcm")} == sent


@ORTHANC
def test_the_stored_encoding_is_kept(orthanc, archive, tmp_path, spool, ledger):
    """A JPEG 2000 instance comes back from Orthanc as it was sent, not decoded."""
    dataset = dcmread(archive.mr.paths[0])
    dataset.compress(JPEG2000Lossless, np.asarray(dataset.pixel_array), generate_instance_uid=False)
    dataset.save_as(tmp_path / "j2k.dcm")
    push(orthanc, [tmp_path / "j2k.dcm"])
    (match,) = find(orthanc, Query("STUDY", {"PatientID": "P2"}))

    (verdict,) = retrieve(orthanc, [match.ref], spool=spool, ledger=ledger)

    (path,) = spool.rglob("*.dcm")
    assert verdict.verdict is Verdict.COMPLETE
    assert read_file_head(path).transfer_syntax == JPEG2000Lossless
    assert dataset_bytes(path) == dataset_bytes(tmp_path / "j2k.dcm")
