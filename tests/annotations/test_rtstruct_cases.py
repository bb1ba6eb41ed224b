"""Every habit of drawing gives the voxels it means, on every kind of stack, and every policy is written down."""

import copy
import dataclasses

import numpy as np
import pydicom
import pytest

from racoon_data.annotations.rtstruct import RtstructReader
from racoon_data.errors import BrokenItemError, DanglingReferenceError, EmptyItemError, GridMismatchError
from racoon_data.policies import Nesting, OpenContours, ReadingPolicies
from racoon_data.testing.contour_cases import CONTOUR_CASES, a_grid, contours_by_name
from racoon_data.testing.makers import Contour, a_series, an_rtstruct, rectangle
from tests.annotations.helpers import box, masks_of, read_rtstruct, read_with


def read_under(path, made, **policies):
    """Read a structure set under policies."""
    return read_with(RtstructReader(ReadingPolicies(**policies)), path, made)


def edited(path, change):
    """Change a structure set on disk."""
    dataset = pydicom.dcmread(path)
    change(dataset)
    dataset.save_as(path)


def square(k, low=9.5, high=19.5):
    """Ten by ten voxels."""
    return rectangle(k, columns=(low, high), rows=(low, high))


@pytest.mark.parametrize("kind", ["axial", "coronal", "sagittal", "oblique", "tilted"])
def test_every_habit_of_drawing_is_exact_on_every_stack(tmp_path, kind):
    """Holes of all three kinds, islands, paths through centres and planes beside slices equal their truth."""
    made = a_grid(tmp_path / "ct", kind)
    path, _ = an_rtstruct(tmp_path, made, contours_by_name(CONTOUR_CASES))

    masks = masks_of(read_rtstruct(path, made))

    for case in CONTOUR_CASES:
        np.testing.assert_array_equal(masks[case.name], case.truth(made.geometry), err_msg=case.name)


def test_nested_contours_are_joined_where_the_policy_says_so(tmp_path):
    """Under ``union`` a contour inside another makes no hole, and the note counts it."""
    made = a_series(tmp_path / "ct", slices=6)
    path, _ = an_rtstruct(tmp_path, made, {"ring": [square(3), square(3, low=12.5, high=15.5)]})

    annotation = read_under(path, made, nesting=Nesting.UNION)

    assert masks_of(annotation)["ring"].sum() == 100
    assert annotation.notes == ("ROI 1: 1 contour(s) lie inside another one and were joined with it, as asked",)


def test_gaps_are_filled_where_the_policy_says_so(tmp_path):
    """Between squares of 10 and 14 lies one of 12, by signed distance; a longer gap stays empty."""
    made = a_series(tmp_path / "ct", slices=12, spacing_mm=(0.8, 0.8, 2.5))
    contours = [square(1), square(3, low=7.5, high=21.5), square(9)]
    path, _ = an_rtstruct(tmp_path, made, {"cone": contours})

    annotation = read_under(path, made, fill_gaps=2)

    truth = box(made.geometry.array_shape, k=2, j=slice(9, 21), i=slice(9, 21))[2]
    np.testing.assert_array_equal(masks_of(annotation)["cone"][2], truth)
    assert annotation.notes == (
        "ROI 1: 1 slice(s) without a contour were interpolated, as asked",
        "ROI 1: 5 slice(s) between its contours carry none and were left empty",
    )


def test_shapes_that_fill_the_whole_slice_are_interpolated(tmp_path):
    """A region up to every edge of the image is still one between its slices."""
    made = a_series(tmp_path / "ct", slices=3, rows=8, columns=9)
    whole = [rectangle(k, columns=(-0.5, 8.5), rows=(-0.5, 7.5)) for k in (0, 2)]
    path, _ = an_rtstruct(tmp_path, made, {"body": whole})

    assert masks_of(read_under(path, made, fill_gaps=1))["body"].all()


