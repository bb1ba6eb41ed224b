"""Identifiers planted wherever a value can stand, in several character sets: none is left."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from pydicom.datadict import DicomDictionary, dictionary_VR
from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from racoon_data.deid.devices import DeviceRule
from racoon_data.deid.door import Door, deidentify_files
from racoon_data.deid.profile import Profile
from tests.deid.pictures import a_picture, gradient
from tests.deid.samples import a_study

# Strings unlike any other, one for each kind of person or number; the first two are the patient's own.
NAMES = {"ISO_IR 100": "Zschörnig^Käthe", "ISO_IR 192": "Łukasiewicz^Żaneta", "ISO_IR 144": "Иванова^Мария"}
STRANGERS = ("Quastenberg", "Hohenfelde")
TEXT_VRS = ("LT", "ST", "UT", "UC", "PN", "AE", "UR")
SKIPPED = frozenset(("PatientID", "SpecificCharacterSet", "PatientName"))
LABELS = frozenset(("TrackingID",))  # data: they lose the patient's own identifiers only


def _tags() -> list[int]:
    known = [tag for tag in DicomDictionary if 0x00080000 < tag < 0x7FE00000 and not (tag >> 16) % 2]
    return [tag for tag in known if dictionary_VR(tag) in TEXT_VRS and (tag >> 24) not in (0x50, 0x60)]


def _plant(dataset: Dataset, name: str) -> int:
    values = {"PN": "Quastenberg^Otto", "AE": "HOHENFELDE", "UR": "http://Hohenfelde.example/Quastenberg"}
    text = f"Befund fuer {name.replace('^', ' ')}, Dr. Quastenberg, Klinik Hohenfelde, Tel 0621-555123, 03.04.2019"
    planted = 0
    for tag in _tags():
        vr, keyword = dictionary_VR(tag), DicomDictionary[tag][4]
        if tag not in dataset and keyword not in SKIPPED:
            dataset.add_new(tag, vr, name if keyword in LABELS else values.get(vr, text))
            planted += 1
    return planted


@pytest.mark.parametrize("charset", NAMES)
def test_nothing_planted_is_left(tmp_path: Path, door: Door, charset: str):
    """Every attribute of the dictionary that can hold text or a name, at the top and in items, in every object."""
    study, name, planted = a_study(tmp_path / "in"), NAMES[charset], 0
    capture = a_picture(
        tmp_path / "sc",
        gradient(1, 8, 10),
        SOPClassUID=SecondaryCaptureImageStorage,
        Modality="OT",
        SOPInstanceUID="1.2.276.0.99.5",
    )
    rule = DeviceRule(name="sc", modality="OT", rows=8, columns=10, rectangles=((0, 0, 10, 2),))
    door = replace(door, profile=Profile(devices=(rule,), text_recognition="off"))
    for path in (study.images[0], study.seg, study.sr, study.rtstruct, study.state, capture):
        dataset = pydicom.dcmread(path)
        dataset.SpecificCharacterSet, dataset.PatientName = charset, name
        planted += _plant(dataset, name)
        inner = Dataset()
        planted += _plant(inner, name)
        dataset.PerformedProtocolCodeSequence = [inner]
        dataset.save_as(path)

        (result,) = deidentify_files([path], door)

        assert result.value is not None, result.outcome
        left = _left(result.value.path.read_bytes(), name, charset)
        assert left == []
    assert planted > 1000


def _left(data: bytes, name: str, charset: str) -> list[str]:
    encodings = {"ISO_IR 100": "latin_1", "ISO_IR 192": "utf-8", "ISO_IR 144": "iso8859_5"}
    secrets = [*name.split("^"), *STRANGERS, *(one.upper() for one in STRANGERS), "555123", "03.04.2019"]
    return [one for one in secrets if one.encode(encodings[charset], "replace") in data]
