"""racoon dataset, qc, schema and plugins, as a person or a script runs them."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from racoon_data.cases import QcIssue, Severity
from racoon_data.cli.main import app
from racoon_data.files.nifti import read_nifti, write_nifti
from racoon_data.qc.findings import write_issues
from racoon_data.refs import CaseRef
from tests.dataset.makers import a_dataset


@pytest.fixture
def root(tmp_path):
    """A small finished dataset."""
    a_dataset(tmp_path / "lung")
    return tmp_path / "lung"


def run(*words):
    """Run a command."""
    return CliRunner().invoke(app, [str(word) for word in words])


def test_show_tells_sums_and_cases(root):
    """The table names every case; --json gives the manifest."""
    shown = run("dataset", "show", root)
    document = json.loads(run("dataset", "show", root, "--json").stdout)

    assert shown.exit_code == 0
    assert "3 used + 0 skipped + 0 failed = 3" in shown.stdout
    assert document == json.loads((root / "racoon.json").read_text())


def test_check_exits_6_on_damage(root):
    """A sound dataset exits 0, a damaged one 6 and names the file."""
    assert run("dataset", "check", root).exit_code == 0
    (root / "labels.json").write_text("{}")

    damaged = run("dataset", "check", root, "--json")

    assert damaged.exit_code == 6
    assert json.loads(damaged.stdout)["defects"][0]["ref"] == "file labels.json"


def test_a_folder_without_manifest_exits_6(tmp_path):
    """A folder without racoon.json is no finished dataset."""
    ended = run("dataset", "show", tmp_path)

    assert ended.exit_code == 6
    assert "dataset.damaged" in ended.stderr


def test_export_goes_through_plugins(root):
    """An exporter is found by name, writes inside the dataset, and a dry run writes nothing."""
    (root / "datalist.json").unlink()

    dry = run("dataset", "export", root, "--to", "datalist", "--dry-run")
    assert (dry.exit_code, (root / "datalist.json").exists()) == (0, False)

    done = run("dataset", "export", root, "--to", "datalist", "--json")
    assert json.loads(done.stdout)["path"] == str(root / "datalist.json")
    assert (root / "datalist.json").exists()


def test_an_unknown_exporter_lists_the_known(root):
    """A wrong name exits 3 and says which exporters there are."""
    ended = run("dataset", "export", root, "--to", "excel")

    assert ended.exit_code == 3
    assert "croissant" in ended.stderr


def test_qc_report_exits_6_on_a_failure(root):
    """The page is written either way; a failed check gives exit code 6."""
    assert run("qc", "report", root).exit_code == 0
    image = next((root / "imagesTr").glob("*.nii.gz"))
    array, grid = read_nifti(image)
    write_nifti(image, np.zeros_like(array), grid)

    ended = run("qc", "report", root, "--json")

    assert ended.exit_code == 6
    assert json.loads(ended.stdout)["failures"] == 2  # it is constant, and not what the manifest says
    assert "image.constant" in (root / "qc" / "report.html").read_text()


def test_qc_dry_run_writes_nothing(root):
    """A dry run lists findings and leaves the folder as it was."""
    assert run("qc", "report", root, "--dry-run").exit_code == 0
    assert not (root / "qc" / "report.html").exists()


def test_qc_explain_knows_every_code():
    """A code is explained; an unknown one lists the known."""
    assert "What helps" in run("qc", "explain", "label.empty").stdout
    assert json.loads(run("qc", "explain", "label.empty", "--json").stdout)["severity"] == "fail"
    assert run("qc", "explain", "label.full").exit_code == 3


def test_schema_list_and_show():
    """Each schema is listed with its id and can be printed."""
    listed = json.loads(run("schema", "list", "--json").stdout)

    assert {"dataset-manifest", "case-sidecar", "outcome", "qc-finding"} <= {row["name"] for row in listed}
    assert json.loads(run("schema", "show", "outcome").stdout)["$id"] == "urn:racoon:schema:outcome:1.0"
    assert "labels" in run("schema", "list").stdout


@pytest.mark.parametrize("path", ["racoon.json", "labels.json", "sidecars/case-001.json", "qc/findings.jsonl"])
def test_files_of_a_dataset_tell_their_schema(root, path):
    """The schema is guessed from the file's name, and what we write fits."""
    write_issues(root, [QcIssue("image.constant", Severity.FAIL, CaseRef("case-001"), "every voxel is 0", "look")])

    assert run("schema", "validate", root / path).exit_code == 0


def test_a_wrong_toml_names_place_and_remedy(tmp_path):
    """A misspelt key in racoon.toml is named with the right spelling."""
    (tmp_path / "racoon.toml").write_text('[site]\nname = "north"\nworker = 2\n')

    ended = run("schema", "validate", tmp_path / "racoon.toml")

    assert ended.exit_code == 3
    assert "/site" in ended.stdout
    assert "did you mean workers?" in ended.stdout


def test_a_file_of_unknown_kind_asks_for_the_schema(tmp_path):
    """A name that tells nothing asks for --schema; broken syntax and absent files exit 3."""
    (tmp_path / "whole.json").write_text("{}")
    (tmp_path / "x.json").write_text("{")

    assert "--schema" in run("schema", "validate", tmp_path / "whole.json").stderr
    assert run("schema", "validate", tmp_path / "x.json").exit_code == 3
    assert run("schema", "validate", tmp_path / "x.json", "--schema", "outcome").exit_code == 3
    assert run("schema", "validate", tmp_path / "y.json", "--schema", "outcome").exit_code == 3
    assert run("schema", "validate", tmp_path / "x.json", "--schema", "unheard").exit_code == 3


def test_plugins_are_listed():
    """All four plug-in points are listed with name, object and package."""
    rows = json.loads(run("plugins", "--json").stdout)

    assert {row["group"] for row in rows} >= {"racoon.exporters", "racoon.sources"}
    assert {"datalist", "croissant", "seg", "mitk", "slicer", "fhir", "aim"} <= {row["name"] for row in rows}
    assert "croissant" in run("plugins").stdout
