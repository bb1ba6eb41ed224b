"""The re-identification table, the way back, forgetting and decisions on the quarantine."""

from __future__ import annotations

import gzip
import json
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import generate_uid
from typer.testing import CliRunner, Result

from racoon_data.cli.main import app
from racoon_data.deid.door import Door, deidentify_files
from racoon_data.deid.profile import Profile
from racoon_data.deid.pseudonyms import Pseudonymizer
from racoon_data.deid.register import REGISTER_NAME, Register
from racoon_data.deid.vault import create_key
from racoon_data.errors import ExitCode, VaultError
from racoon_data.site.audit import AuditLog, entries, head_path
from racoon_data.site.ledger import Ledger
from racoon_data.site.paths import Site, create_site
from tests.deid.conftest import KEY
from tests.deid.samples import Study, a_study, passed
from tests.deid.test_door import a_file

SETTINGS = """
[site]
name = "north"

[deid]
results_to = ["pacs"]

[nodes.pacs]
port = 11112

[nodes.elsewhere]
port = 11113
"""


def _racoon(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site with a key that approves one node for results."""
    made = create_site(tmp_path / "site", SETTINGS)
    create_key(made.vault)
    return made


def _door(site: Site) -> Door:
    names = Pseudonymizer(bytes.fromhex((site.vault / "deid.key").read_text().strip()))
    return Door(site.work, site.quarantine, Profile(), names, AuditLog(site.audit), site.vault)


def _a_result(seg: Path, path: Path) -> pydicom.Dataset:
    """Make a new segmentation on de-identified images: the old one under a UID of its own."""
    dataset = pydicom.dcmread(seg)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.SeriesInstanceUID = generate_uid()
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path)
    return dataset


def _through(study: Study, site: Site) -> dict[Path, Path]:
    values = passed(study.paths, _door(site))
    return {path: value.path for path, value in zip(study.paths, values, strict=True)}


def test_the_table_is_sealed(tmp_path: Path):
    """The file is the owner's alone, and nobody reads a name in its bytes."""
    study = a_study(tmp_path / "in")
    source = pydicom.dcmread(study.seg)

    passed(study.paths, Door(tmp_path / "work", None, Profile(), Pseudonymizer(KEY), None, tmp_path / "vault"))

    written = b"".join(path.read_bytes() for path in (tmp_path / "vault").iterdir())
    assert (tmp_path / "vault" / REGISTER_NAME).stat().st_mode & 0o777 == 0o600
    for identifier in (source.PatientID, str(source.PatientName), source.StudyInstanceUID, source.StudyDate):
        assert identifier.encode() not in written
    with Register(tmp_path / "vault", KEY) as register:
        patient = Pseudonymizer(KEY).patient(source.PatientID)
        assert (register.person(patient) or {})["PatientID"] == source.PatientID


def test_another_key_opens_nothing(tmp_path: Path):
    """An entry that was exchanged, or sealed under another key, is an error and no value."""
    passed(
        a_study(tmp_path / "in").paths,
        Door(tmp_path / "work", None, Profile(), Pseudonymizer(KEY), None, tmp_path / "vault"),
    )
    with sqlite3.connect(tmp_path / "vault" / REGISTER_NAME) as db:
        uids = [uid for (uid,) in db.execute("SELECT pseudonym FROM entries WHERE kind = 'uid' ORDER BY 1 LIMIT 2")]
        db.execute(
            "UPDATE entries SET sealed = (SELECT sealed FROM entries WHERE pseudonym = ?) WHERE pseudonym = ?", uids
        )
    db.close()

    with Register(tmp_path / "vault", KEY) as register, pytest.raises(VaultError):
        register.uid(uids[1])
    with Register(tmp_path / "vault", bytes(reversed(KEY))) as register, pytest.raises(VaultError):
        register.uid(uids[0])


def test_a_result_finds_its_study_again(tmp_path: Path, site: Site):
    """A segmentation made from de-identified images gets patient, study, dates and references of the originals."""
    study = a_study(tmp_path / "in")
    cleaned = _through(study, site)
    made = _a_result(cleaned[study.seg], tmp_path / "results" / "seg.dcm")

    ran = _racoon("deid", "restore", tmp_path / "results", "--to", "pacs", "--site", site.root, "--json")

    (row,) = json.loads(ran.stdout)
    restored, original = pydicom.dcmread(row["path"]), pydicom.dcmread(study.seg)
    assert ran.exit_code == ExitCode.DONE
    for keyword in ("PatientID", "PatientName", "PatientBirthDate", "StudyInstanceUID", "StudyDate", "AccessionNumber"):
        assert restored[keyword].value == original[keyword].value
    assert restored.FrameOfReferenceUID == original.FrameOfReferenceUID
    assert restored.ContentDate == original.ContentDate
    assert restored.SOPInstanceUID == made.SOPInstanceUID
    assert _references(restored) == _references(original)
    assert restored.PatientIdentityRemoved == "NO"
    assert "DeidentificationMethod" not in restored
    assert restored.PixelData == original.PixelData
    assert Path(row["path"]).stat().st_mode & 0o777 == 0o600
    logged = [entry for entry in entries(site.audit) if entry["action"] == "restore"]
    assert [entry["node"] for entry in logged] == ["pacs"]


def _references(dataset: pydicom.Dataset) -> list[str]:
    return [str(e.value) for e in dataset.iterall() if e.keyword in ("ReferencedSOPInstanceUID", "ReferencedSeriesUID")]


def test_only_an_approved_node_receives_identity(tmp_path: Path, site: Site):
    """A node that the settings do not approve is refused for policy, and nothing is written."""
    study = a_study(tmp_path / "in")
    cleaned = _through(study, site)
    _a_result(cleaned[study.seg], tmp_path / "results" / "seg.dcm")

    ran = _racoon("deid", "restore", tmp_path / "results", "--to", "elsewhere", "--site", site.root)

    assert ran.exit_code == ExitCode.POLICY
    assert not site.outgoing.exists()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"StudyInstanceUID": "2.25.1"}, "deid.not_restored"),
        ({"PatientID": "PSTRANGER"}, "deid.not_restored"),
        ({"FrameOfReferenceUID": "2.25.2"}, "deid.not_restored"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"}, "deid.not_restored"),
    ],
)
def test_what_the_vault_does_not_know_stays(tmp_path: Path, site: Site, change: dict[str, str], code: str):
    """A result of an unknown study, another patient or unknown references, and an image, are refused."""
    study = a_study(tmp_path / "in")
    cleaned = _through(study, site)
    dataset = _a_result(cleaned[study.seg], tmp_path / "results" / "seg.dcm")
    dataset.update({keyword: value for keyword, value in change.items()})
    dataset.save_as(tmp_path / "results" / "seg.dcm")

    ran = _racoon("deid", "restore", tmp_path / "results", "--to", "pacs", "--site", site.root, "--json")

    assert ran.exit_code == ExitCode.PARTIAL
    assert [row["code"] for row in json.loads(ran.stdout)] == [code]
    assert not list(site.outgoing.rglob("*.dcm"))


