"""Every way a tool writes a segmentation comes back voxel for voxel, and broken items cost only themselves."""

import numpy as np
import pydicom
import pytest

from racoon_data.annotations.seg import SegReader
from racoon_data.errors import GridMismatchError, RacoonError, UnsupportedAnnotationError, UnsupportedPixelsError
from racoon_data.policies import Fractional, ReadingPolicies
from racoon_data.testing.makers import a_series
from racoon_data.testing.seg_cases import seg_cases, two_balls
from racoon_data.testing.seg_writing import SegFile, SegFrame, write_seg
from tests.annotations.helpers import masks_of, read_seg, read_with
from tests.journeys.steps import racoon

SIZE = {"slices": 7, "rows": 33, "columns": 35}


@pytest.mark.parametrize("orientation", ["axial", "oblique"])
def test_every_case_comes_back_as_its_truth(tmp_path, orientation):
    """Types, orders, encodings and habits: each mask equals the truth, and only what is wrong is reported."""
    series = a_series(tmp_path / "ct", orientation=orientation, **SIZE)

    seen = set()
    for case in seg_cases(tmp_path / "seg", series):
        annotation = read_seg(case.path, series)
        assert tuple(issue.code for issue in annotation.issues) == case.issues, case.name
        assert masks_of(annotation).keys() == case.truth.keys(), case.name
        for name, truth in case.truth.items():
            np.testing.assert_array_equal(masks_of(annotation)[name], truth, err_msg=f"{case.name}: {name}")
        seen.add(case.name)

    assert len(seen) >= 30


def of_bits(series):
    """Frames of two balls as bits."""
    masks = two_balls(series)
    return [SegFrame(n, k, m[k]) for n, m in enumerate(masks.values(), 1) for k in range(7) if m[k].any()]


def broken(tmp_path, change, frames=None, **how):
    """A series and a SEG whose data set was changed before writing."""
    series = a_series(tmp_path / "ct", **SIZE)
    path = tmp_path / "seg.dcm"
    write_seg(path, series, frames or of_bits(series), SegFile(change=change, **how))
    return series, path


def group(dataset, index):
    """Functional groups of one frame."""
    return dataset.PerFrameFunctionalGroupsSequence[index]


def test_a_frame_without_a_place_costs_its_segment(tmp_path):
    """A position that is no number spoils one segment; the other is kept and the issue names the frame."""

    def lose(dataset):
        group(dataset, 1).PlanePositionSequence[0]["ImagePositionPatient"].value = ["1e999", "0", "0"]

    series, path = broken(tmp_path, lose)

    annotation = read_seg(path, series)

    (issue,) = annotation.issues
    assert (issue.item, issue.code) == ("segment 1", "annotation.broken_item")
    assert "frame 2" in issue.message
    assert issue.is_left_out
    np.testing.assert_array_equal(masks_of(annotation)["b"], two_balls(series)["b"])
    assert list(masks_of(annotation)) == ["b"]


def test_a_frame_beside_the_grid_costs_its_segment(tmp_path):
    """A frame half a voxel off is a mismatch of its own segment."""

    def shift(dataset):
        position = group(dataset, 0).PlanePositionSequence[0]
        position.ImagePositionPatient = [position.ImagePositionPatient[0] + 0.35, *position.ImagePositionPatient[1:]]

    series, path = broken(tmp_path, shift)

    annotation = read_seg(path, series)

    assert [issue.code for issue in annotation.issues] == ["annotation.grid_mismatch"]
    assert list(masks_of(annotation)) == ["b"]


def test_a_frame_that_cannot_be_decoded_costs_its_segment(tmp_path):
    """Bytes that are no JPEG 2000 spoil one segment, with the code of the decoder's refusal."""

    def spoil(dataset):
        coded = list(pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=dataset.NumberOfFrames))
        dataset.PixelData = pydicom.encaps.encapsulate([b"no codestream ", *coded[1:]])

    series = a_series(tmp_path / "ct", **SIZE)
    frames = [SegFrame(f.segment, f.k, f.stored * np.uint8(200)) for f in of_bits(series)]
    how = {"kind": "FRACTIONAL", "bits": 8, "syntax": pydicom.uid.JPEG2000Lossless}
    series, path = broken(tmp_path, spoil, frames, **how)

    annotation = read_seg(path, series)

    assert [(issue.item, issue.code) for issue in annotation.issues] == [("segment 1", "dicom.unsupported_pixels")]
    np.testing.assert_array_equal(masks_of(annotation)["b"], two_balls(series)["b"])


def test_a_frame_that_names_no_segment_costs_itself(tmp_path):
    """Nobody knows what it shows; the frame is named and the other frames are kept."""
    series, path = broken(tmp_path, lambda dataset: delattr(group(dataset, 0), "SegmentIdentificationSequence"))

    annotation = read_seg(path, series)

    assert [(issue.item, issue.code) for issue in annotation.issues] == [("frame 1", "annotation.broken_item")]
    assert list(masks_of(annotation)) == ["a", "b"]


def test_segments_that_lack_a_code_or_a_description_are_kept(tmp_path):
    """A private code without a value and a segment nobody describes are reported, their masks stay."""

    def strip(dataset):
        dataset.SegmentSequence[0].SegmentedPropertyTypeCodeSequence[0].CodeValue = "N/A"
        dataset.SegmentSequence[0].SegmentedPropertyTypeCodeSequence[0].CodingSchemeDesignator = "RACOON"
        del dataset.SegmentSequence[1]

    series, path = broken(tmp_path, strip)

    annotation = read_seg(path, series)

    assert [(issue.item, issue.code) for issue in annotation.issues] == [
        ("segment 1", "annotation.uncoded"),
        ("segment 2", "annotation.uncoded"),
    ]
    assert list(masks_of(annotation)) == ["a", "segment 2"]


