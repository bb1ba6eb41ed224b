"""Measures what label interpolation does to ellipsoids of known shape, as the table of docs/harmonize.md says.

An organ, a lesion and a nodule are drawn on a source grid (voxels whose centre lies inside), carried over, and compared
with the same ellipsoid drawn on the target grid: Dice, and the change of volume from source to target. Each ellipsoid
is drawn at eight places between voxels; cells hold medians. ``python -m tests.grid.label_table`` prints the table.
"""

from __future__ import annotations

import sys

import numpy as np
import numpy.typing as npt

from racoon_data.geometry import Geometry, Point
from racoon_data.grid.resample import LABEL_INTERPOLATIONS, resample_labels, target_grid
from tests.grid.makers import a_grid, positions

SPACINGS: tuple[tuple[Point, Point], ...] = (
    ((0.8, 0.8, 5.0), (1.0, 1.0, 1.0)),
    ((0.8, 0.8, 5.0), (0.8, 0.8, 2.5)),
    ((0.7, 0.7, 3.0), (1.5, 1.5, 1.5)),
    ((0.8, 0.8, 1.0), (1.5, 1.5, 3.0)),
)
THINGS: dict[str, Point] = {"organ": (60.0, 48.0, 40.0), "lesion": (20.0, 16.0, 16.0), "nodule": (8.0, 6.0, 6.0)}
HEAD = ("| from, to (mm) | what | nearest | linear | distance |", "|---|---|---|---|---|")
_PLACES = 8


def an_ellipsoid(grid: Geometry, centre: npt.NDArray[np.float64], across_mm: Point) -> npt.NDArray[np.bool_]:
    """Mark the voxels whose centre lies in an ellipsoid."""
    away = (positions(grid) - centre) / (np.array(across_mm) / 2)
    return np.asarray((away**2).sum(axis=-1) <= 1)


def measured(old: Point, new: Point, across_mm: Point) -> list[tuple[float, float]]:
    """Give the median Dice and the median change of volume in percent of each interpolation."""
    room = np.array(across_mm) + 4 * np.array(old)
    size = np.ceil(room / old).astype(int)
    source = a_grid((int(size[0]), int(size[1]), int(size[2])), old)
    target = target_grid(source, new)
    places = np.random.default_rng(20).uniform(-0.5, 0.5, (_PLACES, 3)) * np.array(old)
    rows = []
    for how in LABEL_INTERPOLATIONS:
        seen = []
        for place in places:
            centre = source.matrix[:3, 3] + (size - 1) / 2 * np.array(old) + place
            mask, truth = (an_ellipsoid(grid, centre, across_mm) for grid in (source, target))
            carried = resample_labels(mask, source, target, interpolation=how)
            ratio = carried.sum() * target.voxel_ml / (mask.sum() * source.voxel_ml)
            seen.append((2 * (carried & truth).sum() / (carried.sum() + truth.sum()), 100 * (ratio - 1)))
        dice, drift = np.median(seen, axis=0)
        rows.append((float(dice), float(drift)))
    return [rows[LABEL_INTERPOLATIONS.index(how)] for how in ("nearest", "linear", "distance")]


def lines(pair: tuple[Point, Point]) -> list[str]:
    """Write the rows of one pair of spacings, best Dice bold."""
    written = []
    for what, across_mm in THINGS.items():
        cells = measured(*pair, across_mm)
        best = max(round(dice, 3) for dice, _ in cells)
        texts = [
            f"{f'**{dice:.3f}**' if round(dice, 3) == best else f'{dice:.3f}'} {drift:+.0f} %" for dice, drift in cells
        ]
        spacings = ", ".join(" x ".join(f"{mm:g}" for mm in one) for one in pair)
        written.append(f"| {spacings} | {what} | {' | '.join(texts)} |")
    return written


if __name__ == "__main__":
    sys.stdout.write("\n".join((*HEAD, *(line for pair in SPACINGS for line in lines(pair)), "")))