def test_what_came_from_the_pacs_does_not_go_back(tmp_path: Path, site: Site):
    """The de-identified original itself is no result."""
    study = a_study(tmp_path / "in")
    cleaned = _through(study, site)

    ran = _racoon("deid", "restore", cleaned[study.sr], "--to", "pacs", "--site", site.root, "--dry-run", "--json")

    assert "came from the PACS" in json.loads(ran.stdout)[0]["message"]


def test_lookup_is_logged(tmp_path: Path, site: Site):
    """Looking up a pseudonym tells the original and leaves a line; an unknown one is no answer."""
    study = a_study(tmp_path / "in")
    cleaned = _through(study, site)
    patient = pydicom.dcmread(cleaned[study.seg]).PatientID

    ran = _racoon("deid", "lookup", patient, "--reason", "recall", "--site", site.root, "--json")
    unknown = _racoon("deid", "lookup", "2.25.99", "--reason", "recall", "--site", site.root)

    assert json.loads(ran.stdout)[0]["PatientID"] == pydicom.dcmread(study.seg).PatientID
    assert unknown.exit_code == ExitCode.NOTHING
    assert [entry["pseudonym"] for entry in entries(site.audit) if entry["action"] == "lookup"] == [patient, "2.25.99"]


def test_a_forgotten_patient_is_gone_and_stays_out(tmp_path: Path, site: Site):
    """Spool, work, quarantine and vault lose the patient; what arrives later is not taken in."""
    study = a_study(site.spool / "1.2.3")
    a_file(site.spool / "1.2.3" / "odd", BurnedInAnnotation="YES", SOPInstanceUID="1.2.3.9")
    door = _door(site)
    deidentify_files(sorted(site.spool.rglob("*.dcm")), door)
    patient_id = pydicom.dcmread(study.seg).PatientID
    later = a_study(tmp_path / "later").images[0]

    rehearsed = _racoon("deid", "forget", patient_id, "--site", site.root, "--dry-run", "--json")
    was_there = sorted(site.work.iterdir())
    ran = _racoon("deid", "forget", patient_id, "--site", site.root, "--yes", "--json")
    (again,) = deidentify_files([later], door)

    assert json.loads(rehearsed.stdout) == {**json.loads(ran.stdout), "is_dry_run": True}
    assert [path.name for path in was_there] == [door.pseudonymizer.patient(patient_id)]
    for folder in (site.spool, site.work):
        assert list(folder.iterdir()) == []
    assert again.outcome.code == "deid.forgotten_patient"
    assert not any(pydicom.dcmread(path).PatientID == patient_id for path in site.quarantine.glob("*.dcm"))
    with Register(site.vault, door.pseudonymizer.key) as register:
        assert register.person(door.pseudonymizer.patient(patient_id)) is None


