"""Measures against known truth, against MONAI and SimpleITK, and on empty masks."""

import math

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - the library's own habit

from racoon_train.data.cache import CachedCase
from racoon_train.evaluation.lesions import LesionCount, count_lesions
from racoon_train.evaluation.metrics import ClassScore, Yardstick, dice, score, score_masks
from racoon_train.evaluation.surfaces import surface_distances
from tests.train.makers import a_job

ANISOTROPIC = (5.0, 0.7, 1.3)


def a_box(shape, low, high):
    """A solid block of voxels."""
    mask = np.zeros(shape, bool)
    mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = True
    return mask


@pytest.mark.parametrize(("axis", "step_mm"), enumerate(ANISOTROPIC))
def test_a_shifted_block_is_as_far_as_it_was_shifted(axis, step_mm):
    """Two voxels along k, j or i are 10, 1.4 or 2.6 mm, the largest distance of the two surfaces."""
    truth = a_box((20, 20, 20), (5, 5, 5), (12, 12, 12))
    predicted = np.roll(truth, 2, axis=axis)

    found = surface_distances(predicted, truth, ANISOTROPIC)

    assert found.from_truth_mm.max() == pytest.approx(2 * step_mm)
    assert found.hausdorff95_mm() == pytest.approx(2 * step_mm)
    assert found.surface_dice(2 * step_mm) == 1.0
    assert found.surface_dice(2 * step_mm - 0.01) < 1.0


def test_a_plate_with_known_surface():
    """A plate of one voxel shifted by one slice of 5 mm: no surface within 4.9 mm, all of it within 5."""
    truth, predicted = (a_box((6, 9, 9), (k, 2, 2), (k + 1, 6, 6)) for k in (2, 3))

    found = score_masks(predicted, truth, ANISOTROPIC, Yardstick(tolerance_mm=4.9))

    assert (found.dice, found.surface_dice, found.hausdorff95_mm) == (0.0, 0.0, 5.0)
    assert surface_distances(predicted, truth, ANISOTROPIC).surface_dice(5.0) == 1.0


def test_a_single_slice_is_measured_in_its_plane():
    """The inside of a flat square is no surface: 28 voxels of 64 are, and they agree."""
    flat = a_box((1, 20, 20), (0, 4, 4), (1, 12, 12))

    assert len(surface_distances(flat, flat, (5.0, 1.0, 1.0)).from_truth_mm) == 28


@pytest.mark.filterwarnings("ignore:monai.metrics:FutureWarning")
@pytest.mark.parametrize("seed", range(6))
def test_measures_agree_with_monai_and_simpleitk(seed):
    """Random blobs on an anisotropic grid: Dice, Hausdorff 95 and surface Dice as others compute them."""
    import torch
    from monai.metrics import HausdorffDistanceMetric, SurfaceDiceMetric

    truth, predicted = some_blobs(seed)
    ours = score_masks(predicted, truth, ANISOTROPIC, Yardstick(tolerance_mm=3.0))
    given = [torch.from_numpy(np.stack([~mask, mask])[None].astype(np.float32)) for mask in (predicted, truth)]
    hausdorff = HausdorffDistanceMetric(percentile=95)(*given, spacing=ANISOTROPIC)
    surface = SurfaceDiceMetric(class_thresholds=[3.0])(*given, spacing=ANISOTROPIC)
    overlap = sitk.LabelOverlapMeasuresImageFilter()
    overlap.Execute(*(sitk.GetImageFromArray(mask.astype(np.uint8)) for mask in (truth, predicted)))

    assert ours.hausdorff95_mm == pytest.approx(float(hausdorff), rel=1e-5)
    assert ours.surface_dice == pytest.approx(float(surface), rel=1e-5)
    assert ours.dice == pytest.approx(overlap.GetDiceCoefficient())
    assert ours.volume_error_ml == pytest.approx(
        (int(predicted.sum()) - int(truth.sum())) * math.prod(ANISOTROPIC) / 1000
    )


def some_blobs(seed):
    """Two overlapping random masks, one of them touching the edge of the grid."""
    rng = np.random.default_rng(seed)
    field = sitk.GetArrayFromImage(
        sitk.SmoothingRecursiveGaussian(sitk.GetImageFromArray(rng.normal(size=(14, 24, 22))), 2.0)
    )
    shifted = np.roll(field, 2, axis=1) + rng.normal(scale=field.std() / 10, size=field.shape)
    return field > np.quantile(field, 0.85), shifted > np.quantile(shifted, 0.83)


