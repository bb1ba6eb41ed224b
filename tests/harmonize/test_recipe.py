"""A recipe is checked at the door and named by its hash."""

import pickle

import pytest

from racoon_data.errors import SettingsError
from racoon_data.harmonize.recipe import Recipe, load_recipe, recipe_from
from tests.house.code import ROOT

FULL = {
    "orientation": "LPS",
    "spacing_mm": [1.5, 1.5, 2],
    "image_interpolation": "bspline",
    "label_interpolation": "nearest",
    "intensity": [
        {"kind": "clip", "low": -1000, "high": 400},
        {"kind": "window", "center": -600, "width": 1500, "channel": "CT"},
        {"kind": "zscore"},
    ],
    "fuse": "single:r1",
    "pet_values": "suv",
    "min_lesion_ml": 0.05,
}


def test_defaults_are_the_declared_ones():
    """An empty table turns to RAS and keeps voxels."""
    recipe = recipe_from({})

    assert (recipe.orientation, recipe.spacing_mm, recipe.fuse, recipe.intensity) == ("RAS", "native", "union", ())


def test_the_hash_names_the_meaning():
    """Spelling out defaults, key order and whole numbers for floats change nothing."""
    assert recipe_from({}).sha256 == recipe_from({"crop": "none", "orientation": "RAS"}).sha256
    assert (
        recipe_from(FULL).sha256 == recipe_from({**dict(reversed(FULL.items())), "spacing_mm": (1.5, 1.5, 2.0)}).sha256
    )
    assert recipe_from({}).sha256 == "62e6e3abec301789fb9eda8f2de4ae86804ea877c31205ce94cc35c82f396313"


@pytest.mark.parametrize("key", FULL)
def test_every_key_counts_in_the_hash(key):
    """Leaving any one key to its default gives another hash."""
    assert recipe_from({name: value for name, value in FULL.items() if name != key}).sha256 != recipe_from(FULL).sha256


def test_a_recipe_survives_json_and_process_borders():
    """What the manifest holds gives the same recipe again, and so does a worker's copy."""
    recipe = recipe_from(FULL)

    assert recipe_from(recipe.to_json()) == recipe
    assert pickle.loads(pickle.dumps(recipe)).sha256 == recipe.sha256


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ({"spacing": [1, 1, 1]}, "recipe.spacing"),
        ({"orientation": "XYZ"}, "recipe.orientation"),
        ({"spacing_mm": [1, 1]}, "recipe.spacing_mm"),
        ({"spacing_mm": [1, 1, 0]}, "recipe.spacing_mm"),
        ({"spacing_mm": "isotropic"}, "recipe.spacing_mm"),
        ({"image_interpolation": "cubic"}, "recipe.image_interpolation"),
        ({"label_interpolation": "bspline"}, "recipe.label_interpolation"),
        ({"fuse": "best"}, "recipe.fuse"),
        ({"crop": "foreground"}, "recipe.crop"),
        ({"min_lesion_ml": -1}, "recipe.min_lesion_ml"),
        ({"intensity": [{"kind": "magic"}]}, "recipe.intensity.0"),
        ({"intensity": [{"kind": "clip", "low": 5, "high": 1}]}, "recipe.intensity.0"),
        ({"intensity": [{"kind": "window", "center": 0, "width": 0}]}, "recipe.intensity.0"),
    ],
)
def test_a_wrong_value_names_its_key(table, key):
    """Unknown keys and values are refused by name."""
    with pytest.raises(SettingsError) as caught:
        recipe_from(table)

    assert key in caught.value.message
    assert caught.value.hint


def test_a_near_miss_is_pointed_out():
    """The hint names the key that was probably meant."""
    with pytest.raises(SettingsError) as caught:
        recipe_from({"spacing": "native"})

    assert caught.value.hint == "did you mean spacing_mm?"


def test_recipes_do_not_change():
    """A recipe is frozen."""
    with pytest.raises(ValueError, match="frozen"):
        Recipe().orientation = "LPS"  # type: ignore[misc]


def test_the_example_names_every_key_and_says_which_are_not_defaults():
    """The recipe in examples/ is one; no key is missing, and each line tells the truth about defaults."""
    path = ROOT / "examples" / "recipe.toml"
    recipe, plain = load_recipe(path).to_json(), Recipe().to_json()
    lines = {line.split(" = ")[0]: line for line in path.read_text(encoding="utf-8").splitlines() if " = " in line}

    for key in set(plain) - {"intensity"}:
        assert ("default" in lines[key]) == (recipe[key] != plain[key]), key
    assert [step["kind"] for step in recipe["intensity"]] == ["clip", "n4", "zscore"]
