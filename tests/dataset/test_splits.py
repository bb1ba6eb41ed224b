"""Splits go by patient, are keyed and do not move when cases are added."""

import pytest

from racoon_data.dataset.splits import FOLDS, check_splits, fold_of, split_of, split_patients
from racoon_data.dataset.writer import write_case
from racoon_data.errors import SplitLeakError
from tests.dataset.makers import KEY, SCHEMA, a_case

PATIENTS = [f"P{number:04d}" for number in range(1000)]


def test_adding_patients_moves_nobody():
    """The side of a patient is the same in a small and in a large dataset."""
    few = split_patients(PATIENTS[:40], key=KEY, test_fraction=0.25)
    many = split_patients(PATIENTS, key=KEY, test_fraction=0.25)

    assert few == {patient: many[patient] for patient in few}


def test_the_fraction_is_met():
    """Of a thousand patients about a quarter test."""
    sides = split_patients(PATIENTS, key=KEY, test_fraction=0.25)

    assert 200 <= sum(side == "test" for side in sides.values()) <= 300


def test_another_key_is_another_split():
    """Who knows the pseudonyms cannot tell the sides without the key."""
    assert split_patients(PATIENTS, key=KEY, test_fraction=0.5) != split_patients(
        PATIENTS, key=b"other", test_fraction=0.5
    )


def test_neither_side_is_empty():
    """Even two patients are one to train and one to test, whatever the draw."""
    for number in range(50):
        key = str(number).encode()
        sides = split_patients(["A", "B", "A"], key=key, test_fraction=0.25)
        assert sorted(sides.values()) == ["test", "train"]


def test_no_test_side_where_none_is_wanted():
    """A fraction of 0 leaves every patient in training."""
    assert set(split_patients(PATIENTS, key=KEY, test_fraction=0).values()) == {"train"}
    assert split_of("P1", key=KEY, test_fraction=0) == "train"


def test_folds_share_patients_evenly():
    """All five folds occur, each with about a fifth of the patients."""
    folds = [fold_of(patient, key=KEY) for patient in PATIENTS]

    assert set(folds) == set(range(FOLDS))
    assert min(folds.count(fold) for fold in range(FOLDS)) > 150


def test_a_leak_is_found(tmp_path):
    """Two visits of one patient on different sides are refused."""
    records = [
        write_case(a_case(1, patient="P1"), tmp_path, schema=SCHEMA, split="train", fold=0),
        write_case(a_case(2, patient="P1"), tmp_path, schema=SCHEMA, split="test"),
    ]

    with pytest.raises(SplitLeakError, match="P1"):
        check_splits(records)
