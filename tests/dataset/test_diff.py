"""Two datasets differ in what diff says, for the reasons it says, and in nothing else."""

import json
from dataclasses import replace

import numpy as np
import pytest

from racoon_data.dataset.diff import UNEXPLAINED, diff_datasets
from racoon_data.dataset.manifest import begin_dataset, write_manifest
from racoon_data.dataset.placing import place_case
from racoon_data.errors import DamagedDatasetError
from racoon_data.labels import LabelMap
from racoon_data.outcomes import Outcome, Status
from racoon_data.refs import CaseRef, InstanceRef
from tests.dataset.makers import GRID, NAMES, SCHEMA, a_case, a_dataset, facts
from tests.journeys.steps import racoon


def redrawn(case, source="2.25.77"):
    """The case with a smaller first label, drawn in another file."""
    array = case.label_map.array.copy()
    array[2][array[2] == 1] = 0
    (annotation,) = case.annotations
    other = replace(annotation, source=InstanceRef("2.25.1", "2.25.1.2", source))
    return replace(case, label_map=LabelMap(array, GRID, NAMES[:2]), annotations=(other,))


def changes(before, after):
    """What changed, by case."""
    return {one.case_id: one for one in diff_datasets(before, after).cases}


def test_the_same_dataset_has_no_difference(tmp_path):
    """Two builds of the same cases differ in nothing."""
    a_dataset(tmp_path / "a")
    a_dataset(tmp_path / "b")

    found = diff_datasets(tmp_path / "a", tmp_path / "b")

    assert (found.same_hash, found.same, found.facts, found.cases) == (True, 3, (), ())


def test_a_redrawn_label_is_explained(tmp_path):
    """The label, the readers' file if it changed, the volume, and the annotation behind it are named."""
    a_dataset(tmp_path / "a")
    a_dataset(tmp_path / "b", [redrawn(a_case(1)), a_case(2), a_case(3)])

    found = changes(tmp_path / "a", tmp_path / "b")

    assert list(found) == ["case-001"]
    assert found["case-001"].what == ("label: voxels", "ground-glass-opacity: 0.182 ml -> 0.122 ml")
    assert found["case-001"].because == ("other annotations",)


def test_other_source_images_are_named(tmp_path):
    """New slices give a new image: the source is the reason."""
    (channel,) = a_case(1, seed=9).channels
    a_dataset(tmp_path / "a")
    other = replace(channel, sop_uids=("2.25.9.1", "2.25.9.3"))
    a_dataset(tmp_path / "b", [a_case(1, channels=(other,)), a_case(2), a_case(3)])

    one = changes(tmp_path / "a", tmp_path / "b")["case-001"]

    assert one.what == ("image CT: voxels",)
    assert one.because == ("other source images",)


def test_a_change_without_a_reason_is_called_unexplained(tmp_path):
    """Other voxels from the same sources, recipe and versions are what reproducibility forbids."""
    a_dataset(tmp_path / "a")
    a_dataset(tmp_path / "b", [a_case(1), a_case(2), a_case(3, seed=99)])

    one = changes(tmp_path / "a", tmp_path / "b")["case-003"]

    assert (one.what, one.because) == (("image CT: voxels",), (UNEXPLAINED,))


def test_the_recipe_is_named_key_by_key(tmp_path):
    """Another orientation stands among the facts and among the reasons of a changed case."""
    a_dataset(tmp_path / "a")
    second = a_dataset(tmp_path / "b", [a_case(1), a_case(2), a_case(3, seed=99)])
    begin_dataset(tmp_path / "b")
    other = facts(recipe={"orientation": "LPS"}, recipe_sha256="1" * 64, splits=second.splits)
    write_manifest(tmp_path / "b", other, second.cases)

    found = diff_datasets(tmp_path / "a", tmp_path / "b")

    assert [(fact.name, fact.before, fact.after) for fact in found.facts] == [("recipe.orientation", "RAS", "LPS")]
    assert found.cases[0].because == ("recipe (orientation)",)
    assert not found.same_hash


def test_a_label_schema_and_a_version_are_named(tmp_path):
    """A renumbered priority and another library version are facts of their own."""
    a_dataset(tmp_path / "a")
    manifest = a_dataset(tmp_path / "b")
    document = json.loads((tmp_path / "b" / "racoon.json").read_text())
    document["label_schema"]["labels"][0]["priority"] = 7
    name = sorted(manifest.software)[0]
    document["software"][name] = "99"
    (tmp_path / "b" / "racoon.json").write_text(json.dumps(document))

    names = [fact.name for fact in diff_datasets(tmp_path / "a", tmp_path / "b").facts]

    assert names == ["label_schema.labels.ground-glass-opacity.priority", f"software.{name}"]


