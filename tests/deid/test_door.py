"""The door: whole files or nothing, a reason for each refusal, and nothing of the patient left."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    EncapsulatedCDAStorage,
    EncapsulatedPDFStorage,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
    TwelveLeadECGWaveformStorage,
    UltrasoundImageStorage,
)

from racoon_data.deid import door as door_module
from racoon_data.deid import publishing
from racoon_data.deid.door import Door, deidentify_files, rehearse_files
from racoon_data.deid.engine import Engine
from racoon_data.deid.profile import Profile
from racoon_data.deid.register import Register
from racoon_data.errors import DiskFullError
from racoon_data.outcomes import Status, tally
from racoon_data.site.audit import entries, verify
from racoon_data.testing.makers import Person, a_series, not_dicom, truncated
from tests.deid.conftest import KEY
from tests.deid.samples import a_study, passed, passed_one

PERSON = Person()
SECRETS = ("Muster", "Erika", "MUSTER-0001", "19561104", "A20200317", "Klinikum", "Hauptstrasse", "Hausarzt", "Rita",
           "20200317", "4711", "CTROOM1", "Leser", "Lena")  # fmt: skip


def a_file(folder: Path, **changes: object) -> Path:
    """Write one CT slice with some attributes changed."""
    (path,) = a_series(folder, slices=1, rows=4, columns=4, has_private_tags=True).paths
    dataset = pydicom.dcmread(path)
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.save_as(path)
    return path


def test_nothing_of_the_patient_is_left(tmp_path: Path, door: Door):
    """No name, number, date, institution or machine stands in any byte of any output of a whole study."""
    study = a_study(tmp_path / "in")

    outputs = [value.path for value in passed(study.paths, door)]

    for path in outputs:
        data = path.read_bytes()
        assert [secret for secret in SECRETS if secret.encode() in data] == []
    assert [secret for secret in SECRETS for path in outputs if secret in str(path.relative_to(door.out))] == []


def test_pixels_and_science_stay(tmp_path: Path, door: Door):
    """Pixel bytes, geometry, rescale, sex, age and kernel are as they were."""
    path = a_file(tmp_path / "in", PatientSize=1.7, PatientWeight=70)
    before = pydicom.dcmread(path)

    after = passed_one(path, door)

    assert after.PixelData == before.PixelData
    for keyword in ("PatientSex", "PatientAge", "PatientSize", "PatientWeight", "PixelSpacing", "RescaleSlope", "KVP",
                    "ImagePositionPatient", "ImageOrientationPatient", "ConvolutionKernel", "Manufacturer",
                    "SeriesDescription", "StudyDescription", "BodyPartExamined"):  # fmt: skip
        assert after[keyword].value == before[keyword].value, keyword


def test_marks_tell_the_truth(tmp_path: Path, door: Door):
    """Method, codes and temporal information say what was done and by which edition."""
    after = passed_one(a_file(tmp_path / "in"), door)

    assert after.PatientIdentityRemoved == "YES"
    assert "PS3.15 2024e" in after.DeidentificationMethod[0]
    assert after.LongitudinalTemporalInformationModified == "MODIFIED"
    assert [item.CodeValue for item in after.DeidentificationMethodCodeSequence] == [
        "113100", "113103", "113104", "113105", "113107", "113108", "113111"]  # fmt: skip


def test_sender_and_preamble_go(tmp_path: Path, door: Door):
    """File meta AE titles, private information and the preamble are written anew."""
    path = a_file(tmp_path / "in")
    dataset = pydicom.dcmread(path)
    dataset.preamble = b"MUSTER".ljust(128, b"M")
    for keyword in ("SourceApplicationEntityTitle", "SendingApplicationEntityTitle", "ReceivingApplicationEntityTitle"):
        setattr(dataset.file_meta, keyword, "CTROOM1")
    dataset.file_meta.PrivateInformationCreatorUID = "1.2.3.4"
    dataset.file_meta.PrivateInformation = b"MUSTER"
    dataset.save_as(path)

    value = passed([path], door)[0]
    after = pydicom.dcmread(value.path)

    assert after.preamble == bytes(128)
    assert {element.tag.element for element in after.file_meta} == {0x00, 0x01, 0x02, 0x03, 0x10, 0x12, 0x13}
    assert after.file_meta.MediaStorageSOPInstanceUID == after.SOPInstanceUID


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_transfer_syntax_is_kept(tmp_path: Path, door: Door, syntax: str):
    """Implicit, big-endian and deflated objects keep their encoding and lose the patient."""
    path = a_file(tmp_path / "in")
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = syntax
    is_implicit, is_little = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
    if not is_little:
        dataset["PixelData"].VR = "OB"
    pydicom.dcmwrite(path, dataset, implicit_vr=is_implicit, little_endian=is_little)

    after = passed_one(path, door)

    assert after.file_meta.TransferSyntaxUID == syntax
    assert after.PatientName == door.pseudonymizer.patient("MUSTER-0001")
    assert after.PixelData == pydicom.dcmread(path).PixelData
    assert (after.Rows, after.KVP) == (4, 120)


def test_a_sequence_that_travelled_as_un_is_cleaned(tmp_path: Path, door: Door):
    """Some archives write a sequence they do not know as UN; names inside leave all the same."""
    path = a_file(tmp_path / "in")
    dataset = pydicom.dcmread(path)
    inner = b"\x08\x00\x80\x00" + (18).to_bytes(4, "little") + b"Klinikum Musterst."
    item = b"\xfe\xff\x00\xe0" + len(inner).to_bytes(4, "little") + inner
    tag = pydicom.tag.Tag(0x00400260)
    dataset[tag] = pydicom.dataelem.RawDataElement(tag, "UN", len(item), item, 0, False, True)
    dataset.save_as(path)

    value = passed([path], door)[0]

    assert b"Klinikum" not in value.path.read_bytes()
    assert len(pydicom.dcmread(value.path)[0x00400260].value) == 1


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"BurnedInAnnotation": "YES"}, "BurnedInAnnotation"),
        ({"SOPClassUID": SecondaryCaptureImageStorage}, "secondary capture"),
        ({"SOPClassUID": UltrasoundImageStorage}, "ultrasound"),
        ({"SOPClassUID": EncapsulatedPDFStorage}, "not supported"),
        ({"SOPClassUID": EncapsulatedCDAStorage}, "not supported"),
        ({"SOPClassUID": TwelveLeadECGWaveformStorage}, "not supported"),
        ({"SOPClassUID": "1.2.276.0.99.1"}, "not supported"),
        ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, "screenshot"),
        ({"ImageType": ["DERIVED", "SECONDARY"]}, "secondary"),
        ({"ConversionType": "SD"}, "converted"),
        ({"Modality": "OT"}, "drawn"),
        ({"PatientID": ""}, "PatientID"),
        ({"SamplesPerPixel": 3, "PixelData": bytes(96)}, "colour"),
    ],
)
def test_objects_at_risk_wait_in_quarantine(tmp_path: Path, door: Door, changes: dict[str, object], why: str):
    """What may show identity in its pixels, or is of a kind nobody checked, is set aside with its reason."""
    path = a_file(tmp_path / "in", **changes)

    (result,) = deidentify_files([path], door)

    code = result.outcome.code
    assert (result.outcome.status, code in ("deid.quarantined", "deid.identity_risk")) == (Status.SKIPPED, True)
    assert why in result.outcome.message
    assert not list(door.out.rglob("*"))
    copy, reason = sorted(door.quarantine.iterdir())
    assert copy.read_bytes() == path.read_bytes()
    assert json.loads(reason.read_text())["code"] == code
    assert copy.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("uid", ["../../../../escaped", "1.2.840.10008./../../escaped", "/tmp/escaped", "a\\b", "1..2"])
@pytest.mark.parametrize("keeps_uids", [False, True])
def test_names_from_files_do_not_escape(tmp_path: Path, door: Door, uid: str, keeps_uids: bool):
    """A UID that is a path is hashed, or refused where UIDs are kept; nothing lands outside the folder."""
    path = a_file(tmp_path / "in")
    dataset = pydicom.dcmread(path)
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        tag, raw = pydicom.tag.Tag(keyword), uid.encode() + b"\0" * (len(uid) % 2)
        dataset[tag] = pydicom.dataelem.RawDataElement(tag, "UI", len(raw), raw, 0, False, True)
    dataset.save_as(path)

    (result,) = deidentify_files([path], replace(door, profile=Profile(retain_uids=keeps_uids)))

    assert (result.value is None) == (keeps_uids or "\\" in uid)
    assert not list(tmp_path.rglob("*escaped*"))
    if result.value is not None:
        assert door.out in result.value.path.resolve().parents


def test_an_instance_named_like_the_standard_is_set_aside(tmp_path: Path, door: Door):
    """Such a UID would not be mapped, so the object waits."""
    (result,) = deidentify_files([a_file(tmp_path / "in", SOPInstanceUID="1.2.840.10008.5.1.4.1.1.2.4711")], door)

    assert result.outcome.code == "deid.quarantined"


def test_secondary_images_pass_where_the_profile_says_so(tmp_path: Path, door: Door):
    """A project that annotates reformats can let them through."""
    path = a_file(tmp_path / "in", ImageType=["DERIVED", "SECONDARY", "MPR"])
    allowing = replace(door, profile=Profile(allow_secondary_images=True))

    assert passed([path], allowing)[0].path.is_file()


def test_bad_files_do_not_stop_good_ones(tmp_path: Path, door: Door):
    """Files that are no DICOM, cut or missing get a code; sums agree; the good ones pass."""
    good = a_series(tmp_path / "good", slices=3, rows=4, columns=4).paths
    cut = truncated(a_file(tmp_path / "cut"), keep=0.99)
    others = not_dicom(tmp_path / "others")
    paths = [*others, good[0], cut, *good[1:], tmp_path / "absent.dcm"]

    results = deidentify_files(paths, door)

    counts = tally(result.outcome for result in results)
    assert (counts.done, counts.total) == (3, len(paths))
    assert {result.outcome.code for result in results[: len(others)]} == {"dicom.not_dicom"}
    assert results[len(others) + 1].outcome.code == "dicom.truncated"
    assert results[-1].outcome.code == "dicom.unreadable"
    assert len(list(door.out.rglob("*.dcm"))) == 3
    assert len(list(door.quarantine.glob("*.dcm"))) == 1


def test_broken_values_are_quarantined_discreetly(
    tmp_path: Path, door: Door, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    """A parser's complaint about a value sets the object aside, and the value is quoted nowhere."""

    def complaining(*_: object, **__: object) -> None:
        warnings.warn("bad value Muster^Erika", stacklevel=1)
        raise ValueError("Invalid value for VR PN: Muster^Erika")

    monkeypatch.setattr(Engine, "clean", complaining)

    (result,) = deidentify_files([a_file(tmp_path / "in")], door)

    assert result.outcome.code == "deid.quarantined"
    assert "Erika" not in str(result.outcome) + "".join(capfd.readouterr())
    assert not list(door.out.rglob("*"))


