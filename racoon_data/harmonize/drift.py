"""What resampling did to the labels: volume per label and per lesion, before and after; lost lesions drawn again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from racoon_data.errors import LabelDriftError
from racoon_data.geometry import Geometry
from racoon_data.grid.boxes import Box, boxes_of, cut
from racoon_data.grid.components import components, volumes_ml
from racoon_data.grid.resample import resample_labels
from racoon_data.labels import BACKGROUND, IGNORE, LabelMap

_DIGITS = 6
_MOST_LESIONS = 50
_AROUND = np.array([(i, j, k) for i in (-1, 0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1)])


def settle_labels(
    before: LabelMap, after: LabelMap, *, interpolation: str, keep: bool = True
) -> tuple[LabelMap, list[dict[str, object]]]:
    """Compare label volumes across a change of grid, and draw lesions again that no voxel of the new grid met.

    Every connected component is carried over by itself, the way its label was, so that a lesion that
    vanished is seen even where the label's total hardly changed.

    Args:
        before: Labels on the source grid.
        after: The same labels on the target grid.
        interpolation: How they were carried over.
        keep: Draw a lost lesion with the target voxels that lie in it, from its middle outwards, as many as come
            closest to its volume (at least one); other labels are never overwritten.

    Returns:
        The labels, and for each label that occurs, by voxel value: ``before_ml``, ``after_ml``, ``drift_percent``,
        ``components``, how many had ``vanished`` with what volume ``vanished_ml``, how many were ``restored``, and
        ``lesions``: millilitres before and after of the largest ones, as they were carried over by themselves.
    """
    array = after.array.copy()
    boxes = boxes_of(before.array)
    how, values = (interpolation, keep), sorted(set(boxes) - {BACKGROUND, IGNORE})
    rows = [_of_label(value, before, array, box=boxes[value], target=after.geometry, how=how) for value in values]
    return replace(after, array=array), rows


def _of_label(
    value: int, before: LabelMap, array: npt.NDArray[np.uint8], *, box: Box, target: Geometry, how: tuple[str, bool]
) -> dict[str, object]:
    interpolation, keep = how
    inside = components(np.ascontiguousarray(cut(before.array, box) == value))
    sizes = np.array(volumes_ml(inside, voxel_ml=before.geometry.voxel_ml))
    numbered = np.zeros(before.array.shape, dtype=inside.dtype)
    cut(numbered, box)[...] = inside
    carried = resample_labels(numbered, before.geometry, target, interpolation=interpolation)
    reached = np.bincount(carried.ravel(), minlength=len(sizes) + 1)[1:] * target.voxel_ml
    gone = [int(number) for number in np.flatnonzero(reached == 0) + 1]
    restored = [
        number for number in gone if keep and _restore(number, value, numbered, array, (before.geometry, target))
    ]
    before_ml, after_ml = float(sizes.sum()), int(np.count_nonzero(array == value)) * target.voxel_ml
    largest = np.argsort(-sizes, kind="stable")[:_MOST_LESIONS]
    return {
        "value": value,
        "before_ml": round(before_ml, _DIGITS),
        "after_ml": round(after_ml, _DIGITS),
        "drift_percent": round(100.0 * (after_ml / before_ml - 1.0), 3),
        "components": len(sizes),
        "vanished": len(gone),
        "vanished_ml": round(float(sum(sizes[number - 1] for number in gone)), _DIGITS),
        "restored": len(restored),
        "lesions": [[round(float(sizes[i]), _DIGITS), round(float(reached[i]), _DIGITS)] for i in largest],
    }


def _restore(
    number: int,
    value: int,
    numbered: npt.NDArray[np.uint32],
    array: npt.NDArray[np.uint8],
    grids: tuple[Geometry, Geometry],
) -> bool:
    """Draw one lost component on the target grid, in place; tell whether any voxel was free for it."""
    source, target = grids
    box = boxes_of((numbered == number).view(np.uint8))[1]
    ijk = np.argwhere(cut(numbered, box) == number)[:, ::-1] + np.array(box.start)
    wanted = max(1, round(len(ijk) * source.voxel_ml / target.voxel_ml))
    free = [voxel for voxel in _nearest_first(ijk, source, target) if array[voxel] in (BACKGROUND, IGNORE)][:wanted]
    for voxel in free:
        array[voxel] = value
    return bool(free)


def _nearest_first(ijk: npt.NDArray[Any], source: Geometry, target: Geometry) -> list[tuple[Any, ...]]:
    """List the target voxels ``(k, j, i)`` that lie in a lesion, those nearest to its middle first.

    Voxels whose centre lies in a voxel of the lesion leave no gap between them. Where it passes between all
    centres, the box around those it lies nearest to stands in.
    """
    to_target = np.linalg.inv(target.matrix) @ source.matrix
    exact = np.round(to_target[:3, :3] @ ijk.T + to_target[:3, 3:], 6).T
    holding = np.unique(np.rint(exact).astype(int), axis=0)
    near = np.unique((holding[:, None] + _AROUND).reshape(-1, 3), axis=0)
    back = np.linalg.inv(to_target)
    own = {tuple(voxel) for voxel in ijk.tolist()}
    sources = np.rint(np.round(back[:3, :3] @ near.T + back[:3, 3:], 6)).astype(int).T.tolist()
    inside = near[[tuple(voxel) in own for voxel in sources]]
    boxed = ((near >= holding.min(axis=0)) & (near <= holding.max(axis=0))).all(axis=1)
    voxels = inside if len(inside) else near[boxed]
    voxels = voxels[((voxels >= 0) & (voxels < np.array(target.shape))).all(axis=1)]
    distances_mm = np.linalg.norm((voxels - exact.mean(axis=0)) * np.array(target.spacing_mm), axis=1)
    order = np.argsort(np.round(distances_mm, 6), kind="stable")
    return [tuple(voxel) for voxel in voxels[order][:, ::-1].tolist()]


def check_drift(rows: list[dict[str, object]], most_percent: float | None) -> None:
    """Refuse a case one of whose labels changed its volume by more than a recipe allows.

    Raises:
        LabelDriftError: It names the voxel value and the volumes.
    """
    for row in rows:
        drift = row["drift_percent"]
        if most_percent is not None and isinstance(drift, float) and abs(drift) > most_percent:
            message = f"label {row['value']} went from {row['before_ml']} to {row['after_ml']} ml ({drift:+} %)"
            hint = f"the recipe allows {most_percent:g} %: choose a finer spacing or another label_interpolation"
            raise LabelDriftError(message, hint=hint)