def test_a_person_releases_a_picture(tmp_path: Path, site: Site):
    """A released object passes with the next run and its copy goes; the decision is in the log."""
    a_file(tmp_path / "in", BurnedInAnnotation="YES")
    command = ("deid", "run", tmp_path / "in", site.work, "--site", site.root, "--json")
    first = json.loads(_racoon(*command).stdout)
    listed = json.loads(_racoon("deid", "quarantine", "list", "--site", site.root, "--json").stdout)

    released = _racoon(
        "deid", "quarantine", "release", listed[0]["sha256"][:8], "--reason", "no text", "--site", site.root
    )
    second = json.loads(_racoon(*command).stdout)

    assert (first["counts"]["done"], second["counts"]["done"]) == (0, 1)
    assert released.exit_code == ExitCode.DONE
    assert not list(site.quarantine.glob("*.dcm"))
    assert [e["reason"] for e in entries(site.audit) if e["action"] == "quarantine-release"] == ["no text"]


def test_nobody_releases_what_cannot_be_cleaned(tmp_path: Path, site: Site):
    """An object of an unsupported kind stays out whatever a person says."""
    a_file(tmp_path / "in", SOPClassUID="1.2.840.10008.5.1.4.1.1.9.1.1")
    _racoon("deid", "run", tmp_path / "in", site.work, "--site", site.root)
    (held,) = json.loads(_racoon("deid", "quarantine", "list", "--site", site.root, "--json").stdout)

    ran = _racoon("deid", "quarantine", "release", held["sha256"][:8], "--reason", "x", "--site", site.root)

    assert ran.exit_code == ExitCode.POLICY


