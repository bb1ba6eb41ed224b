"""The matrix is complete, its arithmetic right, and page and document are whole."""

import json

import pytest

from racoon_data import schemas
from racoon_data.errors import SettingsError
from racoon_train.cli.train import pairs
from racoon_train.evaluation.compare import Comparison, summary
from racoon_train.evaluation.judging import TestSet, judge_dataset
from racoon_train.evaluation.report import losing, print_tables, verdict, write_page
from racoon_train.study import pooled_model, run_study
from tests.train.makers import a_dataset, a_job


@pytest.fixture(scope="module")
def study(two_sites, tmp_path_factory):
    """A study of two sites and a left-out one, in-process."""
    import os

    root = tmp_path_factory.mktemp("study")
    external = {"elsewhere": a_dataset(root / "x", site="x")}
    patch = pytest.MonkeyPatch()
    patch.setattr(os, "cpu_count", lambda: 1)
    with patch.context():
        found = run_study(a_job(rounds=2, steps=8), two_sites, external, root / "out", aggregator="in-process")
    patch.undo()
    return found, root / "out"


def test_every_model_meets_every_test_set(study):
    """Two local models, the ensemble and the federated one on two sites and the left-out data."""
    document = study[0].document

    models = ["local@site-a", "local@site-b", "federated", "ensemble"]
    met = {(cell["model"], cell["dataset"]) for cell in document["cells"]}
    assert met == {(model, data) for model in models for data in ("site-a", "site-b", "elsewhere")}
    assert len(document["cells"]) == len(met)


def test_what_was_not_annotated_is_not_judged(study):
    """Site b never outlined fluid: n/a for every model; its own model misses all fluid elsewhere."""
    comparison = study[0]

    assert comparison.dice("federated", "site-b", "fluid") is None
    assert comparison.dice("local@site-b", "elsewhere", "fluid") == 0.0


def test_curves_end_where_the_matrix_stands(study):
    """The last round's point is the final model's cell."""
    comparison = study[0]
    last = [
        p for p in comparison.document["curves"] if (p["arm"], p["dataset"], p["round"]) == ("federated", "site-b", 2)
    ]

    assert last[0]["dice"] == pytest.approx(comparison.dice("federated", "site-b"))


def test_document_and_page_are_whole(study, capsys):
    """The document validates; the page holds its plots and asks the network for nothing; tables print."""
    comparison, out = study
    document = json.loads((out / "comparison.json").read_text())
    page = (out / "comparison.html").read_text()

    schemas.validate("comparison", document)
    assert document == comparison.document
    assert page.count("<svg") == 3
    assert "<script" not in page
    assert 'src="http' not in page
    print_tables(comparison)
    assert "left-out site" in capsys.readouterr().out


def test_an_evaluated_model_gets_its_cell_again(study, two_sites, tmp_path):
    """Judging the federated model alone gives the matrix's value."""
    comparison, out = study

    means = judge_dataset(out / "federated" / "model.safetensors", two_sites["site-a"], split="test", cache=tmp_path)

    assert means["lesion"] == comparison.dice("federated", "site-a", "lesion")


def test_pooled_training_takes_all_sites_steps(two_sites, tmp_path):
    """One model from both sites; its card says so."""
    from racoon_train.checkpoints import load_model

    model = load_model(pooled_model(a_job(rounds=1, steps=3), two_sites, tmp_path))

    assert (model.kind, model.learned, len(model.datasets)) == ("pooled", ("lesion", "fluid"), 2)


def test_home_elsewhere_and_external_are_kept_apart(tmp_path):
    """A local model's own site, the other site and left-out data each have their mean."""
    sets = [TestSet(name, role, "", tmp_path, ()) for name, role in (("a", "site"), ("b", "site"), ("x", "external"))]
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

    assert (tmp_path / "page.html").read_text().count("<svg") == 1


@pytest.mark.parametrize("given", [["a"], ["a="], ["=b"], ["../x=b"], ["a=b", "a=c"]])
def test_malformed_dataset_options_are_refused(given):
    """An alias is a plain word and occurs once."""
    with pytest.raises(SettingsError):
        pairs(given)


def test_options_name_datasets():
    """ALIAS=FOLDER, and a folder may hold an equals sign."""
    assert {name: str(path) for name, path in pairs(["a=x", "b=y=z"]).items()} == {"a": "x", "b": "y=z"}
