"""Intensity steps do what their numbers say."""

import numpy as np

from racoon_data.harmonize.intensity import N4, Clip, Percentiles, Window, ZScore, apply
from racoon_data.volumes import Volume
from tests.grid.makers import a_grid, a_sphere, positions

VALUES = np.array([-2000, -1000, -600, 0, 400, 3000, 100, 50], dtype=np.int16).reshape(2, 2, 2)
CT = Volume(VALUES, a_grid((2, 2, 2)), "HU")


def test_clip_holds_values_in_a_range():
    """Values beyond the range become its ends; the unit stays."""
    clipped = apply(CT, [Clip(kind="clip", low=-1000, high=400)], channel="CT")

    assert clipped.array.ravel().tolist() == [-1000, -1000, -600, 0, 400, 400, 100, 50]
    assert (clipped.unit, clipped.array.dtype) == ("HU", np.float32)


def test_a_window_becomes_nought_to_one():
    """The window's edges become 0 and 1, its centre one half."""
    shown = apply(CT, [Window(kind="window", center=-600, width=800)], channel="CT")

    assert shown.array.ravel().tolist()[:4] == [0.0, 0.0, 0.5, 1.0]
    assert shown.unit == "1"


def test_zscore_centres_and_scales():
    """Mean 0 and deviation 1, and a constant image becomes zero instead of dividing by nothing."""
    scaled = apply(CT, [ZScore(kind="zscore")], channel="CT")
    flat = apply(Volume(np.full((2, 2, 2), 7), CT.geometry), [ZScore(kind="zscore")], channel="CT")

    assert abs(float(scaled.array.mean())) < 1e-6
    assert abs(float(scaled.array.std()) - 1) < 1e-6
    assert not flat.array.any()


def test_a_step_for_another_channel_is_left_out():
    """A CT window does not touch PET; without steps the volume itself comes back."""
    steps = [Clip(kind="clip", low=0, high=1, channel="CT")]

    assert apply(CT, steps, channel="PET") is CT
    assert apply(CT, steps, channel="CT").array.max() == 1


def test_percentiles_hold_the_rest():
    """Values beyond the percentiles of what is measured become those."""
    held = apply(CT, [Percentiles(kind="percentiles", low=0, high=50, over="nonzero")], channel="CT")

    assert held.array.max() == 50
    assert held.array.min() == -2000


def test_a_z_score_may_be_measured_over_the_body():
    """Air around a patient does not move the mean: the body has mean 0 and deviation 1."""
    grid = a_grid((20, 20, 20))
    body = a_sphere(grid, (-10, -10, -10), 6)
    values = np.where(body, np.random.default_rng(1).normal(40, 10, body.shape), -1000).astype(np.float32)

    done = apply(Volume(values, grid, "HU"), [ZScore(kind="zscore", over="body")], channel="CT")

    assert abs(done.array[body].mean()) < 1e-4
    assert abs(done.array[body].std() - 1) < 1e-4


def test_n4_takes_the_shading_out():
    """A phantom of one tissue under a slow field comes out three times as even, and twice the same."""
    grid = a_grid((32, 32, 16))
    place = positions(grid)
    inside = a_sphere(grid, (-4, -4, -12), 14)
    field = np.exp(0.02 * place[..., 0] + 0.01 * place[..., 1])
    values = np.where(inside, 100 * field + np.random.default_rng(2).normal(0, 1, inside.shape), 1.0)
    image = Volume(values.astype(np.float32), grid, "1")
    step = N4(kind="n4", shrink=2, iterations=(50, 50))

    done, again = (apply(image, [step], channel="MR", before=True) for _ in range(2))

    def unevenness(array):
        return array[inside].std() / array[inside].mean()

    assert unevenness(done.array) < unevenness(image.array) / 3
    assert done.array.tobytes() == again.array.tobytes()
    assert apply(image, [step], channel="MR") is image
