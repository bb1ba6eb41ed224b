"""Dates move by whole days, descriptions keep known words, labels lose only the patient."""

from __future__ import annotations

from datetime import date

import pytest
from pydicom.dataset import Dataset

from racoon_data.deid.identity import Identity, identity_of
from racoon_data.deid.table import vocabulary
from racoon_data.deid.values import capped_age, cleaned, scrubbed, shifted

NOBODY = Identity(frozenset())


def _person(**values: str) -> Identity:
    header = Dataset()
    for keyword, value in {"PatientName": "Müller-Lung^Anna", "PatientID": "4711", **values}.items():
        setattr(header, keyword, value)
    return identity_of(header)


@pytest.mark.parametrize(
    ("text", "vr", "after"),
    [
        ("20200228", "DA", "20200301"),
        ("2020.02.28", "DA", "20200301"),
        ("20200228-20200301", "DA", "20200301-20200303"),
        ("20200228101530.123456+0100", "DT", "20200301101530.123456+0100"),
        ("202002281015", "DT", "202003011015"),
        ("202002", "DT", "202002"),
        ("101530.5", "TM", "101530.5"),
        ("+0100", "SH", "+0100"),
    ],
)
def test_dates_move_by_whole_days(text: str, vr: str, after: str):
    """Two days later, over the end of a leap February; times and zones stay."""
    assert shifted(text, vr, 2) == after


@pytest.mark.parametrize(
    ("text", "vr"), [("yesterday", "DA"), ("20201332", "DA"), ("Anna", "TM"), ("9999123110", "DT")]
)
def test_what_is_no_date_does_not_stay(text: str, vr: str):
    """A value that cannot be shifted is never kept as it is."""
    assert shifted(text, vr, 1) is None


def test_intervals_are_exact():
    """The days between any two dates of a patient are the same after the shift."""
    days = [date(1999, 12, 31), date(2000, 2, 29), date(2020, 3, 1)]
    moved = [str(shifted(day.strftime("%Y%m%d"), "DA", -3001)) for day in days]
    after = [date(int(text[:4]), int(text[4:6]), int(text[6:])) for text in moved]

    assert [later - after[0] for later in after] == [later - days[0] for later in days]


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("Thorax 1.25 B31f", "Thorax 1.25 B31f"),
        ("CT Thorax Dr. Schmidt", "CT Thorax"),
        ("t2_tse_tra_320 vom 03.04.2019", "t2_tse_tra_320"),
        ("Anna Müller-Lung, Lunge nativ", "Lunge nativ"),
        ("Lung 4711", ""),
        ("Tel. 0621 12345678", ""),
        ("王小東", ""),
    ],
)
def test_descriptions_keep_known_words(text: str, after: str):
    """Who is not a word of radiology leaves; the patient leaves even where the name is one."""
    assert cleaned(text, _person(), vocabulary()) == after


def test_extra_words_stay():
    """A project names its own words."""
    assert cleaned("RACOON arm2", NOBODY, vocabulary() | {"racoon"}) == "RACOON arm2"


@pytest.mark.parametrize(
    ("label", "after"),
    [
        ("Ground-glass opacity (left)", "Ground-glass opacity (left)"),
        ("GTV_Mass", "GTV_Mass"),
        ("Herd Anna Müller-Lung", "Herd"),
        ("Herd 4711 links", "Herd links"),
        ("PRIMARY", "PRIMARY"),
    ],
)
def test_labels_lose_only_the_patient(label: str, after: str):
    """A label is data and stays, but for the patient's own identifiers; ANN is not in PRIMARY ANNOTATION."""
    assert scrubbed(label, _person()) == after


def test_old_ages_are_capped():
    """Ages over 89 years are shown as 90."""
    assert [capped_age(age) for age in ("089Y", "090Y", "101Y", "011M", "old")] == [
        "089Y",
        "090Y",
        "090Y",
        "011M",
        None,
    ]
