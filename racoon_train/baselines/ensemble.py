"""Ensembles of local models, each heard only on what it learned: mean softmax, weighted, majority vote."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from racoon_train.engine import Probabilities
from racoon_train.evaluation.metrics import merge_unlearned

Members = Sequence[tuple[Probabilities, Sequence[int]]]
_TIE = 1e-3


def mean_softmax(members: Members, weights: Sequence[float] | None = None) -> Probabilities:
    """Average the softmax of several models.

    A class is averaged over the members that learned it: one that never saw the class annotated
    knows nothing about it, and counting it as a vote against would punish the class for it.
    Background is averaged over all.

    Args:
        members: Probabilities ``[classes, k, j, i]`` and learned class numbers of each model.
        weights: How much each member counts, such as its training cases; alike if not given.

    Returns:
        Scores ``[classes, k, j, i]``; their largest is the prediction.
    """
    merged = [merge_unlearned(probabilities, learned) for probabilities, learned in members]
    return _by_class(members, merged, weights or [1.0] * len(members))


def majority_vote(members: Members) -> Probabilities:
    """Let every model vote for one class a voxel; a tie goes to the larger mean softmax.

    A class's votes are counted among the members that learned it.

    Args:
        members: As in ``mean_softmax``.
    """
    merged = [merge_unlearned(probabilities, learned) for probabilities, learned in members]
    ballots = [_ballot(each) for each in merged]
    alike = [1.0] * len(members)
    votes: Probabilities = _by_class(members, ballots, alike) + np.float32(_TIE) * _by_class(members, merged, alike)
    return votes


def _ballot(scores: Probabilities) -> Probabilities:
    chosen: npt.NDArray[np.intp] = scores.argmax(axis=0)
    return np.stack([chosen == number for number in range(scores.shape[0])]).astype(np.float32)


def _by_class(members: Members, scores: Sequence[Probabilities], weights: Sequence[float]) -> Probabilities:
    averaged = np.zeros_like(scores[0])
    for number in range(averaged.shape[0]):
        heard = [place for place, (_, learned) in enumerate(members) if number == 0 or number in learned]
        if heard:
            shares = [weights[place] for place in heard]
            averaged[number] = np.average([scores[place][number] for place in heard], axis=0, weights=shares)
    return averaged
