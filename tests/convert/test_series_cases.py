"""Each hard case of geometry and splitting comes out as its maker says, or is refused with the right code."""

from pathlib import Path

import numpy as np
import pytest

from racoon_data.convert.choices import Choices
from racoon_data.convert.folder import convert_folder
from racoon_data.files.nifti import read_nifti
from racoon_data.outcomes import Status
from racoon_data.testing.series_cases import CASES
from racoon_data.volumes import Volume


def _is(truth: Volume, path: Path) -> bool:
    array, geometry = read_nifti(path)
    is_there = array.shape == truth.array.shape and geometry.same_grid(truth.geometry, tol_mm=1e-3)
    return is_there and np.array_equal(array, truth.array)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_hard_case_comes_out_right(tmp_path: Path, case):
    """Every expected volume is there once, with its values and places, and nothing else is."""
    truth = case.make(tmp_path / "in")

    report = convert_folder(tmp_path / "in", tmp_path / "out", choices=Choices(is_time_joined=False))

    refused = {outcome.code for outcome in report.outcomes if outcome.status is Status.FAILED}
    assert refused == ({case.refusal} if case.refusal else set())
    written = [tmp_path / "out" / str(row["file"]) for row in report.volumes]
    assert len(written) == len(truth)
    assert [sum(_is(volume, path) for path in written) for volume in truth] == [1] * len(truth)


def test_names_of_cases_are_their_own():
    """No two cases share a name."""
    assert len({case.name for case in CASES}) == len(CASES)
