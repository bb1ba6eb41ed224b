"""A case comes out on one grid, and says what that cost."""

import numpy as np
import pytest

from racoon_data.errors import LabelDriftError, MisalignedChannelsError, TooSmallError
from racoon_data.geometry import Geometry
from racoon_data.grid.components import components
from racoon_data.grid.resample import target_grid
from racoon_data.harmonize.drift import settle_labels
from racoon_data.harmonize.harmonize import harmonize
from racoon_data.harmonize.recipe import recipe_from
from racoon_data.labels import LabelMap
from racoon_data.volumes import Volume
from tests.grid.makers import a_grid, a_sphere, positions, tilted
from tests.harmonize.makers import a_case, a_channel, a_segment, an_annotation

GRID = a_grid((40, 36, 12), (0.8, 0.8, 3.0), axes=tilted())
MIDDLE = GRID.position_lps((20, 18, 6))


def _an_image(geometry: Geometry = GRID, unit: str = "HU") -> Volume:
    values = (positions(geometry) @ [3.0, -2.0, 1.0]).round().astype(np.int16)
    return Volume(values, geometry, unit)


def _steps(case) -> dict[str, dict]:
    return {step["step"]: step for step in case.steps}


def test_native_spacing_keeps_every_voxel():
    """Orientation alone permutes and flips: image and label have the very values, at the same places."""
    labels = a_sphere(GRID, MIDDLE, 6.1) * 3

    done = harmonize(a_case(_an_image(), labels), recipe_from({}))

    volume = done.channels[0].volume
    assert volume.array.dtype == np.int16
    assert np.array_equal(volume.array, _an_image(volume.geometry).array)
    assert np.array_equal(done.label_map.array, a_sphere(done.label_map.geometry, MIDDLE, 6.1) * 3)
    assert done.label_map.geometry == volume.geometry
    assert [step["step"] for step in done.steps] == ["reorient"]


def test_native_everything_changes_nothing():
    """With both native the case keeps its array and its grid."""
    done = harmonize(a_case(_an_image()), recipe_from({"orientation": "native"}))

    assert done.channels[0].volume.geometry.same_grid(GRID, tol_mm=1e-9)
    assert np.array_equal(done.channels[0].volume.array, _an_image().array)
    assert done.label_map is None


def test_a_new_spacing_keeps_the_sphere_and_its_place():
    """At 1.5 mm the label keeps volume within 3 percent and centre within half a voxel; both are recorded."""
    labels = a_sphere(GRID, MIDDLE, 8.0) * 3
    before_ml = np.count_nonzero(labels) * GRID.voxel_ml

    done = harmonize(a_case(_an_image(), labels), recipe_from({"spacing_mm": [1.5, 1.5, 1.5]}))

    grid = done.label_map.geometry
    centre = positions(grid)[done.label_map.array == 3].mean(axis=0)
    (drift,) = _steps(done)["label_volumes"]["labels"]
    assert np.allclose(grid.spacing_mm, 1.5)
    assert np.linalg.norm(centre - positions(GRID)[labels == 3].mean(axis=0)) < 0.75
    assert drift["before_ml"] == pytest.approx(before_ml, abs=1e-5)
    assert drift["after_ml"] == pytest.approx(np.count_nonzero(done.label_map.array) * 0.003375, abs=1e-5)
    assert abs(drift["drift_percent"]) < 3
    assert drift.pop("lesions") == [[drift["before_ml"], drift["after_ml"]]]
    assert {type(number) for number in drift.values()} == {int, float}
    assert (drift["value"], drift["components"], drift["vanished"]) == (3, 1, 0)


def test_a_lesion_that_vanishes_is_named():
    """A single voxel that no sample meets is counted with its volume, beside a lesion that stays, and drawn again."""
    grid = a_grid((40, 40, 40))
    labels = (a_sphere(grid, (-5, -5, -5), 6.0) * 2).astype(np.uint8)
    labels[30, 33, 33] = 2

    table = {"spacing_mm": [3, 3, 3], "orientation": "LPS"}
    lost, kept = (
        harmonize(a_case(_an_image(grid), labels), recipe_from({**table, "keep_lesions": keep}))
        for keep in (False, True)
    )

    (drift,) = _steps(lost)["label_volumes"]["labels"]
    assert (drift["components"], drift["vanished"], drift["vanished_ml"], drift["restored"]) == (2, 1, 0.001, 0)
    (again,) = _steps(kept)["label_volumes"]["labels"]
    assert (again["vanished"], again["restored"]) == (1, 1)
    assert np.count_nonzero(kept.label_map.array) == np.count_nonzero(lost.label_map.array) + 1
    (place,) = np.argwhere((kept.label_map.array == 2) & (lost.label_map.array == 0))
    where = np.array(kept.label_map.geometry.position_lps(place[::-1]))
    assert np.abs(where - grid.position_lps((33, 33, 30))).max() <= 1.5


