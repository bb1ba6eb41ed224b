"""Folders and DICOMDIRs are sources like a PACS: found, fetched, accounted for."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from pathlib import Path

import pydicom
import pytest
from pydicom.fileset import FileSet

from racoon_data.errors import SettingsError
from racoon_data.files.atomic import sweep_partials
from racoon_data.pacs.folder import FolderSource, listed_in
from racoon_data.pacs.part10 import dataset_bytes
from racoon_data.pacs.peer import FolderNode
from racoon_data.pacs.retrieve import retrieve
from racoon_data.refs import Query
from racoon_data.site.ledger import InstanceState, Verdict
from racoon_data.testing.contracts import SourceContract


class TestFolderSource(SourceContract):
    """A folder node keeps the contract of sources."""

    @contextmanager
    def source_over(self, folder: Path):
        """Open the folder."""
        yield FolderSource(FolderNode("folder", folder))


class TestDicomdirSource(SourceContract):
    """A DICOMDIR written by pydicom keeps it too."""

    @contextmanager
    def source_over(self, folder: Path):
        """Write a DICOMDIR over the files and open it."""
        yield FolderSource(FolderNode("disc", a_dicomdir(folder, folder.parent / f"{folder.name}-disc")))


def a_dicomdir(folder: Path, disc: Path) -> Path:
    """Write a DICOMDIR and copies of all files."""
    files = FileSet()
    for path in sorted(folder.rglob("*.dcm")):
        dataset = pydicom.dcmread(path)
        dataset.SeriesNumber = dataset.get("SeriesNumber") or 1
        dataset.StudyID = dataset.get("StudyID") or "1"
        files.add(dataset)
    files.write(disc)
    return disc / "DICOMDIR"


def test_a_folder_is_fetched_once(archive, spool, ledger):
    """Every instance is copied byte for byte; the second call copies nothing."""
    node = FolderNode("usb", archive.folder)
    events = []

    (first,) = retrieve(node, [archive.study], spool=spool, ledger=ledger)
    (second,) = retrieve(node, [archive.study], spool=spool, ledger=ledger, on_event=events.append)

    assert (first.verdict, first.arrived) == (Verdict.COMPLETE, 10)
    assert second == first
    assert [event.kind for event in events] == ["retrieve"]
    sent = {dataset_bytes(path) for made in (archive.ct, archive.ct_thick) for path in made.paths}
    assert {dataset_bytes(path) for path in spool.rglob("*.dcm")} == sent


def test_a_file_missing_on_a_disc_makes_its_study_partial(archive, spool, ledger, tmp_path):
    """The directory is the list: a file that is gone is a failed instance, not a shorter study."""
    directory = a_dicomdir(archive.folder, tmp_path / "disc")
    lost = next(one for one in listed_in(directory) if one.ref.study_uid == archive.study.study_uid)
    lost.path.unlink()

    (verdict,) = retrieve(FolderNode("disc", directory), [archive.study], spool=spool, ledger=ledger, attempts=1)

    rows = {row.ref: row for row in ledger.instances(archive.study.study_uid)}
    assert (verdict.verdict, verdict.expected, verdict.arrived) == (Verdict.PARTIAL, 10, 9)
    assert rows[lost.ref].state is InstanceState.FAILED
    assert "missing" in rows[lost.ref].reason


def test_a_directory_cannot_point_outside_its_folder(archive, tmp_path):
    """A file name with dots that lead out is passed over."""
    directory = a_dicomdir(archive.folder, tmp_path / "disc")
    dataset = pydicom.dcmread(directory)
    records = [record for record in dataset.DirectoryRecordSequence if "ReferencedFileID" in record]
    records[0].ReferencedFileID = ["..", "..", "SECRET"]
    dataset.save_as(directory)

    assert len(list(listed_in(directory))) == len(records) - 1


def test_a_folder_that_is_not_there_is_a_settings_error(tmp_path):
    """The message names the path that is wrong."""
    with pytest.raises(SettingsError, match="neither a folder nor a DICOMDIR"):
        list(FolderSource(FolderNode("usb", tmp_path / "nowhere")).find(Query()))


@pytest.mark.peers("dcmmkdir")
def test_a_dicomdir_by_dcmtk_is_read(archive, spool, ledger, tmp_path):
    """The directory that dcmtk writes over our files lists them all."""
    for number, path in enumerate((*archive.ct.paths, *archive.ct_thick.paths)):
        dataset = pydicom.dcmread(path)
        dataset.StudyID, dataset.SeriesNumber = "1", 1 + number // 6
        dataset.save_as(tmp_path / f"I{number}")
    names = [f"I{number}" for number in range(10)]
    command = ["dcmmkdir", "--invent", "+D", "DICOMDIR", *names]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr

    node = FolderNode("disc", tmp_path / "DICOMDIR")
    (verdict,) = retrieve(node, [archive.study], spool=spool, ledger=ledger)

    assert (verdict.verdict, verdict.expected) == (Verdict.COMPLETE, 10)


def test_what_a_killed_process_left_is_removed(tmp_path):
    """Temporary files of dead processes go, those of living ones and finished files stay."""
    dead = subprocess.Popen(["true"])
    dead.wait()
    import os

    (tmp_path / "a").mkdir()
    gone = [tmp_path / "a" / f".1.2.3.dcm.{dead.pid}.partial", tmp_path / "a" / f".1.2.{dead.pid}.7f00.partial"]
    kept = [tmp_path / "a" / f".1.2.4.dcm.{os.getpid()}.partial", tmp_path / "a" / "1.2.dcm"]
    for path in (*gone, *kept):
        path.write_bytes(b"x")

    assert sweep_partials(tmp_path) == 2
    assert all(path.exists() for path in kept)
    assert not any(path.exists() for path in gone)
