"""Splits go by patient, are keyed, spread sites and labels evenly, and never move a patient again."""

import random

import pytest

from racoon_data.dataset.placing import place_case, place_cases
from racoon_data.dataset.splits import FOLDS, assign, check_splits, place_of, tags_of, ticket_of
from racoon_data.dataset.writer import write_case
from racoon_data.errors import SplitLeakError
from racoon_data.files.atomic import sha256_of
from racoon_data.files.case_sidecar import load_sidecar
from tests.dataset.makers import KEY, SCHEMA, a_case

PATIENTS = [f"P{number:04d}" for number in range(1000)]
PLAIN = {patient: frozenset({"site:north"}) for patient in PATIENTS}


def places(memory, patients, key=KEY):
    """Where each patient stands."""
    return {patient: place_of(memory, patient, key=key) for patient in patients}


def mixed(count=400):
    """Patients of two sites; label a is common, b rare, c very rare, and a third has none."""
    dice = random.Random(3)
    tags = {}
    for patient in PATIENTS[:count]:
        own = {f"site:{'north' if dice.random() < 0.8 else 'south'}"}
        own |= {f"label:{name}" for name, share in (("a", 0.5), ("b", 0.1), ("c", 0.03)) if dice.random() < share}
        tags[patient] = frozenset(own)
    return tags


def test_adding_patients_moves_nobody():
    """Dealt out forty at a time, everybody stays where the first version put them."""
    tags, memory, seen = mixed(), None, {}
    for end in range(40, 401, 40):
        memory = assign(dict(list(tags.items())[:end]), key=KEY, test_fraction=0.25, earlier=memory)
        now = places(memory, list(tags)[:end])
        assert seen.items() <= now.items()
        seen = now


@pytest.mark.parametrize("steps", [1, 10])
def test_sites_and_labels_are_spread_evenly(steps):
    """Every site and label has its share of test patients within two, and of each fold; all at once or bit by bit."""
    tags, memory = mixed(), None
    for step in range(1, steps + 1):
        part = dict(list(tags.items())[: len(tags) * step // steps])
        memory = assign(part, key=KEY, test_fraction=0.25, earlier=memory)

    where = places(memory, tags)
    for tag in sorted(frozenset().union(*tags.values())):
        own = [where[patient] for patient in tags if tag in tags[patient]]
        assert abs(own.count("test") - len(own) / 4) <= 2, tag
        training = [place for place in own if place != "test"]
        assert all(abs(training.count(fold) - len(training) / FOLDS) <= 2 for fold in range(FOLDS)), tag


def test_the_fraction_is_met():
    """Of a thousand patients exactly a quarter test, and the folds are equal."""
    where = list(places(assign(PLAIN, key=KEY, test_fraction=0.25), PATIENTS).values())

    assert where.count("test") == 250
    assert [where.count(fold) for fold in range(FOLDS)] == [150] * FOLDS


def test_the_order_of_patients_is_no_matter():
    """The same patients in another order stand in the same places."""
    tags = mixed()
    other = dict(sorted(tags.items(), reverse=True))

    assert assign(tags, key=KEY, test_fraction=0.25) == assign(other, key=KEY, test_fraction=0.25)


def test_another_key_is_another_split():
    """Who knows the pseudonyms cannot tell the sides without the key."""
    ours, other = assign(PLAIN, key=KEY, test_fraction=0.5), assign(PLAIN, key=b"other", test_fraction=0.5)

    assert places(ours, PATIENTS) != places(other, PATIENTS, b"other")


def test_another_share_deals_anew():
    """A split with another share does not hold: patients are dealt out again."""
    quarter = assign(PLAIN, key=KEY, test_fraction=0.25)

    half = assign(PLAIN, key=KEY, test_fraction=0.5, earlier=quarter)

    assert half == assign(PLAIN, key=KEY, test_fraction=0.5)


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.9])
def test_neither_side_is_empty(fraction):
    """Even two patients are one to train and one to test, whatever the draw; a second one joins the other side."""
    for number in range(50):
        key = str(number).encode()
        both = assign({"A": {"x"}, "B": {"x"}}, key=key, test_fraction=fraction)
        assert sorted(place == "test" for place in places(both, "AB", key).values()) == [False, True]
        first = assign({"A": {"x"}}, key=key, test_fraction=fraction)
        then = assign({"A": {"x"}, "B": {"x"}}, key=key, test_fraction=fraction, earlier=first)
        assert sorted(place == "test" for place in places(then, "AB", key).values()) == [False, True]
        assert place_of(then, "A", key=key) == place_of(first, "A", key=key)


def test_no_test_side_where_none_is_wanted():
    """A fraction of 0 leaves every patient in training."""
    assert "test" not in assign(PLAIN, key=KEY, test_fraction=0).places.values()


def test_a_patient_who_left_and_returns_stands_where_they_stood():
    """The memory outlives a version without the patient, and names nobody."""
    first = assign(PLAIN, key=KEY, test_fraction=0.25)
    gone = assign(dict(list(PLAIN.items())[500:]), key=KEY, test_fraction=0.25, earlier=first)

    assert gone.places == first.places
    assert not set(gone.places) & set(PATIENTS)
    assert ticket_of("P0001", key=KEY) in gone.places


def test_tags_are_site_and_labels_present(tmp_path):
    """A label of another case of the patient counts; one that was looked for and is absent does not."""
    one = write_case(a_case(1, patient="P1"), tmp_path, schema=SCHEMA)
    absent = one.model_copy(update={"case_id": "x", "label_ml": {"pleural-effusion": 0.0}})

    assert tags_of([absent, one], "north") == {
        "P1": {"site:north", "label:ground-glass-opacity", "label:consolidation"},
    }


def test_a_moved_case_is_the_case_written_there(tmp_path):
    """Moved to the test side and written there give the same files, record and sidecar; and back again."""
    moved = place_case(tmp_path / "a", write_case(a_case(), tmp_path / "a", schema=SCHEMA), "test")
    written = write_case(a_case(), tmp_path / "b", schema=SCHEMA, split="test")

    assert moved == written
    assert load_sidecar(tmp_path / "a" / moved.sidecar) == load_sidecar(tmp_path / "b" / written.sidecar)
    assert all(sha256_of(tmp_path / "a" / path) == digest for path, digest in moved.sha256.items())
    back = place_case(tmp_path / "a", moved, 3)
    assert (back.images, back.fold) == (("imagesTr/case-001_0000.nii.gz",), 3)
    assert sorted(path.name for path in (tmp_path / "a").glob("*Ts/*")) == []


def test_a_case_without_label_never_moves(tmp_path):
    """It lies in imagesTs on either side."""
    (record,), memory = place_cases(
        tmp_path,
        [write_case(a_case(label_map=None), tmp_path, schema=SCHEMA)],
        site="north",
        key=KEY,
        test_fraction=0.0,
    )

    assert record.images == ("imagesTs/case-001_0000.nii.gz",)
    assert (record.split, record.fold) == ("train", place_of(memory, record.patient, key=KEY))


def test_a_leak_is_found(tmp_path):
    """Two visits of one patient on different sides are refused."""
    records = [
        write_case(a_case(1, patient="P1"), tmp_path, schema=SCHEMA, split="train", fold=0),
        write_case(a_case(2, patient="P1"), tmp_path, schema=SCHEMA, split="test"),
    ]

    with pytest.raises(SplitLeakError, match="P1"):
        check_splits(records)
