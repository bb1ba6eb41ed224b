"""Structure sets become masks on the image grid, and what cannot is named."""

import numpy as np
import pydicom
import pytest

from racoon_data.errors import (
    AnnotationError,
    BrokenItemError,
    DanglingReferenceError,
    EmptyItemError,
    GridMismatchError,
    OutsideImageError,
)
from racoon_data.labels import ItemIssue
from racoon_data.testing.makers import Contour, a_series, an_rtstruct, rectangle
from tests.annotations.helpers import box, masks_of, read_rtstruct


def square(k, kind="CLOSED_PLANAR", low=9.5, high=19.5):
    """A square of ten by ten voxel centres on slice ``k``."""
    return Contour(k, ((low, low), (high, low), (high, high), (low, high)), kind)


def the_square(made, k=slice(4, 7)):
    """The truth of ``square`` on some slices."""
    return box(made.geometry.array_shape, k=k, j=slice(10, 20), i=slice(10, 20))


def edited(path, change):
    """Change a structure set on disk."""
    dataset = pydicom.dcmread(path)
    change(dataset)
    dataset.save_as(path)


@pytest.mark.parametrize("orientation", ["axial", "coronal", "sagittal", "oblique"])
def test_a_square_is_exact_in_any_orientation(tmp_path, orientation):
    """The slice plane, not an axis of the patient, decides where a contour lies."""
    made = a_series(tmp_path / "ct", slices=12, orientation=orientation)
    path, _ = an_rtstruct(tmp_path, made, {"tumour": [square(k) for k in (4, 5, 6)]})

    annotation = read_rtstruct(path, made)

    np.testing.assert_array_equal(masks_of(annotation)["tumour"], the_square(made))
    assert annotation.masks[0].segment.algorithm == "MANUAL"
    assert annotation.notes == ()


@pytest.mark.parametrize(("offset", "is_noted"), [(0.4, True), (-0.4, True), (0.05, False)])
def test_a_contour_off_its_plane_lands_on_the_nearest_slice(tmp_path, offset, is_noted):
    """Up to half a slice away the nearest slice takes the contour, with a note where it is far."""
    made = a_series(tmp_path / "ct", slices=12)
    path, _ = an_rtstruct(tmp_path, made, {"tumour": [square(k + offset) for k in (4, 5, 6)]})

    annotation = read_rtstruct(path, made)

    np.testing.assert_array_equal(masks_of(annotation)["tumour"], the_square(made))
    assert any("tenth of the slice spacing" in note for note in annotation.notes) is is_noted


def test_xor_contours_make_a_hole(tmp_path):
    """CLOSEDPLANAR_XOR is drawn, with its hole."""
    made = a_series(tmp_path / "ct", slices=12)
    contours = [square(5, "CLOSEDPLANAR_XOR"), square(5, "CLOSEDPLANAR_XOR", low=12.5, high=15.5)]
    path, _ = an_rtstruct(tmp_path, made, {"ring": contours})

    hole = box(made.geometry.array_shape, k=5, j=slice(13, 16), i=slice(13, 16))
    np.testing.assert_array_equal(masks_of(read_rtstruct(path, made))["ring"], the_square(made, 5) & ~hole)


def test_nested_contours_are_counted(tmp_path):
    """A hole drawn as a second plain contour is a hole, and the note says how often."""
    made = a_series(tmp_path / "ct", slices=12)
    path, _ = an_rtstruct(tmp_path, made, {"ring": [square(5), square(5, low=12.5, high=15.5)]})

    annotation = read_rtstruct(path, made)

    assert masks_of(annotation)["ring"].sum() == 100 - 9
    assert any(note.startswith("ROI 1: 1 contour(s) lie inside another one") for note in annotation.notes)


def test_overlapping_regions_stay_separate(tmp_path):
    """Each ROI is a mask of its own, whatever the others claim."""
    made = a_series(tmp_path / "ct", slices=12)
    path, _ = an_rtstruct(tmp_path, made, {"a": [square(5)], "b": [square(5), square(6)]})

    masks = masks_of(read_rtstruct(path, made))

    assert (masks["a"] & masks["b"]).sum() == 100
    assert masks["b"].sum() == 200


def test_what_lies_outside_the_stack_is_noted(tmp_path):
    """A contour beyond the first slice is left out, never drawn on the edge."""
    made = a_series(tmp_path / "ct", slices=12)
    path, _ = an_rtstruct(tmp_path, made, {"tumour": [square(-3), square(11)]})

    annotation = read_rtstruct(path, made)

    np.testing.assert_array_equal(masks_of(annotation)["tumour"], the_square(made, 11))
    assert annotation.issues == (
        ItemIssue("ROI 1", OutsideImageError.code, "1 contour(s) lie outside the image's slices and were left out"),
    )


