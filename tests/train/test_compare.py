"""The matrix is complete, its arithmetic right, and page and document are whole."""

import csv
import json
import os
import shutil
from dataclasses import replace
from statistics import fmean

import pytest

from racoon_data import schemas
from racoon_data.annotation_errors import GridMismatchError
from racoon_data.errors import DatasetError, FederationError, SettingsError
from racoon_data.files.atomic import sha256_of, write_json
from racoon_data.files.manifest import load_manifest
from racoon_data.files.nifti import read_nifti, write_nifti
from racoon_data.geometry import as_affine
from racoon_train.checkpoints import load_model
from racoon_train.cli.train import pairs
from racoon_train.evaluation.account import Comparison
from racoon_train.evaluation.judging import TestSet, judge_dataset
from racoon_train.evaluation.label_files import judge_files
from racoon_train.evaluation.places import summary
from racoon_train.evaluation.report import print_tables, write_page
from racoon_train.evaluation.tables import losing, verdict
from racoon_train.study import StudyPlan, run_study
from tests.journeys.steps import racoon
from tests.train.makers import a_dataset, a_job


@pytest.fixture(scope="module", autouse=True)
def one_process():
    """Train and judge in this process: starting others takes longer than these studies."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "cpu_count", lambda: 1)
        yield


@pytest.fixture(scope="module")
def sites(two_sites, tmp_path_factory):
    """Three sites; b never annotated fluid."""
    return {**two_sites, "site-c": a_dataset(tmp_path_factory.mktemp("c"), site="c")}


@pytest.fixture(scope="module")
def study(sites, tmp_path_factory):
    """A study of three sites and a left-out one, two seeds, in-process, with every arm."""
    root = tmp_path_factory.mktemp("study")
    external = {"elsewhere": a_dataset(root / "x", site="x")}
    plan = StudyPlan(aggregator="in-process", seeds=(5, 6), is_pooled=True, is_rotated=True)
    return run_study(a_job(rounds=2, steps=4), sites, external, root / "out", plan), root / "out"


def test_every_model_meets_every_test_set(study):
    """Local and fine-tuned models, three ensembles, federated and pooled: on every test set, in every seed."""
    document = study[0].document
    sites = ["site-a", "site-b", "site-c"]
    models = [f"{arm}@{site}" for arm in ("local", "fine-tuned") for site in sites]
    models += ["ensemble", "ensemble-vote", "ensemble-weighted", "federated", "pooled"]
    wanted = {(model, data) for model in models for data in (*sites, "elsewhere")}

    assert {(cell["model"], cell["dataset"]) for cell in document["cells"]} == wanted
    assert len(document["cells"]) == len(wanted)
    for run in document["runs"]:
        turns = {(f"{arm}-without@{site}", site) for arm in ("federated", "ensemble") for site in sites}
        assert {(cell["model"], cell["dataset"]) for cell in run["cells"]} == wanted | turns
    assert [run["seed"] for run in document["runs"]] == document["job"]["seeds"] == [5, 6]


def test_the_matrix_is_what_the_cases_say(study):
    """Each cell's Dice is the mean over seeds of the mean over cases in scores.csv."""
    comparison, out = study
    with (out / "scores.csv").open() as stream:
        rows = [row for row in csv.DictReader(stream) if row["model"] == "federated" and row["dataset"] == "elsewhere"]

    for label in ("lesion", "fluid"):
        seeds = [[float(r["dice"]) for r in rows if r["class"] == label and r["seed"] == seed] for seed in ("5", "6")]
        assert [len(values) for values in seeds] == [4, 4]
        assert comparison.dice("federated", "elsewhere", label) == pytest.approx(fmean(map(fmean, seeds)), abs=1e-6)


def test_a_turn_of_the_rotation_never_saw_its_site(study):
    """The model without a site was trained on the others, and each arm has its mean over the turns."""
    comparison, out = study
    document = comparison.document

    model = load_model(out / "seed-5" / "without" / "site-b" / "model.safetensors")
    assert [name for name, _ in model.datasets] == ["site-a", "site-c"]
    summary = {entry["arm"]: entry["rotation"] for entry in document["summary"]}
    federated = [c["mean"] for c in document["rotation"] if c["model"].startswith("federated")]
    assert summary["federated"] == pytest.approx(fmean(federated))
    assert summary["local"] is not None
    assert summary["pooled"] is None