def test_a_sequence_that_cannot_be_parsed_leaks_nothing(tmp_path: Path, door: Door):
    """Text where items should be does not pass as a sequence."""
    path = a_file(tmp_path / "in")
    dataset, tag = pydicom.dcmread(path), pydicom.tag.Tag("SourceImageSequence")
    dataset[tag] = pydicom.dataelem.RawDataElement(tag, "UN", 12, b"Berta Fremde", 0, False, True)
    dataset.save_as(path)

    deidentify_files([path], door)

    assert not any(b"Fremde" in found.read_bytes() for found in door.out.rglob("*.dcm"))


def test_an_image_without_pixels_is_no_image(tmp_path: Path, door: Door):
    """A file that was cut between two attributes parses well and has lost its image; it does not pass."""
    path = a_file(tmp_path / "in")
    dataset = pydicom.dcmread(path)
    del dataset.PixelData
    dataset.save_as(path)

    (result,) = deidentify_files([path], door)

    assert result.outcome.code == "dicom.truncated"
    assert not list(door.out.rglob("*"))


def test_an_unexpected_error_publishes_nothing(tmp_path: Path, door: Door, monkeypatch: pytest.MonkeyPatch):
    """A bug in the engine is a failed item in quarantine, never a file that slips through."""

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Engine, "clean", broken)

    (result,) = deidentify_files([a_file(tmp_path / "in")], door)

    assert result.outcome.status is Status.FAILED
    assert not list(door.out.rglob("*"))
    assert len(list(door.quarantine.glob("*.dcm"))) == 1


