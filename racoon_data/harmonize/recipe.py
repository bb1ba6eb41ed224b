"""The recipe: what every case of a dataset is brought to, with a hash that names it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator

from racoon_data.errors import SettingsError
from racoon_data.grid.reorient import check_code
from racoon_data.harmonize.fuse import check_policy
from racoon_data.harmonize.intensity import Step
from racoon_data.settings import Frozen

Millimetres = Annotated[float, Field(gt=0, le=1000)]


# Keys that came after the first datasets: at these values they mean what was meant before, and leave the hash alone.
_LATER = {"pet_values": "stored"}


class Recipe(Frozen):
    """How cases are harmonized.

    Attributes:
        orientation: Code of the final axes, such as ``RAS`` (each axis points to Right, Anterior,
            Superior), or ``native`` to keep the first channel's.
        spacing_mm: Spacing along the final i, j, k, or ``native`` to keep the first channel's grid
            bit for bit.
        image_interpolation: ``linear``, ``nearest`` or ``bspline`` (about 30 times slower).
        label_interpolation: ``linear`` (each label as a field of its own) or ``nearest``.
        intensity: Steps after resampling, in order; none by default, because training normalises.
        crop: ``none``.
        fuse: Several readers to one: ``union``, ``majority`` or ``single:<reader>``.
        pet_values: ``stored`` keeps PET as it was rescaled (Bq/ml, or SUV where the scanner wrote it);
            ``suv`` turns it into SUV, body weight, and keeps a case out that lacks what that needs.
        min_lesion_ml: Components below this volume leave the label map, judged on the source grid.
    """

    orientation: str = "RAS"
    spacing_mm: Literal["native"] | tuple[Millimetres, Millimetres, Millimetres] = "native"
    image_interpolation: Literal["linear", "nearest", "bspline"] = "linear"
    label_interpolation: Literal["linear", "nearest"] = "linear"
    intensity: tuple[Step, ...] = ()
    crop: Literal["none"] = "none"
    fuse: str = "union"
    pet_values: Literal["stored", "suv"] = "stored"
    min_lesion_ml: Annotated[float, Field(ge=0)] = 0.0

    @field_validator("orientation")
    @classmethod
    def _is_orientation(cls, code: str) -> str:
        if code != "native":
            _as_value_error(check_code, code)
        return code

    @field_validator("fuse")
    @classmethod
    def _is_policy(cls, policy: str) -> str:
        _as_value_error(check_policy, policy)
        return policy

    def to_json(self) -> dict[str, Any]:
        """Give the whole recipe, defaults included, as a JSON document."""
        return self.model_dump(mode="json")

    @property
    def sha256(self) -> str:
        """Hash of the canonical JSON: the same for the same meaning, whatever was left to defaults."""
        kept = {key: value for key, value in self.to_json().items() if _LATER.get(key) != value}
        text = json.dumps(kept, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode("ascii")).hexdigest()


def recipe_from(table: Mapping[str, Any]) -> Recipe:
    """Parse the recipe table of a study file.

    Raises:
        SettingsError: A key is unknown or a value does not fit; the message names the key.
    """
    try:
        return Recipe.model_validate(dict(table))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if key.startswith("spacing_mm"):
            hint = 'three millimetres such as [1.5, 1.5, 3.0], or "native"'
            raise SettingsError("recipe.spacing_mm is no spacing", hint=hint) from error
        near = get_close_matches(key, Recipe.model_fields, n=1)
        known = f"did you mean {near[0]}?" if near else f"keys are: {', '.join(Recipe.model_fields)}"
        hint = known if first["type"] == "extra_forbidden" else "see the recipe page of the docs"
        raise SettingsError(f"recipe.{key}: {first['msg']}", hint=hint) from error


def _as_value_error(check: Any, value: str) -> None:
    try:
        check(value)
    except SettingsError as error:
        raise ValueError(f"{error.message}; {error.hint}") from error
