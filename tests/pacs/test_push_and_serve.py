"""Pushing files, and what the embedded PACS does with what it is sent."""

import threading
import time

import pydicom
import pytest
from pynetdicom import AE, evt
from pynetdicom.association import Association

from racoon_data.errors import PacsRefusedError, StorageError
from racoon_data.faults import FaultPlan
from racoon_data.outcomes import Status
from racoon_data.pacs.contexts import CLASSES_PER_GET, COMMON_CLASSES, MOVE_MODELS, retrieve_contexts, storage_roles
from racoon_data.pacs.find import find
from racoon_data.pacs.part10 import dataset_bytes
from racoon_data.pacs.peer import PacsNode
from racoon_data.pacs.push import push
from racoon_data.pacs.retrieve import retrieve
from racoon_data.pacs.serve import EmbeddedPacs
from racoon_data.refs import Query, StudyRef
from racoon_data.site.ledger import Verdict
from racoon_data.testing.makers import a_series


@pytest.fixture
def empty(tmp_path):
    """An embedded PACS over an empty folder."""
    with EmbeddedPacs(tmp_path / "empty") as running:
        yield running


def test_pushed_files_are_stored_and_found(empty, archive):
    """Each file gets an outcome, lies below ``received`` byte for byte and is found at once."""
    outcomes = push(empty.node(), archive.ct.paths)
    (match,) = find(empty.node(), Query("STUDY", {"StudyInstanceUID": archive.study.study_uid}))

    stored = {path.stem: path for path in (empty.folder / "received").rglob("*.dcm")}
    assert [one.status for one in outcomes] == [Status.DONE] * 6
    assert match.attributes["NumberOfStudyRelatedInstances"] == "6"
    for uid, path in zip(archive.ct.sop_uids, archive.ct.paths, strict=True):
        assert dataset_bytes(stored[uid]) == dataset_bytes(path)


def test_the_same_bytes_again_are_fine_and_other_bytes_are_refused(empty, archive, tmp_path):
    """A repeated store is idempotent; a different object under a known UID leaves the first untouched."""
    first = push(empty.node(), archive.ct.paths[:1])
    again = push(empty.node(), archive.ct.paths[:1])
    changed = pydicom.dcmread(archive.ct.paths[0])
    changed.SeriesDescription = "changed"
    changed.save_as(tmp_path / "changed.dcm")
    (conflict,) = push(empty.node(), [tmp_path / "changed.dcm"])

    assert [first[0].status, again[0].status] == [Status.DONE, Status.DONE]
    assert (conflict.status, "0x0111" in conflict.message) == (Status.FAILED, True)
    (stored,) = (empty.folder / "received").rglob("*.dcm")
    assert dataset_bytes(stored) == dataset_bytes(archive.ct.paths[0])


def test_a_file_that_is_not_dicom_is_skipped(empty, archive, tmp_path):
    """One strange file does not stop the others."""
    odd = tmp_path / "odd.dcm"
    odd.write_bytes(b"nothing")

    outcomes = push(empty.node(), [odd, archive.mr.paths[0]])

    assert [(one.status, one.code) for one in outcomes] == [(Status.SKIPPED, "dicom.not_dicom"), (Status.DONE, "")]


def test_a_full_peer_fails_the_rest(empty, archive):
    """A peer out of resources gives failed outcomes that name the status."""
    empty.faults = FaultPlan(full_after=2)

    outcomes = push(empty.node(), archive.ct.paths)

    assert [one.status for one in outcomes] == [Status.DONE] * 2 + [Status.FAILED] * 4
    assert "0xA700" in outcomes[-1].message


def test_a_store_with_path_characters_stays_inside(empty, tmp_path):
    """A hostile SOPInstanceUID becomes a hash, never a path."""
    made = a_series(tmp_path / "hostile", slices=1)
    hostile = pydicom.dcmread(made.paths[0])
    hostile.file_meta.MediaStorageSOPInstanceUID = "1.2/../../../x"
    hostile.SOPInstanceUID = pydicom.uid.UID("1.2/../../../x", validation_mode=0)
    hostile.save_as(tmp_path / "hostile.dcm", enforce_file_format=False)

    (outcome,) = push(empty.node(), [tmp_path / "hostile.dcm"])

    assert outcome.status is Status.DONE
    (stored,) = (empty.folder / "received").rglob("*.dcm")
    assert stored.name.startswith("uid-")


