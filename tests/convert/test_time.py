"""Volumes in time and diffusion weightings: one 4D file, with values, times and gradients in their places."""

import json
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest

from racoon_data.convert.choices import Choices
from racoon_data.convert.folder import convert_folder
from racoon_data.dicom.diffusion import VENDORS
from racoon_data.testing.makers import a_series, made_uid

DIRECTIONS = [(0.0, 0.0, 0.0), (0.6, 0.8, 0.0), (0.0, -0.6, 0.8), (-0.8, 0.0, 0.6)]


def _in_time(folder: Path, volumes: int, change, **options) -> np.ndarray:
    """Write volumes of one series and give their truth ``[t, k, j, i]``."""
    truth = []
    for t in range(volumes):
        values = np.random.default_rng(t).integers(0, 4000, (5, 32, 40))
        made = a_series(folder / str(t), slices=5, modality="MR", series_uid="1.2.3.4", value_of=values, **options)
        for k, path in enumerate(made.paths):
            one = pydicom.dcmread(path)
            one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = made_uid("time", t, k)
            one.InstanceNumber = 5 * t + k + 1
            change(one, t)
            one.save_as(path)
        truth.append(made.truth.array)
    return np.stack(truth)


def _written(folder: Path) -> tuple[nib.Nifti1Image, dict]:
    (path,) = folder.glob("*.nii.gz")
    return nib.load(path), json.loads(path.with_suffix("").with_suffix(".json").read_text())


def test_time_points_are_one_file(tmp_path: Path):
    """A dynamic series gives one 4D file in order of time, with its time step, and every instance is named."""

    def change(one: pydicom.Dataset, t: int) -> None:
        one.TemporalPositionIdentifier, one.AcquisitionTime = t + 1, f"1015{10 + 7 * t:02d}"

    truth = _in_time(tmp_path / "in", 4, change)

    report = convert_folder(tmp_path / "in", tmp_path / "out")

    image, sidecar = _written(tmp_path / "out")
    assert np.array_equal(np.asarray(image.dataobj).T, truth)
    assert image.header.get_zooms()[3] == 7.0
    assert image.header.get_xyzt_units() == ("mm", "sec")
    assert sidecar["VolumesDifferIn"] == ["TemporalPositionIdentifier"]
    assert sidecar["certificate"]["slices"] == len(sidecar["SOPInstanceUIDs"]) == 20
    assert report.counts["converted"] == report.files_in == 20


def test_time_points_may_stay_apart(tmp_path: Path):
    """The named option writes one 3D file for each time point."""
    _in_time(tmp_path / "in", 3, lambda one, t: setattr(one, "TemporalPositionIdentifier", t + 1))

    report = convert_folder(tmp_path / "in", tmp_path / "out", choices=Choices(is_time_joined=False))

    assert [row["part"] for row in report.volumes] == [f"TemporalPositionIdentifier={t}" for t in (1, 2, 3)]


def test_a_time_point_with_a_gap_is_refused_alone(tmp_path: Path):
    """The others are joined, and the refused one is named with its slices."""
    _in_time(tmp_path / "in", 3, lambda one, t: setattr(one, "TemporalPositionIdentifier", t + 1))
    (tmp_path / "in" / "1" / "IM0003.dcm").unlink()

    report = convert_folder(tmp_path / "in", tmp_path / "out")

    assert [row["volumes"] for row in report.volumes] == [2]
    assert {outcome.code for outcome in report.outcomes} == {"dicom.missing_slices"}
    assert report.counts["failed"] == 4


def test_volumes_without_a_time_are_ordered_by_instance(tmp_path: Path):
    """Where every place repeats equally often and nothing says why, the instance numbers give the order."""
    truth = _in_time(tmp_path / "in", 3, lambda one, t: None)

    convert_folder(tmp_path / "in", tmp_path / "out")

    image, sidecar = _written(tmp_path / "out")
    assert np.array_equal(np.asarray(image.dataobj).T, truth)
    assert sidecar["VolumesDifferIn"] == ["InstanceNumber Order"]


def test_slice_timing_is_in_seconds(tmp_path: Path):
    """Acquisition times of slices within the repetition time become BIDS SliceTiming; echo times are in seconds."""

    def change(one: pydicom.Dataset, t: int) -> None:
        k = (int(one.InstanceNumber) - 1) % 5
        one.TemporalPositionIdentifier, one.RepetitionTime, one.EchoTime = t + 1, 2000, 30
        one.AcquisitionTime = f"1015{2 * t:02d}.{(k * 2 % 5) * 4:02d}0000"

    _in_time(tmp_path / "in", 3, change)

    convert_folder(tmp_path / "in", tmp_path / "out")

    _, sidecar = _written(tmp_path / "out")
    assert sidecar["SliceTiming"] == [0.0, 0.08, 0.16, 0.04, 0.12]
    assert (sidecar["EchoTime"], sidecar["RepetitionTime"]) == (0.03, 2.0)


def _standard(one: pydicom.Dataset, b_value: int, direction: tuple[float, ...]) -> None:
    one.DiffusionBValue = float(b_value)
    if b_value:
        one.DiffusionGradientOrientation = list(direction)


