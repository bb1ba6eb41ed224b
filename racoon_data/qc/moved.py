"""Does a label lie where it was outlined? Its centre now against the one recorded when it was read."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from racoon_data.cases import QcIssue
from racoon_data.geometry import SAME_GRID_MM, Geometry
from racoon_data.grid.reorient import orientation_of
from racoon_data.qc import codes
from racoon_data.qc.facts import CaseFacts

_LEAST_MM = 3.0
_WORDS = {"L": "left and right", "R": "left and right", "P": "front and back", "A": "front and back"}

Vector = npt.NDArray[np.float64]


def displaced(facts: CaseFacts) -> Iterator[QcIssue]:
    """Find labels whose centre left the place that the step ``label_places`` recorded.

    A change of grid moves a centre by less than a voxel; a volume that changed by some share moves it by no more than
    that share of the label's extent. What lies further is looked for at the mirror images of the recorded place.
    A label that is its own mirror image cannot be told.
    """
    grid = facts.measured.label_grid
    if grid is None or not grid.same_grid(facts.measured.images[0].geometry, tol_mm=SAME_GRID_MM):
        return  # the whole label map lies elsewhere, which is a finding of its own
    for row in facts.stated.rows("label_places"):
        found = facts.measured.label(row["value"])
        if found is None:
            continue
        was, now = np.array(row["centroid_mm"]), np.array(found.centroid_mm)
        changed = abs(found.ml - row["ml"]) / max(row["ml"], 1e-9)
        voxel_mm = max(*row.get("spacing_mm", (0.0,)), *grid.spacing_mm)
        tolerance_mm = max(_LEAST_MM, voxel_mm) + min(1.0, changed) * found.extent_mm
        apart_mm = float(np.linalg.norm(now - was))
        if apart_mm > tolerance_mm:
            mirror = _mirror(was, now, grid, tolerance_mm)
            name, said = facts.stated.name_of(found.value), f"{apart_mm:.1f} mm from where it was outlined"
            if mirror:
                yield codes.MIRRORED.of(facts.ref, f"{name}: centre {said}, at its place with {mirror} exchanged")
            else:
                yield codes.LABEL_MOVED.of(facts.ref, f"{name}: centre {said}; {tolerance_mm:.1f} mm are explained")


def _mirror(was: Vector, now: Vector, grid: Geometry, tolerance_mm: float) -> str:
    """Name the axis whose flip explains the new place, empty where none does."""
    centre = np.array(grid.position_lps([(size - 1) / 2 for size in grid.shape]))
    for axis, letter in enumerate(orientation_of(grid)):
        along = grid.matrix[:3, axis] / np.linalg.norm(grid.matrix[:3, axis])
        if np.linalg.norm(was - 2 * np.dot(was - centre, along) * along - now) <= tolerance_mm:
            return _WORDS.get(letter, "head and feet")
    return ""
