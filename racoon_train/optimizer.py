"""AdamW over named arrays, whose moments are kept on disk between rounds."""

from __future__ import annotations

from typing import Any

import numpy as np

from racoon_train.networks import Weights

_BETAS = (0.9, 0.999)
_EPSILON = 1e-8


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
        """Copy the state out: ``first.NAME``, ``second.NAME`` and ``steps.NAME``."""
        slots = {"first": self._first, "second": self._second, "steps": self._steps}
        return {
            f"{slot}.{name}": tensor.cpu().numpy().copy()
            for slot, kept in slots.items()
            for name, tensor in kept.items()
        }

    def load(self, arrays: Weights) -> None:
        """Put a state back that ``arrays`` gave.

        Raises:
            KeyError: It is the state of another network.
        """
        import torch

        for slot, kept in (("first", self._first), ("second", self._second), ("steps", self._steps)):
            for name, tensor in kept.items():
                tensor.copy_(torch.from_numpy(np.array(arrays[f"{slot}.{name}"])))
