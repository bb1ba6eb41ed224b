"""What a recipe would do to a case, from headers alone: grids, memory, steps, or why it would be refused."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from racoon_data.geometry import SAME_GRID_MM, Geometry, Point
from racoon_data.grid.reorient import orientation_of, reorient_geometry
from racoon_data.grid.resample import target_grid
from racoon_data.harmonize.harmonize import check_frames, check_size, snapped
from racoon_data.harmonize.intensity import meant_for
from racoon_data.harmonize.recipe import Recipe
from racoon_data.refs import SeriesRef

Size = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class GridPlan:
    """What a case would become.

    Attributes:
        orientation: Axes now, and as the recipe wants them.
        size: Voxels along i, j, k now, and on the new grid (at most, where the recipe crops).
        spacing_mm: Spacing now (on the turned axes) and then.
        steps: Verbs, in order.
        megabytes: Memory of its images and labels on the new grid.
    """

    orientation: tuple[str, str]
    size: tuple[Size, Size]
    spacing_mm: tuple[Point, Point]
    steps: tuple[str, ...]
    megabytes: float

    def to_json(self) -> dict[str, object]:
        """Give the plan as a JSON document."""
        return asdict(self)


def plan_case(channels: Sequence[tuple[str, SeriesRef, Geometry]], recipe: Recipe) -> GridPlan:
    """Tell what harmonizing would do, reading no voxel.

    Args:
        channels: Name, series and grid of each channel; the first sets the grid.
        recipe: With its spacing settled.

    Raises:
        MisalignedChannelsError: Two channels name different frames of reference.
        TooSmallError: The new image would be smaller than the recipe wants.
        NoGeometryError: An affine is singular.
    """
    check_frames(channels)
    native = channels[0][2]
    now = orientation_of(native)
    code = now if recipe.orientation == "native" else recipe.orientation
    first = reorient_geometry(native, code)
    spacing = recipe.spacing_mm
    target = snapped(first, target_grid(first, spacing)) if isinstance(spacing, tuple) else first
    if recipe.crop == "none":
        check_size(target, recipe)
    moved = [name for name, _, grid in channels if not _lies_on(grid, code, target)]
    return GridPlan(
        orientation=(now, code),
        size=(first.shape, target.shape),
        spacing_mm=(_rounded(first.spacing_mm), _rounded(target.spacing_mm)),
        steps=_steps([name for name, _, _ in channels], moved, recipe, is_turned=now != code),
        megabytes=round(math.prod(target.shape) * (4 * len(channels) + 1) / 1e6, 1),
    )


def _lies_on(grid: Geometry, code: str, target: Geometry) -> bool:
    return reorient_geometry(grid, code).same_grid(target, tol_mm=SAME_GRID_MM)


def _rounded(spacing_mm: Point) -> Point:
    i, j, k = (round(mm, 3) for mm in spacing_mm)
    return (i, j, k)


def _steps(names: Sequence[str], moved: Sequence[str], recipe: Recipe, *, is_turned: bool) -> tuple[str, ...]:
    intensity = [
        [f"{one.kind} {name}" for name in names for one in meant_for(recipe.intensity, channel=name, before=before)]
        for before in (True, False)
    ]
    steps = [*intensity[0], "reorient" if is_turned else ""]
    steps += ["min_lesion" if recipe.min_lesion_ml else "", f"crop {recipe.crop}" if recipe.crop != "none" else ""]
    steps += [f"resample {', '.join(moved)}" if moved else "", *intensity[1]]
    return tuple(one for one in steps if one)
