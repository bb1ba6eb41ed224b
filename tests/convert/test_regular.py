"""Regular copies: tilted, uneven and gapped stacks resampled from their true positions, and only when asked."""

import json
from pathlib import Path

import numpy as np
import pytest

from racoon_data.convert.choices import Choices
from racoon_data.convert.folder import convert_folder
from racoon_data.convert.promises import Terms
from racoon_data.convert.resampled import certify_resampled
from racoon_data.errors import UncertifiedError
from racoon_data.files.nifti import read_nifti, write_nifti
from racoon_data.testing.makers import a_series
from tests.dicom.edits import edit, one_series

REGULAR = Choices(is_regular=True)


def _height(positions: np.ndarray) -> np.ndarray:
    return 2 * positions[..., 0] + 3 * positions[..., 1] + 4 * positions[..., 2]


def _placed(folder: Path, places: list[tuple[float, float]]) -> None:
    """Write slices at (y, z) whose values are a linear function of the patient position."""
    made = a_series(folder, slices=len(places), spacing_mm=(0.8, 0.7, 2.5), intercept=-1024)
    for path, (y, z) in zip(made.paths, places, strict=True):

        def place(one, y=y, z=z):
            one.ImagePositionPatient = [-20, y, z]
            j, i = np.mgrid[:32, :40]
            values = 2 * (-20 + 0.7 * i) + 3 * (y + 0.8 * j) + 4 * z
            one.PixelData = np.rint(10 * values + 1024).astype("<i2").tobytes()

        edit([path], place)


def _differences(path: Path) -> np.ndarray:
    """Written values against the linear function, where a slice was."""
    array, geometry = read_nifti(path)
    k, j, i = np.indices(array.shape)
    positions = np.stack([i, j, k, np.ones_like(i)], axis=-1) @ geometry.matrix.T
    wanted = 10 * _height(positions)
    return np.where(array == array.min(), 0, np.abs(array - wanted))


@pytest.mark.parametrize("shift", [0.9, -0.9])
def test_a_tilted_stack_has_an_exact_file_and_a_copy(tmp_path: Path, shift: float):
    """Both signs of the tilt: the sheared file is exact, the copy right-angled, and both are certified."""
    _placed(tmp_path / "in", [(-15 + shift * k, 100 + 2.5 * k) for k in range(6)])

    report = convert_folder(tmp_path / "in", tmp_path / "out", choices=REGULAR)

    exact, copy = sorted(report.volumes, key=lambda row: len(str(row["file"])))
    assert str(copy["file"]).endswith("_regular.nii.gz")
    sidecars = [
        json.loads((tmp_path / "out" / str(row["file"]).replace(".nii.gz", ".json")).read_text())
        for row in (exact, copy)
    ]
    assert [sidecar["geometry"]["is_sheared"] for sidecar in sidecars] == [True, False]
    assert any("resampled" in decision for decision in sidecars[1]["Decisions"])
    assert not sidecars[0]["geometry"]["checks"]["aligned_along_normal"]
    assert _differences(tmp_path / "out" / str(copy["file"])).max() <= 1.01
    assert report.counts["converted"] == report.files_in == 6


def test_tilted_time_points_have_a_copy_each(tmp_path: Path):
    """A tilted series in time is written volume by volume, so that none goes without its right-angled copy."""
    for n in (1, 2):
        _placed(tmp_path / "in" / str(n), [(-15 + 0.9 * k, 100 + 2.5 * k) for k in range(4)])
        name = {"SeriesInstanceUID": "2.25.7", "TemporalPositionIdentifier": n}
        for k, path in enumerate(sorted((tmp_path / "in" / str(n)).iterdir())):
            edit([path], lambda one, k=k, n=n, name=name: one.update({**name, "SOPInstanceUID": f"2.25.{n}{k}"}))

    report = convert_folder(tmp_path / "in", tmp_path / "out", choices=REGULAR)

    assert [str(row["file"]).endswith("_regular.nii.gz") for row in report.volumes] == [False, True] * 2
    assert len({row["part"] for row in report.volumes}) == 2


@pytest.mark.parametrize("heights", [[0, 2.5, 5, 8.5, 11, 13.5], [0, 2.5, 5, 10, 12.5]])
def test_uneven_and_gapped_stacks_are_resampled_only_when_asked(tmp_path: Path, heights: list[float]):
    """Without the option the slices and positions are named; with it values stand where the true positions put them."""
    _placed(tmp_path / "in", [(-15, 100 + height) for height in heights])

    plain = convert_folder(tmp_path / "in", tmp_path / "plain")
    report = convert_folder(tmp_path / "in", tmp_path / "out", choices=REGULAR)

    assert not plain.volumes
    assert {outcome.code for outcome in plain.outcomes} <= {"dicom.missing_slices", "dicom.uneven_spacing"}
    assert all("mm from the first" in outcome.message for outcome in plain.outcomes)
    (row,) = report.volumes
    assert _differences(tmp_path / "out" / str(row["file"])).max() <= 1.01


def test_a_wrong_copy_is_not_certified(tmp_path: Path):
    """A resampled copy that lies a slice off does not pass."""
    _placed(tmp_path / "in", [(-15 + 0.9 * k, 100 + 2.5 * k) for k in range(6)])
    report = convert_folder(tmp_path / "in", tmp_path / "out", choices=REGULAR)
    copy = max((str(row["file"]) for row in report.volumes), key=len)
    array, geometry = read_nifti(tmp_path / "out" / copy)
    write_nifti(tmp_path / "wrong.nii.gz", np.roll(array, 1, axis=0), geometry)

    with pytest.raises(UncertifiedError):
        certify_resampled(tmp_path / "wrong.nii.gz", one_series(tmp_path / "in"), terms=Terms())


@pytest.mark.real
def test_a_real_tilted_head_has_a_right_angled_copy(tmp_path: Path, real_data: Path):
    """18.5 degrees of gantry tilt: the copy is certified voxel by voxel against the slices around it."""
    report = convert_folder(real_data / "tilt", tmp_path, choices=REGULAR)

    assert len(report.volumes) == 2
    assert all(row["certificate"]["voxels"] > 500 for row in report.volumes)
