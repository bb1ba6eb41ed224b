"""The embedded PACS over DICOMweb, judged by dicomweb-client and by plain requests."""

import http.client
import json
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from pydicom import dcmread

from racoon_data.errors import SettingsError
from racoon_data.faults import FaultPlan
from racoon_data.outcomes import Status
from racoon_data.pacs.find import find
from racoon_data.pacs.part10 import dataset_bytes
from racoon_data.pacs.push import push
from racoon_data.pacs.serve import INDEX_NAME, EmbeddedPacs
from racoon_data.pacs.serve_web import WebService
from racoon_data.refs import Query

dicomweb = pytest.importorskip("dicomweb_client.api", reason="dicomweb-client is not installed")


@pytest.fixture
def web(pacs):
    """The DICOMweb side of the embedded PACS."""
    with WebService(pacs) as running:
        yield running


@pytest.fixture
def client(web):
    """dicomweb-client on it."""
    return dicomweb.DICOMwebClient(web.url)


def plain(web, path, method="GET", **options):
    """Send one request as it is."""
    connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=10)
    connection.request(method, "/dicom-web" + path, **options)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


def value(document, tag):
    """First value of a tag."""
    return document[tag]["Value"][0]


def test_studies_are_found(client, archive):
    """All studies, one by wildcard on a name with an umlaut, one by date range, none by another date."""
    assert len(client.search_for_studies()) == 2
    (study,) = client.search_for_studies(search_filters={"PatientName": "Müller*"})
    assert value(study, "0020000D") == "1.2.826.0.1.2"
    assert value(study, "00100010")["Alphabetic"] == "Müller^Jörg"
    (study,) = client.search_for_studies(
        search_filters={"StudyDate": "20200101-20201231"}, fields=["SOPClassesInStudy"]
    )
    assert value(study, "00201208") == 10
    assert study["00080061"]["Value"] == ["CT"]
    assert "00080062" in study
    assert client.search_for_studies(search_filters={"StudyDate": "19990101"}) == []


def test_series_and_instances_are_found(client, archive):
    """Below a study, below a series, and anywhere; UID lists and tags as names work."""
    assert len(client.search_for_series(archive.study.study_uid)) == 2
    assert len(client.search_for_series(search_filters={"Modality": "MR"})) == 1
    uids = ",".join(archive.ct.sop_uids[:2])
    assert len(client.search_for_instances(archive.study.study_uid, search_filters={"SOPInstanceUID": uids})) == 2
    assert len(client.search_for_instances(archive.study.study_uid, archive.ct.ref.series_uid)) == 6
    assert len(client.search_for_instances(search_filters={"00080060": "MR"})) == 3


def test_pages_follow_one_another(client, archive):
    """Limit and offset cut the same order into pages."""
    pages = [client.search_for_instances(archive.study.study_uid, limit=4, offset=start) for start in (0, 4, 8)]

    assert [len(page) for page in pages] == [4, 4, 2]
    assert {value(row, "00080018") for page in pages for row in page} == archive.sop_uids


def test_a_study_comes_with_the_bytes_as_stored(client, archive):
    """Study, series and instance retrieval give the data sets that lie on disk."""
    originals = {dcmread(path).SOPInstanceUID: dcmread(path) for path in archive.ct.paths + archive.ct_thick.paths}
    study = list(client.iter_study(archive.study.study_uid))
    series = client.retrieve_series(archive.study.study_uid, archive.ct.ref.series_uid)
    one = client.retrieve_instance(archive.study.study_uid, archive.ct.ref.series_uid, archive.ct.sop_uids[0])

    assert len(study) == 10
    assert all(dataset == originals[dataset.SOPInstanceUID] for dataset in study)
    assert len(series) == 6
    assert one == originals[archive.ct.sop_uids[0]]


def test_metadata_and_frames(client, archive):
    """Headers come without pixels; a frame is the pixel data as it lies in the file."""
    study, series, sop = archive.study.study_uid, archive.ct.ref.series_uid, archive.ct.sop_uids[0]
    rows = client.retrieve_series_metadata(study, series)
    (frame,) = client.retrieve_instance_frames(study, series, sop, [1])

    assert {value(row, "00080018") for row in rows} == set(archive.ct.sop_uids)
    assert all("7FE00010" not in row for row in rows)
    assert frame == dcmread(archive.ct.paths[0]).PixelData


def test_stow_stores_and_indexes(tmp_path, archive):
    """What dicomweb-client stores is found over DICOM at once; other bytes under a known UID fail alone."""
    with EmbeddedPacs(tmp_path / "empty") as empty, WebService(empty) as web:
        client = dicomweb.DICOMwebClient(web.url)
        datasets = [dcmread(path) for path in archive.ct.paths]
        first = client.store_instances(datasets)
        datasets[0].PatientComments = "other"
        second = client.store_instances(datasets[:2])
        (match,) = find(empty.node(), Query("STUDY"))
        stored = empty.index.stored("STUDY", {})

    assert len(first.ReferencedSOPSequence) == 6
    assert "FailedSOPSequence" not in first
    (failed,) = second.FailedSOPSequence
    assert (failed.ReferencedSOPInstanceUID, failed.FailureReason) == (archive.ct.sop_uids[0], 0x0111)
    assert len(second.ReferencedSOPSequence) == 1
    assert match.attributes["NumberOfStudyRelatedInstances"] == "6"
    assert {dataset_bytes(item.path) for item in stored} == {dataset_bytes(path) for path in archive.ct.paths}


