"""SCAFFOLD's control variates: which way a site drifts, and which way all drift together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from racoon_train import checkpoints
from racoon_train.networks import Weights

_MARK = "scaffold.control:"
_KEPT = 3


def joined(weights: Weights, controls: Weights) -> Weights:
    """Put weights and controls into one parcel."""
    return {**weights, **{_MARK + name: array for name, array in controls.items()}}


def parted(parcel: Weights) -> tuple[Weights, Weights]:
    """Take weights and controls out of a parcel."""
    weights = {name: array for name, array in parcel.items() if not name.startswith(_MARK)}
    return weights, {name.removeprefix(_MARK): parcel[name] for name in parcel if name.startswith(_MARK)}


def zero_controls(weights: Weights) -> Weights:
    """Give the controls before the first round: zeros for every floating array."""
    return {name: np.zeros(array.shape, np.float32) for name, array in weights.items() if array.dtype.kind == "f"}


class Drift:
    """One site's control in one round (Karimireddy et al. 2020, doi:10.48550/arXiv.1910.06378).

    Before each step the gradient is corrected by ``c - c_i``. The new ``c_i`` is the mean of the round's own
    gradients: with plain SGD that is the paper's second option to the letter, and unlike that one it also
    holds for AdamW, whose steps are no multiples of gradients.
    """

    def __init__(self, state: Path, everyone: Weights, round_: int) -> None:
        """Open the site's control.

        Args:
            state: The site's own folder.
            everyone: Control of all sites, as received.
            round_: Number of the round, from 1.
        """
        self._everyone = everyone
        self._file = state / f"control-{round_:06d}.safetensors"
        earlier = [path for path in state.glob("control-*.safetensors") if path.name < self._file.name]
        self._own = checkpoints.load_weights(max(earlier)) if earlier else {}
        self._pulls: dict[str, Any] = {}
        self._sums: dict[str, Any] = {}
        self._steps = 0

    def correct(self, network: Any) -> None:
        """Note the gradients and correct them."""
        self._steps += 1
        for name, parameter in network.named_parameters():
            if name in self._everyone and parameter.grad is not None:
                found = parameter.grad.detach()
                self._sums[name] = self._sums[name] + found if name in self._sums else found.clone()
                parameter.grad.add_(self._pull(name, parameter))

    def finish(self) -> Weights:
        """Keep the new control here and give by how much it moved, which is what leaves."""
        new = {name: self._own.get(name, np.zeros_like(array)) for name, array in self._everyone.items()}
        for name, total in self._sums.items():
            new[name] = (total / self._steps).cpu().numpy().astype(np.float32)
        checkpoints.save_weights(self._file, new)
        for older in sorted(self._file.parent.glob("control-*.safetensors"))[:-_KEPT]:
            older.unlink()
        return {name: array - self._own.get(name, np.zeros_like(array)) for name, array in new.items()}

    def _pull(self, name: str, parameter: Any) -> Any:
        import torch

        if name not in self._pulls:
            own = self._own.get(name, np.zeros_like(self._everyone[name]))
            self._pulls[name] = torch.from_numpy(self._everyone[name] - own).to(parameter.device, parameter.dtype)
        return self._pulls[name]