def test_leaving_the_image_is_noted(tmp_path):
    """A contour over the edge is cut there and counted."""
    made = a_series(tmp_path / "ct", slices=12)
    path, _ = an_rtstruct(tmp_path, made, {"edge": [rectangle(3, columns=(-10.5, 2.5), rows=(4.5, 8.5))]})

    annotation = read_rtstruct(path, made)

    truth = box(made.geometry.array_shape, k=3, j=slice(5, 9), i=slice(0, 3))
    np.testing.assert_array_equal(masks_of(annotation)["edge"], truth)
    assert "reach beyond the edge of the image" in annotation.issues[0].message
    assert annotation.issues[0].code == OutsideImageError.code


def test_skipped_slices_stay_empty_and_are_counted(tmp_path):
    """Nothing is interpolated between contoured slices unless asked for."""
    made = a_series(tmp_path / "ct", slices=12)
    path, _ = an_rtstruct(tmp_path, made, {"tumour": [square(2), square(4), square(8)]})

    annotation = read_rtstruct(path, made)

    assert np.flatnonzero(masks_of(annotation)["tumour"].any(axis=(1, 2))).tolist() == [2, 4, 8]
    assert annotation.notes == ("ROI 1: 4 slice(s) between its contours carry none and were left empty",)


def test_planes_between_slices_do_not_punch_holes(tmp_path):
    """Of two planes of contours on one slice the nearer one is drawn, the other counted."""
    made = a_series(tmp_path / "ct", slices=12)
    path, _ = an_rtstruct(tmp_path, made, {"cone": [square(5), square(5.4, low=12.5, high=15.5)]})

    annotation = read_rtstruct(path, made)

    np.testing.assert_array_equal(masks_of(annotation)["cone"], the_square(made, 5))
    assert "share a slice" in annotation.issues[0].message
    assert annotation.issues[0].code == GridMismatchError.code


def test_contours_across_the_slices_are_refused(tmp_path):
    """A contour that is not parallel to the slices cannot be drawn and is said so."""
    made = a_series(tmp_path / "ct", slices=12)
    path, _ = an_rtstruct(tmp_path, made, {"tumour": [square(5), square(6)]})

    def tilt(dataset):
        contour = dataset.ROIContourSequence[0].ContourSequence[0]
        contour.ContourData = [float(v) + (6 if n == 2 else 0) for n, v in enumerate(contour.ContourData)]

    edited(path, tilt)
    annotation = read_rtstruct(path, made)

    np.testing.assert_array_equal(masks_of(annotation)["tumour"], the_square(made, 6))
    assert "not parallel" in annotation.issues[0].message
    assert annotation.issues[0].code == GridMismatchError.code


def test_a_single_stroke_encloses_nothing_and_costs_itself(tmp_path):
    """A closed contour of two points, or of one, is counted; the ROI's other contours are drawn."""
    made = a_series(tmp_path / "ct", slices=12)
    lines = [square(5), Contour(5, ((5, 5), (6, 9))), Contour(5, ((5, 5),))]
    path, _ = an_rtstruct(tmp_path, made, {"tumour": lines})

    annotation = read_rtstruct(path, made)

    np.testing.assert_array_equal(masks_of(annotation)["tumour"], the_square(made, 5))
    assert annotation.issues[0].message == "2 contour(s) have fewer than three points and enclose nothing"
    assert annotation.issues[0].code == BrokenItemError.code


@pytest.mark.parametrize("broken", ["1\\2", "nan\\1\\2", "1e300\\1\\2\\3\\4\\5\\6\\7\\8", "one\\1\\2", ""])
def test_broken_coordinates_cost_one_contour(tmp_path, broken):
    """Incomplete points, words, NaN and absurd numbers are left out and counted."""
    made = a_series(tmp_path / "ct", slices=12)
    path, _ = an_rtstruct(tmp_path, made, {"tumour": [square(5), square(6)]})
    stand_in = ["7.1234567"] * 3

    def spoil(dataset):
        dataset.ROIContourSequence[0].ContourSequence[1].ContourData = stand_in

    edited(path, spoil)
    written = "\\".join(stand_in).encode()
    path.write_bytes(path.read_bytes().replace(written, broken.encode().ljust(len(written))))
    annotation = read_rtstruct(path, made)

    np.testing.assert_array_equal(masks_of(annotation)["tumour"], the_square(made, 5))
    assert "no numbers or incomplete" in annotation.issues[0].message
    assert annotation.issues[0].code == BrokenItemError.code


def test_an_empty_region_is_noted_and_the_others_kept(tmp_path):
    """An ROI without contours is named; it is neither an empty mask nor an error."""
    made = a_series(tmp_path / "ct", slices=12)
    path, _ = an_rtstruct(tmp_path, made, {"nothing": [], "tumour": [square(5)]})

    annotation = read_rtstruct(path, made)

    assert list(masks_of(annotation)) == ["tumour"]
    assert annotation.issues == (ItemIssue("ROI 1", EmptyItemError.code, "covers no voxel of the image"),)