def test_a_described_zero_is_a_segment_where_padding_is_another_value(tmp_path):
    """In a label map padded with 5, a segment 0 that is not called background has a mask."""

    def describe(dataset):
        dataset.PixelPaddingValue = 5
        dataset.SegmentSequence[0].SegmentNumber = 0

    series = a_series(tmp_path / "ct", **SIZE)
    stored = np.full((7, 33, 35), 5, dtype=np.uint8)
    stored[2, 3:5, 4:9] = 0
    stored[3, 3:5, 4:9] = 2
    frames = [SegFrame(0, k, plane) for k, plane in enumerate(stored)]
    series, path = broken(tmp_path, describe, frames, kind="LABELMAP", bits=8)

    annotation = read_seg(path, series)

    np.testing.assert_array_equal(masks_of(annotation)["a"], stored == 0)
    np.testing.assert_array_equal(masks_of(annotation)["b"], stored == 2)


def test_a_tiled_segmentation_is_refused(tmp_path):
    """Microscopy is named as what it is."""
    series, path = broken(tmp_path, lambda dataset: setattr(dataset, "DimensionOrganizationType", "TILED_FULL"))

    with pytest.raises(UnsupportedAnnotationError, match="tiled"):
        read_seg(path, series)


def test_a_segmentation_without_patient_coordinates_lies_on_its_image(tmp_path):
    """A frame with neither plane nor orientation is put on the pixel grid of the image it was made from."""

    def flatten(dataset):
        for item in dataset.PerFrameFunctionalGroupsSequence:
            del item.PlanePositionSequence
        del dataset.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence
        del dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence
        del dataset.FrameOfReferenceUID

    series, path = broken(tmp_path, flatten)

    annotation = read_seg(path, series)

    np.testing.assert_array_equal(masks_of(annotation)["a"], two_balls(series)["a"])
    with pytest.raises(GridMismatchError, match="neither its plane nor one image"):
        read_seg(path, series, sop_uids=("1.2", "1.3"))


def test_fragments_are_told_apart_by_the_offset_table(tmp_path):
    """Frames in several fragments are joined by the table; without one the file is refused."""

    def split(dataset):
        coded = list(pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=dataset.NumberOfFrames))
        dataset.PixelData = pydicom.encaps.encapsulate(coded, fragments_per_frame=2)

    series, path = broken(tmp_path, split, syntax="1.2.840.10008.1.2.5")
    np.testing.assert_array_equal(masks_of(read_seg(path, series))["a"], two_balls(series)["a"])

    dataset = pydicom.dcmread(path)
    coded = list(pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=dataset.NumberOfFrames))
    dataset.PixelData = pydicom.encaps.encapsulate(coded, fragments_per_frame=2, has_bot=False)
    dataset.save_as(path)
    with pytest.raises(UnsupportedPixelsError, match="no table"):
        read_seg(path, series)


def test_a_fractional_policy_has_a_name(tmp_path):
    """Any value above zero, half of the maximum or the maximum alone: each is stated in the notes."""
    stored = np.array([[0, 1, 99, 100, 199, 200] + [0] * 29] * 33, dtype=np.uint8)
    series, path = broken(tmp_path, None, [SegFrame(1, 2, stored)], kind="FRACTIONAL", bits=8, names=("a",))

    readers = {name: SegReader().under(ReadingPolicies(fractional=name)) for name in Fractional}
    found = {name.value: read_with(reader, path, series) for name, reader in readers.items()}

    assert {name: int(masks_of(one)["a"].sum()) // 33 for name, one in found.items()} == {
        "any": 5,
        "half": 3,
        "full": 1,
    }
    assert found["any"].notes == ("fractional values (probability) count wherever they are above zero",)


def test_the_policy_is_an_option_of_the_command(tmp_path):
    """``annotations read --fractional any`` keeps every voxel above zero and says so in the account."""
    stored = np.array([[0, 1, 99, 100, 199, 200] + [0] * 29] * 33, dtype=np.uint8)
    broken(tmp_path, None, [SegFrame(1, 2, stored)], kind="FRACTIONAL", bits=8, names=("a",))

    said = racoon("annotations", "read", tmp_path, tmp_path / "out", "--fractional", "any", "--json")

    (account,) = said.document["annotations"]
    assert account["masks"][0]["voxels"] == 5 * 33
    assert "above zero" in account["notes"][0]


def test_a_frame_of_an_image_of_many_frames_is_not_guessed(tmp_path):
    """Where the source is one file of many slices and the frame names no plane, the segment is refused."""

    def flatten(dataset):
        for item in dataset.PerFrameFunctionalGroupsSequence:
            del item.PlanePositionSequence

    series, path = broken(tmp_path, flatten)

    with pytest.raises(GridMismatchError, match="neither its plane nor one image"):
        read_seg(path, series, sop_uids=series.sop_uids[:1] * 7)


@pytest.mark.parametrize("seed", range(4))
def test_damaged_files_are_read_or_refused_with_a_code(tmp_path, seed):
    """Bytes changed at random never end in anything but an annotation or a coded error."""
    series = a_series(tmp_path / "ct", **SIZE)
    random = np.random.default_rng(seed)
    ends = {"read": 0, "refused": 0}
    for case in seg_cases(tmp_path / "seg", series):
        data = np.frombuffer(case.path.read_bytes(), dtype=np.uint8).copy()
        data[random.integers(132, data.size, 6)] = random.integers(0, 256, 6)
        case.path.write_bytes(data.tobytes())
        try:
            read_seg(case.path, series)
        except RacoonError:
            ends["refused"] += 1
        else:
            ends["read"] += 1

    assert ends["read"] + ends["refused"] >= 30
