"""A job's strategy as FLARE has it: its running mean, its server optimizer, and SCAFFOLD's control of the whole."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from nvflare.app_common.aggregators.weighted_aggregation_helper import WeightedAggregationHelper

from racoon_data.errors import JobMismatchError
from racoon_train.federated.combine import Combiner, with_heads
from racoon_train.federated.scaffold import parted, zero_controls
from racoon_train.federated.update import Update, cast_like
from racoon_train.job import rules
from racoon_train.job.job import Job
from racoon_train.networks import Weights


def combiner_of_flare(job: Job, heads: dict[str, int], *, sites: int) -> Combiner:
    """Give what turns the good updates of a round into the next model.

    Args:
        job: Names the strategy.
        heads: Class axis of the output layer's arrays, where they are averaged by class.
        sites: Sites that were invited; SCAFFOLD's control is over all of them.
    """
    require_strategy(job)
    match job.rules.strategy:
        case rules.FedAvgM() | rules.FedAdam():
            return ServerOptimizer(job)
        case rules.Scaffold():
            return ControlledMean(sites)
        case _:
            return with_heads(FlareMean(), job, heads)


def require_strategy(job: Job) -> None:
    """Refuse a strategy FLARE does not have, before anything starts.

    Raises:
        JobMismatchError: See above.
    """
    if isinstance(job.rules.strategy, rules.FedTrimmedAvg | rules.Krum):
        name = job.rules.strategy.name
        raise JobMismatchError(f"NVIDIA FLARE has no strategy {name}", ref=job.name, hint="use Flower")


class FlareMean:
    """FLARE's running mean, weighted by examples (FedAvg, and FedProx, whose pull is the sites' work).

    One sum in memory, however many sites take part. It is in float64: in float32 the model would
    depend on who answered first.
    """

    def start(self, round_: int, current: Weights) -> None:
        """Begin a round."""
        self._round, self._current = round_, current
        self._sum = WeightedAggregationHelper()

    def add(self, alias: str, update: Update) -> None:
        """Add to the sum."""
        wide = {name: array.astype(np.float64) for name, array in update.weights.items()}
        self._sum.add(wide, update.examples, alias, self._round)

    def mean(self) -> Weights:
        """Give the mean in float64."""
        found: Weights = self._sum.get_result()
        return found

    def result(self) -> Weights:
        """Give the mean in the dtypes of the round's start."""
        return cast_like(self.mean(), self._current)

    def state(self) -> Weights:
        """Nothing is remembered."""
        return {}

    def restore(self, state: Weights) -> None:
        """Nothing is remembered."""


class ServerOptimizer(FlareMean):
    """FLARE's FedOpt: PyTorch's SGD with momentum (FedAvgM) or Adam over the mean of the updates.

    Adam's bias correction and ``tau`` follow the reference implementation that Flower has too
    (the first round counts as the second step, ``tau`` is added before the correction), so a job
    gives the same model on both engines. Integer buffers are averaged.
    """

    def __init__(self, job: Job) -> None:
        self._strategy = job.rules.strategy
        self._remembered: Weights = {}

    def result(self) -> Weights:
        """Take one step of the server's optimizer from the round's start towards the mean."""
        import torch
        from nvflare.app_opt.pt.fedopt import PTFedOptModelShareableGenerator

        start, mean = self._current, self.mean()
        module = _Parameters({name: value for name, value in start.items() if value.dtype.kind == "f"})
        flare = PTFedOptModelShareableGenerator({"path": "torch.optim", "args": {}})
        flare.model, flare.device = module, torch.device("cpu")
        flare.optimizer = self._optimizer(module)
        ways = {key: (mean[name] - start[name]).astype(np.float32) for key, name in module.names.items()}
        stepped, _ = flare.server_update(ways)
        self._remember(module, flare.optimizer)
        moved = {module.names[key]: tensor.numpy() for key, tensor in stepped.items()}
        return cast_like({**mean, **moved}, start)

    def state(self) -> Weights:
        """Give the moments, by slot and name."""
        return self._remembered

    def restore(self, state: Weights) -> None:
        """Take the moments back."""
        self._remembered = dict(state)

    def _optimizer(self, module: Any) -> Any:
        import torch

        strategy, parameters = self._strategy, list(module.parameters())
        if isinstance(strategy, rules.FedAvgM):
            optimizer: Any = torch.optim.SGD(parameters, lr=strategy.server_learning_rate, momentum=strategy.momentum)
        else:
            assert isinstance(strategy, rules.FedAdam)
            betas = (strategy.beta_1, strategy.beta_2)
            eps = strategy.tau / math.sqrt(1 - strategy.beta_2 ** (self._round + 1))
            optimizer = torch.optim.Adam(parameters, lr=strategy.server_learning_rate, betas=betas, eps=eps)
        for key, parameter in module.named_parameters():
            optimizer.state[parameter] = self._moments(module.names[key], parameter)
        return optimizer

    def _moments(self, name: str, parameter: Any) -> dict[str, Any]:
        import torch

        def kept(slot: str) -> Any:
            found = self._remembered.get(f"{slot}.{name}")
            return torch.zeros_like(parameter) if found is None else torch.from_numpy(np.array(found))

        if isinstance(self._strategy, rules.FedAvgM):
            return {"momentum_buffer": kept("momentum_buffer")}
        step = torch.tensor(float(self._round))
        return {"step": step, "exp_avg": kept("exp_avg"), "exp_avg_sq": kept("exp_avg_sq")}

    def _remember(self, module: Any, optimizer: Any) -> None:
        self._remembered = {
            f"{slot}.{module.names[key]}": value.detach().numpy().copy()
            for key, parameter in module.named_parameters()
            for slot, value in optimizer.state[parameter].items()
            if slot != "step"
        }


def _Parameters(arrays: Weights) -> Any:  # noqa: N802 (a class made where torch is there)
    """Hold arrays as a module's parameters: ``names`` gives an array's name by parameter."""
    import torch

    module = torch.nn.Module()
    names = {f"p{number}": name for number, name in enumerate(sorted(arrays))}
    for key, name in names.items():
        module.register_parameter(key, torch.nn.Parameter(torch.from_numpy(np.array(arrays[name], np.float32))))
    module.names = names
    server: Any = module
    return server


class ControlledMean(FlareMean):
    """SCAFFOLD (Karimireddy et al. 2020): the mean, and the control of all sites that corrects their drift."""

    def __init__(self, sites: int) -> None:
        self._sites = sites
        self._control: Weights = {}

    def start(self, round_: int, current: Weights) -> None:
        """Begin a round."""
        super().start(round_, current)
        self._moved: Weights = {}

    def add(self, alias: str, update: Update) -> None:
        """Add the weights to the mean and the site's move to the control."""
        weights, moves = parted(update.weights)
        super().add(alias, replace(update, weights=weights))
        for name, move in moves.items():
            self._moved[name] = self._moved[name] + move if name in self._moved else move

    def result(self) -> Weights:
        """Give the mean; the control moves by the sites' moves over all sites, here or not."""
        control = self.control()
        self._control = {name: control[name] + np.float32(1 / self._sites) * self._moved[name] for name in self._moved}
        return super().result()

    def control(self) -> Weights:
        """Give the control of all sites, which goes out with the model."""
        return self._control or zero_controls(self._current)

    def state(self) -> Weights:
        """Give the control."""
        return self._control

    def restore(self, state: Weights) -> None:
        """Take the control back."""
        self._control = dict(state)
