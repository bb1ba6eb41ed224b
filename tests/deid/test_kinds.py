"""Every kind of object: what passes is valid and clean, what waits passes once a person released it."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pydicom
import pytest

from racoon_data.deid.door import Door, deidentify_files
from racoon_data.deid.profile import Profile
from racoon_data.deid.table import object_kinds
from racoon_data.files.atomic import sha256_of
from tests.deid.pictures import a_gsps, a_picture, gradient
from tests.deid.samples import passed, passed_one, values_of
from tests.deid.test_door import SECRETS, a_file

STORAGE = "1.2.840.10008.5.1.4.1.1."
WAITING = {
    "CR": ("1", "CR"), "DX": ("1.1", "DX"), "MG": ("1.2", "MG"), "IO": ("1.3", "IO"), "XA": ("12.1", "XA"),
    "RF": ("12.2", "RF"), "enhanced XA": ("12.1.1", "XA"), "tomosynthesis": ("13.1.3", "MG"), "NM": ("20", "NM"),
    "US": ("6.1", "US"), "cine US": ("3.1", "US"), "SC": ("7", "OT"), "multi-frame SC": ("7.2", "OT"),
    "endoscopy": ("77.1.1", "ES"), "photography": ("77.1.4", "XC"), "slide": ("77.1.6", "SM"),
}  # fmt: skip


def _waiting(folder: Path, name: str, **changes: Any) -> Path:
    uid, modality = WAITING[name]
    pixels = gradient(1, 8, 10) if modality != "ES" else gradient(1, 8, 10, 3)
    photometric = "RGB" if pixels.ndim == 4 else "MONOCHROME2"
    identity = {
        "OperatorsName": "Leser^Lena",
        "DetectorID": "4711",
        "ProtocolName": "Thorax Muster",
        "ImageComments": "Frau Muster",
    }
    given = {"photometric": photometric, "SOPClassUID": STORAGE + uid, "Modality": modality, **identity, **changes}
    return a_picture(folder, pixels, **given)


@pytest.mark.parametrize("name", WAITING)
def test_pictures_wait_until_a_person_releases_them(tmp_path: Path, door: Door, name: str):
    """Radiographs, ultrasound, captures and photographs wait; released, they pass clean with all their pixels."""
    path = _waiting(tmp_path / "in", name)

    (held,) = deidentify_files([path], door)
    (value,) = passed([path], replace(door, quarantine=_released(door, path)))

    assert held.outcome.code == "deid.identity_risk"
    data, after = value.path.read_bytes(), pydicom.dcmread(value.path)
    assert [secret for secret in SECRETS if secret.encode() in data] == []
    assert after.PixelData == pydicom.dcmread(path).PixelData


def _released(door: Door, path: Path) -> Path:
    from racoon_data.deid.quarantine import Fate, decide

    decide(door.quarantine, sha256_of(path), Fate.RELEASED, reason="no text", audit=None)
    return door.quarantine


def test_every_kind_that_waits_says_why():
    """The reason is data beside the attribute types, and every SOP class has a kind."""
    kinds = object_kinds()

    assert set(kinds.sop_classes.values()) <= set(kinds.types)
    assert {kinds.sop_classes[STORAGE + uid] for uid, _ in WAITING.values()} == set(kinds.waits)
    assert all(len(reason.split()) > 4 for reason in kinds.waits.values())


@pytest.fixture
def state(tmp_path: Path) -> tuple[Path, Path]:
    """A CT slice and a presentation state on it."""
    image = a_file(tmp_path / "in")
    return image, a_gsps(tmp_path / "in", image)


def test_presentation_states_pass_with_clean_graphics(state: tuple[Path, Path], door: Door):
    """Texts keep known words, labels and layers lose the patient, the reader is a pseudonym, shapes stay."""
    image, path = state
    after = passed_one(path, door)
    annotation = after.GraphicAnnotationSequence[0]

    assert annotation.TextObjectSequence[0].UnformattedTextValue == "Nodule links"
    assert annotation.GraphicObjectSequence[0].GraphicData == [1.0, 1.0, 3.0, 3.0]
    assert annotation.GraphicLayer == after.GraphicLayerSequence[0].GraphicLayer == "ANON"
    assert (after.ContentLabel, "Muster" in after.ContentDescription) == ("ANON", False)
    assert str(after.ContentCreatorName) == door.pseudonymizer.reader("Leser^Lena")
    assert after.PresentationCreationDate != "20200317"
    left = next(door.out.rglob("*.dcm")).read_bytes()
    assert [one for one in (*SECRETS, "Quastenberg") if one.encode() in left] == []
    uid = door.pseudonymizer.uid(str(pydicom.dcmread(image).SOPInstanceUID))
    assert set(values_of(after, "ReferencedSOPInstanceUID")) == {uid}


def test_drawn_overlays_of_a_state_go(state: tuple[Path, Path], door: Door):
    """Overlays and curves in a presentation state are pictures nobody reads."""
    dataset = pydicom.dcmread(state[1])
    dataset.add_new(0x60003000, "OW", b"\1\2")
    dataset.add_new(0x60001001, "CS", "MUSTER")
    dataset.save_as(state[1])

    after = passed_one(state[1], door)

    assert not [element for element in after if element.tag.group >> 8 == 0x60]


def test_states_wait_where_graphics_are_not_cleaned(state: tuple[Path, Path], door: Door):
    """Option 113103 off, or a shutter that is a bitmap: the state waits, with its reason."""
    (off,) = deidentify_files([state[1]], replace(door, profile=Profile(clean_graphics=False)))
    dataset = pydicom.dcmread(state[1])
    dataset.ShutterShape = "BITMAP"
    dataset.save_as(state[1])
    (bitmap,) = deidentify_files([state[1]], door)

    assert [one.outcome.code for one in (off, bitmap)] == ["deid.quarantined"] * 2
    assert "bitmap" in bitmap.outcome.message


@pytest.mark.peers("dciodvfy")
@pytest.mark.parametrize("dates", ["modified", "removed"])
@pytest.mark.parametrize("name", WAITING)
def test_validator_finds_no_new_error_in_any_picture(tmp_path: Path, door: Door, name: str, dates: str):
    """dciodvfy accepts each picture as it accepted the original, whatever becomes of dates."""
    path = _waiting(tmp_path / "in", name)
    given = replace(door, profile=Profile(dates=dates))
    deidentify_files([path], given)
    (value,) = passed([path], replace(given, quarantine=_released(door, path)))

    assert errors_in(value.path) <= errors_in(path)


@pytest.mark.peers("dciodvfy")
@pytest.mark.parametrize("dates", ["modified", "removed"])
def test_validator_finds_no_new_error_in_a_state(state: tuple[Path, Path], door: Door, dates: str):
    """dciodvfy accepts the presentation state as it accepted the original."""
    (value,) = passed([state[1]], replace(door, profile=Profile(dates=dates)))

    assert errors_in(value.path) <= errors_in(state[1])


def errors_in(path: Path) -> set[str]:
    """Give the errors that dciodvfy finds in a file."""
    told = subprocess.run(
        ["dciodvfy", "-new", str(path)], capture_output=True, text=True, errors="replace", check=False
    )
    return {line for line in (told.stdout + told.stderr).splitlines() if line.startswith("Error")}
