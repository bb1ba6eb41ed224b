"""Per-class averages of the output layer: a site speaks only for the classes it annotated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from racoon_train.federated.update import Update
from racoon_train.job.job import Job
from racoon_train.networks import Weights, build_network, weights_of

Axes = Mapping[str, int]


def head_axes(job: Job) -> dict[str, int]:
    """Find the arrays that grow with the number of classes, and the axis that does.

    The network is built for one class more and compared, so this holds for any network.

    Returns:
        Axis by array name, sorted by name.
    """
    classes = len(job.labels) + 1
    here, wider = (weights_of(build_network(job.network, count)) for count in (classes, classes + 1))
    found = {}
    for name in sorted(here):
        grown = [axis for axis, (a, b) in enumerate(zip(here[name].shape, wider[name].shape, strict=True)) if a != b]
        if len(grown) == 1 and here[name].shape[grown[0]] == classes:
            found[name] = grown[0]
    return found


def average_heads(updates: Sequence[Update], current: Weights, axes: Axes, classes: Sequence[str]) -> Weights:
    """Average every class's part of the output layer over the sites that annotated the class.

    Args:
        updates: Good updates; each counts its examples by class.
        current: The round's start: a class nobody annotated stays as it is.
        axes: Class axis by name of array.
        classes: Foreground class names in output order.

    Returns:
        The arrays of the output layer, in the dtypes of ``current``.
    """
    shares = [[update.examples for update in updates]]
    shares += [[update.class_examples.get(name, 0) for update in updates] for name in classes]
    merged: Weights = {}
    for name, axis in axes.items():
        if name not in current:
            continue
        whole = np.moveaxis(current[name].astype(np.float64), axis, 0)
        for number, counts in enumerate(shares):
            if total := sum(counts):
                parts = [np.moveaxis(update.weights[name], axis, 0)[number] for update in updates]
                weighted = zip(parts, counts, strict=True)
                whole[number] = sum(part.astype(np.float64) * (count / total) for part, count in weighted)
        merged[name] = np.ascontiguousarray(np.moveaxis(whole, 0, axis)).astype(current[name].dtype)
    return merged