def test_an_index_that_fails_answers_no_success(tmp_path, archive):
    """A file that cannot be indexed is not confirmed, and it does not stay behind."""

    trigger = "CREATE TRIGGER broken BEFORE INSERT ON instances BEGIN SELECT RAISE(ABORT, 'no room'); END"
    with EmbeddedPacs(tmp_path / "empty") as empty, WebService(empty) as web:
        with closing(sqlite3.connect(tmp_path / "empty" / INDEX_NAME)) as index:
            index.execute(trigger)
        outcomes = push(empty.node(), [archive.ct.paths[1]])
        part = b"--b\r\nContent-Type: application/dicom\r\n\r\n" + archive.ct.paths[0].read_bytes() + b"\r\n--b--"
        headers = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=b'}
        status, body = plain(web, "/studies", "POST", body=part, headers=headers)

    assert [one.status for one in outcomes] == [Status.FAILED]
    assert status == 409
    assert [item["00081197"]["Value"] for item in json.loads(body)["00081198"]["Value"]] == [[0x0110]]
    assert [path for path in (tmp_path / "empty" / "received").rglob("*") if path.is_file()] == []


def test_a_full_disk_fails_one_by_one(tmp_path, archive):
    """After two instances the rest is answered out of resources."""
    plan = FaultPlan(full_after=2)
    with EmbeddedPacs(tmp_path / "empty", faults=plan) as empty, WebService(empty) as web:
        answer = dicomweb.DICOMwebClient(web.url).store_instances([dcmread(path) for path in archive.ct.paths])

    assert len(answer.ReferencedSOPSequence) == 2
    assert {item.FailureReason for item in answer.FailedSOPSequence} == {0xA700}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/nothing", 404),
        ("/studies/1.2.3", 404),
        ("/studies?NoSuchKeyword=1", 400),
        ("/studies?limit=many", 400),
        ("/studies/1.2.826.0.1.1/rendered", 501),
        ("/studies/1.2.826.0.1.1/series/1.2.826.0.1.1.1/instances/9.9/frames/1", 404),
        ("/../../etc/passwd", 404),
    ],
)
def test_wrong_requests_are_named(web, path, status):
    """Each gets its status and a sentence."""
    answered, body = plain(web, path)

    assert answered == status
    assert json.loads(body)["error"]


def test_other_encodings_are_not_acceptable(web):
    """Nothing is transcoded: who insists on another syntax gets 406."""
    accept = 'multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.4.90'

    assert plain(web, "/studies/1.2.826.0.1.1", headers={"Accept": accept})[0] == 406


def test_only_this_machine_and_the_token_get_in(pacs):
    """A foreign Host header is refused, a token is asked for where one is set, and open addresses need one."""
    with WebService(pacs, token="secret") as locked:
        assert plain(locked, "/studies")[0] == 401
        assert plain(locked, "/studies", headers={"Authorization": "Bearer wrong"})[0] == 401
        assert plain(locked, "/studies", headers={"Authorization": "Bearer secret"})[0] == 200
    with WebService(pacs) as open_one:
        assert plain(open_one, "/studies", headers={"Host": "evil.example.org"})[0] == 401
    pacs.host = "192.0.2.1"
    with pytest.raises(SettingsError, match="token"):
        WebService(pacs)


def test_the_command_says_what_it_serves(archive, tmp_path):
    """Address, counts and files with a SOPInstanceUID that is there already are on the first line."""
    shutil.copy(archive.mr.paths[0], archive.folder / "mr" / "zz-second.dcm")
    command = [sys.executable, "-m", "racoon_data", "pacs", "serve", str(archive.folder), "--port", "0"]
    (tmp_path / "plan.toml").write_text("busy = 1\n")
    options = ["--web-port", "0", "--json", "--faults", str(tmp_path / "plan.toml")]
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        said = json.loads(process.stdout.readline())
        port = int(said["web"].rpartition(":")[2].partition("/")[0])
        statuses = []
        for _ in range(2):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request("GET", "/dicom-web/studies")
            statuses.append(connection.getresponse().status)
            connection.close()
        process.send_signal(signal.SIGTERM)
        _, talk = process.communicate(timeout=20)

    assert (said["studies"], said["instances"], said["hidden_files"]) == (2, 13, 1)
    assert statuses == [503, 200]
    assert "zz-second.dcm" in talk
    assert process.returncode == 0
