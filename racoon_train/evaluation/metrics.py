"""How one prediction fared, class by class: overlap, surfaces in mm, volume, lesions; a policy for empty masks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
import numpy.typing as npt

from racoon_data.labels import IGNORE, Mask
from racoon_train import engine
from racoon_train.data.cache import CachedCase
from racoon_train.data.transforms import to_classes
from racoon_train.evaluation.lesions import LesionCount, count_lesions
from racoon_train.evaluation.surfaces import Spacing, diagonal_mm, surface_distances
from racoon_train.job.job import Job

POLICY = (
    "Every value is computed per class and case in 3D. Where the truth has the class: Dice, surface Dice and Hausdorff "
    "95; a class that was missed altogether, or a case without a prediction, counts as Dice 0 and surface Dice 0, and "
    "its Hausdorff 95 is the diagonal of the image. Where the truth has none, there is no Dice: a prediction there is "
    "a false alarm, and its volume stands in the volume error. A class that was not annotated in a dataset is n/a "
    "there. A model predicts only classes that were annotated where it was trained; the others count as missed."
)


@dataclass(frozen=True, slots=True)
class Yardstick:
    """What the measures need to be told; it is written into every account.

    Attributes:
        tolerance_mm: Surfaces this near are one, in the normalised surface Dice.
        min_lesion_ml: Smaller lesions are not counted.
        lesion_covered: Share of a lesion that must be predicted for it to be found.
    """

    tolerance_mm: float = 2.0
    min_lesion_ml: float = 0.1
    lesion_covered: float = 0.1


STANDARD = Yardstick()


@dataclass(frozen=True, slots=True)
class ClassScore:
    """How one class fared in one case; ``None`` throughout where it was not annotated.

    Attributes:
        dice: Overlap; ``None`` where the class is absent from the truth.
        surface_dice: Share of the surfaces within the tolerance; ``None`` where absent.
        hausdorff95_mm: 95th percentile of surface distances; ``None`` where absent.
        volume_error_ml: Predicted minus true volume.
        lesions: Lesions there, found and made up.
        is_false_alarm: The class was predicted where the truth has none; ``None`` where it has it.
        is_missed: The truth has the class and nothing of it was predicted; ``None`` where absent.
    """

    dice: float | None = None
    surface_dice: float | None = None
    hausdorff95_mm: float | None = None
    volume_error_ml: float | None = None
    lesions: LesionCount | None = None
    is_false_alarm: bool | None = None
    is_missed: bool | None = None


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


def score_masks(predicted: Mask, truth: Mask, spacing_mm: Spacing, yardstick: Yardstick) -> ClassScore:
    """Measure one class of one case.

    Args:
        predicted: Mask ``[k, j, i]``.
        truth: Mask of the same shape.
        spacing_mm: Distance of voxels along k, j, i.
        yardstick: Tolerances.
    """
    voxel_ml = float(np.prod(spacing_mm)) / 1000.0
    error_ml = (int(predicted.sum()) - int(truth.sum())) * voxel_ml
    limits = {"min_ml": yardstick.min_lesion_ml, "covered": yardstick.lesion_covered}
    lesions = count_lesions(predicted, truth, voxel_ml=voxel_ml, **limits)
    if not truth.any():
        return ClassScore(volume_error_ml=error_ml, lesions=lesions, is_false_alarm=bool(predicted.any()))
    if not predicted.any():
        return ClassScore(0.0, 0.0, diagonal_mm(truth.shape, spacing_mm), error_ml, lesions, is_missed=True)
    surfaces = surface_distances(predicted, truth, spacing_mm)
    surface_dice, hausdorff = surfaces.surface_dice(yardstick.tolerance_mm), surfaces.hausdorff95_mm()
    return ClassScore(dice(predicted, truth), surface_dice, hausdorff, error_ml, lesions, is_missed=False)


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


def score(
    predicted: npt.NDArray[np.uint8] | None,
    case: CachedCase,
    job: Job,
    *,
    spacing_mm: Spacing | None = None,
    yardstick: Yardstick | None = None,
) -> CaseScore:
    """Score one prediction on the classes annotated in the case.

    Args:
        predicted: Class numbers ``[k, j, i]``; ``None`` for a prediction that is missing.
        case: The case with its truth; voxels marked 255 are left out.
        job: Classes.
        spacing_mm: Distance of voxels along k, j, i; needed with a yardstick.
        yardstick: Tolerances; without one only the overlap is measured.
    """
    truth = to_classes(case.label[...], [label.value for label in job.labels])
    given = np.zeros_like(truth) if predicted is None else np.where(truth == IGNORE, 0, predicted)
    scores = {}
    for number, name in enumerate(job.class_names, start=1):
        if name not in case.annotated:
            scores[name] = ClassScore()
        elif yardstick is None or spacing_mm is None:
            overlap = dice(given == number, truth == number)
            scores[name] = ClassScore(overlap, is_false_alarm=_alarm(overlap, given == number))
        else:
            scores[name] = score_masks(given == number, truth == number, spacing_mm, yardstick)
    return scores


def _alarm(overlap: float | None, found: Mask) -> bool | None:
    return bool(found.any()) if overlap is None else None


def score_cases(
    network: Any, cases: Sequence[CachedCase], job: Job, *, learned: Sequence[int] | None = None
) -> tuple[CaseScore, ...]:
    """Predict and score cases with one network, by overlap alone.

    Args:
        network: A trained network.
        cases: Cases with truth.
        job: Classes.
        learned: Class numbers the model was taught; all if not given.
    """
    known = range(1, len(job.labels) + 1) if learned is None else learned
    found = []
    for case in cases:
        scores = merge_unlearned(engine.predict(network, case.image, job), known)
        found.append(score(scores.argmax(axis=0).astype(np.uint8), case, job))
    return tuple(found)


def mean_dice(scores: Sequence[CaseScore]) -> dict[str, float | None]:
    """Average Dice per class over the cases that have the class; ``None`` where none does."""
    names = scores[0] if scores else ()
    return {name: mean_of(entry[name].dice for entry in scores) for name in names}


def mean_of(values: Iterable[float | None]) -> float | None:
    """Average what counts; ``None`` where nothing does."""
    counted = [value for value in values if value is not None]
    return fmean(counted) if counted else None
