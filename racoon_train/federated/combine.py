"""Good updates of a round to the next model: the mean, a strategy of an engine, and per-class heads around either."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from typing import Protocol

from racoon_data.errors import MissingExtraError
from racoon_train.federated.heads import Axes, average_heads, head_axes
from racoon_train.federated.update import RunningMean, Update
from racoon_train.job.job import Job
from racoon_train.networks import Weights


class Combiner(Protocol):
    """Takes the good updates of a round one by one and gives the next model."""

    def start(self, round_: int, current: Weights) -> None:
        """Begin a round (from 1) that started from ``current``, in the network's dtypes."""
        ...

    def add(self, alias: str, update: Update) -> None:
        """Take in an update that passed the guards."""
        ...

    def result(self) -> Weights:
        """Give the next model, in the dtypes of ``current``."""
        ...

    def state(self) -> Weights:
        """Give what the next round needs of this one, such as momentum; nothing where there is none."""
        ...

    def restore(self, state: Weights) -> None:
        """Take back what ``state`` gave."""
        ...


class MeanCombiner:
    """FedAvg and FedProx: one running sum in float64, however many sites there are."""

    def start(self, round_: int, current: Weights) -> None:
        """Begin a round."""
        self._mean, self._current = RunningMean(), current

    def add(self, alias: str, update: Update) -> None:
        """Add to the sum."""
        self._mean.add(update)

    def result(self) -> Weights:
        """Give the mean."""
        return self._mean.result(self._current)

    def state(self) -> Weights:
        """Nothing is remembered."""
        return {}

    def restore(self, state: Weights) -> None:
        """Nothing is remembered."""


class PerClassHeads:
    """Another combiner, whose output layer is averaged class by class over the sites that annotated the class."""

    def __init__(self, inner: Combiner, axes: Axes, classes: tuple[str, ...]) -> None:
        self._inner, self._axes, self._classes = inner, axes, classes

    def start(self, round_: int, current: Weights) -> None:
        """Begin a round."""
        self._current = current
        self._heads: dict[str, Update] = {}
        self._inner.start(round_, current)

    def add(self, alias: str, update: Update) -> None:
        """Keep the output layer, pass the rest on."""
        own = {name: array for name, array in update.weights.items() if name in self._axes}
        self._heads[alias] = replace(update, weights=own)
        self._inner.add(alias, update)

    def result(self) -> Weights:
        """Give the inner model with its output layer averaged by class."""
        updates = [self._heads[alias] for alias in sorted(self._heads)]
        return {**self._inner.result(), **average_heads(updates, self._current, self._axes, self._classes)}

    def state(self) -> Weights:
        """Give the inner state."""
        return self._inner.state()

    def restore(self, state: Weights) -> None:
        """Restore the inner state."""
        self._inner.restore(state)


def combiner_of(job: Job) -> Combiner:
    """Give what combines updates in this process, by the job's strategy.

    Raises:
        MissingExtraError: The strategy is Flower's, and Flower is not installed.
        JobMismatchError: No engine here knows the strategy.
    """
    inner: Combiner = MeanCombiner()
    if job.rules.strategy.name not in ("fedavg", "fedprox"):
        if find_spec("flwr") is None:
            raise MissingExtraError(
                "this strategy comes from Flower", hint="in racoon's folder: pip install '.[flower]'"
            )
        from racoon_train.federated.adapters.flower_strategies import StrategyCombiner

        inner = StrategyCombiner(job)
    return with_heads(inner, job, head_axes(job) if job.rules.average_heads_per_class else {})


def with_heads(inner: Combiner, job: Job, axes: Mapping[str, int]) -> Combiner:
    """Average the output layer by class where there are axes to do it on."""
    return PerClassHeads(inner, axes, job.class_names) if axes else inner
