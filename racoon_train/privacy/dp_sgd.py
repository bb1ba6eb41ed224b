"""One private round: patients drawn by chance, each one's gradient clipped, noise on their sum (DP-SGD by Opacus)."""

from __future__ import annotations

import secrets
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from racoon_train import engine
from racoon_train.data.cache import CachedCase
from racoon_train.data.loaders import Sampler, class_numbers
from racoon_train.job.job import Job
from racoon_train.job.privacy import DpSgd
from racoon_train.optimizer import AdamW


def private_round(
    network: Any, optimizer: AdamW, cases: Sequence[CachedCase], patients: Mapping[str, str], job: Job, *, round_: int
) -> list[float]:
    """Train a round of ``local_steps`` private steps.

    In each step every patient takes part with the job's ``sample_rate``, independently, with one patch of one of their
    cases. Chance and noise come from the site alone, never from the job's seed: who knows the noise
    can take it off again. So a private round is not repeated bit for bit, and an interrupted one begins anew.

    Args:
        network: Network in place; it is changed.
        optimizer: Its optimizer, which only ever sees private gradients.
        cases: Training cases.
        patients: Patient by case id: what is protected is a patient, not a patch.
        job: Steps, schedule, privacy.
        round_: Round, counted from 1.

    Returns:
        Loss of every step, which is not private: it stays at the site.

    Raises:
        DatasetError: There is no training case.
        ValueError: The job is not a private one.
    """
    if job.privacy.dp_sgd is None:
        raise ValueError("the job has no privacy.dp_sgd")
    draw = _Draw(cases, patients, job)
    network.train()
    losses: list[float] = []
    with _per_patient(network, job.privacy.dp_sgd, expected=draw.expected) as (watched, private):
        for step in range((round_ - 1) * job.training.local_steps, round_ * job.training.local_steps):
            private.zero_grad()
            losses.append(_gradients(watched, draw.patches(), job))
            private.pre_step()
            optimizer.step(engine.learning_rate(job, step))
    return losses


Sample = tuple[Any, Any, tuple[int, ...]]


class _Draw:
    """Draws patients by chance, and a patch for each."""

    def __init__(self, cases: Sequence[CachedCase], patients: Mapping[str, str], job: Job) -> None:
        self._sampler = Sampler(cases, job)
        self._job = job
        self._by_patient: dict[str, list[CachedCase]] = {}
        for case in cases:
            if class_numbers(case, job):
                self._by_patient.setdefault(patients[case.case_id], []).append(case)
        self._rng = np.random.default_rng(secrets.randbits(128))
        private = job.privacy.dp_sgd or DpSgd()
        self._rate = private.sample_rate
        self.expected = max(1.0, private.sample_rate * len(self._by_patient))

    def patches(self) -> list[Sample]:
        """Give image, target and annotated classes of whoever takes part in a step; it may be nobody."""
        return [self._patch(own) for own in self._by_patient.values() if self._rng.random() < self._rate]

    def _patch(self, own: Sequence[CachedCase]) -> Sample:
        case = own[int(self._rng.integers(len(own)))]
        image, target = self._sampler.patch([case], self._rng)
        return image, target, class_numbers(case, self._job)


@contextmanager
def _per_patient(network: Any, private: DpSgd, *, expected: float) -> Iterator[tuple[Any, Any]]:
    """Watch a network so that each sample's gradient is kept apart; afterwards it is a plain network again."""
    import torch
    from opacus import GradSampleModule
    from opacus.optimizers import DPOptimizer

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Full backward hook", category=UserWarning)
        watched = GradSampleModule(network)
        generator = torch.Generator(device=next(network.parameters()).device).manual_seed(secrets.randbits(63))
        try:
            yield (
                watched,
                DPOptimizer(
                    torch.optim.SGD(network.parameters(), lr=1.0),  # only its gradients are used
                    noise_multiplier=private.noise_multiplier,
                    max_grad_norm=private.max_grad_norm,
                    expected_batch_size=expected,
                    generator=generator,
                ),
            )
        finally:
            watched.to_standard_module()


def _gradients(watched: Any, samples: Sequence[Sample], job: Job) -> float:
    """Compute each patient's gradient; the loss is a mean of losses of one, so that nobody's depends on another's."""
    import torch

    parameters = [parameter for parameter in watched.parameters() if parameter.requires_grad]
    if not samples:
        for parameter in parameters:
            parameter.grad_sample = torch.zeros((0, *parameter.shape), device=parameter.device)
        return 0.0
    where = parameters[0].device
    outputs = watched(torch.from_numpy(np.stack([image for image, _, _ in samples])).to(where))
    losses = [
        engine.loss_of(outputs[place : place + 1], torch.from_numpy(target[None]).to(where), annotated=annotated)
        for place, (_, target, annotated) in enumerate(samples)
    ]
    loss = torch.stack(losses).mean()
    loss.backward()
    return float(loss.detach())
