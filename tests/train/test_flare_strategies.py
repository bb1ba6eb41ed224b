"""FLARE's strategies: the mean and the server's optimizers equal Flower's, SCAFFOLD is the paper's."""

import numpy as np
import pytest

from racoon_train.federated.scaffold import Drift, joined, parted, zero_controls
from racoon_train.federated.update import Update
from tests.train.makers import a_job

pytest.importorskip("nvflare")
pytest.importorskip("flwr")

START = {"w": np.array([[1.0, -2.0], [0.5, 3.0]], np.float32), "n": np.array(3, np.int64)}


def a_job_by(strategy):
    """A job with a strategy."""
    job = a_job()
    document = {**job.to_json(), "rules": {**job.to_json()["rules"], "strategy": strategy}}
    return type(job).model_validate(document)


def updates(round_, start):
    """Two sites' updates, the same for every engine."""
    rng = np.random.default_rng(round_)
    for alias, examples in (("a", 3), ("b", 1)):
        moved = {"w": start["w"] + rng.normal(0, 0.1, (2, 2)).astype(np.float32), "n": start["n"] + 1}
        yield alias, Update(moved, examples, {"loss": 1.0})


def run(combiner, rounds=4, *, renew=None):
    """Models after every round; ``renew`` makes a new combiner that takes the old one's state."""
    current, models = START, []
    for round_ in range(1, rounds + 1):
        combiner.start(round_, current)
        for alias, update in updates(round_, current):
            combiner.add(alias, update)
        current = combiner.result()
        models.append(current)
        if renew:
            state, combiner = combiner.state(), renew()
            combiner.restore(state)
    return models


@pytest.mark.parametrize(
    "strategy",
    [{"name": "fedavg"}, {"name": "fedprox"}, {"name": "fedavgm"}, {"name": "fedadam"}],
    ids=lambda s: s["name"],
)
def test_the_same_job_gives_the_same_model_on_both_engines(strategy):
    """Four rounds by FLARE's parts equal four rounds by Flower's, also when the server starts anew after each."""
    from racoon_train.federated.adapters.flower_strategies import StrategyCombiner
    from racoon_train.federated.adapters.nvflare_strategies import combiner_of_flare

    job = a_job_by(strategy)

    def flare():
        return combiner_of_flare(job, {}, sites=2)

    for ours, restarted, theirs in zip(
        run(flare()), run(flare(), renew=flare), run(StrategyCombiner(job)), strict=True
    ):
        np.testing.assert_allclose(ours["w"], theirs["w"], atol=1e-5)
        np.testing.assert_array_equal(ours["w"], restarted["w"])
        assert (ours["n"], ours["n"].dtype) == (theirs["n"], np.int64)


def test_the_order_of_answers_does_not_matter():
    """Who is first changes no bit of the mean."""
    from racoon_train.federated.adapters.nvflare_strategies import FlareMean

    found = []
    for order in (1, -1):
        mean = FlareMean()
        mean.start(1, START)
        for alias, update in list(updates(1, START))[::order]:
            mean.add(alias, update)
        found.append(mean.result()["w"])

    np.testing.assert_array_equal(*found)


def test_scaffold_removes_the_drift_of_sites_that_pull_apart(tmp_path):
    """Two sites with opposite optima and several SGD steps a round: SCAFFOLD reaches the optimum of the whole.

    Site a minimizes 5 (w - 1)^2 and site b (w + 1)^2, so the whole is least at 2/3; FedAvg of several local
    steps ends elsewhere.
    """
    from racoon_train.federated.adapters.nvflare_strategies import combiner_of_flare

    def ends(strategy):
        combiner, current = combiner_of_flare(a_job_by({"name": strategy}), {}, sites=2), {"w": np.zeros(1, np.float32)}
        for round_ in range(1, 61):
            combiner.start(round_, current)
            control = combiner.control() if strategy == "scaffold" else zero_controls(current)
            for alias, weight, target in (("a", 5.0, 1.0), ("b", 1.0, -1.0)):
                drift = Drift(tmp_path / strategy / alias, control if strategy == "scaffold" else {}, round_)
                moved = trained(current["w"], weight, target, drift)
                combiner.add(alias, Update(joined({"w": moved}, drift.finish()), 1, {"loss": 0.0}))
            current = combiner.result()
        return float(current["w"][0])

    assert ends("scaffold") == pytest.approx(2 / 3, abs=0.01)
    assert abs(ends("fedavg") - 2 / 3) > 0.1


def trained(start, weight, target, drift):
    """Ten steps of plain SGD on weight * (w - target)^2."""
    import torch

    network = torch.nn.Module()
    network.w = torch.nn.Parameter(torch.from_numpy(start.copy()))
    for _ in range(10):
        network.w.grad = None
        (weight * (network.w - target) ** 2).sum().backward()
        drift.correct(network)
        with torch.no_grad():
            network.w -= 0.02 * network.w.grad
    return network.w.detach().numpy().copy()


def test_a_parcel_comes_apart_as_it_was_put_together():
    """Weights and controls share a parcel and no name."""
    weights, controls = parted(joined(START, zero_controls(START)))

    assert set(weights) == {"w", "n"}
    assert set(controls) == {"w"}
