"""What harmonizing did to label volumes, told where it is more than voxels explain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from racoon_data.cases import QcIssue
from racoon_data.qc import codes
from racoon_data.qc.facts import CaseFacts

_DRIFT_PERCENT = 10.0
# Where the boundary runs inside a voxel is chance: this share of a voxel, all along the boundary, is no drift.
_BOUNDARY_VOXELS = 0.1
_SMOOTH = 1.5
# Pieces below so many voxels of the new grid, less than this share of their label in all, are specks and no lesions.
_SPECK_VOXELS, _SPECK_SHARE = 2.0, 0.01


def volume_drift(facts: CaseFacts) -> Iterator[QcIssue]:
    """Find labels whose volume harmonizing changed or that lost lesions, as the step ``label_volumes`` recorded it.

    A change counts where it is more than a tenth of the volume and more than a tenth of a voxel all along the
    boundary. A lost piece counts unless it was smaller than two voxels of the new grid and all lost pieces together
    were less than a hundredth of the label.
    """
    for row in facts.stated.rows("label_volumes"):
        name = facts.stated.name_of(row["value"])
        if _is_drift(row, facts):
            change = f"{row['before_ml']:.2f} to {row['after_ml']:.2f} ml ({row['drift_percent']:+.1f} %)"
            yield codes.DRIFT.of(facts.ref, f"{name}: {change}")
        if row["vanished"] and not _are_specks(row, facts):
            message = f"{name}: {row['vanished']} of {row['components']} lesions, {row['vanished_ml']:.3f} ml"
            yield codes.LESION_LOST.of(facts.ref, message)


def _is_drift(row: Mapping[str, Any], facts: CaseFacts) -> bool:
    found, grid = facts.measured.label(row["value"]), facts.measured.images[0].geometry
    ball_cm2 = 4.836 * row["before_ml"] ** (2 / 3)
    voxel_cm = (grid.voxel_ml) ** (1 / 3)
    boundary_ml = _BOUNDARY_VOXELS * voxel_cm * ball_cm2 * (found.roughness if found else _SMOOTH)
    is_large = abs(row["after_ml"] - row["before_ml"]) > boundary_ml
    return bool(is_large and abs(row["drift_percent"]) > _DRIFT_PERCENT)


def _are_specks(row: Mapping[str, Any], facts: CaseFacts) -> bool:
    each_ml = row["vanished_ml"] / row["vanished"]
    is_small = each_ml < _SPECK_VOXELS * facts.measured.images[0].geometry.voxel_ml
    return bool(is_small and row["vanished_ml"] < _SPECK_SHARE * row["before_ml"])
