"""What private training spends: epsilon and delta, from the job and the number of rounds alone."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

from racoon_data.errors import MissingExtraError, PrivacyBudgetError
from racoon_train.job.job import Job


@dataclass(frozen=True, slots=True)
class Spent:
    """A promise: whoever sees the weights learns little of whether one patient took part.

    Attributes:
        epsilon: How little; below 1 is strong, above 10 says little.
        delta: Chance that the promise fails.
    """

    epsilon: float
    delta: float


def spent(job: Job, rounds: int) -> Spent | None:
    """Give what a site has spent after some rounds; ``None`` where the job trains without DP-SGD.

    Rényi accounting of the Poisson-subsampled Gaussian (Mironov et al. 2019), by Opacus, for adding or
    removing one patient.

    Raises:
        MissingExtraError: Opacus is not installed.
    """
    private = job.privacy.dp_sgd
    if private is None:
        return None
    try:
        from opacus.accountants import RDPAccountant
    except ImportError as error:
        raise MissingExtraError(
            "private training needs Opacus", hint="in racoon's folder: pip install '.[privacy]'"
        ) from error
    accountant = RDPAccountant()
    accountant.history = [(private.noise_multiplier, private.sample_rate, rounds * job.training.local_steps)]
    with warnings.catch_warnings():  # Opacus warns where its range of orders ends; the bound holds all the same
        warnings.simplefilter("ignore", UserWarning)
        return Spent(float(accountant.get_epsilon(private.delta)), private.delta)


def check_budget(job: Job) -> Spent | None:
    """Give what the whole job will spend.

    Raises:
        MissingExtraError: Opacus is not installed.
        PrivacyBudgetError: It is more than the job allows itself.
    """
    total = spent(job, job.training.rounds)
    most = job.privacy.dp_sgd.max_epsilon if job.privacy.dp_sgd else None
    if total is not None and most is not None and total.epsilon > most:
        raise PrivacyBudgetError(
            f"{job.training.rounds} rounds spend epsilon {total.epsilon:.2f}, the job allows {most:g}",
            hint="more noise, a lower sample_rate, fewer rounds or steps",
        )
    return total
