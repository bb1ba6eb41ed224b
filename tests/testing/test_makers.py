"""The makers write valid objects whose truth is what a plain reader finds."""

import subprocess
import sys
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest

from racoon_data.testing.makers import (
    Contour,
    Measured,
    SegStyle,
    a_seg,
    a_series,
    an_rtstruct,
    an_sr,
    not_dicom,
    rectangle,
    truncated,
)
from racoon_data.testing.reports import MODERATE
from racoon_data.testing.segmentations import LESION

ROOT = Path(__file__).parents[2]


def decoded(paths):
    """Read values [k, j, i] and the affine (LPS) the way the standard defines them."""
    slices = [pydicom.dcmread(path) for path in paths]
    values = np.stack([one.pixel_array * float(one.get("RescaleSlope", 1)) for one in slices])
    values = values + float(slices[0].get("RescaleIntercept", 0))
    first, last = (np.array(slices[at].ImagePositionPatient, float) for at in (0, -1))
    row, column = np.array(slices[0].ImageOrientationPatient, float).reshape(2, 3)
    affine = np.eye(4)
    affine[:3, 0] = row * slices[0].PixelSpacing[1]
    affine[:3, 1] = column * slices[0].PixelSpacing[0]
    affine[:3, 2] = (last - first) / (len(slices) - 1)
    affine[:3, 3] = first
    return values, affine


@pytest.mark.parametrize("modality", ["CT", "MR", "PT"])
@pytest.mark.parametrize("orientation", ["axial", "coronal", "sagittal", "oblique"])
def test_written_headers_and_pixels_equal_the_truth(tmp_path, orientation, modality):
    """Values and affine read from the files are those the maker calls true."""
    made = a_series(tmp_path, slices=5, orientation=orientation, modality=modality)

    values, affine = decoded(made.paths)

    assert np.array_equal(values.astype(np.float32), made.truth.array)
    assert np.abs(affine - made.geometry.matrix).max() < 1e-5
    assert np.linalg.det(affine) > 0


def test_slope_intercept_and_own_values(tmp_path):
    """Values given in HU come back rounded to what slope and intercept can hold."""
    wanted = np.linspace(-900, 300, 3 * 4 * 5).reshape(3, 4, 5)
    made = a_series(tmp_path, slices=3, rows=4, columns=5, value_of=wanted, slope=0.5, intercept=-1000)

    values, _ = decoded(made.paths)

    assert np.abs(values - wanted).max() <= 0.25
    assert np.array_equal(values.astype(np.float32), made.truth.array)


def test_missing_slices_and_backward_numbers(tmp_path):
    """A missing slice has no file, and numbering backwards leaves the order of positions alone."""
    made = a_series(tmp_path, slices=6, missing=[2], is_numbered_backwards=True)
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in made.paths]

    assert made.kept == (0, 1, 3, 4, 5)
    assert [one.InstanceNumber for one in headers] == [6, 5, 3, 2, 1]
    assert [float(one.ImagePositionPatient[2]) for one in headers] == [100, 102.5, 107.5, 110, 112.5]


def test_seg_decodes_to_its_masks(tmp_path):
    """highdicom reads back the very voxels that were written, per segment."""
    series = a_series(tmp_path / "ct", slices=6, orientation="oblique")
    masks = two_masks(series)
    (made,) = a_seg(tmp_path, series, masks)

    seg = highdicom.seg.segread(made.path)
    found = seg.get_pixels_by_source_instance(list(series.sop_uids), ignore_spatial_locations=True)

    assert made.names == ("ggo", "effusion")
    for number, name in enumerate(made.names):
        assert np.array_equal(found[..., number].astype(bool), masks[name])


def test_one_seg_file_per_lesion(tmp_path):
    """A tool that writes one lesion a file gives as many files, with its own labels."""
    series = a_series(tmp_path / "ct", slices=6)
    style = SegStyle(is_one_per_file=True, labels={"ggo": "Milchglastrübung"})
    made = a_seg(tmp_path, series, two_masks(series), style=style)

    headers = [pydicom.dcmread(seg.path) for seg in made]

    assert [seg.names for seg in made] == [("ggo",), ("effusion",)]
    assert [len(one.SegmentSequence) for one in headers] == [1, 1]
    assert headers[0].SegmentSequence[0].SegmentLabel == "Milchglastrübung"
    assert len({one.SOPInstanceUID for one in headers}) == 2


