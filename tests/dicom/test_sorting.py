"""Sorting: every file in one place, and each split says what decided."""

import shutil
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import generate_uid

from racoon_data.dicom.sorting import files_under, sort_files
from racoon_data.dicom.stacking import geometry_of
from racoon_data.errors import InconsistentSeriesError, NothingMatchedError, SettingsError
from racoon_data.labels import CodedConcept
from racoon_data.outcomes import Status
from racoon_data.testing.makers import Measured, a_seg, a_series, an_rtstruct, an_sr, not_dicom, rectangle, truncated
from tests.dicom.edits import edit, one_series, sorted_series


def _renew(one: pydicom.Dataset) -> None:
    one.SOPInstanceUID = generate_uid()


def test_a_series_is_sorted_along_its_normal(tmp_path: Path):
    """Files, names and instance numbers run backwards; the slices still ascend."""
    made = a_series(tmp_path, slices=6, is_numbered_backwards=True)

    series = one_series(tmp_path)

    assert series.ref == made.ref
    assert series.sop_uids == made.sop_uids
    assert (series.patient, series.study_date, series.part) == ("MUSTER-0001", "20200317", "")
    assert series.frame_of_reference == made.plan.frame
    assert series.acquisition.kernel == ("B31f",)
    assert series.acquisition.slice_thickness_mm == 2.5


@pytest.mark.parametrize("orientation", ["axial", "coronal", "sagittal", "oblique"])
def test_any_orientation_is_one_volume(tmp_path: Path, orientation: str):
    """Oblique, coronal and sagittal stacks ascend along their own normal."""
    made = a_series(tmp_path, slices=5, orientation=orientation)

    assert one_series(tmp_path).sop_uids == made.sop_uids


def test_every_file_is_in_one_place(tmp_path: Path):
    """Images, annotations, foreign, cut and unsupported files sum to what came in."""
    made = a_series(tmp_path / "ct", slices=8)
    not_dicom(tmp_path / "notes")
    truncated(made.paths[0])
    edit(made.paths[1:2], lambda one: one.update({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}))
    edit(made.paths[2:3], lambda one: one.__delattr__("ImagePositionPatient"))
    (tmp_path / "ct" / "headless").write_bytes(made.paths[3].read_bytes()[132:])
    made.paths[3].unlink()
    paths = files_under(tmp_path)

    found = sort_files(paths, root=tmp_path)

    codes = {outcome.ref.name: (outcome.code, outcome.status) for outcome in found.outcomes}
    assert codes["ct/IM0001.dcm"] == ("dicom.truncated", Status.FAILED)
    assert codes["ct/IM0002.dcm"] == ("dicom.unsupported_object", Status.SKIPPED)
    assert codes["ct/IM0003.dcm"] == ("dicom.no_geometry", Status.FAILED)
    assert codes["notes/README.txt"] == ("dicom.not_dicom", Status.SKIPPED)
    assert [len(series.slices) for series in found.series] == [5]
    assert sum(len(series.slices) for series in found.series) + len(found.outcomes) == len(paths)


def test_what_a_killed_process_left_half_written_is_no_input(tmp_path: Path):
    """The temporary name of a write that never ended is not read as a file."""
    made = a_series(tmp_path, slices=2)
    half = tmp_path / f".{made.paths[0].name}.4711.partial"
    half.write_bytes(made.paths[0].read_bytes()[:-100])

    assert files_under(tmp_path) == made.paths


def test_the_output_is_not_read_as_input(tmp_path: Path):
    """An output folder inside the input is passed over, one above it hides nothing, the same one is refused."""
    made = a_series(tmp_path / "in", slices=2)
    a_series(tmp_path / "in" / "out", slices=2, series_uid="2.25.1")

    assert files_under(tmp_path / "in", without=[tmp_path / "in" / "out"]) == made.paths
    assert len(files_under(tmp_path / "in", without=[tmp_path])) == 4
    with pytest.raises(SettingsError):
        files_under(tmp_path / "in", without=[tmp_path / "in"])


def test_annotations_know_what_they_reference(tmp_path: Path):
    """SEG, RTSTRUCT and SR name the images and the series they belong to, however deep that stands."""
    made = a_series(tmp_path / "ct", slices=6)
    a_seg(tmp_path / "seg", made, {"lesion": made.truth.array > 0})
    an_rtstruct(tmp_path / "rs", made, {"lesion": [rectangle(2, columns=(5, 10), rows=(5, 10))]})
    an_sr(tmp_path / "sr", made, [Measured("lesion", CodedConcept("50196008", "SCT", "Ground glass opacity"), 1.5)])

    found = sort_files(files_under(tmp_path), root=tmp_path)

    kinds = {file.modality: file for file in found.annotations}
    assert set(kinds) == {"SEG", "RTSTRUCT", "SR"}
    assert not found.outcomes
    for file in found.annotations:
        assert file.referenced_sops & set(made.sop_uids)
        assert made.ref.series_uid in file.referenced_series
        assert file.patient == "MUSTER-0001"
    assert kinds["SEG"].frame_of_reference == made.plan.frame
    assert kinds["RTSTRUCT"].frame_of_reference == made.plan.frame


