"""The spacing of a dataset, as nnU-Net would choose it."""

import pytest

from racoon_data.errors import SettingsError
from racoon_data.harmonize.harmonize import harmonize
from racoon_data.harmonize.median import median_spacing
from racoon_data.harmonize.recipe import recipe_from
from racoon_data.volumes import Volume
from tests.grid.makers import a_grid, positions
from tests.harmonize.makers import a_case


def test_the_median_goes_axis_by_axis():
    """Three isotropic cases give the middle one's spacing."""
    grids = [a_grid((50, 50, 50), (mm, mm, mm + 0.1)) for mm in (0.8, 1.0, 1.6)]

    assert median_spacing(grids, orientation="native") == (1.0, 1.0, 1.1)


def test_anisotropic_cases_take_the_tenth_percentile():
    """Thick slices above three times the others, and few of them: nnU-Net 2.8.1 chooses 3.2 mm here."""
    grids = [a_grid((512, 512, 40), (0.7, 0.7, mm)) for mm in (2.0, 5.0, 5.0, 5.0, 6.0)]

    assert median_spacing(grids, orientation="native") == pytest.approx((0.7, 0.7, 3.2))


def test_many_thick_slices_keep_the_median():
    """The rule asks for both: thick slices and few of them."""
    grids = [a_grid((60, 60, 40), (0.7, 0.7, mm)) for mm in (2.0, 5.0, 6.0)]

    assert median_spacing(grids, orientation="native") == (0.7, 0.7, 5.0)


def test_axes_are_turned_first():
    """A sagittal stack counts along the axes it will have in the dataset."""
    sagittal = a_grid((64, 64, 20), (0.9, 1.0, 4.0), axes=[[0, 0, 1], [1, 0, 0], [0, -1, 0]])

    assert median_spacing([sagittal], orientation="RAS") == (4.0, 0.9, 1.0)


def test_no_case_has_no_median_and_none_is_guessed():
    """Without a case the median is refused, and a case alone does not harmonize to it."""
    grid = a_grid((8, 8, 8))
    with pytest.raises(SettingsError):
        median_spacing([])
    with pytest.raises(SettingsError, match="median of a dataset"):
        harmonize(a_case(Volume(positions(grid)[..., 0], grid, "HU")), recipe_from({"spacing_mm": "median"}))
