"""How updates become a model: strategies of Flower, heads by class, layers that stay, half the bytes."""

import numpy as np
import pytest

from racoon_data.errors import JobMismatchError, PayloadError
from racoon_data.events import ignore
from racoon_train.checkpoints import load_weights
from racoon_train.federated.adapters.flower_strategies import StrategyCombiner
from racoon_train.federated.adapters.in_process import InProcessAggregator
from racoon_train.federated.combine import MeanCombiner, combiner_of
from racoon_train.federated.contract import join
from racoon_train.federated.corrections import proximal
from racoon_train.federated.exchange import exchanges, personal_layers, take_part
from racoon_train.federated.guards import norm_of
from racoon_train.federated.heads import average_heads, head_axes
from racoon_train.federated.transport import Parcel, as_sent, as_used
from racoon_train.federated.update import Update
from racoon_train.job.job import Job
from racoon_train.networks import initial_weights
from tests.train.makers import a_job

CURRENT = {"w": np.zeros(3, np.float32), "n": np.array(2, np.int64)}


def a_job_with(**rules):
    """The tiny job with other rules."""
    document = a_job().to_json()
    return Job.model_validate({**document, "rules": {**document["rules"], **rules}})


def combined(job, values, *, combiner=None, rounds=1):
    """Combine one update a site, each filled with its value, for some rounds."""
    combiner = combiner or combiner_of(job)
    weights = CURRENT
    for round_ in range(1, rounds + 1):
        combiner.start(round_, weights)
        for number, value in enumerate(values):
            update = Update({"w": np.full(3, value, np.float32), "n": np.array(number, np.int64)}, 1)
            combiner.add(f"site-{number}", update)
        weights = combiner.result()
    return weights


def test_flowers_mean_is_ours():
    """FedAvg of the engine and of this process give the same numbers and keep every dtype."""
    theirs = combined(a_job(), [1, 2, 6], combiner=StrategyCombiner(a_job()))
    ours = combined(a_job(), [1, 2, 6], combiner=MeanCombiner())

    np.testing.assert_allclose(theirs["w"], ours["w"])
    assert (theirs["n"], theirs["n"].dtype, ours["n"]) == (1, np.int64, 1)


@pytest.mark.parametrize("strategy", [{"name": "krum"}, {"name": "fedtrimmedavg", "beta": 0.2}])
def test_a_robust_strategy_shrugs_off_one_poisoner(strategy):
    """One of five sites sends a hundred times the others' values: the result stays among the honest ones."""
    job = a_job_with(strategy=strategy)

    robust = combined(job, [0.9, 1.0, 1.1, 1.0, 100.0])["w"]

    assert np.all((robust >= 0.9) & (robust <= 1.1))
    assert np.all(combined(a_job(), [0.9, 1.0, 1.1, 1.0, 100.0])["w"] > 20)


@pytest.mark.parametrize(
    ("strategy", "first", "second"),
    [({"name": "fedavgm", "momentum": 0.5}, 1.0, 1.5), ({"name": "fedadam", "server_learning_rate": 0.1}, None, None)],
)
def test_the_servers_memory_is_restored(strategy, first, second):
    """A server that stops after round 1 and goes on with its kept state gives what an unbroken one gives."""
    job = a_job_with(strategy=strategy)
    unbroken = combined(job, [1.0, 1.0], rounds=2)
    before = combiner_of(job)
    middle = combined(job, [1.0, 1.0], combiner=before)
    after = combiner_of(job)
    after.restore(before.state())
    after.start(2, middle)
    for number in range(2):
        after.add(f"site-{number}", Update({"w": np.ones(3, np.float32), "n": np.array(number, np.int64)}, 1))

    resumed = after.result()

    np.testing.assert_array_equal(resumed["w"], unbroken["w"])
    if first is not None:
        np.testing.assert_allclose([middle["w"][0], resumed["w"][0]], [first, second])


def test_updates_beyond_the_limit_wait_on_disk(tmp_path, monkeypatch):
    """The result is the same, and nothing is left behind."""
    monkeypatch.setattr("racoon_train.federated.adapters.flower_strategies._HELD_BYTES", 0)

    waited = combined(a_job(), [1, 2, 6], combiner=StrategyCombiner(a_job(), tmp_path))

    np.testing.assert_allclose(waited["w"], 3.0)
    assert list(tmp_path.iterdir()) == []


def test_scaffold_is_not_flowers():
    """Flower has no SCAFFOLD: the refusal names what helps."""
    with pytest.raises(JobMismatchError, match="scaffold"):
        combiner_of(a_job_with(strategy={"name": "scaffold"}))


