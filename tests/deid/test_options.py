"""Every row of every option column of the table: kept or cleaned with the option, basic without it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.datadict import dictionary_VR, keyword_for_tag

from racoon_data.deid.actions import Action
from racoon_data.deid.door import Door
from racoon_data.deid.identity import _NAMES, _NUMBERS
from racoon_data.deid.profile import Profile
from racoon_data.deid.rules import Rulebook
from racoon_data.deid.table import own_rules
from racoon_data.testing.makers import a_series
from tests.deid.samples import passed_one
from tests.deid.test_table import ROWS, plant, planted_item

OFF: dict[str, Any] = {
    "dates": "removed",
    "clean_descriptors": False,
    "clean_structured_content": False,
    "clean_graphics": False,
    "retain_patient_characteristics": False,
    "retain_safe_private": False,
}
# Column of the table: what switches the option on, its code, and what a C of the column may become.
OPTIONS: dict[str, tuple[dict[str, Any], str, set[Action]]] = {
    "rtnLongFullDatesOpt": ({"dates": "full"}, "113106", set()),
    "rtnLongModifDatesOpt": ({"dates": "modified"}, "113107", {Action.SHIFT}),
    "cleanDescOpt": ({"clean_descriptors": True}, "113105", {Action.CLEAN, Action.SCRUB}),
    "cleanStructContOpt": ({"clean_structured_content": True}, "113104", {Action.WALK}),
    "cleanGraphOpt": ({"clean_graphics": True}, "113103", {Action.WALK}),
    "rtnPatCharsOpt": ({"retain_patient_characteristics": True}, "113108", {Action.CLEAN, Action.CAP_AGE}),
    "rtnDevIdOpt": ({"retain_device_identity": True}, "113109", {Action.CLEAN}),
    "rtnInstIdOpt": ({"retain_institution_identity": True}, "113112", set()),
    "rtnUIDsOpt": ({"retain_uids": True}, "113110", set()),
}
BASIC = {"X": {Action.REMOVE}, "Z": {Action.EMPTY}, "D": {Action.DUMMY}, "U": {Action.MAP_UID}}
# A sequence of descriptions is removed whole, which is more than cleaning: its items would be words without a form.
REMOVED_WHOLE = {Action.REMOVE, Action.EMPTY, Action.DUMMY}


def _rows(option: str, letter: str) -> list[dict[str, str]]:
    return [row for row in ROWS if row.get(option) == letter]


def _action(row: dict[str, str], profile: Profile) -> Action:
    tag = int(row["id"], 16)
    return Rulebook(profile, "CT").decide(tag, dictionary_VR(tag)).action


@pytest.mark.parametrize("option", OPTIONS)
def test_every_c_of_an_option_is_cleaned(option: str):
    """A row whose column says C is cleaned by form: shifted, walked, or kept to known words."""
    changes, _, actions = OPTIONS[option]
    profile = Profile(**{**OFF, **changes})
    wrong = []
    for row in _rows(option, "C"):
        is_words_in_items = dictionary_VR(int(row["id"], 16)) == "SQ" and Action.CLEAN in actions
        allowed = actions | (REMOVED_WHOLE if is_words_in_items else set())
        is_date = option != "rtnLongModifDatesOpt" or dictionary_VR(int(row["id"], 16)) in ("DA", "DT", "TM", "SH")
        if is_date and _action(row, profile) not in allowed:
            wrong.append((row["tag"], row["name"], _action(row, profile)))

    assert wrong == []


@pytest.mark.parametrize("option", OPTIONS)
def test_every_row_of_an_option_is_basic_without_it(option: str):
    """With every option off a row gets its basic action; what our own rules decide is never kept as it stands."""
    profile = Profile(**OFF)
    wrong = []
    for row in (row for row in ROWS if option in row):
        basic, tag = row["basicProfile"], int(row["id"], 16)
        allowed = set().union(*(BASIC.get(letter, set()) for letter in basic.split("/")))
        allowed |= {Action.WALK} if "U*" in basic else set()
        if tag in own_rules() and _action(row, profile) is not Action.KEEP:
            continue
        if _action(row, profile) not in allowed:
            wrong.append((row["tag"], row["name"], basic, _action(row, profile)))

    assert wrong == []


@pytest.mark.parametrize("option", [option for option in OPTIONS if _rows(option, "K")])
@pytest.mark.parametrize("depth", [0, 1])
def test_every_k_of_an_option_is_kept(tmp_path: Path, door: Door, option: str, depth: int):
    """A row whose column says K stands in the output as it stood, at the top and in an item, and the code tells it."""
    (path,) = a_series(tmp_path / "in", slices=1, rows=2, columns=2).paths
    before, changes = pydicom.dcmread(path), OPTIONS[option][0]
    plant(before)
    for keyword in (*_NAMES, *_NUMBERS, "PatientBirthDate", "OtherPatientIDsSequence", "FrameOfReferenceUID"):
        if keyword in before and keyword not in ("PatientID", "PatientName"):
            del before[keyword]  # else what is planted elsewhere would be the patient's own
    before.PerFrameFunctionalGroupsSequence = [planted_item()]
    before.save_as(path)

    after = passed_one(path, replace(door, profile=Profile(**{**OFF, **changes})))

    wrong = []
    old_level = before if depth == 0 else before.PerFrameFunctionalGroupsSequence[0]
    new_level = after if depth == 0 else after.PerFrameFunctionalGroupsSequence[0]
    for row in _rows(option, "K"):
        tag = int(row["id"], 16)
        if tag in own_rules() or tag not in old_level:
            continue
        new = new_level[tag].value if tag in new_level else None
        if new != old_level[tag].value:
            wrong.append((row["tag"], keyword_for_tag(tag)))
    assert wrong == []
    codes = [code.CodeValue for code in after.DeidentificationMethodCodeSequence]
    assert codes == ["113100", OPTIONS[option][1]]


@pytest.mark.parametrize("option", OPTIONS)
def test_each_option_has_its_code(option: str):
    """The code stands where the option is on and nowhere else; pixel cleaning is told by object, faces never."""
    changes, code, _ = OPTIONS[option]

    def codes(profile: Profile, *, is_masked: bool = False) -> list[str]:
        return [value for value, _ in profile.codes_with(is_masked=is_masked)]

    assert codes(Profile(**{**OFF, **changes})) == ["113100", code]
    assert codes(Profile(**OFF), is_masked=True) == ["113100", "113101"]
    assert codes(Profile(**{**OFF, "retain_safe_private": True})) == ["113100", "113111"]


def test_every_option_column_of_the_table_is_covered():
    """A column that a new edition adds is noticed here."""
    found = {key for row in ROWS for key in row if key.endswith("Opt")}

    assert found == set(OPTIONS)
