"""A folder with two patients, an embedded PACS over it, and a spool with its ledger."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from racoon_data.pacs.serve import EmbeddedPacs
from racoon_data.refs import StudyRef
from racoon_data.site.ledger import Ledger
from racoon_data.testing.makers import MadeSeries, Person, a_series


@dataclass(frozen=True)
class Archive:
    """What lies in the served folder."""

    folder: Path
    ct: MadeSeries
    ct_thick: MadeSeries
    mr: MadeSeries

    @property
    def study(self) -> StudyRef:
        """The study with two CT series."""
        return StudyRef(self.ct.ref.study_uid)

    @property
    def sop_uids(self) -> set[str]:
        """Every instance of that study."""
        return {*self.ct.sop_uids, *self.ct_thick.sop_uids}


@pytest.fixture(autouse=True)
def slots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slots of nodes lie in the test's own folder, not in the user's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """Two CT series of one study and an MR study of another patient, with strange files beside them."""
    folder = tmp_path / "archive"
    (folder / "notes").mkdir(parents=True)
    (folder / "notes" / "readme.txt").write_text("not DICOM")
    ct = a_series(folder / "ct", patient_id="P1", study_uid="1.2.826.0.1.1", series_uid="1.2.826.0.1.1.1", slices=6)
    thick = a_series(
        folder / "thick", patient_id="P1", study_uid="1.2.826.0.1.1", series_uid="1.2.826.0.1.1.2", slices=4
    )
    other = Person(name="Müller^Jörg", study_date="20210501", accession_number="A2")
    mr = a_series(
        folder / "mr",
        patient_id="P2",
        study_uid="1.2.826.0.1.2",
        series_uid="1.2.826.0.1.2.1",
        slices=3,
        modality="MR",
        person=other,
    )
    return Archive(folder, ct, thick, mr)


@pytest.fixture
def pacs(archive: Archive) -> Iterator[EmbeddedPacs]:
    """An embedded PACS over the archive."""
    with EmbeddedPacs(archive.folder) as running:
        yield running


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A ledger beside the spool."""
    with Ledger(tmp_path / "site" / "ledger.sqlite") as opened:
        yield opened


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """Where instances arrive."""
    return tmp_path / "site" / "spool"