def test_a_full_disk_stops_with_whole_files_only(tmp_path: Path, door: Door, monkeypatch: pytest.MonkeyPatch):
    """No space left ends the batch; what was written before is whole and what was not is absent."""
    paths = a_series(tmp_path / "in", slices=3, rows=4, columns=4).paths
    whole, real = [], publishing.whole_file

    def full_after_one(path: Path, **options: Any) -> object:
        if whole:
            raise DiskFullError("the disk is full")
        whole.append(path)
        return real(path, **options)

    monkeypatch.setattr(publishing, "whole_file", full_after_one)

    with pytest.raises(DiskFullError):
        deidentify_files(paths, door)

    assert [path for path in door.out.rglob("*") if path.is_file()] == whole
    assert pydicom.dcmread(whole[0]).PatientIdentityRemoved == "YES"


def test_a_second_run_writes_nothing_again(tmp_path: Path, door: Door):
    """Objects that are done are returned without being written or logged again; a new profile redoes them."""
    paths = a_series(tmp_path / "in", slices=3, rows=4, columns=4).paths
    first = passed(paths, door)
    written = [value.path.stat().st_mtime_ns for value in first]

    second = passed(paths, door)

    assert [value.path.stat().st_mtime_ns for value in second] == written
    assert [(value.ref, value.original, value.patient) for value in second] == [
        (value.ref, value.original, value.patient) for value in first
    ]
    assert all(value.is_resumed for value in second)
    assert verify(door.audit.path) == 3
    assert not passed(paths, replace(door, profile=Profile(clean_descriptors=False)))[0].is_resumed


