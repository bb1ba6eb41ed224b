"""Dice per class and case, with a stated policy for empty masks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
import numpy.typing as npt

from racoon_data.labels import IGNORE
from racoon_train import engine
from racoon_train.data.cache import CachedCase
from racoon_train.data.transforms import to_classes
from racoon_train.job.job import Job


@dataclass(frozen=True, slots=True)
class ClassScore:
    """How one class fared in one case.

    Attributes:
        dice: Overlap; ``None`` where the class is absent from the truth or was not annotated.
        is_false_alarm: The class was predicted where the truth has none; ``None`` where the truth
            has it or it was not annotated.
    """

    dice: float | None = None
    is_false_alarm: bool | None = None


CaseScore = Mapping[str, ClassScore]


def dice(predicted: npt.NDArray[np.bool_], truth: npt.NDArray[np.bool_]) -> float | None:
    """Give the Dice overlap of two masks of one shape.

    Returns:
        2|A and B| / (|A| + |B|), 0 for a missed lesion; ``None`` where the truth is empty, so that
        every model is judged on the same cases and one stray voxel does not cost a whole case.
        Such voxels are counted as false alarms instead.
    """
    if not truth.any():
        return None
    return 2.0 * int((predicted & truth).sum()) / (int(predicted.sum()) + int(truth.sum()))


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


def score(predicted: npt.NDArray[np.uint8], case: CachedCase, job: Job) -> CaseScore:
    """Score one prediction on the classes annotated in the case.

    Args:
        predicted: Class numbers ``[k, j, i]``.
        case: The case with its truth; voxels marked 255 are left out.
        job: Classes.
    """
    truth = to_classes(case.label, [label.value for label in job.labels])
    valid = truth != IGNORE
    scores = {}
    for number, name in enumerate(job.class_names, start=1):
        found, there = (predicted == number) & valid, truth == number
        overlap = dice(found, there)
        alarm = bool(found.any()) if overlap is None else None
        scores[name] = ClassScore(overlap, alarm) if name in case.annotated else ClassScore()
    return scores


def score_cases(network: Any, cases: Sequence[CachedCase], job: Job) -> tuple[CaseScore, ...]:
    """Predict and score cases with one network."""
    found = []
    for case in cases:
        predicted = engine.predict(network, case.image, job).argmax(axis=0).astype(np.uint8)
        found.append(score(predicted, case, job))
    return tuple(found)


def mean_dice(scores: Sequence[CaseScore]) -> dict[str, float | None]:
    """Average Dice per class over the cases that have the class; ``None`` where none does."""
    means: dict[str, float | None] = {}
    for name in scores[0] if scores else ():
        counted = [value for entry in scores if (value := entry[name].dice) is not None]
        means[name] = sum(counted) / len(counted) if counted else None
    return means


def mean_of(values: Iterable[float | None]) -> float | None:
    """Average what counts; ``None`` where nothing does."""
    counted = [value for value in values if value is not None]
    return fmean(counted) if counted else None
