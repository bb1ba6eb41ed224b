"""Resampling keeps places, extents and volumes."""

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - the library's own habit

from racoon_data.errors import SettingsError
from racoon_data.geometry import Geometry
from racoon_data.grid.resample import resample_image, resample_labels, target_grid
from racoon_data.volumes import Volume
from tests.grid.makers import a_grid, a_sphere, positions, tilted

SHEAR = np.array([[1, 0, 0], [0, 1, 0.25], [0, 0, np.sqrt(1 - 0.0625)]])


def _a_ramp(geometry: Geometry) -> Volume:
    """An image whose value is a linear function of the patient position."""
    return Volume((positions(geometry) @ [1.0, -2.0, 3.0]).astype(np.float32), geometry)


@pytest.mark.parametrize("axes", [np.eye(3), tilted(), SHEAR, np.diag([-1.0, 1.0, 1.0])])
@pytest.mark.parametrize("interpolation", ["linear", "bspline"])
def test_a_linear_ramp_survives_exactly(axes, interpolation):
    """On straight, oblique, sheared and left-handed grids a ramp is still that ramp in patient space."""
    source = a_grid((30, 28, 26), (1.0, 1.1, 1.5), axes=axes)
    target = target_grid(source, (1.3, 0.9, 2.0))

    sampled = resample_image(_a_ramp(source), target, interpolation=interpolation)

    inside = _a_sphere_inside(source, target)
    apart = np.abs(sampled.array - _a_ramp(target).array)[inside]
    assert inside.sum() > 500
    assert apart.max() < (1e-3 if interpolation == "linear" else 0.05)


def _a_sphere_inside(source: Geometry, target: Geometry) -> np.ndarray:
    middle = source.position_lps(np.array(source.shape) / 2)
    return a_sphere(target, middle, 10.0)


@pytest.mark.parametrize("axes", [np.eye(3), tilted(), np.diag([-1.0, -1.0, 1.0])])
def test_the_target_grid_keeps_extent_and_centre(axes):
    """The box around all voxel edges stays, to half a new voxel, and so does its centre."""
    source = a_grid((50, 41, 13), (0.7, 0.7, 5.0), axes=axes)

    target = target_grid(source, (1.0, 1.0, 2.0))

    old = np.array(source.shape) * source.spacing_mm
    new = np.array(target.shape) * target.spacing_mm
    assert np.allclose(target.spacing_mm, (1.0, 1.0, 2.0))
    assert np.all(np.abs(old - new) <= np.array([0.5, 0.5, 1.0]) + 1e-6)
    middle = [grid.position_lps((np.array(grid.shape) - 1) / 2) for grid in (source, target)]
    assert np.allclose(*middle, atol=1e-6)


def test_the_same_spacing_gives_the_same_grid():
    """Asking for the spacing a grid has changes nothing."""
    source = a_grid((50, 41, 13), (0.9765625, 0.9765625, 3.27), axes=tilted())

    assert target_grid(source, source.spacing_mm).same_grid(source, tol_mm=1e-6)


def test_a_sheared_grid_gets_square_axes():
    """A gantry-tilted stack lands on a grid without shear that covers it, air outside."""
    source = a_grid((20, 20, 20), axes=SHEAR)
    volume = Volume(np.full(source.array_shape, 40, dtype=np.int16), source, "HU")

    target = target_grid(source, (1.0, 1.0, 1.0))
    sampled = resample_image(volume, target)

    axes = target.matrix[:3, :3]
    assert np.allclose(axes.T @ axes, np.eye(3), atol=1e-8)
    assert target.shape[1] > 20
    assert set(np.unique(sampled.array)) == {-1024.0, 40.0}


def test_beyond_an_image_lies_its_minimum_where_it_is_no_ct():
    """PET and MR are padded with their smallest value, CT with air."""
    source = a_grid((4, 4, 4), origin=(0, 0, 0))
    far = a_grid((4, 4, 4), origin=(100, 0, 0))
    values = np.arange(64, dtype=np.float32).reshape(4, 4, 4) + 7

    assert np.all(resample_image(Volume(values, source, "Bq/ml"), far).array == 7)
    assert np.all(resample_image(Volume(values, source, "HU"), far).array == -1024)
    assert np.all(resample_image(Volume(values, source, "HU"), far, outside=3.0).array == 3)


def test_air_does_not_wrap_around():
    """Unsigned values cannot hold air; they are padded with the least they can hold."""
    source = a_grid((4, 4, 4), origin=(0, 0, 0))
    values = np.full((4, 4, 4), 9, dtype=np.uint16)

    far = resample_image(Volume(values, source, "HU"), a_grid((4, 4, 4), origin=(100, 0, 0)), interpolation="nearest")

    assert set(np.unique(far.array)) == {0}


def test_nearest_keeps_values_and_dtype():
    """Nearest neighbour invents no value and keeps whole numbers whole."""
    source = a_grid((10, 10, 10))
    values = np.random.default_rng(1).integers(-5, 5, source.array_shape).astype(np.int16)

    sampled = resample_image(Volume(values, source), target_grid(source, (0.8, 1.3, 1.0)), interpolation="nearest")

    assert sampled.array.dtype == np.int16
    assert set(np.unique(sampled.array)) <= set(np.unique(values))


def test_a_spline_does_not_ring():
    """Cubic samples stay inside the range of the image."""
    source = a_grid((20, 20, 20))
    values = np.where(a_sphere(source, (-10, -10, -10), 6.0), 1000, -1000).astype(np.int16)

    sampled = resample_image(Volume(values, source, "1"), target_grid(source, (0.7, 0.7, 0.7)), interpolation="bspline")

    assert sampled.array.min() >= -1000
    assert sampled.array.max() <= 1000