def test_points_and_open_lines_are_rows(tmp_path):
    """A point and an open line enclose nothing; their coordinates, type and images are rows of the table."""
    made = a_series(tmp_path / "ct", slices=6)
    lines = [Contour(2, ((5, 5),), "POINT"), Contour(3, ((5, 5), (9, 5)), "OPEN_PLANAR")]
    path, _ = an_rtstruct(tmp_path, made, {"mark": lines})

    annotation = read_rtstruct(path, made)

    assert annotation.masks == ()
    assert [(row.region, row.tracking_id, row.group_kind) for row in annotation.findings] == [
        ("POINT", "mark", "contour"), ("OPEN_PLANAR", "mark", "contour"),
    ]  # fmt: skip
    position = [float(value) for value in annotation.findings[0].value.split()]
    np.testing.assert_allclose(position, made.geometry.position_lps((5, 5, 2)), atol=1e-3)
    assert annotation.findings[0].referenced_sops == (made.sop_uids[2],)
    assert [issue.code for issue in annotation.issues] == [EmptyItemError.code]


def test_points_and_open_lines_are_masks_where_the_policy_says_so(tmp_path):
    """On request the voxels a point lies in and a line passes through are marked, and the note says so."""
    made = a_series(tmp_path / "ct", slices=6)
    lines = [
        Contour(2, ((5, 5),), "POINT"),
        Contour(3, ((5, 5), (9, 5)), "OPEN_PLANAR"),
        Contour(40, ((5, 5),), "POINT"),
    ]
    path, _ = an_rtstruct(tmp_path, made, {"mark": lines})

    annotation = read_under(path, made, open_contours=OpenContours.MASKS)

    truth = box(made.geometry.array_shape, k=2, j=5, i=5) | box(made.geometry.array_shape, k=3, j=5, i=slice(5, 10))
    np.testing.assert_array_equal(masks_of(annotation)["mark"], truth)
    assert any("as asked" in note for note in annotation.notes)
    assert any("1 contour(s) lie outside" in issue.message for issue in annotation.issues)


def unknown_type(dataset):
    """The second contour's type is a word the standard does not have."""
    dataset.ROIContourSequence[0].ContourSequence[1].ContourGeometricType = "SPLINE"


def dangling_image(dataset):
    """The second contour names an image nobody lists."""
    image = dataset.ROIContourSequence[0].ContourSequence[1].ContourImageSequence[0]
    image.ReferencedSOPInstanceUID = "1.2.3.4"


def lost_frame(dataset):
    """The second ROI lies in a frame of reference of which the file lists no series."""
    dataset.StructureSetROISequence[1].ReferencedFrameOfReferenceUID = "9.9.9"


def other_frame(dataset):
    """The second ROI lies in the frame of reference of another series the file lists."""
    lost_frame(dataset)
    frame = copy.deepcopy(dataset.ReferencedFrameOfReferenceSequence[0])
    frame.FrameOfReferenceUID = "9.9.9"
    frame.RTReferencedStudySequence[0].RTReferencedSeriesSequence[0].SeriesInstanceUID = "9.9"
    dataset.ReferencedFrameOfReferenceSequence.append(frame)


@pytest.mark.parametrize(
    ("change", "is_left_out"),
    [(unknown_type, True), (dangling_image, True), (lost_frame, True), (other_frame, False)],
)
def test_what_the_labels_lack_is_told_from_what_is_elsewhere(tmp_path, change, is_left_out):
    """A part of an outline that belongs here and is not drawn leaves the labels incomplete."""
    made = a_series(tmp_path / "ct", slices=6)
    path, _ = an_rtstruct(tmp_path, made, {"one": [square(2), square(3)], "two": [square(4)]})
    edited(path, change)

    (issue,) = read_rtstruct(path, made).issues

    assert issue.is_left_out is is_left_out


def test_more_than_a_hundred_regions_keep_their_places(tmp_path):
    """Of 130 ROIs each is its own mask."""
    made = a_series(tmp_path / "ct", slices=4)
    rois = {f"roi {n}": [rectangle(n % 4, columns=(n % 30 - 0.5, n % 30 + 1.5), rows=(1.5, 3.5))] for n in range(130)}
    path, _ = an_rtstruct(tmp_path, made, rois)

    masks = masks_of(read_rtstruct(path, made))

    assert len(masks) == 130
    for n in (0, 29, 99, 129):
        np.testing.assert_array_equal(
            masks[f"roi {n}"],
            box(made.geometry.array_shape, k=n % 4, j=slice(2, 4), i=slice(n % 30, n % 30 + 2)),
        )


