"""Guards refuse, the average is right, sites learn together, and one bad site does not end the run."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from racoon_data import schemas
from racoon_data.errors import FederationError, JobMismatchError, PayloadError, RacoonError, SettingsError
from racoon_data.events import ignore
from racoon_data.ports import Aggregator
from racoon_train.checkpoints import load_model, load_weights, save_weights
from racoon_train.federated.adapters.in_process import InProcessAggregator
from racoon_train.federated.contract import join, open_site_client, scrubbed
from racoon_train.federated.guards import check_update
from racoon_train.federated.rounds import read_rounds
from racoon_train.federated.update import Update, average
from racoon_train.job.demo import demo_job
from racoon_train.job.job import Job, job_from
from tests.train.makers import a_dataset, a_job

REFERENCE = {"w": np.ones((2, 2), np.float32), "n": np.array(3, np.int64)}
BAD = {
    "names": {"w": REFERENCE["w"]},
    "shape": {**REFERENCE, "w": np.ones(4, np.float32)},
    "dtype": {**REFERENCE, "w": np.array([["a", "b"], ["c", "d"]])},
    "nan": {**REFERENCE, "w": np.array([[np.nan, 0], [0, 0]], np.float32)},
    "norm": {**REFERENCE, "w": np.full((2, 2), 1e6, np.float32)},
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_weights_are_refused(kind):
    """Names, shapes, dtypes, values that are not finite and giant updates do not pass."""
    with pytest.raises(PayloadError) as caught:
        check_update(Update(BAD[kind], 5), REFERENCE, max_norm_ratio=10)

    assert caught.value.code == "federation.payload"


def test_an_update_from_no_example_is_refused():
    """An update that stands on nothing has no weight in an average."""
    with pytest.raises(PayloadError):
        check_update(Update(REFERENCE, 0), REFERENCE, max_norm_ratio=10)
    check_update(Update(REFERENCE, 1), REFERENCE, max_norm_ratio=10)


def test_the_average_is_weighted_and_keeps_dtypes():
    """Three examples against one: 0.75 of the first; integers are rounded back."""
    other = {"w": np.full((2, 2), 5, np.float32), "n": np.array(4, np.int64)}

    mean = average([Update(REFERENCE, 3), Update(other, 1)], REFERENCE)

    np.testing.assert_allclose(mean["w"], 2.0)
    assert (mean["n"], mean["n"].dtype, mean["n"].shape) == (3, np.int64, ())


def test_two_sites_learn_together(two_sites, tmp_path):
    """The loss falls at both sites, and the model's card names what was learned from whom."""
    model = InProcessAggregator().run(
        a_job(rounds=4, steps=12).to_json(), datasets=two_sites, out=tmp_path, on_event=ignore
    )

    rounds = read_rounds(tmp_path)
    assert all(rounds[-1].losses[alias] < 0.8 * rounds[0].losses[alias] for alias in two_sites)
    opened = load_model(model)
    assert opened.learned == ("lesion", "fluid")
    assert [name for name, _ in opened.datasets] == ["site-a", "site-b"]


def test_the_same_seed_gives_the_same_bytes(two_sites, tmp_path):
    """Two runs of one job write identical weights."""
    runs = [
        InProcessAggregator().run(a_job().to_json(), datasets=two_sites, out=tmp_path / name, on_event=ignore)
        for name in ("one", "two")
    ]

    assert runs[0].read_bytes() == runs[1].read_bytes()


def test_a_site_that_fails_is_named_and_the_run_goes_on(two_sites, tmp_path, monkeypatch):
    """With a quorum of one, a site whose dataset changes after the start is lost by alias and code."""
    changed = a_dataset(tmp_path / "b", site="b")

    def tamper(event):
        if event.kind == "federate" and event.done == 1:
            manifest = json.loads((changed / "racoon.json").read_text())
            (changed / "racoon.json").write_text(json.dumps({**manifest, "dataset_sha256": "0" * 64}))

    datasets = {**two_sites, "site-b": changed}
    out = tmp_path / "out"
    InProcessAggregator().run(a_job(quorum=1).to_json(), datasets=datasets, out=out, on_event=tamper)

    assert [dict(each.lost) for each in read_rounds(out)] == [{}, {"site-b": "federation.dataset_changed"}]