def test_what_was_not_annotated_is_not_judged(study):
    """Site b never outlined fluid: n/a for every model; its own model misses all fluid elsewhere."""
    comparison = study[0]

    assert comparison.dice("federated", "site-b", "fluid") is None
    assert comparison.dice("local@site-b", "elsewhere", "fluid") == 0.0


def test_curves_end_where_the_matrix_stands(study):
    """In each seed the last round's point is the final model's cell."""
    for run in study[0].document["runs"]:
        last = {(p["arm"], p["dataset"]): p["dice"] for p in run["curves"] if p["round"] == 2}
        cells = {(c["model"], c["dataset"]): c["mean"] for c in run["cells"]}
        assert last["federated", "elsewhere"] == pytest.approx(cells["federated", "elsewhere"])
        assert last["local", "site-b"] == pytest.approx(cells["local@site-b", "site-b"])
        assert last["pooled", "site-a"] == pytest.approx(cells["pooled", "site-a"])


def test_document_and_page_are_whole(study, capsys):
    """The documents validate; the page holds its plots and asks the network for nothing; tables print."""
    comparison, out = study
    document, card = (json.loads((out / name).read_text()) for name in ("comparison.json", "model-card.json"))
    page = (out / "comparison.html").read_text()

    schemas.validate("comparison", document)
    schemas.validate("model-card", card)
    assert document == comparison.document
    assert page.count("<svg") == 4
    assert page.count("<img") == len(document["losing_cases"]) > 0
    assert "<script" not in page
    assert 'src="http' not in page
    assert card["weights_sha256"] in page
    print_tables(comparison)
    said = capsys.readouterr().out
    assert "left-out site" in said
    assert "after Holm" in said


def test_the_card_names_data_labels_and_versions(study, sites):
    """Hashes of the training data and the weights, cases by site, the label language, what left the sites."""
    card = json.loads((study[1] / "model-card.json").read_text())
    weights = study[1] / "seed-5" / "federated" / "model.safetensors"

    assert card["datasets"] == {name: load_manifest(root).dataset_sha256 for name, root in sites.items()}
    assert card["examples"] == {"site-a": 3, "site-b": 3, "site-c": 3}
    assert card["weights_sha256"] == sha256_of(weights)
    assert [label["name"] for label in card["label_schema"]["labels"]] == ["lesion", "fluid"]
    assert "Weights" in card["privacy"]["left_the_sites"]
    assert {"torch", "monai", "racoon", "python"} <= set(card["software"])
    assert {entry["dataset"] for entry in card["results"]} == {*sites, "elsewhere"}


def test_an_evaluated_model_gets_its_cell_again(study, sites, tmp_path):
    """Judging a federated model alone gives the value of its seed."""
    comparison, out = study
    model = out / "seed-6" / "federated" / "model.safetensors"

    judged = judge_dataset(model, sites["site-b"], split="test", cache=tmp_path)

    cells = {(cell["model"], cell["dataset"]): cell["mean"] for cell in comparison.document["runs"][1]["cells"]}
    assert judged[0].dice == cells["federated", "site-b"]


def test_a_rotation_of_two_is_refused(two_sites, tmp_path):
    """Leaving one of two sites out is local training."""
    with pytest.raises(FederationError, match="three"):
        run_study(a_job(), two_sites, {}, tmp_path, StudyPlan(aggregator="in-process", is_rotated=True))


def test_pooled_training_takes_all_sites(study):
    """One model from the three sites; its card says so."""
    model = load_model(study[1] / "seed-5" / "pooled" / "model.safetensors")

    assert (model.kind, model.learned) == ("pooled", ("lesion", "fluid"))
    assert [name for name, _ in model.datasets] == ["site-a", "site-b", "site-c"]


def test_home_elsewhere_and_external_are_kept_apart(tmp_path):
    """A local model's own site, the other site and left-out data each have their mean."""
    sets = [
        TestSet(name, role, "", tmp_path, (), tmp_path)
        for name, role in (("a", "site"), ("b", "site"), ("x", "external"))
    ]
    values = {"local@a": (0.8, 0.4, 0.2), "local@b": (0.6, 1.0, 0.4), "federated": (0.5, 0.7, 0.9)}
    cells = [
        {"model": model, "dataset": each.name, "mean": value}
        for model, row in values.items()
        for each, value in zip(sets, row, strict=True)
    ]

    found = {entry["arm"]: entry for entry in summary(cells, sets)}

    assert found["local"] == {
        "arm": "local",
        "own": pytest.approx(0.9),
        "elsewhere": 0.5,
        "external": pytest.approx(0.3),
    }
    assert found["federated"] == {"arm": "federated", "own": pytest.approx(0.6), "elsewhere": None, "external": 0.9}