@pytest.mark.parametrize("plane", [2, 3])
@pytest.mark.parametrize("first", [12, 13, 17])
def test_a_lesion_that_is_drawn_again_is_one_piece(plane, first):
    """Two neighbours of 3.6 mm on a grid of 3 mm may lie two voxels apart: they are drawn side by side all the same."""
    source = a_grid((30, 30, 12), (3.6, 3.6, 4.0))
    target = target_grid(source, (3.0, 3.0, 5.0))
    labels = np.zeros(source.array_shape, dtype=np.uint8)
    labels[plane, 12, first : first + 2] = 1
    nothing = LabelMap(np.zeros(target.array_shape, dtype=np.uint8), target, ("lesion",))

    settled, (row,) = settle_labels(LabelMap(labels, source, ("lesion",)), nothing, interpolation="linear")

    drawn = np.argwhere(settled.array)
    assert (row["vanished"], row["restored"], len(drawn)) == (1, 1, 2)
    assert components(settled.array > 0).max() == 1


def test_a_label_that_drifts_too_far_is_refused():
    """Where the recipe sets a limit, a case beyond it is kept out and the volumes are named."""
    labels = a_sphere(GRID, MIDDLE, 4.0) * 3
    table = {"spacing_mm": [2, 2, 9], "max_drift_percent": 1}

    with pytest.raises(LabelDriftError, match="label 3 went from"):
        harmonize(a_case(_an_image(), labels), recipe_from(table))


@pytest.mark.parametrize("kind", ["nonzero", "body", "labels"])
def test_a_crop_keeps_what_it_is_for(kind):
    """The box holds the body, the values or the label with its margin; voxels stay where they were in the patient."""
    image = np.where(a_sphere(GRID, MIDDLE, 9.1), 40, 0 if kind == "nonzero" else -1000).astype(np.int16)
    labels = a_sphere(GRID, MIDDLE, 9.1) * 1
    reader = an_annotation((a_segment("GGO"), labels.astype(bool)), geometry=GRID, reader="a")
    case = a_case(Volume(image, GRID, "HU"), labels, annotations=(reader,))

    done = harmonize(case, recipe_from({"crop": kind, "crop_margin_mm": 2.0}))

    grid = done.label_map.geometry
    assert np.array_equal(done.label_map.array, a_sphere(grid, MIDDLE, 9.1) * 1)
    assert np.count_nonzero(done.label_map.array) == np.count_nonzero(labels)
    assert np.array_equal(done.annotations[0].masks[0].mask, done.label_map.array == 1)
    assert done.channels[0].volume.geometry == grid
    assert all(9.0 * 2 <= mm <= 9.0 * 2 + 2 * (2.0 + 3.0 * 2) for mm in np.array(grid.shape) * grid.spacing_mm)
    assert _steps(done)["crop"]["label_voxels_outside"] == 0


def test_an_image_too_small_is_kept_out():
    """A fragment with fewer voxels than the recipe asks for never becomes a case."""
    with pytest.raises(TooSmallError, match="fewer than 16"):
        harmonize(a_case(_an_image()), recipe_from({"min_voxels": 16, "spacing_mm": [3, 3, 3]}))


def test_every_step_names_its_versions():
    """Each entry of the sidecar says which libraries did it."""
    recipe = recipe_from(
        {"spacing_mm": [1, 1, 1], "intensity": [{"kind": "zscore"}], "crop": "body", "min_lesion_ml": 0.1}
    )

    done = harmonize(a_case(_an_image(), a_sphere(GRID, MIDDLE, 8.0) * 1), recipe)

    assert {step["step"] for step in done.steps} == {
        *("reorient", "min_lesion", "crop", "resample", "label_volumes", "intensity"),
    }
    assert all({"racoon", "numpy"} <= set(step["software"]) for step in done.steps)
    assert "SimpleITK" in _steps(done)["resample"]["software"]


