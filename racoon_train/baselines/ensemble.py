"""Ensembles: the mean softmax of local models, each heard only on what it learned."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from racoon_train.engine import Probabilities
from racoon_train.evaluation.metrics import merge_unlearned


def mean_softmax(members: Sequence[tuple[Probabilities, Sequence[int]]]) -> Probabilities:
    """Average the softmax of several models.

    A class is averaged over the members that learned it: one that never saw the class annotated
    knows nothing about it, and counting it as a vote against would punish the class for it.
    Background is averaged over all.

    Args:
        members: Probabilities ``[classes, k, j, i]`` and learned class numbers of each model.

    Returns:
        Scores ``[classes, k, j, i]``; their largest is the prediction.
    """
    merged = [merge_unlearned(probabilities, learned) for probabilities, learned in members]
    scores = np.zeros_like(merged[0])
    for number in range(scores.shape[0]):
        voters = [
            each[number] for each, (_, learned) in zip(merged, members, strict=True) if number == 0 or number in learned
        ]
        if voters:
            scores[number] = np.mean(voters, axis=0)
    return scores
