"""Safe private attributes: numbers under their own creator stay, everything else private goes."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian

from racoon_data.deid.door import Door
from racoon_data.deid.profile import Profile
from racoon_data.dicom.diffusion import VENDORS
from racoon_data.dicom.quirks import QUIRKS
from tests.deid.samples import passed_one
from tests.deid.test_door import a_file

ROWS = json.loads(files("racoon_data.deid").joinpath("safe_private.json").read_text(encoding="utf-8"))
BLOCKS = sorted({(row["creator"], int(row["group"], 16)) for row in ROWS})
WHEN = "20200317101500.00"


def _planted(folder: Path, *, vr: str = "DS") -> Path:
    path = a_file(folder)
    dataset = pydicom.dcmread(path)
    for creator, group in BLOCKS:
        block = dataset.private_block(group, creator, create=True)
        for row in (row for row in ROWS if (row["creator"], int(row["group"], 16)) == (creator, group)):
            is_date = row["action"] == "shift-date"
            block.add_new(int(row["element"], 16), "DT" if is_date else vr, WHEN if is_date else "1.5")
        block.add_new(0xF0, "LO", "Muster^Erika")
    dataset.save_as(path)
    return path


def _found(dataset: Dataset) -> dict[tuple[str, int, int], object]:
    found = {}
    for row in ROWS:
        group, element = int(row["group"], 16), int(row["element"], 16)
        try:
            value = dataset.private_block(group, row["creator"])[element].value
        except KeyError:
            continue
        found[row["creator"], group, element] = value
    return found


def test_every_row_is_kept_with_its_creator(tmp_path: Path, door: Door):
    """All rows of the table stay with their values, the date among them moves, and no other private attribute stays."""
    after = passed_one(_planted(tmp_path / "in"), door)

    found = _found(after)
    assert len(found) == len(ROWS)
    assert {str(value) for key, value in found.items() if key[0] != "GEMS_PETD_01"} == {"1.5"}
    moved = str(found["GEMS_PETD_01", 0x0009, 0x0D])
    assert moved == f"{after.StudyDate}101500.00"
    assert sum(element.tag.is_private for element in after) == len(ROWS) + len(BLOCKS)


def test_all_that_converting_reads_is_in_the_table():
    """Diffusion, scaling and SUV factors of every vendor; not the CSA header, whose text nobody can check."""
    table = {(row["creator"], int(row["group"], 16), int(row["element"], 16)) for row in ROWS}
    read = {(quirk.creator, quirk.group, quirk.element) for quirk in QUIRKS if "CSA" not in quirk.creator}
    read |= {place for vendor in VENDORS for place in (vendor.b_value, *vendor.directions)}

    assert read <= table
    assert all(row["reason"] and row["source"] and row["what"] for row in ROWS)


def test_the_option_can_be_off(tmp_path: Path, door: Door):
    """Option 113111 off: every private attribute goes, and the code is not given."""
    after = passed_one(_planted(tmp_path / "in"), replace(door, profile=Profile(retain_safe_private=False)))

    assert not [element for element in after if element.tag.is_private]
    assert "113111" not in [code.CodeValue for code in after.DeidentificationMethodCodeSequence]


@pytest.mark.parametrize("dates", ["full", "removed"])
def test_dates_among_them_follow_the_profile(tmp_path: Path, door: Door, dates: str):
    """A private date stays where dates stay and goes where they go."""
    after = passed_one(_planted(tmp_path / "in"), replace(door, profile=Profile(dates=dates)))

    assert _found(after).get(("GEMS_PETD_01", 0x0009, 0x0D)) == (WHEN if dates == "full" else None)


@pytest.mark.parametrize(
    ("vr", "value"), [("LO", "Muster^Erika"), ("DS", "4711 Muster"), ("UN", b"Muster"), ("OB", b"12")]
)
def test_text_under_a_safe_number_goes(tmp_path: Path, door: Door, vr: str, value: object):
    """A value that is not the number the table promises is not kept, whatever its creator says."""
    path = a_file(tmp_path / "in")
    dataset = pydicom.dcmread(path)
    raw = value if isinstance(value, bytes) else str(value).encode()
    block = dataset.private_block(0x7053, "Philips PET Private Group", create=True)
    tag = block.get_tag(0x00)
    dataset[tag] = pydicom.dataelem.RawDataElement(tag, vr, len(raw), raw, 0, False, True)
    dataset.save_as(path)

    after = passed_one(path, door)

    assert not [element for element in after if element.tag.is_private]


def test_another_creators_block_goes(tmp_path: Path, door: Door):
    """The same tag under another creator is another attribute; also right after an object where it was safe."""
    safe, path = _planted(tmp_path / "safe"), a_file(tmp_path / "in", SOPInstanceUID="1.2.3.4.5")
    dataset = pydicom.dcmread(path)
    dataset.private_block(0x7053, "ACME PATIENT", create=True).add_new(0x00, "DS", "1.5")
    dataset.save_as(path)

    passed_one(safe, door)
    after = passed_one(path, door)

    assert not [element for element in after if element.tag.is_private]


def test_numbers_in_implicit_files_and_moved_blocks_stay(tmp_path: Path, door: Door):
    """Without a written VR the bytes are looked at; a block that an archive moved is found by its creator."""
    path = a_file(tmp_path / "in")
    dataset = pydicom.dcmread(path)
    dataset.private_block(0x7053, "ACME PATIENT", create=True).add_new(0x00, "DS", "4711")
    dataset.private_block(0x7053, "Philips PET Private Group", create=True).add_new(0x00, "DS", "0.000548")
    dataset.private_block(0x2005, "Philips MR Imaging DD 001", create=True).add_new(0x0E, "FL", 0.25)
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    pydicom.dcmwrite(path, dataset, implicit_vr=True, little_endian=True)

    after = passed_one(path, door)

    assert {element.tag for element in after if element.tag.is_private} == {
        0x70530011,
        0x70531100,
        0x20050010,
        0x2005100E,
    }
