"""What is drawn on a frame of a file of many, or on a second series of a report, finds its place."""

import numpy as np
import pydicom
import pytest

from racoon_data.annotations.folder import find_annotations, read_found
from racoon_data.files.nifti import read_nifti
from racoon_data.testing import report_items as built
from racoon_data.testing.makers import a_seg, a_series
from racoon_data.testing.multiframe import ENHANCED_CT, Frame, Shape, write_multiframe
from tests.annotations.helpers import box

CORNERS = ((2.5, 3.5), (8.5, 3.5), (8.5, 7.5), (2.5, 7.5), (2.5, 3.5))
STORED = (2, 0, 4, 1, 3)


def an_enhanced(folder):
    """A series of five slices and the same as one enhanced file in another order, which alone stays on disk."""
    made = a_series(folder / "plain", slices=5)
    stored = made.plan.stored()
    image = write_multiframe(
        folder / "in" / "many.dcm",
        made.plan,
        [Frame(k, stored[k], indices=(k + 1,)) for k in STORED],
        Shape(ENHANCED_CT),
    )
    return made, str(image.SOPInstanceUID)


def on_frames(made, sop_uid, *numbers):
    """A closed line drawn on frames of the enhanced file."""
    region = built.on_image(made, 0, "POLYLINE", CORNERS)
    target = region.ContentSequence[0].ReferencedSOPSequence[0]
    target.ReferencedSOPClassUID, target.ReferencedSOPInstanceUID = ENHANCED_CT, sop_uid
    if numbers:
        target.ReferencedFrameNumber = list(numbers)
    return region


def masks_in(folder):
    """Every mask written, by its file name."""
    return {path.name: read_nifti(path)[0] > 0 for path in sorted((folder / "masks").rglob("*.nii.gz"))}


@pytest.mark.parametrize("numbers", [(1,), (3,), (2, 5)])
def test_a_region_lies_on_the_frames_it_names(tmp_path, numbers):
    """Frame numbers count in the order of the file, whatever order the stack has."""
    made, sop_uid = an_enhanced(tmp_path)
    built.a_report(tmp_path / "in", made, [built.tracked_group("one", on_frames(made, sop_uid, *numbers))])

    read = read_found(find_annotations(tmp_path / "in"), tmp_path / "out")

    truth = np.zeros((5, 32, 40), dtype=bool)
    for number in numbers:
        truth |= box(truth.shape, k=STORED[number - 1], j=slice(4, 8), i=slice(3, 9))
    np.testing.assert_array_equal(masks_in(tmp_path / "out")["001-one.nii.gz"], truth)
    assert read.annotations[0]["issues"] == []


def test_a_region_that_names_no_frame_is_not_guessed(tmp_path):
    """On a file of many frames a region without a frame number is an issue."""
    made, sop_uid = an_enhanced(tmp_path)
    length = built.number(built.VOLUME, "1.5", built.MILLIMETRE)
    built.a_report(tmp_path / "in", made, [built.tracked_group("one", on_frames(made, sop_uid), length)])

    read = read_found(find_annotations(tmp_path / "in"), tmp_path / "out")

    assert [issue["code"] for issue in read.annotations[0]["issues"]] == ["annotation.ambiguous_reference"]
    assert len(read.findings) == 1
    assert masks_in(tmp_path / "out") == {}


@pytest.mark.parametrize("is_named", [True, False])
def test_a_seg_without_planes_lies_on_the_frames_its_sources_name(tmp_path, is_named):
    """The source image's frame number places a frame; without one nothing is guessed."""
    made, sop_uid = an_enhanced(tmp_path)
    mask = box(made.geometry.array_shape, k=slice(1, 4), j=slice(3, 9), i=slice(2, 11))
    [seg] = a_seg(tmp_path / "in", made, {"one": mask})
    dataset = pydicom.dcmread(seg.path)
    number_of = {made.sop_uids[k]: place for place, k in enumerate(STORED, start=1)}
    for group in dataset.PerFrameFunctionalGroupsSequence:
        del group.PlanePositionSequence
        source = group.DerivationImageSequence[0].SourceImageSequence[0]
        if is_named:
            source.ReferencedFrameNumber = number_of[source.ReferencedSOPInstanceUID]
        source.ReferencedSOPInstanceUID = sop_uid
    dataset.save_as(seg.path)

    read = read_found(find_annotations(tmp_path / "in"), tmp_path / "out")

    if is_named:
        np.testing.assert_array_equal(masks_in(tmp_path / "out")["001-one.nii.gz"], mask)
    assert {one.code for one in read.outcomes} == ({""} if is_named else {"annotation.grid_mismatch"})


@pytest.mark.parametrize("first", [2, 1])
def test_regions_on_two_series_of_one_report_are_both_drawn(tmp_path, first):
    """Each series has its own mask, the rows stand once, and a region nobody has is one issue."""
    made = a_series(tmp_path / "in" / "ct", slices=6)
    other = a_series(tmp_path / "in" / "thick", slices=4, spacing_mm=(1.1, 1.1, 5.0), series_number=5)
    gone = a_series(tmp_path / "gone", slices=4, series_number=6)
    here = [built.on_image(made, k, "POLYLINE", CORNERS) for k in range(1, 1 + first)]
    there = built.on_image(other, 2, "POLYLINE", CORNERS)
    lost = built.on_image(gone, 2, "POLYLINE", CORNERS)
    length = built.number(built.VOLUME, "1.5", built.MILLIMETRE)
    report, _ = built.a_report(tmp_path / "in", made, [built.tracked_group("one", *here, there, lost, length)])
    dataset = pydicom.dcmread(report)
    dataset.CurrentRequestedProcedureEvidenceSequence = []
    dataset.save_as(report)

    read = read_found(find_annotations(tmp_path / "in"), tmp_path / "out")

    voxels = {one["image_series_uid"]: [mask["voxels"] for mask in one["masks"]] for one in read.annotations}
    assert voxels.pop(other.ref.series_uid) == [24]
    assert len(read.findings) == 1
    issues = [issue["code"] for one in read.annotations for issue in one["issues"]]
    assert issues == ["annotation.dangling_reference"]
    assert voxels.pop(made.ref.series_uid) == [24 * first]
