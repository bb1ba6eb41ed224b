"""Converting: nothing appears that is not right, and every file is accounted for."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom.fileset import FileSet
from typer.testing import CliRunner

from racoon_data.cli.main import app
from racoon_data.convert.certificate import certify
from racoon_data.convert.folder import MANIFEST, Run, convert_folder
from racoon_data.convert.memory import workers_that_fit
from racoon_data.convert.publish import publish
from racoon_data.convert.sidecar import volume_name
from racoon_data.dicom.filling import Stacked
from racoon_data.dicom.series import Series
from racoon_data.dicom.sorting import files_under, sort_files
from racoon_data.dicom.stacking import stack, stack_stored
from racoon_data.errors import ExitCode, NothingMatchedError, SettingsError, UncertifiedError
from racoon_data.files.nifti import read_nifti, write_nifti
from racoon_data.geometry import Geometry, as_affine
from racoon_data.outcomes import Status
from racoon_data.schemas import validate
from racoon_data.testing.makers import a_seg, a_series, not_dicom, truncated
from racoon_data.volumes import Volume
from tests.dicom.edits import one_series


def _one_series(folder: Path) -> Series:
    (series,) = sort_files(files_under(folder), root=folder).series
    return series


def _shifted(geometry: Geometry, by_mm: float) -> Geometry:
    matrix = geometry.matrix
    matrix[2, 3] += by_mm
    return Geometry(geometry.shape, as_affine(matrix))


@pytest.mark.parametrize("orientation", ["axial", "coronal", "oblique"])
@pytest.mark.parametrize("modality", ["CT", "PT"])
def test_a_right_volume_is_published(tmp_path: Path, orientation: str, modality: str):
    """The file appears, holds the truth, and the certificate says what was compared."""
    made = a_series(tmp_path / "in", slices=5, orientation=orientation, modality=modality)
    series = _one_series(tmp_path / "in")

    facts = publish(stack_stored(series), [series], tmp_path / "out" / "a.nii.gz")

    array, geometry = read_nifti(tmp_path / "out" / "a.nii.gz")
    assert np.array_equal(array, made.truth.array)
    assert geometry.same_grid(made.geometry, tol_mm=1e-3)
    assert facts["certificate"]["slices"] == 5
    assert facts["certificate"]["voxels"] == 5 * 24
    assert facts["certificate"]["largest_difference"] == 0


WRONG = {
    "mirrored columns": lambda v: replace(v, array=np.ascontiguousarray(v.array[:, :, ::-1])),
    "reversed slices": lambda v: replace(v, array=np.ascontiguousarray(v.array[::-1])),
    "half a slice off": lambda v: replace(v, geometry=_shifted(v.geometry, 1.25)),
    "a whole slice off": lambda v: replace(v, geometry=_shifted(v.geometry, 2.5)),
    "one value unit off": lambda v: replace(v, array=v.array + 1),
    "one slice from elsewhere": lambda v: replace(v, array=np.concatenate([v.array[:4], v.array[:1]])),
    "a slice lost": lambda v: Stacked(v.array[:4], Geometry((40, 32, 4), v.geometry.affine_lps)),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_volume_does_not_appear(tmp_path: Path, name: str):
    """Whatever went wrong on the way, the certificate notices and no file is left."""
    a_series(tmp_path / "in", slices=5)
    series = _one_series(tmp_path / "in")

    with pytest.raises(UncertifiedError) as caught:
        publish(WRONG[name](stack_stored(series)), [series], tmp_path / "out" / "a.nii.gz")

    assert caught.value.ref == series.ref
    assert list((tmp_path / "out").iterdir()) == []


def test_a_reoriented_volume_is_still_right(tmp_path: Path):
    """The check goes by patient position: another axis order with its affine passes."""
    a_series(tmp_path / "in", slices=4)
    series = _one_series(tmp_path / "in")
    volume = stack(series)
    matrix = volume.geometry.matrix
    matrix[:3, 3] = volume.geometry.position_lps((39, 0, 0))
    matrix[:3, 0] *= -1
    turned = Volume(np.ascontiguousarray(volume.array[:, :, ::-1]), Geometry(volume.geometry.shape, as_affine(matrix)))
    write_nifti(tmp_path / "a.nii.gz", turned.array, turned.geometry)

    certificate = certify(tmp_path / "a.nii.gz", [series]).certificate

    assert certificate.slices == 4


def _hospital_folder(folder: Path) -> None:
    """A mixed folder: a good CT with its SEG, a PET, a CT with a gap, a cut file, foreign files."""
    good = a_series(folder / "ct", slices=6)
    a_seg(folder / "seg", good, {"lesion": good.truth.array > 100})
    a_series(folder / "pet", slices=4, modality="PT", slope=0.37, seed=1)
    a_series(folder / "gap", slices=7, missing=[3], seed=2)
    cut = a_series(folder / "cut", slices=5, seed=3)
    truncated(cut.paths[-1])
    not_dicom(folder / "notes")


def test_a_mixed_folder_is_accounted_for(tmp_path: Path):
    """Volumes, sidecars and report are there and valid; sums agree; the bad stopped nothing."""
    _hospital_folder(tmp_path / "in")

    report = convert_folder(tmp_path / "in", tmp_path / "out")

    document = json.loads((tmp_path / "out" / MANIFEST).read_text())
    validate("conversion", document)
    assert document["counts"] == {"files_in": 26, "converted": 14, "annotations": 1, "skipped": 4, "failed": 7}
    assert sum(report.counts.values()) == 2 * report.files_in
    assert sum(row["instances"] for row in document["volumes"]) == 14
    codes = sorted({row["code"] for row in document["refused"]})
    assert codes == ["dicom.missing_slices", "dicom.not_dicom", "dicom.truncated"]
    gap = next(row for row in document["refused"] if row["code"] == "dicom.missing_slices")
    assert "index 3" in gap["message"]
    for row in document["volumes"]:
        name = row["file"].removesuffix(".nii.gz")
        sidecar = json.loads((tmp_path / "out" / f"{name}.json").read_text())
        validate("volume-sidecar", sidecar)
        assert len(sidecar["SOPInstanceUIDs"]) == row["instances"]
        assert read_nifti(tmp_path / "out" / row["file"])[0].shape[0] == row["instances"]
    assert not any("MUSTER" in path.read_text() for path in (tmp_path / "out").glob("*.json"))


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_workers_and_repetition_give_the_same_bytes(tmp_path: Path):
    """One process, two workers and a second run write the same files."""
    a_series(tmp_path / "in" / "a", slices=3)
    a_series(tmp_path / "in" / "b", slices=3, modality="PT", slope=0.1, seed=1)

    for name, workers in (("one", 1), ("again", 1), ("two", 2)):
        convert_folder(tmp_path / "in", tmp_path / name, run=Run(workers))

    assert len(_contents(tmp_path / "one")) == 5
    assert _contents(tmp_path / "one") == _contents(tmp_path / "again") == _contents(tmp_path / "two")


def test_a_disc_is_converted_by_its_directory_file(tmp_path: Path):
    """Files of the same name in several folders of a disc are told apart and all accounted for."""
    a_series(tmp_path / "A", slices=2)
    a_series(tmp_path / "B", slices=3, seed=1)
    (tmp_path / "DICOMDIR").write_bytes(bytes(200))

    report = convert_folder(tmp_path / "DICOMDIR", tmp_path / "out")

    assert report.counts == {"files_in": 6, "converted": 5, "annotations": 0, "skipped": 1, "failed": 0}


def test_a_file_that_a_dicomdir_lists_and_that_is_not_there_has_a_row(tmp_path: Path):
    """What a medium promised and does not hold is named, whatever the case of its letters."""
    made = a_series(tmp_path / "in" / "IMAGES", slices=3)
    listing = FileSet()
    for path in made.paths:
        listing.add(path)
    listing.write(tmp_path / "disc")
    files = sorted(path for path in (tmp_path / "disc").rglob("*") if path.is_file() and path.name != "DICOMDIR")
    files[0].rename(files[0].with_name(files[0].name.lower()))
    files[2].unlink()

    report = convert_folder(tmp_path / "disc" / "DICOMDIR", tmp_path / "out")

    rows = [(str(one.ref), one.code) for one in report.outcomes if one.status is Status.FAILED]
    gone = files[2].relative_to(tmp_path / "disc").as_posix()
    assert rows == [(f"file {gone}", "dicom.listed_file_missing")]
    assert report.counts == {"files_in": 4, "converted": 2, "annotations": 0, "skipped": 1, "failed": 1}


@pytest.mark.parametrize(("available", "workers"), [(None, 4), (10**12, 4), (7_000_000, 2), (1, 1)])
def test_no_more_workers_run_than_volumes_fit_into_memory(tmp_path: Path, available: int | None, workers: int):
    """Four workers were asked for; each volume here takes three megabytes at most."""
    header = one_series(a_series(tmp_path, slices=1).paths[0].parent).slices[0]
    series = replace(one_series(tmp_path), slices=(replace(header, rows=100, columns=100),) * 50)

    assert workers_that_fit([(series,)] * 9, 4, available) == workers


@pytest.mark.filterwarnings("ignore")
def test_a_dask_scheduler_gives_the_same_bytes(tmp_path: Path):
    """Work sent to the address of a scheduler writes what this process writes."""
    from dask.distributed import LocalCluster

    a_series(tmp_path / "in" / "a", slices=3)
    a_series(tmp_path / "in" / "b", slices=3, modality="PT", slope=0.1, seed=1)
    convert_folder(tmp_path / "in", tmp_path / "one")
    options = {"n_workers": 1, "threads_per_worker": 1, "processes": False, "dashboard_address": None}

    with LocalCluster(host="127.0.0.1", protocol="tcp://", silence_logs=50, **options) as cluster:
        convert_folder(tmp_path / "in", tmp_path / "dask", run=Run(scheduler=cluster.scheduler_address))

    assert _contents(tmp_path / "one") == _contents(tmp_path / "dask")


def test_a_scheduler_that_is_not_there_is_named(tmp_path: Path):
    """A wrong address is an error with a remedy."""
    a_series(tmp_path / "in", slices=2)

    with pytest.raises(SettingsError, match="scheduler"):
        convert_folder(tmp_path / "in", tmp_path / "out", run=Run(scheduler="nonsense"))


def test_output_inside_the_input_is_not_read_again(tmp_path: Path):
    """Writing into the folder that is read gives the same counts the second time."""
    a_series(tmp_path, slices=3)

    first = convert_folder(tmp_path, tmp_path / "nifti")
    second = convert_folder(tmp_path, tmp_path / "nifti")

    assert first.counts == second.counts
    assert first.files_in == 3


def test_a_plan_writes_nothing(tmp_path: Path):
    """A dry run names what would be written and refuses what would be refused."""
    _hospital_folder(tmp_path / "in")

    report = convert_folder(tmp_path / "in", tmp_path / "out", is_plan=True)

    assert not (tmp_path / "out").exists()
    assert len(report.volumes) == 3
    assert report.counts["failed"] == 7


@pytest.mark.parametrize("content", ["nothing", "text"])
def test_a_folder_without_dicom_is_nothing(tmp_path: Path, content: str):
    """An empty folder, or one of other files, is an error of its own."""
    (tmp_path / "in").mkdir()
    if content == "text":
        not_dicom(tmp_path / "in")

    with pytest.raises(NothingMatchedError):
        convert_folder(tmp_path / "in", tmp_path / "out")


def test_names_keep_parts_apart(tmp_path: Path):
    """Two volumes of one series UID have different names, without patient values."""
    a_series(tmp_path, slices=2, description="Thorax / Lunge 1,0 B70f")
    series = _one_series(tmp_path)

    names = {volume_name(replace(series, part=part)) for part in ("", "EchoNumbers=1", "EchoNumbers=2")}

    assert len(names) == 3
    assert all(name.startswith("CT_Thorax-Lunge-1-0-B70f_") for name in names)


def test_the_command_converts_and_counts(tmp_path: Path):
    """The table, the refusals and the sums are printed; a failed file gives exit code 5."""
    _hospital_folder(tmp_path / "in")

    ended = CliRunner().invoke(app, ["convert", str(tmp_path / "in"), str(tmp_path / "out")])

    assert ended.exit_code == ExitCode.PARTIAL
    assert "6 file(s) dicom.missing_slices: 1 of 7 slices are missing, at index 3" in ended.stdout
    assert "files in 26, converted 14, annotations 1, skipped 4, failed 7" in ended.stdout


def test_the_command_speaks_json(tmp_path: Path):
    """One document on stdout, exit code 0 where only declared skips happened."""
    a_series(tmp_path / "in", slices=2)
    not_dicom(tmp_path / "in")

    ended = CliRunner().invoke(app, ["convert", str(tmp_path / "in"), str(tmp_path / "out"), "--json"])

    assert ended.exit_code == ExitCode.DONE
    assert json.loads(ended.stdout)["counts"]["converted"] == 2


def test_the_command_plans(tmp_path: Path):
    """A dry run prints the plan and writes nothing."""
    a_series(tmp_path / "in", slices=2)

    ended = CliRunner().invoke(app, ["convert", str(tmp_path / "in"), str(tmp_path / "out"), "--dry-run"])

    assert ended.exit_code == ExitCode.DONE
    assert "would write" in ended.stdout
    assert not (tmp_path / "out").exists()


def test_the_command_without_input(tmp_path: Path):
    """A folder that is not there gives exit code 8."""
    ended = CliRunner().invoke(app, ["convert", str(tmp_path / "in"), str(tmp_path / "out")])

    assert ended.exit_code == ExitCode.NOTHING


@pytest.mark.real
def test_a_real_tilted_series_holds_its_values_at_patient_positions(tmp_path: Path, real_data: Path):
    """A head CT of 18.5 degrees tilt is certified on an exact, sheared sform."""
    report = convert_folder(real_data / "tilt", tmp_path)

    (row,) = report.volumes
    sidecar = json.loads((tmp_path / str(row["file"])).with_suffix("").with_suffix(".json").read_text())
    assert report.counts["converted"] == 54
    assert sidecar["geometry"]["is_sheared"]
    assert sidecar["certificate"]["slices"] == 54
    assert sidecar["certificate"]["largest_offset_voxels"] < 0.03
