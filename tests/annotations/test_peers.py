"""Another tool draws the same structure set the same way."""

import subprocess

import numpy as np
import pytest
import SimpleITK

from racoon_data.annotations.rtstruct import RtstructReader
from racoon_data.policies import Nesting, ReadingPolicies
from racoon_data.testing.makers import Contour, a_series, an_rtstruct
from tests.annotations.helpers import masks_of, read_with


def circle(k, radius, squeeze=1.0):
    """A smooth closed contour around the middle of a slice, no centre on its path."""
    angles = np.linspace(0, 2 * np.pi, 73)[:-1]
    points = np.c_[19.37 + radius * np.cos(angles), 15.61 + squeeze * radius * np.sin(angles)]
    return Contour(k, tuple(map(tuple, points.tolist())))


@pytest.mark.peers("plastimatch")
@pytest.mark.parametrize("nesting", list(Nesting))
def test_plastimatch_draws_the_same_voxels(tmp_path, nesting):
    """Round, ring-shaped and off-plane contours on an axial CT equal plastimatch's masks voxel for voxel.

    Its ``--xor-contours`` is our default, its own default our union.
    """
    made = a_series(tmp_path / "ct", slices=12)
    rois = {
        "ball": [circle(k, 11 - abs(k - 5)) for k in range(2, 9)],
        "ring": [contour for k in (4, 5) for contour in (circle(k, 12.3, 0.8), circle(k, 5.2))],
        "off": [circle(k + 0.3, 8.1) for k in (6, 7)],
    }
    path, _ = an_rtstruct(tmp_path, made, rois)

    command = ["plastimatch", "convert", "--input", path, "--referenced-ct", made.paths[0].parent]
    command += ["--output-prefix", tmp_path / "masks", "--prefix-format", "nrrd"]
    command += ["--xor-contours"] if nesting is Nesting.XOR else []
    subprocess.run([str(part) for part in command], check=True, capture_output=True, timeout=120)

    ours = masks_of(read_with(RtstructReader(ReadingPolicies(nesting)), path, made))
    for name in rois:
        theirs = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(tmp_path / "masks" / f"{name}.nrrd")))
        np.testing.assert_array_equal(ours[name], theirs != 0, err_msg=name)
