"""Profiles: options do what they say, and the codes in every object tell it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pydicom
import pytest

from racoon_data.deid.door import Door
from racoon_data.deid.profile import Profile, load_profile
from racoon_data.errors import SettingsError
from tests.deid.samples import passed_one
from tests.deid.test_door import a_file


def _after(folder: Path, door: Door, **options: object) -> pydicom.Dataset:
    path = a_file(folder, SeriesDescription="Thorax Meyer", InstitutionName="Haus 9", StationName="ROOM9")
    return passed_one(path, replace(door, profile=Profile(**options)))


def _codes(dataset: pydicom.Dataset) -> set[str]:
    return {str(item.CodeValue) for item in dataset.DeidentificationMethodCodeSequence}


def test_full_dates_stay(tmp_path: Path, door: Door):
    """Option 113106: dates as they were, told as unmodified; the birth date goes all the same."""
    after = _after(tmp_path, door, dates="full")

    assert (after.StudyDate, after.LongitudinalTemporalInformationModified) == ("20200317", "UNMODIFIED")
    assert after.PatientBirthDate == ""
    assert {"113106"} <= _codes(after)
    assert "113107" not in _codes(after)


def test_removed_dates_go(tmp_path: Path, door: Door):
    """Without a date option the basic profile rules: type 2 dates stand empty, others go."""
    after = _after(tmp_path, door, dates="removed")

    assert (after.StudyDate, after.LongitudinalTemporalInformationModified) == ("", "REMOVED")
    assert "AcquisitionDate" not in after
    assert not {"113106", "113107"} & _codes(after)


def test_descriptions_go_without_cleaning(tmp_path: Path, door: Door):
    """Option 113105 off: the description leaves as a whole."""
    after = _after(tmp_path, door, clean_descriptors=False)

    assert "SeriesDescription" not in after
    assert "113105" not in _codes(after)


def test_patient_characteristics_go_where_they_are_not_kept(tmp_path: Path, door: Door):
    """Option 113108 off: sex stands empty and age goes."""
    after = _after(tmp_path, door, retain_patient_characteristics=False)

    assert after.PatientSex == ""
    assert "PatientAge" not in after
    assert "113108" not in _codes(after)


def test_device_and_institution_stay_where_they_are_kept(tmp_path: Path, door: Door):
    """Options 113109 and 113112."""
    after = _after(tmp_path, door, retain_device_identity=True, retain_institution_identity=True)

    assert (after.StationName, after.InstitutionName) == ("ROOM9", "Haus 9")
    assert {"113109", "113112"} <= _codes(after)


def test_uids_stay_where_they_are_kept(tmp_path: Path, door: Door):
    """Option 113110: UIDs as they were, and the self-check does not take them for a leak."""
    after = _after(tmp_path, door, retain_uids=True)

    assert after.SOPInstanceUID == pydicom.dcmread(next(tmp_path.glob("*.dcm"))).SOPInstanceUID
    assert {"113110"} <= _codes(after)


def test_extra_words_stay(tmp_path: Path, door: Door):
    """A word the project names is a word of radiology."""
    assert _after(tmp_path, door, extra_words=("meyer",)).SeriesDescription == "Thorax Meyer"


def test_profiles_come_from_toml(tmp_path: Path):
    """A file sets options; no file is the built-in profile; another option gives another hash."""
    path = tmp_path / "profile.toml"
    path.write_text('name = "study"\ndates = "removed"\nextra_words = ["Arm"]\n')

    assert load_profile(path) == Profile(name="study", dates="removed", extra_words=("Arm",))
    assert load_profile(None) == Profile()
    assert load_profile(path).sha256 != Profile().sha256


def test_unknown_options_are_refused(tmp_path: Path):
    """A misspelt option would silently do nothing."""
    path = tmp_path / "profile.toml"
    path.write_text("clean_everything = true\n")

    with pytest.raises(SettingsError, match="clean_everything"):
        load_profile(path)
