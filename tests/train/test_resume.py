"""A round that was killed goes on from any step, bit for bit."""

import json
from dataclasses import replace

import numpy as np
import pytest

from racoon_data.errors import DivergedError
from racoon_train.federated.contract import join
from racoon_train.job.job import Job
from racoon_train.networks import initial_weights, network_of, set_weights, weights_of
from racoon_train.optimizer import AdamW
from racoon_train.resume import PROGRESS_NAME, RoundPlan, train_round
from tests.train.makers import a_job

pytest.importorskip("torch")


class Killed(BaseException):
    """Stands for the end of the process."""


def careful(**network) -> Job:
    """Ten steps in a round, progress written every two, with dropout so that PyTorch's chance counts too."""
    settings = {**a_job().network.model_dump(), "dropout": 0.2, **network}
    training = {**a_job().training.model_dump(), "local_steps": 10, "checkpoint_steps": 2}
    return Job.model_validate({**a_job().model_dump(), "network": settings, "training": training})


def one_round(site, home, *, die_at: int = 0, start=None):
    """Train round 1 in ``home``; with ``die_at`` the process ends after that step."""
    import torch

    torch.manual_seed(1)
    network = network_of(site.job)
    set_weights(network, start or initial_weights(site.job))
    cases = site.cases("train")
    steps = []

    def on_step(step, loss):
        steps.append(step)
        if step == die_at:
            raise Killed

    plan = RoundPlan(1, home, on_step)
    optimizer = AdamW(network, weight_decay=0.01)
    losses = train_round(network, optimizer, lambda first: site.stream(cases, 1, first), site.job, plan)
    return weights_of(network), optimizer.arrays(), losses, steps


@pytest.mark.parametrize("die_at", [4, 5])
@pytest.mark.parametrize("network", [{}, {"name": "dynunet2d", "channels": (4, 8, 8), "deep_supervision": 1}])
def test_ten_steps_are_four_and_six(two_sites, tmp_path, network, die_at):
    """Weights, moments and losses after a kill are those of a straight run; step 5 is done twice, from 4."""
    site = join("site-a", two_sites["site-a"], careful(**network), tmp_path)
    straight = one_round(site, tmp_path / "straight")
    with pytest.raises(Killed):
        one_round(site, tmp_path / "killed", die_at=die_at)

    resumed = one_round(site, tmp_path / "killed")

    assert resumed[3] == [5, 6, 7, 8, 9, 10]
    assert resumed[2] == straight[2]
    for ours, theirs in zip(resumed[:2], straight[:2], strict=True):
        assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)
    assert list((tmp_path / "killed").iterdir()) == []


def test_progress_of_another_start_or_a_damaged_one_is_left_out(two_sites, tmp_path):
    """The round begins again where its start differs from what was written down, or the file is cut."""
    site = join("site-a", two_sites["site-a"], careful(), tmp_path)
    for home in ("other", "cut"):
        with pytest.raises(Killed):
            one_round(site, tmp_path / home, die_at=4)
    state = tmp_path / "cut" / json.loads((tmp_path / "cut" / PROGRESS_NAME).read_text())["state"]
    state.write_bytes(state.read_bytes()[:-1])
    moved = {name: array + 1 for name, array in initial_weights(site.job).items()}

    assert one_round(site, tmp_path / "other", start=moved)[3] == list(range(1, 11))
    assert one_round(site, tmp_path / "cut")[3] == list(range(1, 11))


def test_a_site_that_is_killed_in_a_round_goes_on(two_sites, tmp_path, monkeypatch):
    """The contract's own training resumes: a second call of the round takes only the steps that were left."""
    from racoon_train import engine

    site = join("site-a", two_sites["site-a"], careful(), tmp_path)
    site.begin()
    taken = []
    real = engine._step

    def step(*args):
        if len(taken) == 5:
            taken.append("killed")
            raise Killed
        taken.append(args[4])
        return real(*args)

    monkeypatch.setattr(engine, "_step", step)
    weights = initial_weights(site.job)
    with pytest.raises(Killed):
        site.train(weights, 1)
    site.train(weights, 1)

    assert taken == [0, 1, 2, 3, 4, "killed", 4, 5, 6, 7, 8, 9]


def test_a_loss_that_is_no_number_stops_the_round(two_sites, tmp_path):
    """Training that ran away is a refusal with a code, not a model of NaN."""
    site = join("site-a", two_sites["site-a"], a_job(), tmp_path)
    wild = {name: np.full_like(array, np.nan) for name, array in initial_weights(site.job).items()}

    with pytest.raises(DivergedError) as caught:
        one_round(replace(site), tmp_path / "wild", start=wild)

    assert caught.value.code == "federation.diverged"
