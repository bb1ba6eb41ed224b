"""Flower's strategies by name, fed with updates that wait in memory up to a limit and on disk beyond it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, MetricRecord, RecordDict
from flwr.serverapp import strategy as flower

from racoon_data.errors import JobMismatchError
from racoon_train.checkpoints import load_weights, save_weights
from racoon_train.federated.update import RunningMean, Update, cast_like
from racoon_train.job import rules
from racoon_train.job.job import Job
from racoon_train.networks import Weights

_HELD_BYTES = 512 * 1024**2
_ROBUST = (rules.FedTrimmedAvg, rules.Krum)


def strategy_of(job: Job) -> Any:
    """Give Flower's strategy that a job names.

    Raises:
        JobMismatchError: Flower has no such strategy.
    """
    logging.getLogger("flwr").setLevel(logging.ERROR)
    common = {"fraction_evaluate": 0.0, "min_train_nodes": 1, "min_available_nodes": 1}
    chosen = job.rules.strategy
    match chosen:
        case rules.FedAvg() | rules.FedProx():  # the pull of FedProx is the sites' work
            return flower.FedAvg(**common)
        case rules.FedAvgM():
            rate, momentum = chosen.server_learning_rate, chosen.momentum
            return flower.FedAvgM(**common, server_learning_rate=rate, server_momentum=momentum)
        case rules.FedAdam():
            decays = {"beta_1": chosen.beta_1, "beta_2": chosen.beta_2, "tau": chosen.tau}
            return flower.FedAdam(**common, eta=chosen.server_learning_rate, **decays)
        case rules.FedTrimmedAvg():
            return flower.FedTrimmedAvg(**common, beta=chosen.beta)
        case rules.Krum():
            return flower.Krum(**common, num_malicious_nodes=chosen.malicious)
        case _:
            raise JobMismatchError(
                f"Flower has no strategy {chosen.name}", ref=job.name, hint="use NVIDIA FLARE, or another strategy"
            )


class HeldArray(Array):  # type: ignore[misc]
    """An array of a reply, in memory or in a file, given in the network's dtype when it is asked for."""

    def __init__(self, values: np.ndarray | Path, name: str, like: np.ndarray) -> None:
        super().__init__(dtype=str(like.dtype), shape=like.shape, stype="numpy.ndarray", data=b"")
        self._values, self._name, self._like = values, name, like.dtype

    def numpy(self) -> np.ndarray:
        """Give the values, from the file where they wait there."""
        if isinstance(self._values, np.ndarray):
            return self._values.astype(self._like)
        from safetensors import safe_open

        with safe_open(self._values, framework="numpy") as stored:
            return np.asarray(stored.get_tensor(self._name)).astype(self._like)


@dataclass(frozen=True, slots=True)
class Reply:
    """A good reply, as far as a strategy looks at one; a real ``Message`` belongs to a run and a node."""

    content: RecordDict

    def has_error(self) -> bool:
        """Errors never come this far."""
        return False


class StrategyCombiner:
    """One of Flower's strategies; integer buffers are rounded means, or medians where the strategy is robust."""

    def __init__(self, job: Job, waiting: Path | None = None) -> None:
        self._strategy = strategy_of(job)
        self._is_robust = isinstance(job.rules.strategy, _ROBUST)
        self._waiting = waiting
        self._state: Weights = {}

    def start(self, round_: int, current: Weights) -> None:
        """Begin a round."""
        self._round, self._current = round_, current
        self._replies: dict[str, Reply] = {}
        self._whole: dict[str, Update] = {}
        self._held = 0

    def add(self, alias: str, update: Update) -> None:
        """Hold an update until the round is complete."""
        self._whole[alias] = Update({n: a for n, a in update.weights.items() if a.dtype.kind != "f"}, update.examples)
        floats = {name: array for name, array in update.weights.items() if array.dtype.kind == "f"}
        self._held += sum(array.nbytes for array in floats.values())
        path = None
        if self._waiting is not None and self._held > _HELD_BYTES:
            path = self._waiting / f"{alias}.safetensors"
            save_weights(path, floats)
        arrays = ArrayRecord()
        for name in sorted(floats):  # set one by one: the constructor would copy the bytes they do not hold
            arrays[name] = HeldArray(path or floats[name], name, self._current[name])
        metrics = MetricRecord({"num-examples": update.examples})
        self._replies[alias] = Reply(RecordDict({"arrays": arrays, "metrics": metrics}))

    def result(self) -> Weights:
        """Let Flower aggregate, in order of alias: the result does not depend on who was faster."""
        floats = {name: self._current[name] for name in sorted(self._current) if self._current[name].dtype.kind == "f"}
        current = ArrayRecord({name: Array(value) for name, value in floats.items()})
        if hasattr(self._strategy, "current_arrays"):
            self._strategy.current_arrays = self._current_of(current, floats)
        self._put_state(floats)
        arrays, _ = self._strategy.aggregate_train(self._round, [self._replies[a] for a in sorted(self._replies)])
        self._take_state(floats)
        merged = {name: array.numpy() for name, array in arrays.items()}
        self._replies.clear()
        for path in self._waiting.glob("*.safetensors") if self._waiting else ():
            path.unlink()
        return cast_like({**merged, **self._integers()}, self._current)

    def _current_of(self, current: ArrayRecord, floats: Weights) -> Any:
        return dict(floats) if isinstance(self._strategy, flower.FedAdam) else current

    def _integers(self) -> Weights:
        names = sorted(set(self._current) - {n for n, a in self._current.items() if a.dtype.kind == "f"})
        updates = [self._whole[alias] for alias in sorted(self._whole)]
        if self._is_robust:
            return {name: np.median([update.weights[name] for update in updates], axis=0) for name in names}
        mean = RunningMean()
        for update in updates:
            mean.add(update)
        return mean.result({name: self._current[name] for name in names})

    def state(self) -> Weights:
        """Give the strategy's momentum or moments by name."""
        return self._state

    def restore(self, state: Weights) -> None:
        """Take the momentum or moments back."""
        self._state = dict(state)

    def _put_state(self, floats: Weights) -> None:
        if not self._state:
            return
        if isinstance(self._strategy, flower.FedAvgM):
            self._strategy.momentum_vector = [self._state[f"momentum.{name}"] for name in floats]
        if isinstance(self._strategy, flower.FedAdam):
            self._strategy.m_t = {name: self._state[f"first.{name}"] for name in floats}
            self._strategy.v_t = {name: self._state[f"second.{name}"] for name in floats}

    def _take_state(self, floats: Weights) -> None:
        if isinstance(self._strategy, flower.FedAvgM) and self._strategy.momentum_vector is not None:
            vectors = zip(floats, self._strategy.momentum_vector, strict=True)
            self._state = {f"momentum.{name}": np.asarray(value) for name, value in vectors}
        if isinstance(self._strategy, flower.FedAdam):
            moments = (("first", self._strategy.m_t), ("second", self._strategy.v_t))
            self._state = {f"{slot}.{name}": np.asarray(kept[name]) for slot, kept in moments for name in floats}


def load_state(path: Path) -> Weights:
    """Read a strategy's state from a file, nothing where there is none."""
    return load_weights(path) if path.is_file() else {}
