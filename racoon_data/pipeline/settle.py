"""What a recipe leaves to the dataset, settled before its first case is built."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from racoon_data.dicom.stacking import geometry_of
from racoon_data.errors import RacoonError
from racoon_data.geometry import Geometry
from racoon_data.harmonize.median import median_spacing
from racoon_data.harmonize.recipe import Recipe
from racoon_data.pipeline.propose import CaseItem


def settle(recipe: Recipe, items: Iterable[CaseItem]) -> Recipe:
    """Give a recipe whose spacing is in millimetres, or native.

    Args:
        recipe: As it was declared; anything but ``spacing_mm = "median"`` stays as it is.
        items: Proposed cases; a series whose grid makes no sense has no say.

    Raises:
        SettingsError: No case has a grid.
    """
    return settled_by(recipe, _grids(items)) if recipe.spacing_mm == "median" else recipe


def settled_by(recipe: Recipe, grids: Iterable[Geometry]) -> Recipe:
    """Put the median spacing of grids into a recipe that asks for it."""
    if recipe.spacing_mm != "median":
        return recipe
    return recipe.model_copy(update={"spacing_mm": median_spacing(tuple(grids), orientation=recipe.orientation)})


def _grids(items: Iterable[CaseItem]) -> Iterable[Geometry]:
    for item in items:
        with suppress(RacoonError):
            yield geometry_of(item.channels[0][1])
