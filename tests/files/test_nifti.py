"""NIfTI in and out: places and values survive, damaged files are refused."""

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from racoon_data.errors import DamagedDatasetError, DatasetError
from racoon_data.files.nifti import is_sheared, read_nifti, write_mask, write_nifti
from racoon_data.geometry import Geometry, as_affine
from racoon_data.labels import BoxedMask

PLAIN = Geometry((4, 3, 2), as_affine(np.diag([0.5, 0.75, 2.0, 1.0])))


def _turned(angles: tuple[float, float, float]) -> np.ndarray:
    a, b, c = np.radians(angles)
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return about_x @ about_y @ about_z


_ANGLE = st.floats(-180, 180)
_SIZES = st.tuples(*(st.floats(0.25, 8),) * 3)
_CORNER = st.tuples(*(st.floats(-500, 500),) * 3)
_SHAPE = st.tuples(*(st.integers(1, 5),) * 3)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(angles=st.tuples(_ANGLE, _ANGLE, _ANGLE), sizes=_SIZES, corner=_CORNER, shape=_SHAPE, is_flipped=st.booleans())
@example(angles=(0, 0, 0.0625), sizes=(1, 2, 0.25), corner=(0, 0, 0), shape=(1, 3, 1), is_flipped=False)
def test_every_voxel_keeps_its_patient_position(tmp_path: Path, angles, sizes, corner, shape, is_flipped):
    """Voxel to patient position to NIfTI RAS and back is the same place, on any grid, by another reader too."""
    matrix = np.eye(4)
    matrix[:3, :3] = _turned(angles) * np.array(sizes) * (1, 1, -1 if is_flipped else 1)
    matrix[:3, 3] = corner
    geometry = Geometry(shape, as_affine(matrix))
    array = np.arange(np.prod(shape), dtype=np.int32).reshape(geometry.array_shape)
    write_nifti(tmp_path / "a.nii.gz", array, geometry)

    back, seen = read_nifti(tmp_path / "a.nii.gz")
    other = nib.load(tmp_path / "a.nii.gz")

    assert np.array_equal(back, array)
    assert seen.same_grid(geometry, tol_mm=1e-3)
    last = tuple(size - 1 for size in shape)
    x, y, z = geometry.position_lps(last)
    for affine in (other.affine, other.get_qform() if other.header["qform_code"] else other.affine):
        assert np.allclose((affine @ [*last, 1])[:3], (-x, -y, z), atol=0.011 * min(sizes))
    assert other.dataobj[last] == array[last[::-1]]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    array=st.sampled_from(["uint8", "int16", "uint16", "int32", "float32"]).flatmap(
        lambda name: hnp.arrays(name, (2, 3, 4), elements={"allow_nan": False} if name == "float32" else None)
    )
)
def test_values_and_type_are_kept(tmp_path: Path, array: np.ndarray):
    """Each type that NIfTI can hold comes back bit for bit."""
    write_nifti(tmp_path / "a.nii.gz", array, PLAIN)

    back, _ = read_nifti(tmp_path / "a.nii.gz")

    assert back.dtype == array.dtype
    assert np.array_equal(back, array)


def test_the_header_says_what_it_means(tmp_path: Path):
    """Codes, units, scaling and the meaning of a value are explicit."""
    write_nifti(tmp_path / "a.nii.gz", np.zeros((2, 3, 4), np.int16), PLAIN, unit="HU")

    header = nib.Nifti1Header(gzip.decompress((tmp_path / "a.nii.gz").read_bytes())[:348])

    assert (int(header["qform_code"]), int(header["sform_code"])) == (1, 1)
    assert header.get_xyzt_units() == ("mm", "unknown")
    assert (float(header["scl_slope"]), float(header["scl_inter"])) == (1.0, 0.0)
    assert header["intent_name"].item() == b"HU"
    assert np.allclose(header.get_zooms(), (0.5, 0.75, 2.0))


def test_a_sheared_grid_has_no_qform(tmp_path: Path):
    """A qform cannot hold shear, so it is switched off and the sform is exact."""
    matrix = np.diag([0.5, 0.75, 2.0, 1.0])
    matrix[1, 2] = 0.8
    geometry = Geometry((4, 3, 2), as_affine(matrix))
    write_nifti(tmp_path / "a.nii.gz", np.zeros((2, 3, 4), np.int16), geometry)

    image = nib.load(tmp_path / "a.nii.gz")

    assert is_sheared(geometry)
    assert not is_sheared(PLAIN)
    assert (int(image.header["qform_code"]), int(image.header["sform_code"])) == (0, 1)
    assert read_nifti(tmp_path / "a.nii.gz")[1].same_grid(geometry, tol_mm=1e-5)


def test_the_same_volume_gives_the_same_bytes(tmp_path: Path):
    """Neither the clock nor the name of the file is written into it."""
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    write_nifti(tmp_path / "a.nii.gz", array, PLAIN)
    write_nifti(tmp_path / "another-name.nii.gz", np.asfortranarray(array), PLAIN)

    raw = (tmp_path / "a.nii.gz").read_bytes()

    assert raw == (tmp_path / "another-name.nii.gz").read_bytes()
    assert raw[4:8] == b"\0\0\0\0"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.nii.gz", "another-name.nii.gz"]