@pytest.mark.parametrize(
    ("spacing", "new", "percent"),
    [((0.8, 0.8, 5.0), (1.0, 1.0, 1.0), 3), ((0.7, 0.7, 3.0), (1.5, 1.5, 1.5), 3), ((1, 1, 1), (2, 2, 2), 6)],
)
@pytest.mark.parametrize("axes", [np.eye(3), tilted()])
def test_a_sphere_keeps_its_volume(spacing, new, percent, axes):
    """A 10 mm sphere keeps its volume within a few percent through linear label resampling."""
    source = a_grid(tuple(int(50 / mm) for mm in spacing), spacing, axes=axes)
    mask = a_sphere(source, source.position_lps(np.array(source.shape) / 2.1), 10.0)

    sampled = resample_labels(mask, source, target_grid(source, new))

    before, after = mask.sum() * source.voxel_ml, sampled.sum() * np.prod(new) / 1000
    assert sampled.dtype == np.bool_
    assert abs(after / before - 1) * 100 < percent


@pytest.mark.parametrize("new", [(0.9, 1.3, 1.7), (2.3, 2.3, 2.3)])
def test_labels_follow_the_reference_interpolator(new):
    """Where no shares tie, labels equal those of SimpleITK's own (slower) linear label interpolator."""
    source = a_grid((41, 39, 37), (1.0, 1.1, 1.2))
    labels = np.zeros(source.array_shape, dtype=np.uint8)
    for value, centre in ((3, (-12, -10, -8)), (1, (-4, -10, -8)), (7, (5, 8, 4))):
        labels[a_sphere(source, centre, 6.3)] = value
    target = target_grid(source, new)

    ours = resample_labels(labels, source, target)

    image = sitk.GetImageFromArray(labels)
    image.SetSpacing(source.spacing_mm)
    image.SetOrigin(source.position_lps((0, 0, 0)))
    grid = sitk.Image(*target.shape, sitk.sitkUInt8)
    grid.SetSpacing(target.spacing_mm)
    grid.SetOrigin(target.position_lps((0, 0, 0)))
    theirs = sitk.GetArrayFromImage(sitk.Resample(image, grid, sitk.Transform(), sitk.sitkLabelLinear, 0))
    assert np.count_nonzero(ours) > 100
    assert np.count_nonzero(ours != theirs) <= 0.005 * np.count_nonzero(theirs)


def test_labels_outside_the_target_are_left_behind():
    """A lesion beyond the target grid does not fold back into it."""
    source = a_grid((30, 30, 30), origin=(0, 0, 0))
    labels = np.zeros(source.array_shape, dtype=np.uint8)
    labels[:, :, 25:] = 2

    sampled = resample_labels(labels, source, a_grid((10, 10, 10), origin=(0, 0, 0)))

    assert not sampled.any()


def test_an_unknown_interpolation_is_refused():
    """The error names what there is."""
    grid = a_grid((4, 4, 4))

    with pytest.raises(SettingsError, match="cubic"):
        resample_image(_a_ramp(grid), grid, interpolation="cubic")
    with pytest.raises(SettingsError, match="bspline"):
        resample_labels(np.zeros(grid.array_shape, np.uint8), grid, grid, interpolation="bspline")


def test_threads_do_not_change_a_byte():
    """The same call gives the same bytes whatever the global number of threads is."""
    source = a_grid((40, 40, 40), axes=tilted())
    target = target_grid(source, (1.3, 1.3, 1.3))
    noise = Volume(np.random.default_rng(2).normal(size=source.array_shape).astype(np.float32), source)
    before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    try:
        results = []
        for threads in (1, 4):
            sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
            results.append(resample_image(noise, target).array.tobytes())
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before)

    assert results[0] == results[1]


def test_signed_distance_keeps_organs_best():
    """From 5 mm slices to 1 mm, an organ's overlap with the truth is better by distance than by linear shares."""
    coarse, fine = a_grid((60, 60, 12), (0.8, 0.8, 5.0)), a_grid((48, 48, 60))
    truth = a_sphere(fine, (4, 4, 10), 15)
    labels = (a_sphere(coarse, (4, 4, 10), 15) * 2).astype(np.uint8)

    def dice(interpolation):
        found = resample_labels(labels, coarse, fine, interpolation=interpolation) == 2
        return 2 * np.count_nonzero(found & truth) / (np.count_nonzero(found) + np.count_nonzero(truth))

    assert dice("distance") > dice("linear") > dice("nearest") > 0.9


def test_signed_distance_knows_the_ends():
    """A label that fills the image fills the target, labels side by side both stay, and one outside leaves nothing."""
    grid, half = a_grid((8, 8, 8)), a_grid((4, 4, 4), (2.0, 2.0, 2.0), origin=(-19.5, -19.5, -19.5))
    full = np.ones(grid.array_shape, dtype=np.uint8)
    two = full.copy()
    two[:, :, 4:] = 2

    assert (resample_labels(full, grid, half, interpolation="distance") == 1).all()
    sides = resample_labels(two, grid, half, interpolation="distance")
    assert (sides[:, :, :2] == 1).all()
    assert (sides[:, :, 2:] == 2).all()
    away = a_grid((4, 4, 4), origin=(500, 0, 0))
    assert not resample_labels(full, grid, away, interpolation="distance").any()