def test_rtstruct_points_lie_on_their_slices(tmp_path):
    """Contour points map back to the voxel indices they were drawn at."""
    series = a_series(tmp_path / "ct", slices=6, orientation="oblique")
    lines = {"lesion": [rectangle(2, columns=(4, 9), rows=(5, 7))], "free": [Contour(3.5, ((1, 1), (4, 1), (1, 3)))]}
    path, ref = an_rtstruct(tmp_path, series, lines)

    dataset = pydicom.dcmread(path)
    contour = dataset.ROIContourSequence[0].ContourSequence[0]
    points = np.array(contour.ContourData, float).reshape(-1, 3)
    indices = np.linalg.inv(series.geometry.matrix) @ np.c_[points, np.ones(len(points))].T

    assert np.allclose(indices[:3].T, [(4, 5, 2), (9, 5, 2), (9, 7, 2), (4, 7, 2)], atol=1e-4)
    assert contour.ContourImageSequence[0].ReferencedSOPInstanceUID == series.sop_uids[2]
    assert dataset.SOPInstanceUID == ref.sop_uid
    assert [roi.ROIName for roi in dataset.StructureSetROISequence] == ["lesion", "free"]


def test_report_measures_its_segments(tmp_path):
    """highdicom reads the groups back: volume in ml, density in HU, the segment and the judgement."""
    series = a_series(tmp_path / "ct", slices=6)
    segs = a_seg(tmp_path, series, two_masks(series))
    measured = [Measured("ggo", LESION, 12.5, -480.25), Measured("elsewhere", LESION, 3.0)]
    path, ref = an_sr(tmp_path, series, measured, segs=segs)

    report = highdicom.sr.srread(path)
    (group,) = report.content.get_volumetric_roi_measurement_groups()
    values = {one.unit.value: one.value for one in group.get_measurements()}

    assert values == {"ml": 12.5, "[hnsf'U]": -480.25}
    assert group.referenced_segment.referenced_sop_instance_uid == segs[0].ref.sop_uid
    assert group.get_qualitative_evaluations()[0].value.value == MODERATE.value
    assert len(report.content.get_image_measurement_groups()) == 1
    assert report.SOPInstanceUID == ref.sop_uid


def test_identity_is_there_to_be_removed(tmp_path):
    """Headers carry identity in standard and private attributes when asked to."""
    made = a_series(tmp_path, slices=1, has_private_tags=True)
    header = pydicom.dcmread(made.paths[0])

    assert header.PatientName == "Muster^Erika"
    assert header[0x0029, 0x1001].value == "Muster^Erika"
    assert header.InstitutionName
    assert header.ReferringPhysicianName


def test_bad_input_is_bad(tmp_path):
    """A cut file misses pixels and the stray files are no DICOM."""
    path = truncated(a_series(tmp_path / "ct", slices=1).paths[0])
    stray = not_dicom(tmp_path / "stray")

    with pytest.raises(pydicom.errors.InvalidDicomError):
        pydicom.dcmread(stray[0])
    assert len(path.read_bytes()) < 32 * 40 * 2


def test_same_plan_same_bytes_in_another_process(tmp_path):
    """CT, SEG, RTSTRUCT and SR made by another process are equal byte for byte."""
    everything(tmp_path / "here")
    there = str(tmp_path / "there")
    code = f"import pathlib; from tests.testing.test_makers import everything; everything(pathlib.Path({there!r}))"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)

    here, there = ({p.relative_to(root): p.read_bytes() for p in root.rglob("*.dcm")} for root in roots(tmp_path))

    assert len(here) == 6
    assert here == there


def roots(folder):
    """The two folders that the determinism test compares."""
    return folder / "here", folder / "there"


def two_masks(series):
    """Two overlapping boxes on the grid of a series."""
    ggo, effusion = (np.zeros(series.geometry.array_shape, bool) for _ in range(2))
    ggo[1:4, 5:12, 6:15] = True
    effusion[2:5, 10:20, 3:9] = True
    return {"ggo": ggo, "effusion": effusion}


def everything(folder):
    """Make one of each kind of object."""
    series = a_series(folder / "ct", slices=3, rows=24, columns=24)
    segs = a_seg(folder, series, two_masks(series))
    an_rtstruct(folder, series, {"lesion": [rectangle(1, columns=(4, 9), rows=(5, 7))]})
    an_sr(folder, series, [Measured("ggo", LESION, 12.5, -480.25)], segs=segs)