def test_two_objects_with_one_uid_are_not_merged(tmp_path: Path, door: Door):
    """Another content under the same UID waits instead of overwriting what has passed; an equal copy is fine."""
    path = a_file(tmp_path / "in")
    copy, other = path.with_name("copy.dcm"), path.with_name("other.dcm")
    copy.write_bytes(path.read_bytes())
    dataset = pydicom.dcmread(path)
    dataset.PatientAge = "050Y"
    dataset.save_as(other)

    first, second, third = deidentify_files([path, copy, other], door)

    assert first.value.path == second.value.path
    assert third.outcome.code == "deid.quarantined"
    assert pydicom.dcmread(first.value.path).PatientAge == "063Y"


_RUN = (
    "import sys; from pathlib import Path\n"
    "from racoon_data.deid.door import Door, deidentify_files\n"
    "from racoon_data.deid.profile import Profile\n"
    "from racoon_data.deid.pseudonyms import Pseudonymizer\n"
    "from racoon_data.site.audit import AuditLog\n"
    f"names = Pseudonymizer(bytes.fromhex('{KEY.hex()}')); root = Path(sys.argv[1])\n"
    "log, vault = AuditLog(root / 'audit.jsonl'), root / 'vault'\n"
    "door = Door(root / 'work', root / 'quarantine', Profile(), names, log, vault)\n"
    "deidentify_files([Path(p) for p in sys.argv[2:]], door)\n"
)


def _killed_after(written: int, root: Path, paths: list[Path]) -> None:
    """Run the door in a process of its own and kill it when so many files are there, or a little later."""
    process = subprocess.Popen([sys.executable, "-c", _RUN, str(root), *map(str, paths)])
    deadline = time.monotonic() + 30
    while len(list((root / "work").rglob("*.dcm"))) < written and time.monotonic() < deadline:
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def test_killed_processes_leave_nothing_half_written(tmp_path: Path, door: Door):
    """After each kill -9 every file under its name is whole; the last run completes the rest, the table and the log."""
    paths = list(a_series(tmp_path / "in", slices=60, rows=64, columns=64).paths)
    chance = random.Random(4)
    for written in sorted(chance.sample(range(1, 60), 4)):
        _killed_after(written, tmp_path, paths)
        left = [path for path in door.out.rglob("*.dcm") if not path.name.startswith(".")]
        assert len(left) >= written
        assert all(len(pydicom.dcmread(path).PixelData) == 64 * 64 * 2 for path in left)

    values = passed(paths, replace(door, vault=tmp_path / "vault"))

    assert verify(door.audit.path) == 60
    assert [path for path in tmp_path.rglob(".*.partial")] == []
    with Register(tmp_path / "vault", KEY) as register:
        assert [register.uid(value.ref.sop_uid) for value in values] == [value.original.sop_uid for value in values]


def test_stale_halves_are_removed_by_the_next_run(tmp_path: Path, door: Door):
    """What a killed process left goes; what a living one is writing, and other people's files, stay."""
    gone = subprocess.Popen([sys.executable, "-c", "pass"])
    gone.wait()
    folder = door.out / "P1" / "2.25.1" / "2.25.2"
    folder.mkdir(parents=True)
    stale, living = (folder / f".2.25.3.dcm.{pid}.partial" for pid in (gone.pid, os.getpid()))
    others = folder / ".download.partial"
    for path in (stale, living, others):
        path.write_bytes(b"half")

    passed([a_file(tmp_path / "in")], door)

    assert (stale.exists(), living.exists(), others.exists()) == (False, True, True)