def test_a_strategy_that_protects_nobody_is_told():
    """Trimming needs a site to trim, and Krum enough honest neighbours."""
    assert a_job_with(strategy={"name": "fedtrimmedavg"}).rules.problem_with(4)
    assert a_job_with(strategy={"name": "fedtrimmedavg"}).rules.problem_with(5) is None
    assert a_job_with(strategy={"name": "krum"}).rules.problem_with(4)
    assert a_job_with(strategy={"name": "krum"}).rules.problem_with(5) is None


def test_heads_are_found_in_the_network():
    """The output layer is what grows with the classes, whichever the network."""
    axes = head_axes(a_job())

    reference = initial_weights(a_job())
    assert axes
    assert all(reference[name].shape[axis] == 3 for name, axis in axes.items())


def test_a_class_is_averaged_over_those_who_annotated_it():
    """Site b never outlined fluid: its row for fluid does not count; a class nobody outlined stays."""
    current = {"head": np.full((4, 2), 9.0, np.float32)}
    a = Update({"head": np.full((4, 2), 1.0, np.float32)}, 3, {}, {"lesion": 3, "fluid": 3, "air": 0})
    b = Update({"head": np.full((4, 2), 5.0, np.float32)}, 1, {}, {"lesion": 1, "fluid": 0, "air": 0})

    merged = average_heads([a, b], current, {"head": 0}, ("lesion", "fluid", "air"))

    assert merged["head"][:, 0].tolist() == [2.0, 2.0, 1.0, 9.0]


def test_half_precision_halves_the_bytes():
    """Floating arrays travel in 16 bits, come back in the network's dtype, and integers stay exact."""
    reference = {**initial_weights(a_job()), "n": np.array(70000, np.int64)}
    rules = a_job_with(transport="fp16").rules

    sent = as_sent(reference, rules)

    whole = sum(array.nbytes for array in reference.values()) - 8
    assert Parcel.of(sent).size - 8 == whole // 2
    used = as_used(sent, reference)
    assert used["n"] == 70000
    assert all(used[name].dtype == reference[name].dtype for name in reference)
    assert all(np.allclose(used[name], reference[name], atol=1e-3) for name in reference)


def test_a_weight_beyond_half_precision_is_refused():
    """Silent infinities would poison the round."""
    with pytest.raises(PayloadError, match="fp16"):
        as_sent({"w": np.array([1e6], np.float32)}, a_job_with(transport="fp16").rules)


def test_layers_that_stay_never_leave(two_sites, tmp_path):
    """What holds the pattern is not sent, is kept by round, and is what the site's next round starts from."""
    job = a_job_with(keep_local=["model.2"])
    site = join("site-a", two_sites["site-a"], job, tmp_path)
    site.begin()
    weights = initial_weights(job)

    first = take_part(site, as_sent(weights, job.rules), 1)
    again = take_part(site, as_sent(weights, job.rules), 1)
    second = take_part(site, first.weights, 2)

    kept = personal_layers(site, 2)
    assert set(first.weights) | set(kept) == set(weights)
    assert not set(first.weights) & set(kept)
    assert Parcel.of(again.weights) == Parcel.of(first.weights)
    assert any(not np.array_equal(kept[name], weights[name]) for name in kept)
    assert [line["round"] for line in exchanges(site.state)] == [1, 1, 2]
    assert exchanges(site.state)[2]["sent_sha256"] == Parcel.of(second.weights).sha256


def test_the_proximal_term_pulls_home(two_sites, tmp_path):
    """With a strong pull the same steps end nearer to where they started."""
    job = a_job()
    site = join("site-a", two_sites["site-a"], job, tmp_path)
    site.begin()
    start = initial_weights(job)

    free = site.train(start, 1).weights
    held = site.train(start, 1, correction=proximal(start, 100.0)).weights

    def away(weights):
        return norm_of({name: weights[name] - start[name] for name in start})

    assert away(held) < 0.7 * away(free)


def test_a_federation_with_every_rule(two_sites, tmp_path):
    """FedProx in fp16 with local norms, heads by class and fine-tuning leaves a model at every site."""
    job = a_job_with(
        strategy={"name": "fedprox", "mu": 0.1},
        transport="fp16",
        keep_local=["adn.N", "norm"],
        average_heads_per_class=True,
        fine_tune_steps=3,
    )

    model = InProcessAggregator().run(job.to_json(), datasets=two_sites, out=tmp_path, on_event=ignore)

    own = [load_weights(tmp_path / "state" / f"{alias}-model.safetensors") for alias in two_sites]
    assert all(set(weights) == set(load_weights(model)) for weights in own)
    assert any(not np.array_equal(own[0][name], own[1][name]) for name in own[0])


def test_one_dataset_under_two_aliases_is_refused(two_sites, tmp_path):
    """A site that counts twice would outweigh the others."""
    datasets = {"one": two_sites["site-a"], "two": two_sites["site-a"]}

    with pytest.raises(JobMismatchError, match="same dataset"):
        InProcessAggregator().run(a_job().to_json(), datasets=datasets, out=tmp_path, on_event=ignore)