def test_losing_places_are_named():
    """A class at a site where the local model is better stands in the account."""
    document = json.loads((schemas.folder() / "examples" / "comparison.json").read_text())
    schemas.validate("comparison", document)

    assert list(losing(document)) == ["lesion at a (0.500; local@a 0.700)"]
    assert "lost in 1 place" in verdict(document)[-1]


def test_the_example_becomes_a_page(tmp_path):
    """A document without curves or rounds still has its page."""
    document = json.loads((schemas.folder() / "examples" / "comparison.json").read_text())

    write_page(Comparison(document), tmp_path / "page.html")

    assert (tmp_path / "page.html").read_text().count("<svg") == 2


@pytest.mark.parametrize("given", [["a"], ["a="], ["=b"], ["../x=b"], ["a=b", "a=c"]])
def test_malformed_dataset_options_are_refused(given):
    """An alias is a plain word and occurs once."""
    with pytest.raises(SettingsError):
        pairs(given)


def test_options_name_datasets():
    """ALIAS=FOLDER, and a folder may hold an equals sign."""
    assert {name: str(path) for name, path in pairs(["a=x", "b=y=z"]).items()} == {"a": "x", "b": "y=z"}


def test_label_files_are_judged_like_a_model(study, sites, tmp_path):
    """Truth as prediction is perfect; a case without a file counts as zero."""
    root = sites["site-a"]
    shutil.copy(root / "labelsTr" / "a-1.nii.gz", tmp_path)

    judged = {each.case_id: each.scores["lesion"].dice for each in judge_files(tmp_path, root, split="all")}

    assert judged == {"a-0": 0.0, "a-1": 1.0, "a-2": 0.0, "a-3": 0.0}


def test_a_prediction_on_another_grid_is_refused(sites, tmp_path):
    """Voxels that lie elsewhere are not compared."""
    values, grid = read_nifti(sites["site-a"] / "labelsTr" / "a-0.nii.gz")
    write_nifti(tmp_path / "a-0.nii.gz", values, replace(grid, affine_lps=as_affine(grid.matrix * 1.01)))

    with pytest.raises(GridMismatchError):
        judge_files(tmp_path, sites["site-a"], split="all")


def test_a_folder_without_predictions_is_refused(sites, tmp_path):
    """Not one file by the name of a case: the folder is the wrong one."""
    with pytest.raises(DatasetError, match="no prediction"):
        judge_files(tmp_path, sites["site-a"], split="all")


def test_the_command_judges_models_and_files(study, sites):
    """The same table for a model and for label files; every measure in --json."""
    model = study[1] / "seed-5" / "federated" / "model.safetensors"

    of_model = racoon("train", "evaluate", model, sites["site-a"], "--json")
    of_files = racoon("train", "evaluate", sites["site-a"] / "labelsTr", sites["site-a"], "--tolerance-mm", 0, "--json")
    table = racoon("train", "evaluate", model, sites["site-a"])

    assert set(of_model.document["classes"]["lesion"]) == set(of_files.document["classes"]["lesion"])
    assert of_files.document["classes"]["lesion"]["surface_dice"] == 1.0
    assert "Hausdorff 95" in table.out
    assert racoon("train", "evaluate", model, sites["site-a"], "--split", "none").exit_code == 3


def test_the_command_compares_with_its_options(two_sites, tmp_path):
    """Seeds, pooling and tolerances arrive in the account; --no-images keeps images off the page."""
    write_json(tmp_path / "job.json", a_job(rounds=1, steps=1).to_json())
    named = [part for name, root in two_sites.items() for part in ("--dataset", f"{name}={root}")]
    options = ["--aggregator", "in-process", "--seed", 3, "--pooled", "--tolerance-mm", 1, "--no-images"]

    said = racoon("train", "compare", tmp_path / "job.json", *named, "--out", tmp_path / "out", *options, "--json")

    assert said.exit_code == 0, said.err[-2000:]
    assert said.document["job"]["seeds"] == [3]
    assert said.document["yardstick"]["tolerance_mm"] == 1.0
    assert "pooled" in {model["name"] for model in said.document["models"]}
    assert "<img" not in (tmp_path / "out" / "comparison.html").read_text()
