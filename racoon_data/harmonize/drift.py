"""What resampling did to the labels: volume per label and per lesion, before and after."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from racoon_data.geometry import Geometry
from racoon_data.grid.components import components, volumes_ml
from racoon_data.grid.resample import resample_labels
from racoon_data.labels import LabelMap

_DIGITS = 6


def label_drift(before: LabelMap, after: LabelMap, *, interpolation: str) -> list[dict[str, object]]:
    """Compare label volumes across a change of grid.

    Every connected component is carried over by itself, the way its label was, so that a lesion that
    vanished is seen even where the label's total hardly changed.

    Args:
        before: Labels on the source grid.
        after: The same labels on the target grid.
        interpolation: How they were carried over.

    Returns:
        For each label that occurs, by voxel value: ``before_ml``, ``after_ml``, ``drift_percent``,
        ``components``, how many ``vanished`` and the volume ``vanished_ml`` they had.
    """
    values = sorted({int(value) for value in np.unique(before.array)} - {0})
    return [_of_label(value, before, after, interpolation) for value in values]


def _of_label(value: int, before: LabelMap, after: LabelMap, interpolation: str) -> dict[str, object]:
    numbered = components(before.array == value)
    sizes = np.array(volumes_ml(numbered, voxel_ml=before.geometry.voxel_ml))
    carried = _carried(numbered, before.geometry, after.geometry, interpolation)
    is_gone = np.bincount(carried.ravel(), minlength=len(sizes) + 1)[1:] == 0
    before_ml, after_ml = float(sizes.sum()), int(np.count_nonzero(after.array == value)) * after.geometry.voxel_ml
    return {
        "value": value,
        "before_ml": round(before_ml, _DIGITS),
        "after_ml": round(after_ml, _DIGITS),
        "drift_percent": round(100.0 * (after_ml / before_ml - 1.0), 3),
        "components": len(sizes),
        "vanished": int(is_gone.sum()),
        "vanished_ml": round(float(sizes[is_gone].sum()), _DIGITS),
    }


def _carried(
    numbered: npt.NDArray[np.uint32], source: Geometry, target: Geometry, interpolation: str
) -> npt.NDArray[Any]:
    return resample_labels(numbered, source, target, interpolation=interpolation)