def test_channels_come_onto_the_first_ones_grid():
    """PET on its own coarse, straight grid lands on the oblique CT grid at the right places."""
    pet_grid = a_grid((30, 30, 20), (4.0, 4.0, 4.0), origin=(-60, -60, -40))
    pet = Volume((positions(pet_grid) @ [3.0, -2.0, 1.0]).astype(np.float32), pet_grid, "Bq/ml")

    done = harmonize(a_case(_an_image(), None, a_channel(pet, "PET", "1.2.7")), recipe_from({}))

    ct, pet_on_ct = (channel.volume for channel in done.channels)
    assert pet_on_ct.geometry == ct.geometry
    assert pet_on_ct.unit == "Bq/ml"
    assert np.abs(pet_on_ct.array - ct.array).max() <= 0.51
    assert _steps(done)["resample"]["channels"] == ["PET"]


def test_channels_in_two_frames_of_reference_are_set_aside():
    """Images that were never registered are not laid over each other."""
    elsewhere = Geometry(GRID.shape, GRID.affine_lps, "9.9")

    with pytest.raises(MisalignedChannelsError, match="2 frames") as caught:
        harmonize(a_case(_an_image(), None, a_channel(_an_image(elsewhere), "MR", "1.2.7")), recipe_from({}))

    assert caught.value.is_skip


def test_readers_travel_with_the_labels():
    """An unfused reader's mask equals the label map it made, on the same grid; one without masks stays empty."""
    mask = a_sphere(GRID, MIDDLE, 7.0)
    readers = (
        an_annotation((a_segment("GGO"), mask), geometry=GRID, reader="a"),
        an_annotation(geometry=GRID, reader="b"),
    )

    done = harmonize(a_case(_an_image(), mask * 3, annotations=readers), recipe_from({"spacing_mm": [1.1, 1.1, 1.1]}))

    assert np.array_equal(done.annotations[0].masks[0].mask, done.label_map.array == 3)
    assert done.annotations[0].masks[0].mask.dtype == np.bool_
    assert done.annotations[0].geometry == done.label_map.geometry
    assert done.annotations[1].masks == ()


def test_small_lesions_leave_by_rule_and_are_recorded():
    """Components below the limit go before resampling; the step says how many and how much."""
    labels = (a_sphere(GRID, MIDDLE, 6.1) * 1).astype(np.uint8)
    labels[0, 0, 0:2] = 1

    done = harmonize(a_case(_an_image(), labels), recipe_from({"min_lesion_ml": 0.1, "orientation": "native"}))

    step = _steps(done)["min_lesion"]
    assert step["removed"] == [{"value": 1, "components": 1, "ml": pytest.approx(2 * GRID.voxel_ml, abs=1e-6)}]
    assert np.count_nonzero(done.label_map.array) == np.count_nonzero(labels) - 2


def test_intensity_comes_last_and_is_recorded():
    """Clipping holds after resampling, and the step is in the sidecar's words."""
    recipe = recipe_from({"spacing_mm": [1, 1, 1], "intensity": [{"kind": "clip", "low": -20, "high": 20}]})

    done = harmonize(a_case(_an_image()), recipe)

    assert (done.channels[0].volume.array.min(), done.channels[0].volume.array.max()) == (-20, 20)
    assert _steps(done)["intensity"]["steps"] == [{"kind": "clip", "low": -20.0, "high": 20.0, "channel": ""}]


def test_the_same_case_gives_the_same_bytes():
    """Twice the same input gives the same arrays, grid and steps."""
    recipe = recipe_from({"spacing_mm": [1.3, 1.3, 2]})
    one, two = (harmonize(a_case(_an_image(), a_sphere(GRID, MIDDLE, 7.0)), recipe) for _ in range(2))

    assert one.channels[0].volume.array.tobytes() == two.channels[0].volume.array.tobytes()
    assert one.label_map.array.tobytes() == two.label_map.array.tobytes()
    assert (one.label_map.geometry, one.steps) == (two.label_map.geometry, two.steps)
