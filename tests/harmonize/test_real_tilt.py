"""A gantry-tilted scan, as a scanner wrote it, lands on a square grid at the right places."""

from pathlib import Path

import numpy as np
import pytest

from racoon_data.dicom.sorting import files_under, sort_files
from racoon_data.dicom.stacking import stack
from racoon_data.harmonize.harmonize import harmonize
from racoon_data.harmonize.recipe import recipe_from
from tests.harmonize.makers import a_case


@pytest.mark.real
def test_a_tilted_scan_keeps_its_values_at_their_positions(real_data: Path):
    """At 1 mm the sheared stack is square, and values at the same patient position agree closely."""
    folder = real_data / "tilt"
    (series,) = sort_files(files_under(folder), root=folder).series
    source = stack(series)

    done = harmonize(a_case(source), recipe_from({"spacing_mm": [1, 1, 1]})).channels[0].volume

    axes = done.geometry.matrix[:3, :3]
    assert not np.allclose(source.geometry.matrix[:3, 1] @ source.geometry.matrix[:3, 2], 0, atol=0.1)
    assert np.allclose(axes.T @ axes, np.eye(3), atol=1e-6)
    index = np.random.default_rng(0).integers(5, np.array(source.geometry.shape) - 5, size=(2000, 3))
    places = index @ source.geometry.matrix[:3, :3].T + source.geometry.matrix[:3, 3]
    near = np.rint((places - done.geometry.matrix[:3, 3]) @ np.linalg.inv(axes).T).astype(int)
    before, after = (array[tuple(at[:, ::-1].T)] for array, at in ((source.array, index), (done.array, near)))
    assert np.median(np.abs(before - after)) < 3
    assert np.corrcoef(before, after)[0, 1] > 0.98
