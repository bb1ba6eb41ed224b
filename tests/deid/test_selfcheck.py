"""The self-check: what the engine would let through, the bytes give away."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest
from pydicom.charset import encode_string
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit

from racoon_data.deid.door import Door, deidentify_files
from tests.deid.test_door import a_file

HIDING_PLACES = {
    "ManufacturerModelName": "Scanner of Muster",
    "ProcessingFunction": "for erika",
    "KVP": "A20200317",
    "ReconstructionDiameter": "19561104",
}


@pytest.mark.parametrize(("keyword", "value"), HIDING_PLACES.items(), ids=HIDING_PLACES)
def test_a_planted_leak_is_caught(tmp_path: Path, door: Door, keyword: str, value: str):
    """An identifier in an attribute that stays sends the object to quarantine, and nothing is published."""
    (result,) = deidentify_files([_with(tmp_path, keyword, value)], door)

    assert result.outcome.code == "deid.identifier_left"
    assert "self-check" in result.outcome.message
    assert "Muster" not in result.outcome.message
    assert not list(door.out.rglob("*"))


def _with(folder: Path, keyword: str, value: str) -> Path:
    path = a_file(folder)
    dataset = pydicom.dcmread(path)
    tag, raw = pydicom.tag.Tag(keyword), value.encode() + b" " * (len(value) % 2)
    vr = pydicom.datadict.dictionary_VR(tag)
    # a raw element: pydicom would refuse a name as a number, files do not
    dataset[tag] = pydicom.dataelem.RawDataElement(tag, vr, len(raw), raw, 0, False, True)
    dataset.save_as(path)
    return path


@pytest.mark.parametrize("charset", ["ISO_IR 100", "ISO_IR 192"])
def test_names_are_found_in_the_declared_encoding(tmp_path: Path, door: Door, charset: str):
    """An umlaut is other bytes in Latin-1 and UTF-8; both are searched."""
    path = a_file(tmp_path, SpecificCharacterSet=charset, PatientName="Jäger^Zoë", ManufacturerModelName="Zoë one")

    (result,) = deidentify_files([path], door)

    assert encode_string("Zoë", ["utf8" if charset.endswith("192") else "latin_1"]) in path.read_bytes()
    assert "self-check" in result.outcome.message


def test_parts_of_words_are_no_hit(tmp_path: Path, door: Door):
    """MARY is in PRIMARY, and 120 is a voltage: neither is a leak."""
    path = a_file(tmp_path, PatientName="Mary^Ann", PatientID="120", ManufacturerModelName="Annular 1200")

    (result,) = deidentify_files([path], door)

    assert result.value is not None, result.outcome


def test_short_identifiers_count_as_whole_values(tmp_path: Path, door: Door):
    """A patient called Li is found where Li is the whole value of a text attribute."""
    path = a_file(tmp_path, PatientName="Li^Bo", ManufacturerModelName="Li")

    (result,) = deidentify_files([path], door)

    assert "self-check" in result.outcome.message


def test_words_of_the_body_may_be_names(tmp_path: Path, door: Door):
    """A patient called Hand does not quarantine every object that examines one, and leaves descriptions."""
    path = a_file(tmp_path, PatientName="Hand^Erika", BodyPartExamined="HAND", SeriesDescription="Hand links")

    (result,) = deidentify_files([path], door)
    after = pydicom.dcmread(result.value.path)

    assert (after.BodyPartExamined, after.SeriesDescription) == ("HAND", "links")


def test_comments_of_a_codec_are_searched(tmp_path: Path, door: Door):
    """Compressed pixel data can carry text in a comment segment."""
    path = a_file(tmp_path)
    dataset: Dataset = pydicom.dcmread(path)
    dataset.PixelData = encapsulate([b"\xff\xd8\xff\xfe\x00\x10MUSTER-0001 CT\xff\xd9"])
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    dataset.save_as(path)

    (result,) = deidentify_files([path], door)

    assert "compressed pixel data" in result.outcome.message