@pytest.mark.parametrize(
    ("given_type", "stored"), [("bool", "uint8"), ("float64", "float32"), ("int64", "int32"), ("int8", "int32")]
)
def test_other_types_are_stored_in_one_that_keeps_them(tmp_path: Path, given_type: str, stored: str):
    """Masks, doubles and long integers find a NIfTI type that holds their values."""
    array = (np.arange(24).reshape(2, 3, 4) % 2).astype(given_type)
    write_nifti(tmp_path / "a.nii", array, PLAIN)

    back, _ = read_nifti(tmp_path / "a.nii")

    assert back.dtype == np.dtype(stored)
    assert np.array_equal(back, array)


@pytest.mark.parametrize("array", [np.zeros((2, 3, 4), complex), np.full((2, 3, 4), 2**40), np.zeros((4, 3, 2))])
def test_what_cannot_be_kept_is_refused(tmp_path: Path, array: np.ndarray):
    """Complex and huge values and arrays off their grid are errors, and no file appears."""
    with pytest.raises(DatasetError):
        write_nifti(tmp_path / "a.nii.gz", array, PLAIN)

    assert list(tmp_path.iterdir()) == []


def _cut(raw: bytes) -> bytes:
    return raw[: len(raw) // 2]


def _flipped(raw: bytes) -> bytes:
    return raw[:40] + bytes([raw[40] ^ 0xFF]) + raw[41:]


def _sum_changed(raw: bytes) -> bytes:
    return raw[:-8] + bytes([raw[-8] ^ 1]) + raw[-7:]


@pytest.mark.parametrize(
    "damage", [_cut, _sum_changed, _flipped, lambda raw: b"", lambda raw: b"not an image", lambda raw: raw[:5]]
)
def test_damaged_files_are_refused(tmp_path: Path, damage):
    """Cut, changed, empty and foreign files are named as damaged."""
    path = tmp_path / "a.nii.gz"
    values = np.random.default_rng(0).integers(-1000, 1000, (20, 30, 40)).astype(np.int16)
    write_nifti(path, values, Geometry((40, 30, 20), PLAIN.affine_lps))
    path.write_bytes(damage(path.read_bytes()))

    with pytest.raises(DamagedDatasetError):
        read_nifti(path)


def test_a_missing_file_is_damage(tmp_path: Path):
    """A file that is not there is refused in the same way."""
    with pytest.raises(DamagedDatasetError):
        read_nifti(tmp_path / "nothing.nii.gz")


def test_a_gzip_bomb_is_not_unpacked(tmp_path: Path):
    """Inflation stops where the header says the voxels end, and what goes on is refused."""
    write_nifti(tmp_path / "a.nii", np.zeros((2, 3, 4), np.int16), PLAIN)
    raw = (tmp_path / "a.nii").read_bytes()
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(raw + bytes(50_000_000), 1))

    with pytest.raises(DamagedDatasetError, match="more than its voxels"):
        read_nifti(tmp_path / "b.nii.gz")


def test_several_gzip_members_are_one_file(tmp_path: Path):
    """Parallel packers write members one after the other."""
    write_nifti(tmp_path / "a.nii", np.arange(24, dtype=np.int16).reshape(2, 3, 4), PLAIN)
    raw = (tmp_path / "a.nii").read_bytes()
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(raw[:100]) + gzip.compress(raw[100:]))

    array, _ = read_nifti(tmp_path / "b.nii.gz")

    assert array[1, 2, 3] == 23


def test_files_of_other_writers_are_read(tmp_path: Path):
    """Scaling, big endian and a qform alone are understood."""
    image = nib.Nifti1Image(np.arange(24, dtype=">i2").reshape(4, 3, 2), None, nib.Nifti1Header(endianness=">"))
    image.header.set_qform(np.diag([-0.5, -0.75, 2, 1]), code=1)
    image.header.set_slope_inter(0.5, 10)
    (tmp_path / "b.nii").write_bytes(image.to_bytes())

    array, geometry = read_nifti(tmp_path / "b.nii")

    assert array.dtype == np.float32
    assert array[1, 2, 3] == nib.load(tmp_path / "b.nii").get_fdata()[3, 2, 1]
    assert geometry.same_grid(PLAIN, tol_mm=1e-5)


def test_a_volume_without_a_place_is_refused(tmp_path: Path):
    """Neither sform nor qform: racoon does not guess."""
    nib.save(nib.Nifti1Image(np.zeros((4, 3, 2), np.int16), None), tmp_path / "a.nii")

    with pytest.raises(DatasetError, match="where it lies"):
        read_nifti(tmp_path / "a.nii")


def test_four_dimensions_are_refused(tmp_path: Path):
    """A series of volumes is not one volume."""
    nib.save(nib.Nifti1Image(np.zeros((4, 3, 2, 2), np.int16), np.eye(4)), tmp_path / "a.nii")

    with pytest.raises(DatasetError, match="three dimensions"):
        read_nifti(tmp_path / "a.nii")


def test_a_boxed_mask_is_written_as_if_it_were_whole(tmp_path):
    """Slice by slice, a mask kept around its voxels gives the values and the grid of the whole one."""
    geometry = Geometry((5, 4, 6), as_affine(np.diag([0.7, 0.8, 2.5, 1.0])))
    mask = BoxedMask(geometry.array_shape, (2, 1, 3), np.ones((2, 2, 1), dtype=bool))

    write_mask(tmp_path / "boxed.nii.gz", mask, geometry)
    write_mask(tmp_path / "whole.nii.gz", mask.whole(), geometry)

    boxed, grid = read_nifti(tmp_path / "boxed.nii.gz")
    np.testing.assert_array_equal(boxed, read_nifti(tmp_path / "whole.nii.gz")[0])
    assert boxed.sum() == 4
    assert grid.same_grid(geometry, tol_mm=1e-5)
