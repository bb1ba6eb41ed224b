"""A walk again does only what changed, and moves nobody to the other side of the split."""

import json

import numpy as np

from racoon_data.events import Event
from racoon_data.files.manifest import load_manifest
from racoon_data.pipeline.walk import walk as walk_plan
from racoon_data.testing.makers import a_seg
from tests.journeys.steps import STUDY, a_patient, files_of, served, the_plan

SPLIT = STUDY.replace("test_fraction = 0.0", "test_fraction = 0.5")


def built(folder, study=SPLIT):
    """Walk, and give the cases that were built, and the manifest."""
    events: list[Event] = []
    with served(folder):
        account = walk_plan(the_plan(folder, study), on_event=events.append)
    assert account.cases_used
    return [event.ref for event in events if event.kind == "build"], load_manifest(account.dataset)


def test_a_new_patient_is_built_alone_and_moves_nobody(folder):
    """Patients added one by one: each walk builds one case, and all others keep their place and bytes."""
    first, before = built(folder)
    assert len(first) == 1
    for number in range(4):
        a_patient(folder / "archive", f"NEW-{number}")
        done, now = built(folder)
        assert len(done) == 1
        assert {case.case_id: case for case in before.cases}.items() <= {c.case_id: c for c in now.cases}.items()
        before = now

    assert sorted(case.split for case in before.cases) in (["test"] * 2 + ["train"] * 3, ["test"] * 3 + ["train"] * 2)
    assert built(folder)[0] == []


def test_a_changed_annotation_rebuilds_its_case_alone(folder):
    """A reader redraws one lesion: one case is built, the others are the same files on disk."""
    series, seg = a_patient(folder / "archive", "OTHER-1")
    _, before = built(folder)
    seg.path.unlink()
    mask = np.zeros((8, 24, 28), dtype=bool)
    mask[2:4, 8:14, 10:18] = True
    a_seg(folder / "archive" / "OTHER-1" / "again", series, {"lesion": mask})

    done, now = built(folder)

    changed = [c.case_id for c, old in zip(now.cases, before.cases, strict=True) if c.sha256 != old.sha256]
    assert done == [f"case {case_id}" for case_id in changed]
    assert len(changed) == 1


def test_another_share_of_test_patients_builds_nothing(folder):
    """The split is made of finished cases: another share moves files and reads no DICOM again."""
    for number in range(3):
        a_patient(folder / "archive", f"NEW-{number}")
    _, half = built(folder)

    done, none = built(folder, STUDY)
    again, back = built(folder)

    assert (done, again) == ([], [])
    assert {case.split for case in none.cases} == {"train"}
    assert back.dataset_sha256 == half.dataset_sha256


def test_a_fresh_walk_agrees_with_the_memory(folder):
    """The memory stands in the manifest; without any earlier version the same patients give the same dataset."""
    for number in range(3):
        a_patient(folder / "archive", f"NEW-{number}")
    built(folder)
    first = files_of(folder / "site" / "datasets" / "lung")
    (folder / "site" / "datasets" / "lung").rename(folder / "aside")

    done, _ = built(folder)

    assert len(done) == 4
    assert files_of(folder / "site" / "datasets" / "lung") == first
    assert json.loads(first["racoon.json"])["splits"]["scheme"] == "iterative-stratification-1"
