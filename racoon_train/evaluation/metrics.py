"""Dice per class and case, with a stated policy for empty masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from racoon_data.labels import IGNORE
from racoon_train import engine
from racoon_train.data.cache import CachedCase
from racoon_train.data.transforms import to_classes
from racoon_train.federated.job import Job

# Dice by class name; None where the class is not annotated or absent from truth and prediction alike.
CaseScore = Mapping[str, float | None]


def dice(predicted: npt.NDArray[np.bool_], truth: npt.NDArray[np.bool_]) -> float | None:
    """Give the Dice overlap of two masks of one shape.

    Returns:
        2|A and B| / (|A| + |B|); ``None`` where both are empty (such a case is not counted), so a
        missed lesion and an invented one both score 0.
    """
    total = int(predicted.sum()) + int(truth.sum())
    if total == 0:
        return None
    return 2.0 * int((predicted & truth).sum()) / total


def merge_unlearned(probabilities: engine.Probabilities, learned: Sequence[int]) -> engine.Probabilities:
    """Add the probability of classes a model was never taught to background.

    Args:
        probabilities: ``[classes, k, j, i]``.
        learned: Class numbers its training data annotated.
    """
    merged = np.zeros_like(probabilities)
    merged[list(learned)] = probabilities[list(learned)]
    merged[0] = 1.0 - merged[1:].sum(axis=0)
    return merged


def score(predicted: npt.NDArray[np.uint8], case: CachedCase, job: Job, *, annotated: Sequence[str]) -> CaseScore:
    """Score one prediction.

    Args:
        predicted: Class numbers ``[k, j, i]``.
        case: The case with its truth; voxels marked 255 are left out.
        job: Classes.
        annotated: Class names that were looked for in this dataset.
    """
    truth = to_classes(case.label, [label.value for label in job.labels])
    valid = truth != IGNORE
    scores: dict[str, float | None] = {}
    for number, name in enumerate(job.class_names, start=1):
        masks = (predicted == number) & valid, truth == number
        scores[name] = dice(*masks) if name in annotated else None
    return scores


def score_cases(
    network: Any, cases: Sequence[CachedCase], job: Job, *, annotated: Sequence[str]
) -> tuple[CaseScore, ...]:
    """Predict and score cases with one network."""
    found = []
    for case in cases:
        predicted = engine.predict(network, case.image, job).argmax(axis=0).astype(np.uint8)
        found.append(score(predicted, case, job, annotated=annotated))
    return tuple(found)


def mean_dice(scores: Sequence[CaseScore]) -> dict[str, float | None]:
    """Average per class over the cases that count; ``None`` where none does."""
    names = list(scores[0]) if scores else []
    means: dict[str, float | None] = {}
    for name in names:
        counted = [value for entry in scores if (value := entry[name]) is not None]
        means[name] = sum(counted) / len(counted) if counted else None
    return means