def test_c_move_sends_to_a_known_destination_only(pacs, archive):
    """The series arrives at the registered receiver with all counts; an unknown title is status A801."""
    arrived = []
    receiver = AE(ae_title="WORK")
    receiver.add_supported_context(COMMON_CLASSES[0])
    handlers = [(evt.EVT_C_STORE, lambda event: arrived.append(event.request.AffectedSOPInstanceUID) or 0x0000)]
    server = receiver.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    pacs.destinations["WORK"] = ("127.0.0.1", server.server_address[1])
    identifier = pydicom.Dataset()
    identifier.QueryRetrieveLevel = "SERIES"
    identifier.StudyInstanceUID, identifier.SeriesInstanceUID = archive.ct.ref.study_uid, archive.ct.ref.series_uid
    asker = AE(ae_title="ASKER")
    asker.add_requested_context(MOVE_MODELS[1])
    association = asker.associate("127.0.0.1", pacs.port, ae_title="PACS")

    known = [status for status, _ in association.send_c_move(identifier, "WORK", MOVE_MODELS[1])][-1]
    unknown = [status for status, _ in association.send_c_move(identifier, "NOBODY", MOVE_MODELS[1])][-1]
    association.release()
    server.shutdown()

    assert (known.Status, known.NumberOfCompletedSuboperations, sorted(arrived)) == (0, 6, sorted(archive.ct.sop_uids))
    assert unknown.Status == 0xA801


def test_a_retrieval_without_a_unique_key_gets_nothing(pacs):
    """C-GET for a study level without a StudyInstanceUID is refused instead of sending the whole archive."""
    contexts = retrieve_contexts("1.2.840.10008.5.1.4.1.2.2.3", COMMON_CLASSES[:1])
    identifier = pydicom.Dataset()
    identifier.QueryRetrieveLevel = "STUDY"
    association = AE().associate(
        "127.0.0.1", pacs.port, contexts=contexts, ext_neg=storage_roles(COMMON_CLASSES[:1]), ae_title="PACS"
    )
    (status,) = [status for status, _ in association.send_c_get(identifier, "1.2.840.10008.5.1.4.1.2.2.3")]
    association.release()

    assert status.Status == 0xA900


@pytest.mark.parametrize("count", [1, 7, 8, 200])
def test_contexts_stay_within_the_limit(count):
    """However many classes a study holds, at most 128 contexts are proposed, one for each class and encoding."""
    classes = [f"1.2.840.10008.5.1.4.1.1.{number}" for number in range(count)]

    contexts = retrieve_contexts("1.2.840.10008.5.1.4.1.2.2.3", classes)

    assert len(contexts) <= 128
    assert {len(context.transfer_syntax) for context in contexts[1:]} == {1}
    assert len({context.abstract_syntax for context in contexts}) == min(count, CLASSES_PER_GET) + 1


def test_a_read_only_folder_is_served_and_not_written_to(archive):
    """The index lives elsewhere, stores are refused, and the folder stays as it was."""
    before = sorted(archive.folder.rglob("*"))
    archive.folder.chmod(0o555)
    try:
        with EmbeddedPacs(archive.folder) as running:
            matches = list(find(running.node(), Query()))
            (outcome,) = push(running.node(), archive.mr.paths[:1])
    finally:
        archive.folder.chmod(0o755)

    assert (len(matches), outcome.status) == (2, Status.FAILED)
    assert sorted(archive.folder.rglob("*")) == before


def test_a_taken_port_is_named(pacs, tmp_path):
    """A second PACS on the same port says so and leaves no temporary folder behind."""
    second = EmbeddedPacs(tmp_path / "second", port=pacs.port)

    with pytest.raises(StorageError, match=str(pacs.port)):
        second.start()

    assert not second.scratch.exists()


def test_a_pacs_listens_on_this_machine_only_and_stops(archive):
    """The default address is the loopback, and after the block nobody listens and nothing lingers."""
    started = time.monotonic()
    with EmbeddedPacs(archive.folder) as running:
        node = running.node()
    with pytest.raises(Exception, match="no connection"):
        list(find(node, Query()))

    assert node.host == "127.0.0.1"
    assert time.monotonic() - started < 10


def test_a_pacs_that_stops_in_the_middle_leaves_no_thread(tmp_path, spool, ledger):
    """A transfer ends with the block: nothing answers or writes afterwards, and the study stays partial."""
    a_series(tmp_path / "many", study_uid="1.2.9", slices=300)
    running = EmbeddedPacs(tmp_path / "many")
    running.start()

    def stop_at_the_tenth(event):
        if event.kind == "receive" and event.done == 10:
            stopper.start()

    stopper = threading.Thread(target=running.stop)
    node, study = running.node(timeout_s=5.0), StudyRef("1.2.9")
    (verdict,) = retrieve(node, [study], spool=spool, ledger=ledger, on_event=stop_at_the_tenth, attempts=1)
    stopper.join()

    assert [one for one in threading.enumerate() if isinstance(one, Association)] == []
    assert verdict.verdict is Verdict.PARTIAL


def test_a_peer_that_takes_no_store_is_refused(archive):
    """A peer that accepts none of the contexts is refused with what was asked for by name."""
    nobody = AE(ae_title="NOSTORE")
    nobody.add_supported_context("1.2.840.10008.1.1")
    server = nobody.start_server(("127.0.0.1", 0), block=False)
    node = PacsNode("nostore", "127.0.0.1", server.server_address[1], "NOSTORE", timeout_s=5.0)

    with pytest.raises(PacsRefusedError, match="MR Image Storage"):
        push(node, archive.mr.paths[:1])

    server.shutdown()
