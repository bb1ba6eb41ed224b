"""The demo walks the whole way; here with two hospitals and the in-process aggregator."""

from pathlib import Path

import pytest

from racoon_data.schemas import validate
from racoon_train.job.demo import demo_job
from tests.journeys.steps import racoon


def a_short_job(sites):
    """The demo's job with two short rounds."""
    job = demo_job(sites)
    return job.model_copy(update={"training": job.training.model_copy(update={"rounds": 2, "local_steps": 4})})


@pytest.mark.slow
def test_two_hospitals_walk_to_a_comparison(tmp_path, monkeypatch):
    """Every page lies where the demo says, and every model meets every test set."""
    monkeypatch.setattr("racoon_train.demo.command.PATIENTS", 3)
    monkeypatch.setattr("racoon_train.demo.command.EXTERNAL_PATIENTS", 2)
    monkeypatch.setattr("racoon_train.job.demo.demo_job", a_short_job)

    said = racoon("demo", "--sites", 2, "--aggregator", "in-process", "--keep", tmp_path / "demo", "--json")

    assert said.exit_code == 0, said.err[-2000:]
    validate("comparison", said.document)
    pages = [Path(line.strip()) for line in said.err.splitlines() if line.strip().endswith(".html")]
    assert len(pages) == 4
    assert all(page.is_file() and page.is_relative_to(tmp_path / "demo") for page in pages)
    models, test_sets = len(said.document["models"]), len(said.document["datasets"])
    assert (models, test_sets) == (8, 3)
    assert len(said.document["cells"]) == models * test_sets


def test_a_folder_with_something_in_it_is_not_touched(tmp_path):
    """``--keep`` names a new folder; anything else is refused before a step begins."""
    (tmp_path / "mine.txt").write_text("keep me")

    said = racoon("demo", "--keep", tmp_path)

    assert said.exit_code == 3
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_an_unknown_aggregator_is_refused(tmp_path):
    """A plug-in that is not installed is named before the hospitals are raised."""
    said = racoon("demo", "--aggregator", "nobody", "--keep", tmp_path / "demo")

    assert said.exit_code == 3
    assert "nobody" in said.err
    assert not (tmp_path / "demo").exists()
