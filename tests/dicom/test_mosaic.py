"""Siemens mosaics: cut into slices that lie where dcm2niix puts them too."""

from pathlib import Path

import pytest

from racoon_data.dicom.mosaic import csa_values
from racoon_data.testing.mosaic_cases import CASES, _csa
from tests.conformance.judge import RIGHT, verdict
from tests.conformance.seen import by_dcm2niix
from tests.conformance.write import is_as_expected, judged


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_mosaic_is_a_volume(case, tmp_path: Path):
    """Slices come out at their places, time points apart, and without the private header none does."""
    assert is_as_expected(case, judged(case, "racoon", tmp_path))


@pytest.mark.parametrize("case", CASES[:2], ids=lambda case: case.name)
def test_dcm2niix_agrees(case, tmp_path: Path):
    """The judge of mosaics finds the same voxels at the same places."""
    (tmp_path / "out").mkdir()
    truths = case.make(tmp_path / "in")

    assert verdict(truths, by_dcm2niix(tmp_path / "in", tmp_path / "out")) == RIGHT


def test_a_broken_private_header_is_nothing():
    """Lengths that lie and foreign bytes give no values, and no crash."""
    good = _csa({"NumberOfImagesInMosaic": ["7"], "SliceNormalVector": ["0", "0", "1"]})

    assert csa_values(good)["SliceNormalVector"] == ("0", "0", "1")
    assert csa_values(good[:130]) == {}
    assert csa_values(b"foreign") == {}
    assert csa_values(good[:104] + b"\xff" * 40) == {}
