"""Checks on every update, on both sides: names, shapes, dtypes, finiteness, size, examples."""

from __future__ import annotations

import math

import numpy as np

from racoon_data.errors import PayloadError
from racoon_train.federated.update import Update
from racoon_train.networks import Weights


def check_weights(weights: Weights, reference: Weights, *, max_norm_ratio: float) -> None:
    """Refuse weights that cannot come from honest training of this network.

    Args:
        weights: What arrived.
        reference: The model the round started from.
        max_norm_ratio: Largest allowed ratio of L2 norms.

    Raises:
        PayloadError: Names, shapes, dtype kinds, finiteness or norm are wrong; no value is quoted.
    """
    if set(weights) != set(reference):
        raise PayloadError("the update names other arrays than the model", hint="install the same racoon version")
    for name, own in reference.items():
        array = weights[name]
        if array.shape != own.shape:
            raise PayloadError(f"array {name} has another shape than the model", hint="check the job")
        if array.dtype.kind != own.dtype.kind or array.dtype.itemsize > own.dtype.itemsize:
            raise PayloadError(f"array {name} has another type of numbers than the model", hint="check the job")
        if not np.isfinite(array).all():
            raise PayloadError(f"array {name} holds values that are not finite", hint="look at the site's loss")
    if norm_of(weights) > max_norm_ratio * max(norm_of(reference), 1.0):
        raise PayloadError("the update is far larger than the model", hint="look at the site's data and loss")


def check_update(update: Update, reference: Weights, *, max_norm_ratio: float) -> None:
    """Refuse an update with wrong weights or an impossible number of examples.

    Raises:
        PayloadError: See ``check_weights``.
    """
    if update.examples < 1:
        raise PayloadError("the update stands on no example", hint="check the site's split")
    if not all(math.isfinite(value) for value in update.metrics.values()):
        raise PayloadError("a metric is not finite", hint="look at the site's loss")
    if any(not 0 <= count <= update.examples for count in update.class_examples.values()):
        raise PayloadError("a class has more examples than the site", hint="check the site's dataset")
    check_weights(update.weights, reference, max_norm_ratio=max_norm_ratio)


def norm_of(weights: Weights) -> float:
    """Give the L2 norm over all floating arrays."""
    squares = (float(np.square(array, dtype=np.float64).sum()) for array in weights.values() if array.dtype.kind == "f")
    return math.sqrt(sum(squares))