def test_a_dicomdir_is_no_image(tmp_path: Path):
    """The directory of a CD is skipped; its files are found by themselves."""
    meta = pydicom.dataset.FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    directory = pydicom.dataset.FileDataset(tmp_path / "DICOMDIR", {}, preamble=bytes(128), file_meta=meta)
    directory.FileSetID = "CD"
    directory.save_as(tmp_path / "DICOMDIR", enforce_file_format=True)

    found = sort_files(files_under(tmp_path), root=tmp_path)

    assert [outcome.code for outcome in found.outcomes] == ["dicom.not_dicom"]


def test_a_named_dicomdir_stands_for_its_folder(tmp_path: Path):
    """What a directory file lists is not trusted: the files beside and below it are found, none outside."""
    a_series(tmp_path / "outside", slices=1)
    made = a_series(tmp_path / "cd" / "DICOM", slices=2)
    (tmp_path / "cd" / "DICOMDIR").write_bytes(b"../outside/IM0001.dcm")

    paths = files_under(tmp_path / "cd" / "DICOMDIR")

    assert paths == (*made.paths, tmp_path / "cd" / "DICOMDIR")


def test_a_localizer_is_split_off(tmp_path: Path):
    """A scout under the same series UID becomes its own volume, and each part says why."""
    same = {"series_uid": "1.2.3.4", "study_uid": "1.2.3", "frame_of_reference": "1.2.5"}
    a_series(tmp_path / "a", slices=4, **same)
    scout = a_series(tmp_path / "b", slices=1, image_type=("ORIGINAL", "PRIMARY", "LOCALIZER"), **same)
    edit(scout.paths, _renew)

    parts = {series.part: len(series.slices) for series in sorted_series(tmp_path)}

    assert sorted(parts.values()) == [1, 4]
    assert any("ImageType=LOCALIZER" in part for part in parts)


def test_mixed_orientations_are_split(tmp_path: Path):
    """Three planes under one series UID are three volumes."""
    for plane in ("axial", "coronal", "sagittal"):
        edit(a_series(tmp_path / plane, slices=3, orientation=plane, series_uid="1.2.3.4").paths, _renew)

    parts = [series.part for series in sorted_series(tmp_path)]

    assert len(parts) == 3
    assert all(part.startswith("ImageOrientationPatient=") for part in parts)


def test_orientation_jitter_is_one_volume(tmp_path: Path):
    """Differences of 1e-7 between slices, which some scanners write, do not split."""
    made = a_series(tmp_path, slices=6, orientation="oblique")
    for number, path in enumerate(made.paths):
        edit([path], lambda one, n=number: one.ImageOrientationPatient.__setitem__(0, 0.9925461516 + n * 1e-7))

    assert len(one_series(tmp_path).slices) == 6


@pytest.mark.parametrize(
    ("keyword", "values"),
    [("EchoNumbers", (1, 2)), ("DiffusionBValue", (0.0, 800.0)), ("TemporalPositionIdentifier", (1, 2)),
     ("AcquisitionNumber", (3, 4)), ("EchoTime", (4.6, 9.2))],
)  # fmt: skip
def test_meaning_splits_a_series(tmp_path: Path, keyword: str, values: tuple[float, float]):
    """Echoes, b-values and time points that share positions are volumes of their own."""
    for value in values:
        made = a_series(tmp_path / str(value), slices=4, modality="MR", series_uid="1.2.3.4")
        edit(
            made.paths, lambda one, v=value: (setattr(one, keyword, v), setattr(one, "SOPInstanceUID", generate_uid()))
        )

    series = sorted_series(tmp_path)

    assert [len(one.slices) for one in series] == [4, 4]
    assert [one.part for one in series] == [f"{keyword}={value}" for value in values]


def test_two_echoes_at_two_times_are_four_volumes(tmp_path: Path):
    """Splits combine, and the part names each of them."""
    for echo in (1, 2):
        for time in (1, 2):
            made = a_series(tmp_path / f"{echo}{time}", slices=3, modality="MR", series_uid="1.2.3.4")
            values = {"EchoNumbers": echo, "TemporalPositionIdentifier": time}
            edit(made.paths, lambda one, v=values: one.update({**v, "SOPInstanceUID": generate_uid()}))

    parts = [series.part for series in sorted_series(tmp_path)]

    assert parts == [f"EchoNumbers={e}; TemporalPositionIdentifier={t}" for e in (1, 2) for t in (1, 2)]