def test_the_audit_log_knows_hashes_only(tmp_path: Path, door: Door):
    """Each object is logged by hash with edition and profile; no name, UID or file name stands there."""
    value = passed([a_file(tmp_path / "in")], door)[0]
    deidentify_files([a_file(tmp_path / "bad", BurnedInAnnotation="YES")], door)

    done, refused = entries(door.audit.path)

    assert (done["action"], refused["action"]) == ("deidentify", "quarantine")
    assert (done["input"], done["output"]) == (value.input_sha256, value.output_sha256)
    assert done["edition"] == "PS3.15 2024e"
    text = door.audit.path.read_text()
    assert [secret for secret in (*SECRETS, value.original.sop_uid, "IM0001") if secret in text] == []


def test_outcomes_name_no_file_of_the_hospital(tmp_path: Path, door: Door):
    """A folder may be called after a patient; outcomes travel into manifests, so they name hashes."""
    path = a_file(tmp_path / "Muster_Erika_19561104", BurnedInAnnotation="YES")

    (result,) = deidentify_files([path], door)

    assert "Muster" not in str(result.outcome.to_json())
    assert str(result.outcome.ref).split()[-1] == next(door.quarantine.glob("*.dcm")).name[:16]


def test_rehearsal_writes_nothing(tmp_path: Path, door: Door):
    """The dry run gives the same verdicts and leaves no file."""
    paths = [a_file(tmp_path / "a"), a_file(tmp_path / "b", BurnedInAnnotation="YES")]

    results = rehearse_files(paths, door)

    assert [result.outcome.code for result in results] == ["", "deid.identity_risk"]
    assert not door.out.exists()
    assert not door.quarantine.exists()
    assert not door.audit.path.exists()


def test_empty_attributes_are_tolerated(tmp_path: Path, door: Door):
    """Public and hospital data hold attributes without a value, type 1 or not."""
    path = a_file(
        tmp_path / "in", PatientBirthDate="", StudyDate="", ReferringPhysicianName="", StudyDescription="",
        ContentDate="", AcquisitionTime=None, DeviceSerialNumber="", ReferencedImageSequence=[],
    )  # fmt: skip

    after = passed_one(path, door)

    assert after.StudyDate == ""
    assert isinstance(after, Dataset)


def test_what_a_stricter_profile_refuses_does_not_stay_published(tmp_path: Path, door: Door):
    """An object that passed before and may not pass any more is taken back; the reason waits with its original."""
    path = a_file(tmp_path / "in", ImageType=["DERIVED", "SECONDARY"])
    (before,) = passed([path], replace(door, profile=Profile(allow_secondary_images=True)))

    rehearse_files([path], door)
    stands_after_rehearsal = before.path.exists()
    (result,) = deidentify_files([path], door)

    assert stands_after_rehearsal
    assert result.outcome.code == "deid.identity_risk"
    assert not before.path.exists()


def test_two_workers_with_one_uid_do_not_overwrite_each_other(
    tmp_path: Path, door: Door, monkeypatch: pytest.MonkeyPatch
):
    """Where another worker publishes other content under the same UID meanwhile, the later one waits."""
    mine = a_file(tmp_path / "mine")
    other = a_file(tmp_path / "other", PatientAge="050Y")
    clean, others = door_module.clean, []

    def while_another_passes(*arguments: Any, **options: Any) -> Any:
        if not others:
            others.append(other)
            others.extend(passed([other], door))
        return clean(*arguments, **options)

    monkeypatch.setattr(door_module, "clean", while_another_passes)

    (result,) = deidentify_files([mine], door)

    assert result.outcome.code == "deid.quarantined"
    assert pydicom.dcmread(others[1].path).PatientAge == "050Y"


@pytest.mark.parametrize("keyword", ["PatientID", "StudyInstanceUID"])
def test_an_identity_of_several_values_is_none(tmp_path: Path, door: Door, keyword: str):
    """Nobody can say which of two patients or studies it is, and no file name can hold both."""
    path = a_file(tmp_path / "in")
    dataset, tag = pydicom.dcmread(path), pydicom.tag.Tag(keyword)
    dataset[tag] = pydicom.dataelem.RawDataElement(tag, dataset[tag].VR, 8, b"4711\\472", 0, False, True)
    dataset.save_as(path)

    (result,) = deidentify_files([path], door)

    assert result.outcome.code == "deid.quarantined"
    assert f"{keyword} has several values" in result.outcome.message
