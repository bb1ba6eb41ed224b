"""Local training resumes to the same bytes, stops early, and keeps runs of different jobs apart."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from racoon_data.errors import DatasetError, JobMismatchError
from racoon_data.events import ignore
from racoon_train.baselines.early_stop import Validation
from racoon_train.baselines.local import train_local
from racoon_train.checkpoints import load_weights
from racoon_train.data.cache import cache_home
from racoon_train.federated.contract import SiteClient, join
from racoon_train.federated.rounds import read_rounds, round_file
from racoon_train.job.job import Job
from tests.journeys.steps import racoon
from tests.train.makers import a_job

pytest.importorskip("torch")


def changed(**training) -> Job:
    """The tiny job with other training settings."""
    return Job.model_validate(
        {**a_job().model_dump(), "training": {**a_job(rounds=3).training.model_dump(), **training}}
    )


def a_site(two_sites, home, job: Job) -> SiteClient:
    """Site a with folds 0, 1, 2 in its cache."""
    site = join("site-a", two_sites["site-a"], job, home)
    path = cache_home(site.dataset_sha256, site.cache) / "cases.json"
    document = json.loads(path.read_text())
    for fold, case in enumerate(case for case in document["cases"] if case["split"] == "train"):
        case["fold"] = fold
    path.write_text(json.dumps(document))
    return site


def test_a_killed_run_ends_with_the_same_bytes(two_sites, tmp_path):
    """Killed after round 2, resumed and finished: model and account are those of a run nobody disturbed."""
    site = a_site(two_sites, tmp_path / "home", changed())

    def dies(event):
        if event.done == 2:
            raise KeyboardInterrupt

    straight = train_local(site, tmp_path / "straight")
    with pytest.raises(KeyboardInterrupt):
        train_local(site, tmp_path / "killed", on_event=dies)
    seen = []
    resumed = train_local(site, tmp_path / "killed", resume=True, on_event=lambda event: seen.append(event.done))

    assert seen == [3]
    assert resumed.read_bytes() == straight.read_bytes()
    assert read_rounds(tmp_path / "killed") == read_rounds(tmp_path / "straight")


def test_a_run_of_another_job_is_not_mixed_in(two_sites, tmp_path):
    """The folder keeps what it is; anew, it is the other job's."""
    train_local(a_site(two_sites, tmp_path / "home", changed()), tmp_path / "out")
    other = a_site(two_sites, tmp_path / "home", changed(learning_rate=0.01))

    with pytest.raises(JobMismatchError, match="another job"):
        train_local(other, tmp_path / "out", resume=True)
    train_local(other, tmp_path / "out")


def test_early_stop_keeps_the_best_round(two_sites, tmp_path, monkeypatch):
    """Two rounds no better than the first end the training, and the model is the first round's."""
    from racoon_train import engine

    site = a_site(two_sites, tmp_path / "home", changed(rounds=9, validation_fold=1, patience=2))
    losses = iter([0.5, 0.7, 0.6, 0.1])
    monkeypatch.setattr(engine, "mean_loss", lambda *args, **options: next(losses))

    model = train_local(site, tmp_path / "out", on_event=ignore)

    assert len(read_rounds(tmp_path / "out")) == 3
    best, first = load_weights(model), load_weights(round_file(tmp_path / "out", 1))
    assert all((best[name] == first[name]).all() for name in first)


def test_the_validation_loss_is_measured_on_the_same_patches(two_sites, tmp_path):
    """The same weights get the same loss, and nothing of them changes."""
    site = a_site(two_sites, tmp_path / "home", changed(validation_fold=1))
    train_local(site, tmp_path / "out")
    weights = load_weights(round_file(tmp_path / "out", 2))
    again = Validation(site, tmp_path / "out", done=1)

    again.judge(weights)

    losses = json.loads((tmp_path / "out" / "validation.json").read_text())["losses"]
    assert len(losses) == 2
    assert again.best in (1, 2)


def test_an_empty_validation_fold_is_refused(two_sites, tmp_path):
    """Stopping by nothing is said before the first step."""
    site = a_site(two_sites, tmp_path / "home", changed(validation_fold=4))

    with pytest.raises(DatasetError, match="holds no case"):
        train_local(site, tmp_path / "out")


@pytest.mark.slow
def test_a_process_that_was_killed_goes_on_in_the_middle_of_a_round(two_sites, tmp_path):
    """SIGKILL while progress is on disk; the command run again ends with the bytes of a straight run."""
    job = changed(rounds=2, local_steps=60, checkpoint_steps=3)
    (tmp_path / "job.json").write_text(json.dumps(job.to_json()))
    command = [sys.executable, "-m", "racoon_data", "train", "local", str(two_sites["site-a"])]
    command += ["--job", str(tmp_path / "job.json"), "--out"]
    process = subprocess.Popen([*command, str(tmp_path / "killed")], cwd=Path(__file__).parents[2])
    progress = tmp_path / "killed" / "state" / "progress.json"
    deadline = time.monotonic() + 120
    while not progress.is_file() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.kill()
    process.wait()
    stood = json.loads(progress.read_text())

    said = racoon("train", "local", two_sites["site-a"], "--job", tmp_path / "job.json", "--out", tmp_path / "killed")
    racoon("train", "local", two_sites["site-a"], "--job", tmp_path / "job.json", "--out", tmp_path / "straight")

    assert said.exit_code == 0, said.err
    assert 0 < stood["done"] < 60
    ours, theirs = (tmp_path / name / "model.safetensors" for name in ("killed", "straight"))
    assert ours.read_bytes() == theirs.read_bytes()