def test_a_case_that_changed_sides_is_no_other_case(tmp_path):
    """Only the split is named, although its files lie elsewhere and its sidecar says so."""
    manifest = a_dataset(tmp_path / "a")
    a_dataset(tmp_path / "b")
    begin_dataset(tmp_path / "b")
    moved = [place_case(tmp_path / "b", case, "test" if case.split == "train" else 0) for case in manifest.cases]
    write_manifest(tmp_path / "b", facts(splits=manifest.splits), moved)

    found = changes(tmp_path / "a", tmp_path / "b")

    assert all(one.because == () for one in found.values())
    assert found["case-001"].what == ("split: train -> test", "fold: 1 -> none")


def test_added_and_removed_cases_say_why(tmp_path):
    """A case that failed in the second build is removed for its code; a new one was not there before."""
    a_dataset(tmp_path / "a")
    failed = Outcome(CaseRef("case-003"), "stack", Status.FAILED, "dicom.inconsistent_series", "a slice is missing")
    a_dataset(tmp_path / "b", [a_case(1), a_case(2), a_case(4)], outcomes=[failed])

    found = changes(tmp_path / "a", tmp_path / "b")

    assert (found["case-003"].change, found["case-003"].because) == ("removed", ("failed: dicom.inconsistent_series",))
    assert (found["case-004"].change, found["case-004"].because) == ("added", ("not among what came in",))


def test_the_commands_table_and_json(tmp_path):
    """The table names case, change and reason; --json gives the same; a folder without manifest exits 6."""
    a_dataset(tmp_path / "a")
    a_dataset(tmp_path / "b", [redrawn(a_case(1)), a_case(2), a_case(3)])

    said = racoon("dataset", "diff", tmp_path / "a", tmp_path / "b")
    document = racoon("dataset", "diff", tmp_path / "a", tmp_path / "b", "--json").document

    assert "2 cases are the same, 0 added, 0 removed, 1 changed" in said.out
    assert "other annotations" in said.out
    assert document["cases"][0]["because"] == ["other annotations"]
    assert racoon("dataset", "diff", tmp_path / "a", tmp_path).exit_code == DamagedDatasetError.exit_code


def test_a_header_alone_is_told_from_voxels(tmp_path):
    """The same voxels at another place are another file of the same voxels."""
    a_dataset(tmp_path / "a")
    matrix = np.array(GRID.affine_lps)
    matrix[0, 3] += 1
    grid = replace(GRID, affine_lps=tuple(map(tuple, matrix.tolist())))
    case = a_case(1)
    (channel,) = case.channels
    moved = replace(
        case,
        channels=(replace(channel, volume=replace(channel.volume, geometry=grid)),),
        label_map=replace(case.label_map, geometry=grid),
        annotations=(),
    )
    a_dataset(tmp_path / "b", [moved, a_case(2), a_case(3)])

    what = changes(tmp_path / "a", tmp_path / "b")["case-001"].what

    assert what[:2] == ("image CT: place or header, voxels agree", "label: place or header, voxels agree")


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_split_anew_is_whole_and_sound(tmp_path, share):
    """Another share moves files, keeps every voxel, and the dataset checks; a dry run changes nothing."""
    before = a_dataset(tmp_path / "d" / "lung", [a_case(number) for number in range(1, 9)])
    options = ("--test-fraction", share, "--seed", "s", "--json")

    planned = racoon("dataset", "split", tmp_path / "d" / "lung", *options, "--dry-run").document
    assert racoon("dataset", "show", tmp_path / "d" / "lung", "--json").document["dataset_sha256"] == (
        before.dataset_sha256
    )
    done = racoon("dataset", "split", tmp_path / "d" / "lung", *options).document

    assert planned["balance"] == done["balance"]
    assert done["balance"][0] | {"test": 8 * share, "train": 8 * (1 - share)} == done["balance"][0]
    assert racoon("dataset", "check", tmp_path / "d" / "lung").exit_code == 0
    assert [path.name for path in (tmp_path / "d").iterdir()] == ["lung"]


def test_splitting_outside_a_site_asks_for_a_seed(tmp_path):
    """Without a site there is no key: the command says what to give, and shows the split without one."""
    a_dataset(tmp_path / "lung")

    refused = racoon("dataset", "split", tmp_path / "lung", "--test-fraction", 0.5)
    shown = racoon("dataset", "split", tmp_path / "lung")

    assert refused.exit_code == 3
    assert "--seed" in refused.err
    assert "label:consolidation" in shown.out
    assert SCHEMA.labels[2].name not in shown.out
