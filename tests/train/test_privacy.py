"""Private training: what is promised, what is spent, what is refused, and that the gradients really are clipped."""

import json
import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from racoon_data.errors import PrivacyBudgetError
from racoon_data.events import ignore
from racoon_train.data.cache import build_cache
from racoon_train.data.dataset import open_dataset
from racoon_train.federated.adapters.in_process import InProcessAggregator
from racoon_train.federated.contract import join
from racoon_train.federated.rounds import read_rounds
from racoon_train.job.job import Job
from racoon_train.networks import initial_weights, network_of, set_weights, weights_of
from racoon_train.optimizer import AdamW
from racoon_train.privacy.accounting import check_budget, spent
from racoon_train.privacy.dp_sgd import _Draw, _gradients, _per_patient, private_round
from tests.train.makers import a_dataset, a_job


def a_private_job(**privacy):
    """A tiny job with DP-SGD."""
    document = a_job(rounds=2, steps=4).to_json()
    document["privacy"]["dp_sgd"] = {"sample_rate": 0.6, **privacy}
    return Job.model_validate(document)


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """Training cases of seven patients, and who they are."""
    dataset = open_dataset(a_dataset(tmp_path_factory.mktemp("a"), cases=8))
    cached = build_cache(dataset, tmp_path_factory.mktemp("cache")).load("train")
    return cached, {case.case_id: case.patient for case in dataset.cases}


def test_one_patient_moves_the_sum_by_no_more_than_the_clip(cases):
    """Without noise, the sum of gradients of a step is no longer than patients times the clip, whatever they hold."""
    job = a_private_job(sample_rate=1.0, max_grad_norm=0.01, noise_multiplier=1e-12)
    network = network_of(job)
    draw = _Draw(*cases, job)
    with _per_patient(network, job.privacy.dp_sgd, expected=draw.expected) as (watched, private):
        _gradients(watched, draw.patches(), job)
        norms = torch.stack([p.grad_sample.flatten(1).norm(dim=1) for p in watched.parameters()]).norm(dim=0)
        private.pre_step()
        summed = torch.stack([p.grad.norm() for p in watched.parameters()]).norm() * draw.expected

    assert len(norms) == 7
    assert norms.min() > 0.01
    assert summed <= 7 * 0.01 * 1.001


def test_a_patient_has_the_gradient_of_that_patient_alone(cases):
    """Nobody's gradient depends on who else takes part: else clipping one would not bound what one can do."""
    job = a_private_job(sample_rate=1.0)
    draw = _Draw(*cases, job)
    samples = draw.patches()
    together, alone = [], []
    for chosen, found in ((samples, together), (samples[:1], alone)):
        network = network_of(job)
        with _per_patient(network, job.privacy.dp_sgd, expected=7) as (watched, _):
            _gradients(watched, chosen, job)
            found += [p.grad_sample[0].clone() for p in watched.parameters()]

    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_noise_is_as_large_as_the_job_says(cases):
    """A step that nobody takes part in is noise alone, of the promised deviation."""
    job = a_private_job(max_grad_norm=2.0, noise_multiplier=3.0)
    network = network_of(job)
    with _per_patient(network, job.privacy.dp_sgd, expected=1.0) as (watched, private):
        _gradients(watched, [], job)
        private.pre_step()
        noise = torch.cat([p.grad.flatten() for p in watched.parameters()])

    assert float(noise.std()) == pytest.approx(6.0, rel=0.1)
    assert abs(float(noise.mean())) < 6.0 * 5 / math.sqrt(noise.numel())


def test_chance_is_the_site_s_own(cases):
    """Two rounds of the same job differ: who knew the noise could take it off again."""
    job = a_private_job()
    ends = []
    for _ in range(2):
        network = network_of(job)
        private_round(network, AdamW(network, weight_decay=0.0), *cases, job, round_=1)
        ends.append(weights_of(network))

    assert any(not np.array_equal(ends[0][name], ends[1][name]) for name in ends[0])
    assert set(ends[0]) == set(initial_weights(job))
    set_weights(network_of(job), ends[0])


def test_accounting_is_the_known_bound():
    """Gaussian noise without sampling spends what the closed form says; more rounds spend more."""
    job = a_private_job(sample_rate=1.0, noise_multiplier=4.0, delta=1e-5)
    orders = np.linspace(1.05, 60, 4000)
    steps = job.training.local_steps
    renyi = steps * orders / (2 * 4.0**2)
    converted = renyi + np.log1p(-1 / orders) - (math.log(1e-5) + np.log(orders)) / (orders - 1)

    assert spent(job, 1).epsilon == pytest.approx(float(converted.min()), rel=0.02)
    assert spent(job, 2).epsilon > spent(job, 1).epsilon
    assert spent(a_job(), 5) is None


def test_a_job_beyond_its_budget_is_refused(tmp_path):
    """Where all rounds would spend more than the job allows, no site joins."""
    job = a_private_job(max_epsilon=0.5)

    with pytest.raises(PrivacyBudgetError, match=r"allows 0\.5"):
        join("a", a_dataset(tmp_path / "a"), job, tmp_path / "home")
    assert check_budget(a_private_job(max_epsilon=1000.0)).epsilon < 1000.0


@pytest.mark.parametrize(
    ("section", "wrong", "named"),
    [
        ("network", {"norm": "batch"}, "mixes patients"),
        ("network", {"name": "dynunet2d", "channels": [8, 16, 32]}, "use unet2d"),
        ("training", {"precision": "bf16"}, "use fp32"),
        ("rules", {"strategy": {"name": "fedprox"}}, "fedprox"),
    ],
)
def test_what_cannot_be_private_is_refused_by_name(section, wrong, named):
    """Networks and strategies whose gradients cannot be told apart by patient are refused with the reason."""
    document = a_private_job().to_json()
    document[section] |= wrong

    with pytest.raises(ValidationError, match=named):
        Job.model_validate(document)


def test_a_private_federation_tells_what_it_spent_and_no_loss(tmp_path):
    """Rounds go on, updates carry epsilon and delta, and the training loss stays at the sites."""
    job = a_private_job()
    sites = {name: a_dataset(tmp_path / name, site=name, cases=6) for name in ("a", "b")}
    update = join("a", sites["a"], job, tmp_path / "home").train(initial_weights(job), 1)

    InProcessAggregator().run(job.to_json(), datasets=sites, out=tmp_path / "out", on_event=ignore)

    assert update.metrics["epsilon"] == spent(job, 1).epsilon
    assert update.loss is None
    assert [dict(each.losses) for each in read_rounds(tmp_path / "out")] == [{"a": None, "b": None}] * 2
    assert json.loads((tmp_path / "out" / "rounds.json").read_text())