def test_nothing_at_all_is_an_error(tmp_path):
    """A structure set that draws no voxel is never an empty mask."""
    made = a_series(tmp_path / "ct", slices=12)
    path, _ = an_rtstruct(tmp_path, made, {"away": [square(40)]})

    with pytest.raises(AnnotationError, match="outside the image's slices"):
        read_rtstruct(path, made)


def test_another_frame_of_reference_is_refused(tmp_path):
    """Contours of another patient coordinate system are not drawn here."""
    made = a_series(tmp_path / "ct", slices=12)
    path, _ = an_rtstruct(tmp_path, made, {"tumour": [square(5)]})

    def move(dataset):
        dataset.StructureSetROISequence[0].ReferencedFrameOfReferenceUID = "9.9.9"

    edited(path, move)
    with pytest.raises(GridMismatchError, match="another frame of reference"):
        read_rtstruct(path, made)


def test_empty_attributes_and_absent_references_do_not_matter(tmp_path):
    """Without image references, frame of reference or names the position alone decides."""
    made = a_series(tmp_path / "ct", slices=12)
    path, _ = an_rtstruct(tmp_path, made, {"tumour": [square(4), square(5), square(6)]})

    def empty(dataset):
        roi = dataset.StructureSetROISequence[0]
        roi.ReferencedFrameOfReferenceUID = roi.ROIName = roi.ROIGenerationAlgorithm = ""
        for contour in dataset.ROIContourSequence[0].ContourSequence:
            contour.ContourImageSequence = []
        del dataset.RTROIObservationsSequence

    edited(path, empty)
    np.testing.assert_array_equal(masks_of(read_rtstruct(path, made))["ROI 1"], the_square(made))


def test_contours_drawn_on_another_series_are_left_to_it(tmp_path):
    """A structure set over two series gives each one its own contours."""
    made = a_series(tmp_path / "ct", slices=12)
    path, _ = an_rtstruct(tmp_path, made, {"here": [square(5)], "there": [square(5)]})

    def elsewhere(dataset):
        image = dataset.ROIContourSequence[1].ContourSequence[0].ContourImageSequence[0]
        image.ReferencedSOPInstanceUID = "1.2.3.4"
        listed = dataset.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0].RTReferencedSeriesSequence
        other = pydicom.Dataset()
        other.SeriesInstanceUID, other.ContourImageSequence = "1.2.3", [image]
        listed.append(other)

    edited(path, elsewhere)
    annotation = read_rtstruct(path, made)

    assert list(masks_of(annotation)) == ["here"]
    assert "another series" in annotation.issues[0].message
    assert annotation.issues[0].code == DanglingReferenceError.code


def test_a_structure_set_drawn_on_another_series_is_a_skip(tmp_path):
    """Where the file lists another series as the one its contours were drawn on, nothing is drawn here."""
    made = a_series(tmp_path / "ct", slices=12)
    fused = a_series(tmp_path / "pt", slices=12, modality="PT")
    path, _ = an_rtstruct(tmp_path, made, {"tumour": [square(5)]})

    with pytest.raises(DanglingReferenceError, match="drawn on another series"):
        read_rtstruct(path, fused)


def test_stale_image_references_leave_it_to_the_position(tmp_path):
    """References to images that no series of the file lists, as copies leave behind, do not cost the mask."""
    made = a_series(tmp_path / "ct", slices=12)
    path, _ = an_rtstruct(tmp_path, made, {"tumour": [square(5)]})

    def stale(dataset):
        contour = dataset.ROIContourSequence[0].ContourSequence[0]
        contour.ContourImageSequence[0].ReferencedSOPInstanceUID = "1.2.3.4"

    edited(path, stale)
    np.testing.assert_array_equal(masks_of(read_rtstruct(path, made))["tumour"], the_square(made, 5))


def test_without_an_image_there_is_nothing_to_draw_on(tmp_path):
    """A structure set needs the grid of its image."""
    made = a_series(tmp_path / "ct", slices=12)
    path, _ = an_rtstruct(tmp_path, made, {"tumour": [square(5)]})

    with pytest.raises(DanglingReferenceError):
        read_rtstruct(path, made, geometry=None)


def test_a_region_named_beside_the_roi_is_kept(tmp_path):
    """Where the observation names no region, the one of the ROI itself counts."""
    made = a_series(tmp_path / "ct", slices=4, rows=16, columns=16)
    path, _ = an_rtstruct(tmp_path, made, {"Lesion": [rectangle(1, columns=(3, 8), rows=(3, 8))]})
    dataset = pydicom.dcmread(path)
    region = pydicom.Dataset()
    region.CodeValue, region.CodingSchemeDesignator, region.CodeMeaning = "39607008", "SCT", "Lung"
    dataset.StructureSetROISequence[0].AnatomicRegionSequence = [region]
    dataset.save_as(path)

    (mask,) = read_rtstruct(path, made).masks

    assert mask.segment.region is not None
    assert mask.segment.region.key == ("SCT", "39607008")
