"""Lesions as separate things: which were found, and how many were made up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from racoon_data.grid.components import components, volumes_ml
from racoon_data.labels import Mask


@dataclass(frozen=True, slots=True)
class LesionCount:
    """Lesions of one class in one case.

    Attributes:
        there: Lesions of the truth that are large enough to count.
        found: Those of them that are covered enough by the prediction.
        false: Predicted lesions, large enough, that touch no lesion of the truth, of whatever size.
    """

    there: int = 0
    found: int = 0
    false: int = 0


def count_lesions(predicted: Mask, truth: Mask, *, voxel_ml: float, min_ml: float, covered: float) -> LesionCount:
    """Match lesions by overlap; a lesion is a connected component, corners included.

    Args:
        predicted: Mask ``[k, j, i]``.
        truth: Mask of the same shape.
        voxel_ml: Volume of one voxel.
        min_ml: Smaller lesions count neither as there nor as false.
        covered: A lesion is found when at least this share of it is predicted.
    """
    own, made = components(truth), components(predicted)
    large = [number for number, ml in enumerate(volumes_ml(own, voxel_ml=voxel_ml), start=1) if ml >= min_ml]
    whole = np.bincount(own.ravel())
    hit = np.bincount(own[predicted].ravel(), minlength=len(whole))
    touching = set(np.unique(made[truth]).tolist())
    sizes = enumerate(volumes_ml(made, voxel_ml=voxel_ml), start=1)
    return LesionCount(
        there=len(large),
        found=sum(bool(hit[number] >= covered * whole[number]) for number in large),
        false=sum(ml >= min_ml and number not in touching for number, ml in sizes),
    )
