"""AdamW over named arrays, whose moments are kept on disk between rounds, and the loss scale of fp16."""

from __future__ import annotations

from typing import Any

import numpy as np

from racoon_data.errors import PayloadError
from racoon_train.networks import Weights

_BETAS = (0.9, 0.999)
_EPSILON = 1e-8
_STEPS_TO_DOUBLE = 2000


class LossScaler:
    """Keeps fp16 gradients off zero: the loss is scaled up, the gradients back down.

    Gradients that overflow halve the scale and the step is left out; 2000 good steps double it
    (mixed precision as in Micikevicius et al. 2018, arXiv:1710.03740).
    """

    def __init__(self) -> None:
        self.scale = 2.0**16
        self.good_steps = 0

    def unscale(self, network: Any) -> bool:
        """Scale gradients down; tell whether all are finite and the step may be taken."""
        import torch

        gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
        for gradient in gradients:
            gradient.mul_(1.0 / self.scale)
        is_finite = all(bool(torch.isfinite(gradient).all()) for gradient in gradients)
        self.good_steps = self.good_steps + 1 if is_finite else 0
        if not is_finite:
            self.scale = max(1.0, self.scale / 2)
        elif self.good_steps >= _STEPS_TO_DOUBLE:
            self.scale, self.good_steps = self.scale * 2, 0
        return is_finite


class AdamW:
    """PyTorch's AdamW function with its state in the open.

    ``torch.optim.AdamW`` computes the same; creating it imports PyTorch's compiler, 1.2 CPU seconds
    that Flower's process per message would pay at every site in every round.
    """

    def __init__(self, network: Any, *, weight_decay: float) -> None:
        import torch

        self._parameters = dict(network.named_parameters())
        self._weight_decay = weight_decay
        self._first = {name: torch.zeros_like(each) for name, each in self._parameters.items()}
        self._second = {name: torch.zeros_like(each) for name, each in self._parameters.items()}
        self._steps = {name: torch.tensor(0.0) for name in self._parameters}
        self.scaler = LossScaler()

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self._parameters.values():
            parameter.grad = None

    def step(self, learning_rate: float) -> None:
        """Move the parameters along their gradients."""
        import torch
        from torch.optim.adamw import adamw

        names = [name for name, parameter in self._parameters.items() if parameter.grad is not None]
        with torch.no_grad():
            adamw(
                [self._parameters[name] for name in names],
                [self._parameters[name].grad for name in names],
                [self._first[name] for name in names],
                [self._second[name] for name in names],
                [],
                [self._steps[name] for name in names],
                foreach=True,
                amsgrad=False,
                beta1=_BETAS[0],
                beta2=_BETAS[1],
                lr=learning_rate,
                weight_decay=self._weight_decay,
                eps=_EPSILON,
                maximize=False,
            )

    def arrays(self) -> Weights:
        """Copy the state out: ``first.NAME``, ``second.NAME``, ``steps.NAME`` and ``scaler``."""
        slots = {"first": self._first, "second": self._second, "steps": self._steps}
        state: Weights = {
            f"{slot}.{name}": tensor.cpu().numpy().copy()
            for slot, kept in slots.items()
            for name, tensor in kept.items()
        }
        state["scaler"] = np.array([self.scaler.scale, self.scaler.good_steps])
        return state

    def load(self, arrays: Weights) -> None:
        """Put a state back that ``arrays`` gave.

        Raises:
            PayloadError: It is the state of another network.
        """
        import torch

        own = self.arrays()
        if set(own) != set(arrays) or any(own[name].shape != arrays[name].shape for name in own):
            raise PayloadError("the optimizer's state belongs to another network", hint="begin the training anew")
        self.scaler.scale, self.scaler.good_steps = float(arrays["scaler"][0]), int(arrays["scaler"][1])
        for slot, kept in (("first", self._first), ("second", self._second), ("steps", self._steps)):
            for name, tensor in kept.items():
                tensor.copy_(torch.from_numpy(np.array(arrays[f"{slot}.{name}"])))
