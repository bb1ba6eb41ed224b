"""Diameters of shapes whose size is known."""

import numpy as np
import pytest

from racoon_data.geometry import Geometry, as_affine
from racoon_data.grid.diameters import diameters_of


def a_grid(shape, spacing=(1.0, 1.0, 1.0)):
    """A straight grid of a shape (i, j, k)."""
    return Geometry(shape, as_affine(np.diag([*spacing, 1.0])))


def test_one_voxel_is_as_wide_as_its_spacing():
    """A single voxel has the larger spacing as diameter and the smaller one across."""
    mask = np.zeros((3, 4, 5), dtype=bool)
    mask[1, 2, 3] = True

    found = diameters_of(mask, a_grid((5, 4, 3), (0.8, 0.5, 3.0)))

    assert (found.long_mm, found.short_mm, found.k) == (pytest.approx(0.8), pytest.approx(0.5), 1)


def test_a_ball_is_as_wide_as_its_diameter():
    """A ball of radius 20 mm measures 40 mm within a voxel, in the slice through its centre."""
    k, j, i = np.indices((21, 61, 81))
    mask = ((k - 10) * 4) ** 2 + (j - 30.0) ** 2 + ((i - 40) * 0.75) ** 2 <= 20**2

    found = diameters_of(mask, a_grid((81, 61, 21), (0.75, 1.0, 4.0)))

    assert found.k == 10
    assert found.long_mm == pytest.approx(40, abs=1.0)
    assert found.short_mm == pytest.approx(40, abs=1.0)


def test_a_bar_is_measured_along_and_across():
    """A slanted bar of 60 by 10 mm has its length as long axis and its width across, plus the ends' slant."""
    j, i = np.indices((90, 90))
    along, across = (i + j - 89) / np.sqrt(2), (i - j) / np.sqrt(2)
    mask = ((abs(along) <= 30) & (abs(across) <= 5))[None]

    found = diameters_of(mask, a_grid((90, 90, 1)))

    assert found.long_mm == pytest.approx(np.hypot(60, 10), abs=1.5)
    assert 10 <= found.short_mm < 21


def test_nothing_has_no_diameter():
    """An empty mask is not measured."""
    assert diameters_of(np.zeros((2, 3, 4), dtype=bool), a_grid((4, 3, 2))) is None