def test_a_discarded_copy_does_not_come_back(tmp_path: Path, site: Site):
    """The copy goes, its note stays, and the next run does not put the same bytes aside again."""
    a_file(tmp_path / "in", BurnedInAnnotation="YES")
    command = ("deid", "run", tmp_path / "in", site.work, "--site", site.root)
    _racoon(*command)
    (held,) = json.loads(_racoon("deid", "quarantine", "list", "--site", site.root, "--json").stdout)

    _racoon("deid", "quarantine", "discard", held["sha256"][:8], "--reason", "a letter", "--site", site.root)
    _racoon(*command)

    (now,) = json.loads(_racoon("deid", "quarantine", "list", "--site", site.root, "--json").stdout)
    assert (now["fate"], list(site.quarantine.glob("*.dcm"))) == ("discarded", [])


def test_a_resumed_object_is_in_the_table(tmp_path: Path):
    """What passed before the table was kept is found by the next run."""
    study = a_study(tmp_path / "in")
    door = Door(tmp_path / "work", None, Profile(), Pseudonymizer(KEY), None)
    passed(study.paths, door)

    passed(study.paths, replace(door, vault=tmp_path / "vault"))

    frame = pydicom.dcmread(study.seg).FrameOfReferenceUID
    with Register(tmp_path / "vault", KEY) as register:
        assert register.uid(door.pseudonymizer.uid(frame)) == frame


def test_restored_results_go_to_their_node_only(tmp_path: Path, site: Site):
    """What was restored for one node is not pushed to another."""
    a_file(site.outgoing / "pacs")

    ran = _racoon("pacs", "push", "elsewhere", site.outgoing / "pacs", "--site", site.root, "--dry-run")
    right = _racoon("pacs", "push", "pacs", site.outgoing / "pacs", "--site", site.root, "--dry-run")

    assert (ran.exit_code, right.exit_code) == (ExitCode.POLICY, ExitCode.DONE)


def test_a_folder_is_verified(tmp_path: Path, site: Site):
    """Cleaned objects are clean; an original among them, and a name in a text file or a gzipped one, are found."""
    study = a_study(tmp_path / "in")
    _through(study, site)
    name = str(pydicom.dcmread(study.seg).PatientName)
    clean = _racoon("deid", "verify", site.work, "--site", site.root, "--json")
    (site.work / "original.dcm").write_bytes(study.seg.read_bytes())
    (site.work / "notes.json").write_text(json.dumps({"who": name}))
    (site.work / "image.nii.gz").write_bytes(gzip.compress(b"0" * 400 + name.encode()))

    found = _racoon("deid", "verify", site.work, "--site", site.root, "--json")

    assert (clean.exit_code, json.loads(clean.stdout)["suspicious"]) == (ExitCode.DONE, [])
    assert found.exit_code == ExitCode.POLICY
    told = {Path(row["path"]).name: row["code"] for row in json.loads(found.stdout)["suspicious"]}
    assert told == {
        "original.dcm": "deid.quarantined",
        "notes.json": "deid.identifier_left",
        "image.nii.gz": "deid.identifier_left",
    }
    assert name not in found.stdout


def test_the_audit_log_is_shown_and_sealed(tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch):
    """Lines tell the operator; filters choose; verify checks the vault's seal, and finds a log that was rewritten."""
    monkeypatch.setenv("RACOON_OPERATOR", "Kim Data-Steward")
    study = a_study(tmp_path / "in")
    _racoon("deid", "run", tmp_path / "in", site.work, "--site", site.root)
    pseudonym = next(site.work.iterdir()).name
    _racoon("deid", "lookup", pseudonym, "--reason", "recall", "--site", site.root)

    shown = _racoon("audit", "show", "--site", site.root, "--action", "lookup", "--actor", "Kim", "--json")
    about = _racoon("audit", "show", "--site", site.root, "--about", pseudonym[:6], "--since", "2020", "--json")
    none = _racoon("audit", "show", "--site", site.root, "--until", "2020-01-01", "--json")
    verified = _racoon("audit", "verify", "--site", site.root, "--json")
    log = AuditLog(site.audit)
    site.audit.unlink()
    head_path(site.audit).unlink()
    log.append("deidentify")
    forged = _racoon("audit", "verify", "--site", site.root)

    (line,) = map(json.loads, shown.stdout.splitlines())
    assert line["actor"].startswith("Kim Data-Steward, ")
    assert [json.loads(one)["pseudonym"] for one in about.stdout.splitlines()] == [pseudonym]
    assert none.stdout == ""
    assert json.loads(verified.stdout) == {"lines": len(study.paths) + 1, "is_whole": True, "is_sealed": True}
    assert forged.exit_code == ExitCode.POLICY


