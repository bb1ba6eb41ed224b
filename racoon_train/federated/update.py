"""What a site sends after a round, and how updates are averaged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from racoon_train.networks import Weights


@dataclass(frozen=True, slots=True, eq=False)
class Update:
    """One site's contribution to a round.

    Attributes:
        weights: Named arrays.
        examples: Training cases behind it: its weight in the average.
        metrics: Numbers by name, such as ``loss``, which a site that trains privately does not tell.
        class_examples: Training cases by class name in which the class was looked for.
    """

    weights: Weights
    examples: int
    metrics: Mapping[str, float] = field(default_factory=dict)
    class_examples: Mapping[str, int] = field(default_factory=dict)

    @property
    def loss(self) -> float | None:
        """Mean training loss, where it is told."""
        return self.metrics.get("loss")


def cast_like(weights: Weights, reference: Weights) -> Weights:
    """Give each array the reference's dtype; an average of integers is rounded back."""
    cast: Weights = {}
    for name, own in reference.items():
        value = weights[name]
        value = np.rint(value) if own.dtype.kind in "iu" and value.dtype.kind == "f" else value
        cast[name] = np.array(value, dtype=own.dtype)
    return cast


class RunningMean:
    """Mean weighted by examples (FedAvg, McMahan et al. 2017), in float64: one sum, however many sites."""

    def __init__(self) -> None:
        self._sum: Weights = {}
        self._examples = 0

    def add(self, update: Update) -> None:
        """Take an update in."""
        for name, array in update.weights.items():
            part = array.astype(np.float64) * update.examples
            self._sum[name] = self._sum[name] + part if name in self._sum else part
        self._examples += update.examples

    def result(self, reference: Weights) -> Weights:
        """Give the mean in the dtypes of ``reference``."""
        return cast_like({name: np.asarray(value / self._examples) for name, value in self._sum.items()}, reference)


def average(updates: Sequence[Update], reference: Weights) -> Weights:
    """Average updates weighted by examples, in the given order."""
    mean = RunningMean()
    for update in updates:
        mean.add(update)
    return mean.result(reference)
