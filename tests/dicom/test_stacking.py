"""Stacking: true positions, exact values, and refusals that name the slices."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian, generate_uid

from racoon_data.dicom.stacking import geometry_of, stack
from racoon_data.errors import InconsistentSeriesError, MissingSlicesError, NoGeometryError, UnsupportedPixelsError
from racoon_data.files.nifti import is_sheared, read_nifti
from racoon_data.testing.makers import a_series
from tests.dicom.edits import edit, one_series


@pytest.mark.parametrize("orientation", ["axial", "coronal", "sagittal", "oblique"])
@pytest.mark.parametrize("modality", ["CT", "MR", "PT"])
def test_a_stack_is_the_truth(tmp_path: Path, orientation: str, modality: str):
    """Every voxel has its value and its place, in any orientation."""
    made = a_series(tmp_path, slices=7, orientation=orientation, modality=modality, is_numbered_backwards=True)

    volume = stack(one_series(tmp_path))

    assert np.array_equal(volume.array, made.truth.array)
    assert volume.geometry.same_grid(made.geometry, tol_mm=1e-4)
    assert volume.unit == made.truth.unit


def test_whole_numbers_stay_whole(tmp_path: Path):
    """CT in HU is int16, or int32 where the values need it."""
    a_series(tmp_path / "plain", slices=3)
    a_series(tmp_path / "large", slices=3, slope=4, intercept=30000, value_of=np.full((3, 32, 40), 40000))

    assert stack(one_series(tmp_path / "plain")).array.dtype == np.int16
    assert stack(one_series(tmp_path / "large")).array.dtype == np.int32


def test_each_slice_keeps_its_own_slope(tmp_path: Path):
    """PET rescales every slice by another factor."""
    made = a_series(tmp_path, slices=4, modality="PT", slope=0.5)
    stored = made.truth.array / 0.5
    slopes = [0.5, 0.123456, 2.0, 1.25]
    for path, slope in zip(made.paths, slopes, strict=True):
        edit([path], lambda one, s=slope: setattr(one, "RescaleSlope", s))

    volume = stack(one_series(tmp_path))

    assert volume.array.dtype == np.float32
    assert np.allclose(volume.array, stored * np.array(slopes)[:, None, None], rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "unit"),
    [({"Units": "GML"}, "SUVbw"), ({"Units": "GML", "SUVType": "LBM"}, "1"), ({"Units": "CNTS"}, "1"), ({}, "Bq/ml")],
)
def test_pet_says_its_unit(tmp_path: Path, change: dict[str, str], unit: str):
    """Units are taken from the header, never assumed."""
    edit(a_series(tmp_path, slices=2, modality="PT").paths, lambda one: one.update(change))

    assert stack(one_series(tmp_path)).unit == unit


def test_slices_of_two_units_are_refused(tmp_path: Path):
    """A volume has one unit."""
    made = a_series(tmp_path, slices=2, modality="PT")
    edit(made.paths[:1], lambda one: setattr(one, "Units", "CNTS"))

    with pytest.raises(InconsistentSeriesError, match="unit"):
        stack(one_series(tmp_path))


@pytest.mark.parametrize(("orientation", "missing"), [("axial", (3,)), ("oblique", (2, 3, 6)), ("coronal", (1,))])
def test_missing_slices_are_named(tmp_path: Path, orientation: str, missing: tuple[int, ...]):
    """A gap is an error that says which slices, and nothing is interpolated."""
    made = a_series(tmp_path, slices=9, missing=missing, orientation=orientation)

    with pytest.raises(MissingSlicesError) as caught:
        geometry_of(one_series(tmp_path))

    assert caught.value.missing == missing
    assert caught.value.ref == made.ref
    assert caught.value.hint


def _move(path: Path, by_mm: float) -> None:
    edit([path], lambda one: one.ImagePositionPatient.__setitem__(2, float(one.ImagePositionPatient[2]) + by_mm))


def test_uneven_spacing_is_refused(tmp_path: Path):
    """One slice off its place is named and not averaged away."""
    made = a_series(tmp_path, slices=6)
    _move(made.paths[5], 0.8)

    with pytest.raises(InconsistentSeriesError, match=r"unevenly spaced.*between slices 4 and 5"):
        geometry_of(one_series(tmp_path))


def test_rounded_positions_are_accepted(tmp_path: Path):
    """Positions written with two decimals lie on a regular grid."""
    made = a_series(tmp_path, slices=40, spacing_mm=(0.8, 0.7, 0.625))
    edit(made.paths, lambda one: setattr(one, "ImagePositionPatient", [round(v, 2) for v in one.ImagePositionPatient]))

    geometry = geometry_of(one_series(tmp_path))

    assert geometry.spacing_mm == pytest.approx((0.7, 0.8, 0.625), abs=2e-4)


def test_a_repeated_position_is_refused(tmp_path: Path):
    """Two slices in one place that differ are no volume; both are named."""
    made = a_series(tmp_path, slices=5)
    shutil.copy(made.paths[2], tmp_path / "again.dcm")
    edit([tmp_path / "again.dcm"], lambda one: one.update({"SOPInstanceUID": generate_uid(), "RescaleIntercept": 5}))

    with pytest.raises(InconsistentSeriesError, match=r"same place.*2 and 3"):
        geometry_of(one_series(tmp_path))


def test_slices_of_two_sizes_are_refused(tmp_path: Path):
    """Series values built by hand are checked too."""
    a_series(tmp_path, slices=3)
    series = one_series(tmp_path)
    slices = (replace(series.slices[0], rows=5), *series.slices[1:])

    with pytest.raises(InconsistentSeriesError, match="size"):
        geometry_of(replace(series, slices=slices))


def test_a_tilted_gantry_gives_a_sheared_grid(tmp_path: Path):
    """Slices shifted against each other keep their true places."""
    made = a_series(tmp_path, slices=6)
    for k, path in enumerate(made.paths):
        edit([path], lambda one, y=-15 + 0.9 * k: one.ImagePositionPatient.__setitem__(1, y))

    volume = stack(one_series(tmp_path))

    assert is_sheared(volume.geometry)
    assert volume.geometry.position_lps((0, 0, 4)) == pytest.approx((-20, -15 + 3.6, 110))
    assert np.array_equal(volume.array, made.truth.array)


@pytest.mark.parametrize(("keyword", "thickness"), [("SliceThickness", 4.0), ("SpacingBetweenSlices", 3.0)])
def test_a_single_slice_has_a_thickness(tmp_path: Path, keyword: str, thickness: float):
    """One slice gets a whole affine from what the header says."""
    made = a_series(tmp_path, slices=1, orientation="coronal")
    edit(made.paths, lambda one: one.update({"SliceThickness": None, keyword: thickness}))

    geometry = geometry_of(one_series(tmp_path))

    assert geometry.spacing_mm == pytest.approx((0.7, 0.8, thickness))
    assert abs(np.linalg.det(geometry.matrix)) == pytest.approx(0.56 * thickness)


def test_a_single_slice_of_unknown_thickness_is_refused(tmp_path: Path):
    """A thickness is not invented."""
    edit(a_series(tmp_path, slices=1).paths, lambda one: one.__delattr__("SliceThickness"))

    with pytest.raises(NoGeometryError, match="thickness"):
        geometry_of(one_series(tmp_path))


def test_no_slices_are_no_volume(tmp_path: Path):
    """An empty series is refused."""
    a_series(tmp_path, slices=1)

    with pytest.raises(NoGeometryError):
        geometry_of(replace(one_series(tmp_path), slices=()))


def test_low_padding_is_kept(tmp_path: Path):
    """Padding below the image, as CT scanners write outside the circle, stays recognisable."""
    made = a_series(tmp_path, slices=2)

    def pad(one):
        pixels = one.pixel_array.copy()
        pixels[:3] = -2000
        one.add_new("PixelPaddingValue", "SS", -2000)
        one.PixelData = pixels.tobytes()

    edit(made.paths, pad)

    assert (stack(one_series(tmp_path)).array[:, :3] == -3024).all()


def test_padding_above_the_image_is_lowered(tmp_path: Path):
    """Unsigned pixels hold -2000 as 63536; it must not become the brightest value."""
    made = a_series(tmp_path, slices=2)

    def pad(one):
        pixels = (one.pixel_array.astype(np.int32) + 100).astype(np.uint16)
        pixels[:3] = 63536
        one.PixelRepresentation = 0
        one.add_new("PixelPaddingValue", "US", 63536)
        one.PixelData = pixels.tobytes()

    edit(made.paths, pad)

    array = stack(one_series(tmp_path)).array
    image = made.truth.array[:, 3:] + 100
    assert np.array_equal(array[:, 3:], image)
    assert (array[:, :3] == image.min()).all()
    assert array.dtype == np.int16


def test_unsigned_pixels_above_int16_are_right(tmp_path: Path):
    """Stored values above 32767 do not turn negative."""
    made = a_series(tmp_path, slices=2, modality="MR")
    edit(made.paths, lambda one: setattr(one, "PixelData", np.full((32, 40), 50000, np.uint16).tobytes()))

    array = stack(one_series(tmp_path)).array

    assert (array.min(), array.max()) == (50000, 50000)


def test_compressed_pixels_are_decoded(tmp_path: Path):
    """RLE needs no further package and gives the same values."""
    made = a_series(tmp_path, slices=3)
    edit(made.paths, lambda one: one.compress("1.2.840.10008.1.2.5", generate_instance_uid=False))

    assert np.array_equal(stack(one_series(tmp_path)).array, made.truth.array)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_other_encodings_give_the_same_values(tmp_path: Path, syntax: str):
    """Implicit, big endian and deflated files hold the same volume."""
    made = a_series(tmp_path, slices=3)

    for path in made.paths:
        one = pydicom.dcmread(path)
        if syntax == ExplicitVRBigEndian:
            one.PixelData = one.pixel_array.astype(">i2").tobytes()
        one.file_meta.TransferSyntaxUID = syntax
        pydicom.dcmwrite(path, one, enforce_file_format=True)

    assert np.array_equal(stack(one_series(tmp_path)).array, made.truth.array)


def test_what_cannot_be_decoded_names_a_package(tmp_path: Path):
    """Broken JPEG 2000 is refused, and the hint says what may help."""
    made = a_series(tmp_path, slices=2)

    def break_it(one):
        one.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.90"
        one.PixelData = encapsulate([b"\xff\x4f\xff\x51" + bytes(58) + b"\xff\xd9"])
        one["PixelData"].VR = "OB"
        one["PixelData"].is_undefined_length = True

    edit(made.paths, break_it)

    with pytest.raises(UnsupportedPixelsError) as caught:
        stack(one_series(tmp_path))

    assert "pylibjpeg-openjpeg" in caught.value.hint
    assert caught.value.ref == made.ref


def test_colour_is_refused(tmp_path: Path):
    """Three samples a pixel are no grey values."""
    made = a_series(tmp_path, slices=2)
    edit(made.paths, lambda one: one.update({"SamplesPerPixel": 3, "PixelData": bytes(32 * 40 * 6)}))

    with pytest.raises(UnsupportedPixelsError, match="colour"):
        stack(one_series(tmp_path))


CASES = [f"STS_{number}/{kind}" for number in ("008", "025", "042") for kind in ("CT", "PET", "MR_T1")]


@pytest.mark.real
@pytest.mark.parametrize("case", CASES)
def test_public_patients_match_their_references(real_data: Path, case: str):
    """CT, PET and MR of three patients equal the published NIfTI images within float32 rounding."""
    patient, kind = case.split("/")
    folder = real_data / "sts" / patient
    volume = stack(one_series(folder / "dicom" / kind / "image"))

    reference, grid = read_nifti(folder / "nifti" / f"{kind}_image.nii.gz")

    assert volume.geometry.same_grid(grid, tol_mm=1e-4)
    assert np.allclose(volume.array, reference, rtol=2e-7, atol=0)


@pytest.mark.real
def test_a_real_tilted_series_keeps_its_places(real_data: Path):
    """A head CT of 18.5 degrees tilt: the exact affine puts every slice where its header says."""
    series = one_series(real_data / "tilt" / "philips_tilt")

    geometry = geometry_of(series)

    assert is_sheared(geometry)
    for k, header in enumerate(series.slices):
        assert geometry.position_lps((0, 0, k)) == pytest.approx(header.position_lps, abs=0.02)
    shear = geometry.matrix[:3, 2] / np.linalg.norm(geometry.matrix[:3, 2])
    normal = np.cross(series.slices[0].row_direction, series.slices[0].column_direction)
    assert np.degrees(np.arccos(shear @ normal)) == pytest.approx(18.5, abs=0.5)
