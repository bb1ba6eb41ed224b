"""The recipe: what every case of a dataset is brought to, with a hash that names it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator

from racoon_data.documents import parse_toml, read_text
from racoon_data.errors import SettingsError
from racoon_data.grid.reorient import check_code
from racoon_data.harmonize.fuse import check_policy
from racoon_data.harmonize.intensity import Step
from racoon_data.harmonize.label_mapping import MapRules
from racoon_data.settings import Frozen

Millimetres = Annotated[float, Field(gt=0, le=1000)]


# Keys that came after the first datasets: at these values they mean what was meant before, and leave the hash alone.
_LATER = {
    "pet_values": "stored",
    "crop_margin_mm": 10.0,
    "keep_lesions": True,
    "max_drift_percent": None,
    "undecided": "outside",
    "unmapped": "list",
    "not_annotated": "background",
    "min_voxels": 1,
}


class Recipe(Frozen):
    """How cases are harmonized.

    Attributes:
        orientation: Code of the final axes, such as ``RAS`` (each axis points to Right, Anterior,
            Superior), or ``native`` to keep the first channel's.
        spacing_mm: Spacing along the final i, j, k; ``native`` to keep the first channel's grid bit for bit;
            ``median`` for the median of the dataset's cases, with nnU-Net's rule for anisotropic ones.
        image_interpolation: ``linear``, ``nearest`` or ``bspline`` (about 30 times slower).
        label_interpolation: ``linear`` (each label as a field of its own), ``distance`` (its signed distance: smoother
            organs, smaller lesions) or ``nearest``.
        keep_lesions: A lesion that no voxel of the new grid met is drawn again with the voxels nearest to it.
        max_drift_percent: A case is refused where resampling changes the volume of a label by more.
        intensity: Steps after resampling, in order (``n4`` goes before it); none by default, because training
            normalises.
        crop: ``none``; ``nonzero`` (the box around values other than 0, as nnU-Net crops), ``body`` (the largest thing
            above -500 HU) or ``labels`` (the box around all labels: not for images that are to be predicted on).
        crop_margin_mm: Kept around the box.
        fuse: Several readers to one: ``union``, ``majority``, ``staple`` or ``single:<reader>``.
        undecided: A voxel that readers leave open (a tie, a STAPLE probability between 5 and 95 %) stays ``outside``
            the label where the label does not win it, or is marked ``ignore``.
        unmapped: Segments of no label are listed and stay background (``list``), are marked ``ignore``, or ``refuse``
            the case.
        not_annotated: In a case where not every label was looked for, voxels without a label are ``background`` or
            ``ignore``: nobody knows what is there.
        pet_values: ``stored`` keeps PET as it was rescaled (Bq/ml, or SUV where the scanner wrote it);
            ``suv`` turns it into SUV, body weight, and keeps a case out that lacks what that needs.
        min_lesion_ml: Components below this volume leave the label map, judged on the source grid.
        min_voxels: An image with fewer voxels along an axis is kept out.
    """

    orientation: str = "RAS"
    spacing_mm: Literal["native", "median"] | tuple[Millimetres, Millimetres, Millimetres] = "native"
    image_interpolation: Literal["linear", "nearest", "bspline"] = "linear"
    label_interpolation: Literal["linear", "nearest", "distance"] = "linear"
    keep_lesions: bool = True
    max_drift_percent: Annotated[float, Field(gt=0)] | None = None
    intensity: tuple[Step, ...] = ()
    crop: Literal["none", "nonzero", "body", "labels"] = "none"
    crop_margin_mm: Annotated[float, Field(ge=0, le=500)] = 10.0
    fuse: str = "union"
    undecided: Literal["outside", "ignore"] = "outside"
    unmapped: Literal["list", "ignore", "refuse"] = "list"
    not_annotated: Literal["background", "ignore"] = "background"
    pet_values: Literal["stored", "suv"] = "stored"
    min_lesion_ml: Annotated[float, Field(ge=0)] = 0.0
    min_voxels: Annotated[int, Field(ge=1)] = 1

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


def map_rules(
    recipe: Recipe, *, annotated: tuple[str, ...] = (), annotated_by: Mapping[str, tuple[str, ...]] | None = None
) -> MapRules:
    """Give what a recipe says about segments, with what a site and its readers annotate."""
    return MapRules(
        annotated=annotated,
        annotated_by=annotated_by or {},
        policy=recipe.fuse,
        undecided=recipe.undecided,
        unmapped=recipe.unmapped,
        not_annotated=recipe.not_annotated,
    )


def load_recipe(path: Path) -> Recipe:
    """Read a recipe file: the keys of a recipe as TOML, at the top or under ``[recipe]``.

    Raises:
        SettingsError: It is missing, no TOML, or a key is unknown or does not fit.
    """
    try:
        table = parse_toml(read_text(path))
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}", hint="name a recipe file (TOML)") from error
    except ValueError as error:
        raise SettingsError(f"{path} is not TOML: {error}", hint="mend the syntax") from error
    return recipe_from(table.get("recipe", table))


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
            hint = 'three millimetres such as [1.5, 1.5, 3.0], "native" or "median"'
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
