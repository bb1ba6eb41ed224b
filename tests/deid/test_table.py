"""Every row of the standard's table gets its action at the top, in a sequence and two deep."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import date, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataset import Dataset

from racoon_data.deid.door import Door, deidentify_files
from racoon_data.testing.makers import a_series

SECRET = "Geheimrat Xaver"
PLANTED: dict[str, Any] = {
    "AE": "SECRETAE",
    "AS": "045Y",
    "CS": "SECRETCS",
    "DA": "20190303",
    "DS": "77.5",
    "DT": "20190303121314",
    "IS": "77",
    "OB": b"SECRET",
    "PN": "Geheimrat^Xaver",
    "SH": "Geheimrat X",
    "SL": 77,
    "TM": "121314",
    "UI": "1.3.6.1.4.1.99999.77",
    "UN": b"SECRET",
    "UR": "http://secret.example",
    "US": 7,
}

ESSENTIAL = frozenset(("PatientID", "PatientName", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"))


def _rows() -> tuple[dict[str, str], ...]:
    table = json.loads(files("racoon_data.deid").joinpath("annex_e_2024e.json").read_text(encoding="utf-8"))
    single = [row for row in table if len(row["id"]) == 8 and "x" not in row["id"]]
    # File meta, command and trailing padding cannot stand in a data set that is read from a file.
    return tuple(row for row in single if 0x00080000 <= int(row["id"], 16) < 0xFFFC0000 or row["id"] == "00041511")


ROWS = _rows()


@dataclass(frozen=True)
class Planted:
    """The object before and after, at three depths."""

    before: tuple[Dataset, ...]
    after: tuple[Dataset, ...]
    door: Door


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    """A CT that holds every row at three depths, taken through the door."""
    from tests.deid.conftest import KEY, Profile, Pseudonymizer

    folder = tmp_path_factory.mktemp("table")
    (path,) = a_series(folder, slices=1, rows=2, columns=2).paths
    before = pydicom.dcmread(path)
    plant(before)
    middle, inner = planted_item(), planted_item()
    middle.FrameContentSequence = [inner]
    before.PerFrameFunctionalGroupsSequence = [middle]
    before.save_as(path)
    door = Door(folder / "out", None, Profile(), Pseudonymizer(KEY))
    (result,) = deidentify_files([path], door)
    assert result.value is not None, result.outcome
    after = pydicom.dcmread(result.value.path)
    after_middle = after.PerFrameFunctionalGroupsSequence[0]
    return Planted((before, middle, inner), (after, after_middle, after_middle.FrameContentSequence[0]), door)


def planted_item() -> Dataset:
    """Make an item that holds every row."""
    item = Dataset()
    plant(item)
    return item


def plant(dataset: Dataset) -> None:
    """Put every row of the table into a data set."""
    for row in ROWS:
        tag = int(row["id"], 16)
        vr = dictionary_VR(tag)
        if keyword_for_tag(tag) in ESSENTIAL and tag in dataset:
            continue
        is_kept_text = row.get("rtnPatCharsOpt") == "K" and vr == "SH"
        dataset.add_new(tag, vr, [_item()] if vr == "SQ" else "Any" if is_kept_text else PLANTED.get(vr, SECRET))


def _item() -> Dataset:
    item = Dataset()
    item.InstitutionName, item.ReferencedSOPInstanceUID, item.CodeMeaning = SECRET, PLANTED["UI"], "Chest"
    item.RetrieveURL = "http://secret.example"
    return item


@pytest.mark.parametrize("depth", [0, 1, 2], ids=["top", "in-a-sequence", "two-deep"])
def test_every_row_gets_its_action(planted: Planted, depth: int):
    """All single-tag rows of PS3.15 2024e Table E.1-1 under the built-in profile, 100 %."""
    wrong = [
        f"{row['tag']} {row['name']}: {row['basicProfile']}"
        for row in ROWS
        if not _has_its_action(row, planted.before[depth], planted.after[depth], planted.door)
    ]

    assert len(ROWS) > 600
    assert wrong == []


def _has_its_action(row: dict[str, str], before: Dataset, after: Dataset, door: Door) -> bool:
    tag = int(row["id"], 16)
    old = before[tag]
    offset = door.pseudonymizer.day_offset("MUSTER-0001")
    new = after[tag].value if tag in after else None
    if row.get("rtnPatCharsOpt") == "K":
        return bool(new == old.value)
    if "rtnLongModifDatesOpt" in row and old.VR in ("DA", "DT"):
        day = (date(2019, 3, 3) + timedelta(days=offset)).strftime("%Y%m%d")
        return bool(new == (day if old.VR == "DA" else f"{day}121314"))
    if "rtnLongModifDatesOpt" in row and old.VR == "TM":
        return bool(new == old.value)
    if "cleanDescOpt" in row or "rtnPatCharsOpt" in row:
        return not _holds_old(new, old.value)
    if "cleanGraphOpt" in row or "cleanStructContOpt" in row or row["basicProfile"] == "X/Z/U*":
        return _is_walked(new, door)
    return _basic(row["basicProfile"], old, new, door)


def _basic(action: str, old: Any, new: Any, door: Door) -> bool:
    is_pseudonym = str(new).startswith("P") and len(str(new)) == 13
    checks = {
        "X": new is None,
        "Z": (new is not None and len(new) == 0) or is_pseudonym,
        "U": new == door.pseudonymizer.uid(str(old.value)),
        "D": bool(new) and not _holds_old(new, old.value),
    }
    return checks[action] if action in checks else new in (None, "") or not _holds_old(new, old.value)


def _is_walked(new: Any, door: Door) -> bool:
    is_mapped = new[0].ReferencedSOPInstanceUID == door.pseudonymizer.uid(PLANTED["UI"])
    return bool(is_mapped and "InstitutionName" not in new[0])


def _holds_old(new: Any, old: Any) -> bool:
    if new is None:
        return False
    if isinstance(old, pydicom.Sequence):
        text = str(new)
        return any(secret in text for secret in (SECRET, "secret", PLANTED["UI"]))
    return bool(new == old) or (isinstance(new, str) and "Xaver" in new)


def test_groups_of_the_table_go(planted: Planted, tmp_path: Path):
    """The four rows that name groups: private attributes, curves, overlays and their comments."""
    (path,) = a_series(tmp_path, slices=1, rows=2, columns=2, has_private_tags=True).paths
    dataset = pydicom.dcmread(path)
    dataset.add_new(0x60003000, "OW", b"\0\1")
    dataset.add_new(0x60024000, "LO", SECRET)
    dataset.add_new(0x50003000, "OW", b"\0\1")
    dataset.add_new(0x40000010, "LT", SECRET)
    nested = Dataset()
    nested.add_new(0x00291001, "UN", b"SECRET")
    nested.add_new(0x60003000, "OW", b"\0\1")
    nested.Modality = "CT"
    dataset.RealWorldValueMappingSequence = [nested]
    dataset.save_as(path)
    (result,) = deidentify_files([path], replace(planted.door, out=tmp_path / "out"))

    after = pydicom.dcmread(result.value.path)

    groups = {element.tag.group for element in after.iterall()}
    assert not {group for group in groups if group % 2 or group >> 8 in (0x50, 0x60) or group == 0x4000}
    assert after.RealWorldValueMappingSequence[0].Modality == "CT"