def test_regions_of_several_frames_of_reference_go_each_to_its_own(tmp_path):
    """An ROI of another frame of reference is left out by name; the one of this image is drawn."""
    made = a_series(tmp_path / "ct", slices=6)
    path, _ = an_rtstruct(tmp_path, made, {"here": [square(2)], "there": [square(2)]})

    def move(dataset):
        dataset.StructureSetROISequence[1].ReferencedFrameOfReferenceUID = "9.9.9"

    edited(path, move)
    annotation = read_rtstruct(path, made)

    assert list(masks_of(annotation)) == ["here"]
    assert [(issue.item, issue.code) for issue in annotation.issues] == [("ROI 2", GridMismatchError.code)]


def test_decimal_commas_are_read_and_said(tmp_path):
    """Coordinates written under a German locale are numbers all the same; the issue names the habit."""
    made = a_series(tmp_path / "ct", slices=6)
    path, _ = an_rtstruct(tmp_path, made, {"tumour": [square(2)]})
    contour = pydicom.dcmread(path).ROIContourSequence[0].ContourSequence[0]
    written = "\\".join(str(value) for value in contour.ContourData).encode()
    path.write_bytes(path.read_bytes().replace(written, written.replace(b".", b",")))

    annotation = read_rtstruct(path, made)

    np.testing.assert_array_equal(masks_of(annotation)["tumour"], the_square(made, 2))
    assert "1 contour(s) write decimal commas" in annotation.issues[0].message


def the_square(made, k):
    """The truth of ``square``."""
    return box(made.geometry.array_shape, k=k, j=slice(10, 20), i=slice(10, 20))


@pytest.mark.parametrize("said", [3, 400])
def test_a_wrong_number_of_points_is_said(tmp_path, said):
    """What the contour holds counts, not what it claims to hold."""
    made = a_series(tmp_path / "ct", slices=6)
    path, _ = an_rtstruct(tmp_path, made, {"tumour": [square(2)]})

    def lie(dataset):
        dataset.ROIContourSequence[0].ContourSequence[0].NumberOfContourPoints = said

    edited(path, lie)
    annotation = read_rtstruct(path, made)

    np.testing.assert_array_equal(masks_of(annotation)["tumour"], the_square(made, 2))
    assert annotation.issues[0].code == BrokenItemError.code
    assert "another number of points" in annotation.issues[0].message


def test_contours_without_a_definition_and_definitions_twice_are_said(tmp_path):
    """Contours of an ROI that is not defined are kept under its number; a second definition changes nothing."""
    made = a_series(tmp_path / "ct", slices=6)
    path, _ = an_rtstruct(tmp_path, made, {"a": [square(2)], "b": [square(3)]})

    def dangle(dataset):
        dataset.ROIContourSequence[1].ReferencedROINumber = 9
        dataset.StructureSetROISequence[1].ROINumber = 1

    edited(path, dangle)
    annotation = read_rtstruct(path, made)

    assert list(masks_of(annotation)) == ["a", "ROI 9"]
    assert [(issue.item, issue.code) for issue in annotation.issues] == [
        ("ROI 1", BrokenItemError.code), ("ROI 9", DanglingReferenceError.code),
    ]  # fmt: skip


def test_unknown_kinds_of_contour_are_left_out_by_count(tmp_path):
    """A type the standard does not know is neither drawn nor lost silently."""
    made = a_series(tmp_path / "ct", slices=6)
    odd = dataclasses.replace(square(2), kind="SPLINE")
    path, _ = an_rtstruct(tmp_path, made, {"tumour": [square(3), odd]})

    annotation = read_rtstruct(path, made)

    np.testing.assert_array_equal(masks_of(annotation)["tumour"], the_square(made, 3))
    assert "the standard does not know" in annotation.issues[0].message


def test_overlapping_islands_far_apart_do_not_disturb_each_other(tmp_path):
    """A ring and a crossing pair on one slice are each combined by their own rule."""
    made = a_series(tmp_path / "ct", slices=4)
    pair = [rectangle(1, columns=(25.5, 30.5), rows=(1.5, 6.5)), rectangle(1, columns=(28.5, 35.5), rows=(3.5, 8.5))]
    path, _ = an_rtstruct(tmp_path, made, {"both": [square(1), square(1, low=12.5, high=15.5), *pair]})

    annotation = read_rtstruct(path, made)

    assert masks_of(annotation)["both"].sum() == 100 - 9 + 25 + 35 - 2 * 3
    assert len(annotation.notes) == 2
