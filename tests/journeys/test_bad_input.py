"""Bad input on the walk: a clear error or a coded case, sums that agree, and nothing lost."""

import json
import socket
import subprocess

import pydicom
import pytest

from racoon_data.files.manifest import load_manifest
from racoon_data.pacs.serve import EmbeddedPacs
from racoon_data.testing.makers import a_series, not_dicom, truncated
from tests.journeys.steps import LABELS, STUDY, a_patient, a_site, a_study, files_of, racoon, reasons, walk


def test_foreign_files_in_the_archive_do_no_harm(folder):
    """Text and pictures beside DICOM files change nothing."""
    not_dicom(folder / "archive")

    account = walk(folder, expect=0)

    assert reasons(account, "cases") == {}
    assert account["stages"][0]["used"] == 9


def test_a_missing_slice_fails_its_case_and_no_other(folder):
    """The gap is named by its code; the good patient is in the dataset."""
    a_patient(folder / "archive", "GAP-1", missing=[4])

    account = walk(folder, expect=5)

    assert reasons(account, "cases") == {"dicom.missing_slices": 1}
    assert reasons(account, "instances") == {"dicom.missing_slices": 8}
    manifest = load_manifest(folder / "site" / "datasets" / "lung")
    assert manifest.counts.model_dump() == {"cases_in": 2, "used": 1, "skipped": 0, "failed": 1}
    assert {outcome.code for outcome in manifest.outcomes} == {"dicom.missing_slices"}


def test_a_truncated_file_keeps_its_study_out(folder):
    """A slice that ends early is refused at the door, and its study with it."""
    made, _ = a_patient(folder / "archive", "TORN-1")
    truncated(made.paths[3])

    account = walk(folder, expect=5)

    assert sum(reasons(account, "cases").values()) == 1
    assert len(load_manifest(folder / "site" / "datasets" / "lung").cases) == 1


def test_a_series_that_loses_its_last_slice_in_sorting_is_no_case(folder):
    """A slice that does not say where it lies leaves no gap at the end of a stack; the case is kept out still."""
    made, _ = a_patient(folder / "archive", "CUT-1")
    last = pydicom.dcmread(made.paths[-1])
    del last.ImagePositionPatient
    last.save_as(made.paths[-1])

    account = walk(folder, expect=5)

    assert reasons(account, "cases") == {"case.incomplete_series": 1}
    assert reasons(account, "instances") == {"case.incomplete_series": 8, "dicom.no_geometry": 1}
    assert len(load_manifest(folder / "site" / "datasets" / "lung").cases) == 1


def test_a_segmentation_without_its_series_is_set_aside(folder):
    """The SEG points at images that are not here: a coded skip for it, and for the case without labels."""
    made, _ = a_patient(folder / "archive", "LOST-1")
    for path in made.paths:
        path.unlink()
    a_series(
        folder / "archive" / "LOST-1" / "other", slices=8, patient_id="LOST-1", seed="LOST-1", series_uid="2.25.77"
    )

    account = walk(folder, expect=0)

    assert reasons(account, "cases") == {"case.no_annotation": 1}
    assert reasons(account, "instances") == {"case.no_annotation": 8, "annotation.dangling_reference": 1}


def test_an_unreachable_pacs_is_named_with_its_remedy(folder):
    """Nobody listens: exit 4, and the message says what to check."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    site = a_site(folder / "site", port=port)

    said = racoon("run", a_study(folder, STUDY), "--site", site)

    assert said.exit_code == 4
    assert "pacs.unreachable" in said.err
    assert "what helps" in said.err


def test_a_wrong_ae_title_is_named(folder):
    """The PACS rejects a called AE title it does not have: exit 4 and a sentence that names it."""
    with EmbeddedPacs(folder / "archive", ae_title="PACS") as pacs:
        site = a_site(folder / "site", port=pacs.port, ae_title="WRONG")
        said = racoon("run", a_study(folder, STUDY), "--site", site)

    assert said.exit_code == 4
    assert "pacs.refused" in said.err
    assert "WRONG" in said.err


@pytest.fixture
def small_disk(tmp_path):
    """A file system of our own that holds hardly more than the settings; grows on request."""
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=160k", "tmpfs", disk], capture_output=True)
    if made.returncode:
        pytest.skip("a small file system cannot be mounted here")
    yield disk, lambda: subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk_stops_cleanly_and_the_same_command_goes_on(folder, small_disk):
    """Exit 9 while the disk is full, no torn file; with space again the walk ends as if nothing had been."""
    disk, grow = small_disk
    with EmbeddedPacs(folder / "archive") as pacs:
        a_site(disk / "site", port=pacs.port)
        study = a_study(folder, STUDY)
        full = racoon("run", study, "--site", disk / "site")
        torn = sorted(path.name for path in disk.rglob("*.partial"))
        grow()
        again = racoon("run", study, "--site", disk / "site", "--json")

    assert full.exit_code == 9, full.err
    assert "storage.full" in full.err
    assert torn == []
    assert again.exit_code == 0, again.err
    assert reasons(again.document, "cases") == {}


def test_nothing_that_stood_before_is_lost(folder):
    """A walk that finds nothing usable leaves the dataset that stands as it was."""
    walk(folder, expect=0)
    root = folder / "site" / "datasets" / "lung"
    before = files_of(root)
    (folder / "labels.json").write_text(
        json.dumps({**LABELS, "labels": [{**LABELS["labels"][0], "name": "nodule", "synonyms": []}]})
    )

    walk(folder, expect=8)

    assert files_of(root) == before


def test_the_same_input_gives_the_same_bytes(folder):
    """A second walk, and a walk with everything rebuilt, change no byte of the dataset."""
    walk(folder, expect=0)
    root = folder / "site" / "datasets" / "lung"
    first = files_of(root)

    walk(folder, expect=0)
    (folder / "site" / "ledger.sqlite").unlink()
    walk(folder, expect=0)

    assert files_of(root) == first