def test_lesions_are_counted_one_by_one():
    """Of three lesions one is found, one barely touched, one too small to count; one prediction is made up."""
    truth, predicted = np.zeros((2, 5, 30, 30), bool)
    truth[1:4, 2:8, 2:8] = True
    predicted[1:4, 2:5, 2:8] = True
    truth[1:4, 2:8, 20:26] = True
    predicted[1, 2, 20] = True
    truth[0, 28, 28] = predicted[0, 28, 28] = True
    predicted[2:4, 20:24, 10:14] = True
    predicted[2, 15, 2] = True

    found = count_lesions(predicted, truth, voxel_ml=0.01, min_ml=0.05, covered=0.1)

    assert found == LesionCount(there=2, found=1, false=1)


def test_lesions_agree_with_scipy():
    """The count of components is that of an independent implementation."""
    from scipy.ndimage import label

    truth, predicted = some_blobs(3)
    found = count_lesions(predicted, truth, voxel_ml=1.0, min_ml=0.0, covered=1e-9)
    own, count = label(truth, np.ones((3, 3, 3)))

    assert (found.there, found.found) == (count, len(set(own[predicted]) - {0}))


@pytest.mark.parametrize("missing", ["empty", "none"])
def test_a_missing_prediction_counts_as_zero(missing):
    """An empty mask and no prediction at all are the same: 0, 0 and the diagonal, the lesion not found."""
    label = np.zeros((4, 32, 32), np.uint8)
    label[1:3, 4:12, 4:12] = 1
    case = CachedCase("c", "test", np.zeros((1, 4, 32, 32)), label, {}, ("lesion", "fluid"))
    given = None if missing == "none" else np.zeros_like(label)

    found = score(given, case, a_job(), spacing_mm=(3.0, 1.0, 1.0), yardstick=Yardstick())

    lesion = found["lesion"]
    assert (lesion.dice, lesion.surface_dice, lesion.is_missed) == (0.0, 0.0, True)
    assert lesion.hausdorff95_mm == pytest.approx(math.sqrt(9**2 + 31**2 + 31**2))
    assert (lesion.volume_error_ml, lesion.lesions) == (pytest.approx(-0.384), LesionCount(1, 0, 0))
    assert found["fluid"] == ClassScore(volume_error_ml=0.0, lesions=LesionCount(), is_false_alarm=False)


def test_a_false_alarm_has_a_volume_and_no_dice():
    """Where the truth has none, a prediction is an alarm, its volume an error, its lesion false."""
    predicted = a_box((4, 10, 10), (0, 0, 0), (2, 5, 5))

    found = score_masks(predicted, np.zeros_like(predicted), (2.0, 2.0, 2.0), Yardstick())

    assert (found.dice, found.is_false_alarm, found.is_missed) == (None, True, None)
    assert (found.volume_error_ml, found.lesions) == (pytest.approx(0.4), LesionCount(0, 0, 1))


def test_voxels_to_ignore_are_not_judged():
    """A prediction on voxels marked 255 costs nothing; what is not annotated has no score at all."""
    label = np.zeros((1, 8, 8), np.uint8)
    label[0, :4], label[0, 4:6] = 1, 255
    predicted = np.where(label > 0, 1, 0).astype(np.uint8)
    case = CachedCase("c", "test", np.zeros((1, 1, 8, 8)), label, {}, ("lesion",))

    found = score(predicted, case, a_job(), spacing_mm=(1.0, 1.0, 1.0), yardstick=Yardstick())

    assert (found["lesion"].dice, found["lesion"].volume_error_ml) == (1.0, 0.0)
    assert found["fluid"] == ClassScore()


def test_dice_of_halves():
    """Two squares that share half of their voxels have Dice 0.5; an empty truth has none."""
    truth, predicted = a_box((1, 8, 8), (0, 0, 0), (1, 4, 4)), a_box((1, 8, 8), (0, 0, 2), (1, 4, 6))

    assert dice(predicted, truth) == 0.5
    assert dice(predicted, np.zeros_like(truth)) is None
