"""``racoon dataset harmonize``: a dataset brought to another recipe, whole, resumable, the same with workers."""

import json
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from racoon_data.cli.main import app
from racoon_data.dataset.check import check_dataset
from racoon_data.errors import DatasetError, SettingsError
from racoon_data.files.case_sidecar import load_sidecar
from racoon_data.files.manifest import load_manifest
from racoon_data.files.nifti import read_nifti
from racoon_data.harmonize.recipe import recipe_from
from racoon_data.labels import SegmentMask
from racoon_data.pipeline.reharmonize import harmonize_dataset, plan_dataset
from racoon_data.refs import InstanceRef
from racoon_data.runner.crew import Crew
from tests.dataset.makers import a_case, a_dataset, a_mask

RECIPE = recipe_from({"spacing_mm": [3.0, 3.0, 3.0], "label_interpolation": "distance"})


def _two_readers(number):
    """A case a second reader outlined too: the ground glass two voxels further along."""
    case = a_case(number)
    (first,) = case.annotations
    source = InstanceRef(first.source.study_uid, first.source.series_uid, f"{first.source.sop_uid}.2")
    mask = SegmentMask(first.masks[0].segment, a_mask(slice(2, 5), slice(5, 8), slice(7, 10)))
    return replace(case, annotations=(first, replace(first, source=source, reader="R2", masks=(mask,))))


@pytest.fixture
def source(tmp_path):
    """A finished dataset of three cases."""
    root = tmp_path / "source"
    a_dataset(root, [a_case(1), a_case(2), _two_readers(3)])
    return root


def _bytes(root):
    return {path.relative_to(root): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_a_dataset_comes_onto_another_grid(source, tmp_path):
    """Every case lies on the new grid, checks out, and keeps its split, findings, annotations and earlier steps."""
    done = harmonize_dataset(source, tmp_path / "out", RECIPE)
    old, new = load_manifest(source), load_manifest(tmp_path / "out")

    assert check_dataset(tmp_path / "out") == ()
    assert (new.recipe_sha256, len(new.cases)) == (RECIPE.sha256, 3)
    assert done.manifest == new
    assert [(one.case_id, one.split, one.fold) for one in new.cases] == [
        (one.case_id, one.split, one.fold) for one in old.cases
    ]
    for before, after in zip(old.cases, new.cases, strict=True):
        was, now = load_sidecar(source / before.sidecar), load_sidecar(tmp_path / "out" / after.sidecar)
        assert now.geometry.spacing_mm == pytest.approx((3.0, 3.0, 3.0))
        assert (now.findings, now.annotations) == (was.findings, was.annotations)
        assert now.steps[: len(was.steps)] == was.steps
        assert {"harmonize_dataset", "resample", "label_volumes"} <= {step["step"] for step in now.steps}
        assert after.readers


def test_workers_and_resumption_change_no_byte(source, tmp_path):
    """Two workers, and a run that was cut after its first case, end with the bytes of a quiet run."""
    harmonize_dataset(source, tmp_path / "one" / "d", RECIPE)
    harmonize_dataset(source, tmp_path / "two" / "d", RECIPE, crew=Crew(2))

    class CutError(Exception):
        """The power fails."""

    def cut(event):
        if event.kind == "harmonize" and event.done == 2:
            raise CutError

    with pytest.raises(CutError):
        harmonize_dataset(source, tmp_path / "cut" / "d", RECIPE, on_event=cut)
    assert not (tmp_path / "cut" / "d").exists()
    seen = []
    harmonize_dataset(source, tmp_path / "cut" / "d", RECIPE, on_event=lambda event: seen.append(event.kind))

    quiet = _bytes(tmp_path / "one" / "d")
    assert _bytes(tmp_path / "two" / "d") == quiet
    assert _bytes(tmp_path / "cut" / "d") == quiet
    assert seen.count("harmonize") == 2


def test_readers_are_fused_anew_where_the_recipe_says_so(source, tmp_path):
    """Majority instead of union: where two readers disagree the voxel is to be ignored; one-reader cases stay."""
    recipe = recipe_from({"orientation": "native", "fuse": "majority", "undecided": "ignore"})

    harmonize_dataset(source, tmp_path / "out", recipe)

    new = load_manifest(tmp_path / "out")
    label, _ = read_nifti(tmp_path / "out" / new.cases[2].label)
    first, second = a_mask(slice(2, 5), slice(5, 8), slice(5, 8)), a_mask(slice(2, 5), slice(5, 8), slice(7, 10))
    assert new.ignore_value == 4
    assert np.array_equal(label == 1, first & second)
    assert (label[(first ^ second) & (label != 2)] == 4).all()
    assert not (read_nifti(tmp_path / "out" / new.cases[0].label)[0] == 4).any()
    (step,) = [step for step in load_sidecar(tmp_path / "out" / new.cases[2].sidecar).steps if step["step"] == "map"]
    assert (step["fuse"], step["undecided"], step["software"]["racoon"] != "") == ("majority", "ignore", True)


def test_the_plan_says_what_would_be_refused(source, tmp_path):
    """A single reader who is missing, and a grid too small, are refused in the plan and in the run alike."""
    _, plans = plan_dataset(source, recipe_from({"fuse": "single:R2"}))
    done = harmonize_dataset(source, tmp_path / "out", recipe_from({"fuse": "single:R2"}))
    _, small = plan_dataset(source, recipe_from({"min_voxels": 12}))

    assert [plan.outcome.code for plan in plans] == ["case.no_annotation", "case.no_annotation", ""]
    assert [outcome.code for outcome in done.outcomes] == [plan.outcome.code for plan in plans]
    assert {plan.outcome.code for plan in small} == {"case.too_small"}
    assert len(load_manifest(tmp_path / "out").outcomes) == 2


def test_nothing_else_is_overwritten(source, tmp_path):
    """The source itself and a folder of something else are refused and left alone."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")

    with pytest.raises(SettingsError):
        harmonize_dataset(source, source, RECIPE)
    with pytest.raises(DatasetError, match="something else"):
        harmonize_dataset(source, tmp_path / "mine", RECIPE)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "x"


def test_the_command_plans_and_runs(source, tmp_path):
    """A dry run writes nothing and names the settled spacing; the run says how many cases there are."""
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('spacing_mm = "median"\n')

    def run(*words):
        out = str(tmp_path / "out")
        return CliRunner().invoke(app, ["dataset", "harmonize", str(source), out, "--recipe", str(recipe), *words])

    looked = json.loads(run("--dry-run", "--json").stdout)
    assert looked["recipe"]["spacing_mm"] == [1.5, 1.5, 3.0]
    assert not (tmp_path / "out").exists()
    assert "3 of 3 cases would be written, 0 refused" in run("--dry-run").stderr
    assert "3 of 3 cases are in" in run().stdout
    assert len(load_manifest(tmp_path / "out").cases) == 3