def _siemens(one: pydicom.Dataset, b_value: int, direction: tuple[float, ...]) -> None:
    one.Manufacturer = "SIEMENS"
    block = one.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    block.add_new(0x0C, "IS", b_value)
    if b_value:
        block.add_new(0x0E, "FD", list(direction))


def _philips(one: pydicom.Dataset, b_value: int, direction: tuple[float, ...]) -> None:
    one.Manufacturer = "Philips Medical Systems"
    one.private_block(0x2001, "Philips Imaging DD 001", create=True).add_new(0x03, "FL", float(b_value))
    block = one.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
    for element, part in zip((0xB0, 0xB1, 0xB2), direction, strict=True):
        block.add_new(element, "FL", float(part))


def _ge(one: pydicom.Dataset, b_value: int, direction: tuple[float, ...]) -> None:
    one.Manufacturer, one.InPlanePhaseEncodingDirection = "GE MEDICAL SYSTEMS", "COL"
    one.private_block(0x0043, "GEMS_PARM_01", create=True).add_new(0x39, "IS", [1_000_000_000 + b_value, 8, 0, 0])
    block = one.private_block(0x0019, "GEMS_ACQU_01", create=True)
    for element, part in zip((0xBB, 0xBC, 0xBD), direction, strict=True):
        block.add_new(element, "DS", str(part))


def _ge_rows(one: pydicom.Dataset, b_value: int, direction: tuple[float, ...]) -> None:
    _ge(one, b_value, direction)
    one.InPlanePhaseEncodingDirection = "ROW"


def _uih(one: pydicom.Dataset, b_value: int, direction: tuple[float, ...]) -> None:
    one.Manufacturer = "UIH"
    block = one.private_block(0x0065, "Image Private Header", create=True)
    block.add_new(0x09, "FD", float(b_value))
    if b_value:
        block.add_new(0x37, "FD", list(direction))


WRITERS = {
    "standard": _standard,
    "Siemens": _siemens,
    "Philips": _philips,
    "GE": _ge,
    "GE along rows": _ge_rows,
    "UIH": _uih,
}


def _diffusion(folder: Path, name: str, orientation: str) -> None:
    def change(one: pydicom.Dataset, t: int) -> None:
        one.AcquisitionTime, one.SequenceName = f"1015{t:02d}", "ep_b"
        WRITERS[name](one, 0 if t == 0 else 1000, DIRECTIONS[t])

    _in_time(folder, 4, change, orientation=orientation)


def _world(folder: Path, stem: str) -> tuple[list[float], np.ndarray]:
    """b-values and directions in patient axes (RAS), from FSL files and the affine of their image."""
    (path,) = folder.glob(f"{stem}*.bvec")
    affine = nib.load(path.with_suffix(".nii.gz")).affine[:3, :3]
    axes = affine / np.linalg.norm(affine, axis=0)
    vectors = np.loadtxt(path)
    if np.linalg.det(axes) > 0:
        vectors[0] *= -1
    return np.loadtxt(path.with_suffix(".bval")).tolist(), (axes @ vectors).T


@pytest.mark.parametrize("orientation", ["axial", "oblique", "coronal"])
@pytest.mark.parametrize("name", ["standard", "Siemens", "Philips"])
def test_gradients_are_where_they_were_applied(tmp_path: Path, name: str, orientation: str):
    """b-values and vectors of the standard and of vendors stand beside the image in FSL's convention."""
    _diffusion(tmp_path / "in", name, orientation)

    convert_folder(tmp_path / "in", tmp_path / "out")

    b_values, directions = _world(tmp_path / "out", "MR")
    assert b_values == [0, 1000, 1000, 1000]
    assert np.allclose(directions, np.array(DIRECTIONS) * (-1, -1, 1), atol=1e-5)


@pytest.mark.parametrize("orientation", ["axial", "oblique"])
@pytest.mark.parametrize("name", ["Siemens", "Philips", "GE", "GE along rows", "UIH"])
def test_dcm2niix_gives_the_same_gradients(tmp_path: Path, name: str, orientation: str):
    """The reference converter agrees on b-values and on directions in the patient."""
    program = Path(sys.executable).with_name("dcm2niix")
    if not program.exists():
        pytest.skip("dcm2niix is not installed")
    _diffusion(tmp_path / "in", name, orientation)
    (tmp_path / "theirs").mkdir()
    command = [str(program), "-z", "y", "-f", "x", "-o", str(tmp_path / "theirs"), str(tmp_path / "in")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if not list((tmp_path / "theirs").glob("*.bvec")):
        pytest.skip(f"dcm2niix wrote no gradients: {ended.stdout[-300:]}")

    convert_folder(tmp_path / "in", tmp_path / "ours")

    (b_values, directions), (others, theirs) = _world(tmp_path / "ours", "MR"), _world(tmp_path / "theirs", "x")
    assert b_values == others
    assert np.allclose(directions, theirs, atol=1e-3)


def test_every_vendor_has_a_source():
    """A private place of gradients names where it is described, and is tested above."""
    assert all(vendor.source for vendor in VENDORS)
    assert {vendor.vendor for vendor in VENDORS} < set(WRITERS)
