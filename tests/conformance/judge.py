"""What came out against what is true: every voxel looked up at its patient position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from racoon_data.convert.promises import comparable
from racoon_data.volumes import Volume

_OFFSET_VOXELS = 0.06
_RELATIVE = 2e-6
NOTHING, RIGHT, PARTIAL, WRONG = "nothing", "right", "partial", "wrong"


@dataclass(frozen=True, slots=True, eq=False)
class Output:
    """One volume (or time point) a converter wrote: values ``[k, j, i]`` and the affine to mm, LPS."""

    array: npt.NDArray[Any]
    affine_lps: npt.NDArray[np.float64]


def verdict(truths: Sequence[Volume], outputs: Sequence[Output]) -> str:
    """Say how much of the truth is in the outputs: right, partial, wrong or nothing."""
    if not outputs:
        return NOTHING
    found = sum(any(is_same(truth, output) for output in outputs) for truth in truths)
    if found == len(truths) and truths:
        more = len(outputs) - len(truths)
        return RIGHT if more <= 0 else f"{RIGHT}, {more} more"
    return PARTIAL if found else WRONG


def is_same(truth: Volume, output: Output) -> bool:
    """Every voxel of the truth has its value in the output, at its place and no other."""
    array = np.asarray(output.array)
    wanted = comparable(truth.array).astype(np.float64)
    if array.ndim != 3 or array.size != wanted.size:
        return False
    index = np.moveaxis(np.indices(truth.geometry.array_shape)[::-1], 0, -1).reshape(-1, 3)
    place = index @ truth.geometry.matrix[:3, :3].T + truth.geometry.matrix[:3, 3]
    try:
        back = np.linalg.inv(output.affine_lps)
    except np.linalg.LinAlgError:
        return False
    there = place @ back[:3, :3].T + back[:3, 3]
    nearest = np.rint(there).astype(np.int64)
    size = np.array(array.shape[::-1])
    if np.abs(there - nearest).max() > _OFFSET_VOXELS or (nearest < 0).any() or (nearest >= size).any():
        return False
    seen = comparable(array)[nearest[:, 2], nearest[:, 1], nearest[:, 0]].astype(np.float64)
    scale = max(float(np.abs(wanted).max()), 1e-12)
    return bool(np.abs(seen - wanted.reshape(-1)).max() <= _RELATIVE * scale)
