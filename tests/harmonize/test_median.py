"""The spacing of a dataset, as nnU-Net would choose it."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from racoon_data.errors import SettingsError
from racoon_data.harmonize.harmonize import harmonize
from racoon_data.harmonize.median import median_spacing
from racoon_data.harmonize.recipe import recipe_from
from racoon_data.volumes import Volume
from tests.grid.makers import a_grid, positions
from tests.harmonize.makers import a_case

# nnU-Net asks the environment for folders when it is imported, and warns of what we do not use.
_ASK = """
import json, sys
from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner
planner = ExperimentPlanner.__new__(ExperimentPlanner)
planner.overwrite_target_spacing, planner.anisotropy_threshold = None, 3
answers = []
for planner.dataset_fingerprint in json.load(sys.stdin):
    answers.append(planner.determine_fullres_target_spacing().tolist())
print(json.dumps(answers))
"""


def test_the_median_goes_axis_by_axis():
    """Three isotropic cases give the middle one's spacing."""
    grids = [a_grid((50, 50, 50), (mm, mm, mm + 0.1)) for mm in (0.8, 1.0, 1.6)]

    assert median_spacing(grids, orientation="native") == (1.0, 1.0, 1.1)


def test_anisotropic_cases_take_the_tenth_percentile():
    """Thick slices above three times the others, and few of them: nnU-Net 2.8.1 chooses 3.2 mm here."""
    grids = [a_grid((512, 512, 40), (0.7, 0.7, mm)) for mm in (2.0, 5.0, 5.0, 5.0, 6.0)]

    assert median_spacing(grids, orientation="native") == pytest.approx((0.7, 0.7, 3.2))


@pytest.mark.peers("nnUNetv2_plan_experiment")
def test_nnunet_chooses_the_same(tmp_path):
    """Its planner itself, asked about 200 datasets of thin and thick slices, few and many, gives our spacings."""
    rng = np.random.default_rng(7)
    datasets = [
        [
            a_grid((*rng.integers(60, 513, 2), rng.integers(10, 200)), (mm, mm, mm * rng.choice([1, 2, 4, 8])))
            for mm in rng.uniform(0.5, 1.5, rng.integers(1, 9))
        ]
        for _ in range(200)
    ]
    asked = [
        {
            "spacings": [one.spacing_mm[::-1] for one in grids],
            "shapes_after_crop": [[int(size) for size in one.array_shape] for one in grids],
        }
        for grids in datasets
    ]
    folders = {name: str(tmp_path) for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")}

    done = subprocess.run(
        [sys.executable, "-c", _ASK],
        input=json.dumps(asked), capture_output=True, text=True, env={**os.environ, **folders}, check=True,
    )  # fmt: skip

    theirs = [[round(mm, 3) for mm in reversed(one)] for one in json.loads(done.stdout.splitlines()[-1])]
    ours = [list(median_spacing(grids, orientation="native")) for grids in datasets]
    plain = [np.round(np.median([one.spacing_mm for one in grids], axis=0), 3).tolist() for grids in datasets]
    assert ours == theirs
    assert 20 < sum(one != other for one, other in zip(ours, plain, strict=True)) < 180


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
