"""Corrections of a site's gradients: what keeps a site that trains alone for a while near the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from racoon_train.networks import Weights

Correction = Callable[[Any], None]


def proximal(weights: Weights, mu: float) -> Correction:
    """Pull every parameter back to where the round started: the gradient of FedProx' ``mu / 2 * |w - w0|²``.

    It is added after the gradients were clipped, so the pull is never weakened.
    """
    import torch

    starts: dict[str, Any] = {}

    def pull(network: Any) -> None:
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                if name not in starts:
                    starts[name] = torch.from_numpy(np.array(weights[name])).to(parameter.device, parameter.dtype)
                if parameter.grad is not None:
                    parameter.grad.add_(parameter - starts[name], alpha=mu)

    return pull


class Corrected:
    """An optimizer that corrects the gradients before each of its steps."""

    def __init__(self, optimizer: Any, network: Any, correction: Correction) -> None:
        self._optimizer, self._network, self._correction = optimizer, network, correction

    def step(self, learning_rate: float) -> None:
        """Correct, then move."""
        self._correction(self._network)
        self._optimizer.step(learning_rate)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._optimizer, name)