def test_a_lost_quorum_ends_the_run_and_names_the_site(two_sites, tmp_path):
    """Where every site is needed, the refusal says which one failed and with which code."""
    job = a_job(quorum=2)

    def tamper(event):
        if event.kind == "federate":
            for cached in (tmp_path / "cache").rglob("*.index.npz"):
                cached.unlink()

    with pytest.raises(FederationError, match="site-a"):
        InProcessAggregator().run(job.to_json(), datasets=two_sites, out=tmp_path, on_event=tamper)


def test_exceptions_leave_a_site_as_codes():
    """Neither the text of our errors nor that of foreign ones crosses the border."""

    def fails(error: Exception) -> None:
        raise error

    assert scrubbed(lambda: fails(PayloadError("patient Doe"))) == "federation.payload"
    assert scrubbed(lambda: fails(ValueError("/home/doe/scan"))) == "federation.site_error"


def test_another_label_language_is_refused_with_the_difference(two_sites, tmp_path):
    """The refusal shows what the job and the dataset call differently."""
    job = Job.model_validate({**a_job().to_json(), "labels": [{"value": 4, "name": "lesion"}]})

    with pytest.raises(JobMismatchError, match="lesion: job 4, dataset 1"):
        join("site-a", two_sites["site-a"], job, tmp_path)


def test_a_site_resumes_from_its_paper(two_sites, tmp_path):
    """A new process trains the next round with the optimizer state of the last, bit for bit."""
    from racoon_train.networks import initial_weights

    job = a_job()
    site = join("site-a", two_sites["site-a"], job, tmp_path)
    site.save(tmp_path / "paper.json")
    site.begin()
    first = site.train(initial_weights(job), 1)

    again = open_site_client(tmp_path / "paper.json")
    resumed, straight = again.train(first.weights, 2), site.train(first.weights, 2)
    fresh = replace(site, state=tmp_path / "fresh")
    fresh.begin()
    forgetful = fresh.train(first.weights, 2)

    assert all(np.array_equal(resumed.weights[name], straight.weights[name]) for name in first.weights)
    assert any(not np.array_equal(resumed.weights[name], forgetful.weights[name]) for name in first.weights)


@pytest.mark.parametrize("alias", ["../a", "", "a b", "x" * 40])
def test_an_alias_that_could_not_name_a_file_is_refused(alias, two_sites, tmp_path):
    """Aliases become file names, so they are plain words."""
    with pytest.raises(SettingsError):
        join(alias, two_sites["site-a"], a_job(), tmp_path)


def test_weights_of_another_network_are_refused(two_sites, tmp_path):
    """A site does not train what its job does not describe."""
    site = join("site-a", two_sites["site-a"], a_job(), tmp_path)

    with pytest.raises(PayloadError):
        site.train({"w": np.ones(3, np.float32)}, 1)


def test_a_truncated_weights_file_is_refused(tmp_path):
    """Half a file is no model."""
    path = tmp_path / "w.safetensors"
    save_weights(path, REFERENCE)
    path.write_bytes(path.read_bytes()[:-9])

    with pytest.raises(PayloadError):
        load_weights(path)


def test_the_example_job_is_the_demos():
    """What the documentation shows is what the demo trains by."""
    example = json.loads((schemas.folder() / "examples" / "federation-job.json").read_text())

    assert job_from(example) == demo_job(3)


def test_a_job_with_an_unknown_key_is_refused():
    """A misspelt setting is never silently ignored."""
    with pytest.raises(RacoonError, match="federation-job"):
        job_from({**a_job().to_json(), "roundz": 3})


def test_aggregators_fulfil_the_port():
    """Both adapters are what the plug-in group promises."""
    from racoon_train.federated.adapters.flower import FlowerAggregator

    assert isinstance(InProcessAggregator(), Aggregator)
    assert isinstance(FlowerAggregator(), Aggregator)


def test_nothing_unpickles():
    """No module of either package imports pickle or uses torch's own file format."""
    import ast

    forbidden = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal", "joblib"}
    root = Path(__file__).parents[2]
    found = []
    for path in [*(root / "racoon_data").rglob("*.py"), *(root / "racoon_train").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = {alias.name.split(".")[0] for alias in node.names} if isinstance(node, ast.Import) else set()
            names |= {str(node.module).split(".")[0]} if isinstance(node, ast.ImportFrom) else set()
            if isinstance(node, ast.Attribute) and ast.unparse(node) in ("torch.load", "torch.save"):
                names.add("pickle")
            if isinstance(node, ast.keyword) and node.arg == "allow_pickle" and ast.unparse(node.value) != "False":
                names.add("pickle")
            found += [f"{path.name}: {name}" for name in names & forbidden]

    assert found == []
