"""Reorienting moves indices, never voxels."""

import nibabel
import numpy as np
import pytest

from racoon_data.errors import NoGeometryError, SettingsError
from racoon_data.geometry import Geometry, as_affine
from racoon_data.grid.reorient import orientation_of, reorient, reorient_array
from racoon_data.volumes import Volume
from tests.grid.makers import a_grid, positions, tilted

SHEAR = np.array([[1, 0, 0], [0, 1, 0.3], [0, 0, 0.954]])
CODES = ("RAS", "LPS", "LAS", "PIR", "SRA", "AIL")


def _a_volume(geometry: Geometry) -> Volume:
    values = np.arange(np.prod(geometry.array_shape), dtype=np.int16).reshape(geometry.array_shape)
    return Volume(values, geometry, "HU")


def _by_position(volume: Volume) -> dict[tuple[float, ...], int]:
    places = np.round(positions(volume.geometry).reshape(-1, 3), 5) + 0.0
    return dict(zip(map(tuple, places.tolist()), volume.array.ravel().tolist(), strict=True))


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("axes", [np.eye(3), tilted(), tilted(-40), SHEAR, -np.eye(3)[[2, 0, 1]]])
def test_every_value_stays_where_it_was_in_the_patient(code, axes):
    """Straight, oblique, sheared and left-handed grids keep each value at its patient position."""
    volume = _a_volume(a_grid((3, 4, 5), (0.7, 0.8, 3.0), axes=axes))

    turned = reorient(volume, code)

    assert _by_position(turned) == _by_position(volume)
    assert turned.array.dtype == np.int16
    assert turned.array.flags.c_contiguous
    assert turned.geometry.frame_of_reference == "1.2.3"
    assert turned.unit == "HU"


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("axes", [np.eye(3), tilted(), tilted(-40), SHEAR])
def test_codes_mean_what_nibabel_says(code, axes):
    """A reoriented affine, written as RAS, has the axis codes nibabel reads."""
    turned = reorient(_a_volume(a_grid((3, 4, 5), axes=axes)), code)

    in_ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ turned.geometry.matrix

    assert "".join(nibabel.aff2axcodes(in_ras)) == code
    assert orientation_of(turned.geometry) == code


def test_a_reorientation_can_be_undone():
    """Back to the first code gives the first array and grid again."""
    volume = _a_volume(a_grid((3, 4, 5), (0.7, 0.8, 3.0), axes=tilted()))

    array, geometry = reorient_array(*reorient_array(volume.array, volume.geometry, "SAR"), "LPS")

    assert np.array_equal(array, volume.array)
    assert geometry.same_grid(volume.geometry, tol_mm=1e-9)


@pytest.mark.parametrize("code", ["RAR", "ras", "RA", "RASL", "XYZ", ""])
def test_a_code_that_is_none_is_refused(code):
    """Every body axis must be named exactly once."""
    with pytest.raises(SettingsError):
        reorient(_a_volume(a_grid((2, 2, 2))), code)


def test_a_singular_affine_has_no_orientation():
    """Two axes in the same direction are no grid."""
    flat = as_affine(np.array([[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]))

    with pytest.raises(NoGeometryError):
        orientation_of(Geometry((2, 2, 2), flat))