def test_acquisition_times_of_single_slices_do_not_split(tmp_path: Path):
    """One repeated slice among many differing times is no time series."""
    made = a_series(tmp_path, slices=4)
    for number, path in enumerate(made.paths):
        edit([path], lambda one, n=number: setattr(one, "AcquisitionTime", f"10150{n}"))
    shutil.copy(made.paths[1], tmp_path / "again.dcm")
    edit(
        [tmp_path / "again.dcm"],
        lambda one: one.update({"SOPInstanceUID": generate_uid(), "AcquisitionTime": "101509"}),
    )

    assert len(one_series(tmp_path).slices) == 5


def test_a_copy_is_used_once(tmp_path: Path):
    """The same object twice gives one slice and one skipped file."""
    made = a_series(tmp_path, slices=3)
    shutil.copy(made.paths[0], tmp_path / "copy.dcm")

    found = sort_files(files_under(tmp_path), root=tmp_path)

    assert [len(series.slices) for series in found.series] == [3]
    assert [(one.code, one.status) for one in found.outcomes] == [("dicom.duplicate_instance", Status.SKIPPED)]


def _again(folder: Path, change) -> None:
    """Write a slice of a series of three once more, under another UID and number, with a change."""
    made = a_series(folder, slices=3)
    shutil.copy(made.paths[1], folder / "again.dcm")
    edit([folder / "again.dcm"], lambda one: one.update({"SOPInstanceUID": generate_uid(), "InstanceNumber": 9}))
    edit([folder / "again.dcm"], change)


def test_the_same_slice_under_two_uids_is_used_once(tmp_path: Path):
    """A slice that was sent twice does not cost the series; the second file is named."""
    _again(tmp_path, lambda one: None)

    found = sort_files(files_under(tmp_path), root=tmp_path)

    assert [len(series.slices) for series in found.series] == [3]
    assert [(str(one.ref), one.code, one.status) for one in found.outcomes] == [
        ("file again.dcm", "dicom.duplicate_slice", Status.SKIPPED)
    ]


@pytest.mark.parametrize(
    "change",
    [
        lambda one: setattr(one, "PixelData", b"\1" + one.PixelData[1:]),
        lambda one: setattr(one, "RescaleIntercept", 7),
    ],
    ids=["one pixel", "rescale"],
)
def test_slices_in_one_place_that_differ_are_both_kept(tmp_path: Path, change):
    """Which of two slices is right is not guessed: both stay, and no volume can be made of them."""
    _again(tmp_path, change)

    found = sort_files(files_under(tmp_path), root=tmp_path)

    assert [len(series.slices) for series in found.series] == [4]
    with pytest.raises(InconsistentSeriesError, match="same place"):
        geometry_of(found.series[0])


def test_two_contents_of_one_instance_are_both_set_aside(tmp_path: Path):
    """Which of two differing files is right is not guessed."""
    made = a_series(tmp_path, slices=3)
    shutil.copy(made.paths[0], tmp_path / "copy.dcm")
    edit([tmp_path / "copy.dcm"], lambda one: setattr(one, "RescaleIntercept", 0))

    found = sort_files(files_under(tmp_path), root=tmp_path)

    assert [one.code for one in found.outcomes] == ["dicom.inconsistent_series"] * 2
    assert [len(series.slices) for series in found.series] == [2]


def test_empty_tags_and_no_frame_of_reference(tmp_path: Path):
    """Optional values that are empty or absent stop nothing."""
    made = a_series(tmp_path, slices=3)
    empty = {"SliceThickness": None, "KVP": None, "InstanceNumber": None, "ImageType": None, "StudyDate": ""}
    edit(made.paths, lambda one: (one.update(empty), one.__delattr__("FrameOfReferenceUID")))

    series = one_series(tmp_path)

    assert series.sop_uids == made.sop_uids
    assert series.frame_of_reference is None
    assert (series.acquisition.slice_thickness_mm, series.acquisition.image_type) == (None, ())


def test_text_in_any_character_set_is_read(tmp_path: Path):
    """A description in Japanese or Latin letters arrives as it was meant."""
    made = a_series(tmp_path, slices=1, description="Schädel")
    edit(made.paths, lambda one: one.update({"SpecificCharacterSet": "ISO_IR 100"}))

    assert one_series(tmp_path).acquisition.description == "Schädel"


def test_links_out_of_the_folder_are_not_followed(tmp_path: Path):
    """A link to a file elsewhere is not part of the folder."""
    outside = a_series(tmp_path / "outside", slices=1)
    inside = a_series(tmp_path / "inside", slices=1)
    (tmp_path / "inside" / "link.dcm").symlink_to(outside.paths[0])
    (tmp_path / "inside" / "again.dcm").symlink_to(inside.paths[0])

    names = [path.name for path in files_under(tmp_path / "inside")]

    assert names == ["IM0001.dcm", "again.dcm"]


def test_a_folder_that_is_not_there(tmp_path: Path):
    """A wrong name is an error, not an empty result."""
    with pytest.raises(NothingMatchedError):
        files_under(tmp_path / "nothing")
