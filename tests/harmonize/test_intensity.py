"""Intensity steps do what their numbers say."""

import numpy as np

from racoon_data.harmonize.intensity import Clip, Window, ZScore, apply
from racoon_data.volumes import Volume
from tests.grid.makers import a_grid

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