def test_a_killed_forgetting_is_repeated(tmp_path: Path, site: Site):
    """Killed anywhere, the same command finishes the work, and the door is closed from the first moment."""
    study = a_study(site.spool / "1.2.3")
    door = _door(site)
    deidentify_files(sorted(site.spool.rglob("*.dcm")), door)
    patient_id = pydicom.dcmread(study.seg).PatientID
    code = (
        "import os, shutil, sys; from racoon_data.cli.main import app\n"
        "real = shutil.rmtree\n"
        "def rmtree(path): real(path); os.kill(os.getpid(), 9)\n"
        "shutil.rmtree = rmtree\n"
        "app(sys.argv[1:])\n"
    )
    command = ["deid", "forget", patient_id, "--site", str(site.root), "--yes"]
    killed = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, check=False)
    (meanwhile,) = deidentify_files([a_study(tmp_path / "later").images[0]], door)
    left = [*site.spool.iterdir(), *site.work.iterdir()]

    ran = _racoon(*command)

    assert (killed.returncode, meanwhile.outcome.code) == (-9, "deid.forgotten_patient")
    assert left
    assert ran.exit_code == ExitCode.DONE
    assert [*site.spool.iterdir(), *site.work.iterdir()] == []
    assert [entry["action"] for entry in entries(site.audit)][-1] == "forget"
    with Register(site.vault, door.pseudonymizer.key) as register:
        assert register.person(door.pseudonymizer.patient(patient_id)) is None


def test_forgetting_reaches_everything_of_the_patient(tmp_path: Path, site: Site):
    """Exports, results on their way out, a study under another number, quarantine and caches of training go too."""
    study = a_study(site.spool / "1.2.3")
    door = _door(site)
    a_file(site.spool / "9.9", PatientID="OLD-1", OtherPatientIDs=pydicom.dcmread(study.seg).PatientID)
    kept = a_file(site.spool / "8.8", PatientID="SOMEBODY", StudyInstanceUID="8.8", SOPInstanceUID="8.8.1")
    deidentify_files(study.paths, door)
    patient_id = pydicom.dcmread(study.seg).PatientID
    pseudonym = door.pseudonymizer.patient(patient_id)
    (site.work / "exports" / pseudonym).mkdir(parents=True)
    a_file(site.outgoing / "pacs", PatientID=patient_id)
    a_file(tmp_path / "odd", PatientID=patient_id, BurnedInAnnotation="YES", SOPInstanceUID="1.2.3.9")
    deidentify_files(sorted((tmp_path / "odd").rglob("*.dcm")), door)
    cache = site.federation / "job" / "cache" / ("a" * 32 + "-1")
    cache.mkdir(parents=True)
    (cache / "cases.json").write_text("{}")
    with Ledger(site.ledger) as ledger:
        ledger.remember("publish", "a" * 64, "", {"name": "lung", "patients": [pseudonym]})

    ran = _racoon("deid", "forget", patient_id, "--site", site.root, "--yes", "--json")

    assert json.loads(ran.stdout)["datasets"] == ["lung"]
    gone = [site.work / pseudonym, site.work / "exports" / pseudonym, site.spool / "1.2.3", site.spool / "9.9", cache]
    assert [path for path in gone if path.exists()] == []
    assert [*site.quarantine.iterdir(), *(site.outgoing / "pacs").rglob("*.dcm")] == []
    assert kept.exists()
