"""``racoon dataset build --dry-run``: what would be built, from headers alone."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from racoon_data.cli.main import app
from racoon_data.testing.makers import a_seg, a_series

STUDY = """
name = "lung"
channels = [{ name = "CT", modality = "CT", max_thickness_mm = 3.0 }]
labels = { schema_file = "labels.json" }
recipe = { spacing_mm = "median" }
"""
LABELS = {
    "schema_version": "1.0",
    "name": "lung",
    "version": "1",
    "labels": [{"value": 1, "name": "lesion", "synonyms": ["Lesion"]}],
}


@pytest.fixture
def folder(tmp_path):
    """A site whose work folder holds one study with a mask and one of slices too thick."""
    site = tmp_path / "site"
    assert CliRunner().invoke(app, ["init", str(site), "--name", "north"]).exit_code == 0
    good = a_series(site / "work" / "good", slices=6, rows=24, columns=28, spacing_mm=(0.8, 0.8, 2.0))
    mask = np.zeros((6, 24, 28), dtype=bool)
    mask[1:3, 4:8, 4:8] = True
    a_seg(site / "work", good, {"Lesion": mask})
    a_series(site / "work" / "thick", slices=6, rows=24, columns=28, spacing_mm=(0.8, 0.8, 5.0), seed=2)
    (tmp_path / "study.toml").write_text(STUDY)
    (tmp_path / "labels.json").write_text(json.dumps(LABELS))
    return tmp_path


def _run(folder, *words):
    study, site = str(folder / "study.toml"), str(folder / "site")
    return CliRunner().invoke(app, ["dataset", "build", study, "--site", site, "--dry-run", *words])


def test_choices_and_rejections_are_explained(folder):
    """The taken study says what its grid becomes, the other which attribute stands against it; nothing is written."""
    said = _run(folder, "--json")
    document = json.loads(said.stdout)
    by_verdict = {one["verdict"]: one for study in document["studies"] for one in study["series"]}

    assert set(by_verdict) == {"chosen", "rejected"}
    assert by_verdict["rejected"]["reasons"] == ["SliceThickness 5 mm is above 3 mm"]
    assert by_verdict["rejected"]["channel"] == "CT"
    (case,) = [case for study in document["studies"] for case in study["cases"]]
    assert case["grid"]["orientation"][1] == "RAS"
    assert case["grid"]["spacing_mm"][1] == [0.8, 0.8, 2.0]
    assert document["recipe"]["spacing_mm"] == [0.8, 0.8, 2.0]
    assert document["counts"] == {"done": 1, "skipped": 1, "failed": 0}
    assert not list((folder / "site" / "datasets").rglob("*.nii.gz"))


def test_the_table_says_the_same(folder):
    """For people there is a table of series, one of cases, and what helps."""
    said = _run(folder)

    assert "SliceThickness 5 mm is above 3 mm" in said.stdout
    assert "1 of 2 would be built" in said.stderr
    assert "widen the channel rule" in said.stderr


def test_what_harmonizing_would_refuse_is_told(folder):
    """A grid smaller than the recipe wants is refused in the dry run already."""
    study = (folder / "study.toml").read_text().replace('"median"', '"native", min_voxels = 16')
    (folder / "study.toml").write_text(study)

    document = json.loads(_run(folder, "--json").stdout)

    (case,) = [case for one in document["studies"] for case in one["cases"]]
    assert (case["code"], case["grid"]) == ("case.too_small", None)


def test_an_empty_site_has_nothing_to_explain(folder):
    """Before anything passed the door the dry run says so."""
    (folder / "site" / "work").rename(folder / "away")

    assert _run(folder).exit_code == 8
