"""Segmentations come back voxel for voxel on the image grid, or are refused with a reason."""

import warnings

import highdicom
import numpy as np
import pydicom
import pytest

from racoon_data.dicom.frame_pixels import frame_reader
from racoon_data.dicom.guard import scan
from racoon_data.dicom.headers import read_dataset
from racoon_data.errors import (
    AnnotationError,
    BrokenItemError,
    DanglingReferenceError,
    GridMismatchError,
    TruncatedError,
    UnsupportedAnnotationError,
    UnsupportedPixelsError,
)
from racoon_data.labels import CodedConcept
from racoon_data.testing.makers import SegStyle, a_seg, a_series
from racoon_data.testing.segmentations import LESION, LUNG
from tests.annotations.helpers import box, masks_of, read_seg

SIZE = {"slices": 8, "rows": 11, "columns": 13}
SHAPE = (8, 11, 13)
GGO = CodedConcept("N/A", "RACOON", "Ground glass opacity")


def two_lesions():
    """Two masks that overlap and leave most slices empty."""
    return {
        "ggo": box(SHAPE, k=slice(2, 5), j=slice(3, 8), i=slice(2, 9)),
        "consolidation": box(SHAPE, k=slice(4, 7), j=slice(5, 9), i=slice(6, 13)),
    }


def made_with_seg(folder, masks=None, **series):
    """A series and the path of its SEG."""
    made = a_series(folder / "ct", **SIZE, **series)
    (seg,) = a_seg(folder, made, masks or two_lesions())
    return made, seg.path


def edited(path, change):
    """Change a SEG on disk."""
    dataset = pydicom.dcmread(path)
    change(dataset)
    dataset.save_as(path)


def damage(dataset):
    """Write what highdicom refuses: no segment number in the dimension index, an instance named twice."""
    referenced = dataset.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    referenced.append(referenced[0])
    del dataset.DimensionIndexSequence[0]
    for group in dataset.PerFrameFunctionalGroupsSequence:
        del group.FrameContentSequence[0].DimensionIndexValues


def made_by_highdicom(folder, made, pixels, kind, **options):
    """Write a fractional or label-map SEG with one described segment per label."""
    images = [pydicom.dcmread(path) for path in made.paths]
    code = highdicom.sr.CodedConcept(LESION.value, LESION.scheme, LESION.meaning)
    count = 2 if kind == "LABELMAP" else 1
    described = [highdicom.seg.SegmentDescription(n, f"s{n}", code, code, "MANUAL") for n in range(1, count + 1)]
    uids = {"series_instance_uid": "1.2.3.1", "sop_instance_uid": "1.2.3.2"}
    numbers = {"series_number": 1, "instance_number": 1, "device_serial_number": "1"}
    tool = {"manufacturer": "m", "manufacturer_model_name": "n", "software_versions": "1"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        seg = highdicom.seg.Segmentation(images, pixels, kind, described, **uids, **numbers, **tool, **options)
    seg.save_as(folder / "seg.dcm")
    return folder / "seg.dcm"


@pytest.mark.parametrize("orientation", ["axial", "coronal", "oblique"])
def test_overlapping_segments_come_back_whole(tmp_path, orientation):
    """Frames of 143 pixels begin inside bytes; overlap stays in both masks."""
    made, path = made_with_seg(tmp_path, orientation=orientation)

    annotation = read_seg(path, made)

    assert annotation.notes == ()
    assert annotation.kind == "seg"
    for name, truth in two_lesions().items():
        np.testing.assert_array_equal(masks_of(annotation)[name], truth)


def test_codes_and_tracking_are_kept(tmp_path):
    """Category, type, region, algorithm and tracking UID arrive as written, private N/A codes included."""
    made = a_series(tmp_path / "ct", **SIZE)
    style = SegStyle(codes={"ggo": GGO, "consolidation": CodedConcept("M-01000", "SRT", "Lesion")})
    (seg,) = a_seg(tmp_path, made, two_lesions(), style=style)

    first, second = (one.segment for one in read_seg(seg.path, made).masks)

    assert (first.type, second.type.key) == (GGO, ("SRT", "M-01000"))
    assert (first.category, first.region) == (style.category, LUNG)
    assert (first.algorithm, first.number, second.number) == ("MANUAL", 1, 2)
    assert first.tracking_uid.startswith("2.25.")


def test_modifiers_of_type_and_region_are_kept(tmp_path):
    """The 5-tuple's modifiers lie inside the coded items."""
    made, path = made_with_seg(tmp_path)
    left = pydicom.Dataset()
    left.CodeValue, left.CodingSchemeDesignator, left.CodeMeaning = "7771000", "SCT", "Left"

    def modify(dataset):
        segment = dataset.SegmentSequence[0]
        segment.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [left]
        segment.AnatomicRegionSequence[0].AnatomicRegionModifierSequence = [left]

    edited(path, modify)
    segment = read_seg(path, made).masks[0].segment

    assert segment.type_modifier == segment.region_modifier == CodedConcept("7771000", "SCT", "Left")


def test_one_lesion_per_file_gives_one_annotation_each(tmp_path):
    """Tools that write one segment a file lose nothing."""
    made = a_series(tmp_path / "ct", **SIZE)
    segs = a_seg(tmp_path, made, two_lesions(), style=SegStyle(is_one_per_file=True))

    read = {name: mask for seg in segs for name, mask in masks_of(read_seg(seg.path, made)).items()}

    assert {name: int(mask.sum()) for name, mask in read.items()} == {"ggo": 105, "consolidation": 84}


def test_frames_in_reverse_order_find_their_slices(tmp_path):
    """The position of a frame, not its place in the file, says where it lies."""
    mask = two_lesions()["ggo"]
    made, path = made_with_seg(tmp_path, {"ggo": np.where(np.arange(8)[:, None, None] > 2, mask, False)})

    def reverse(dataset):
        frames = dataset.pixel_array[::-1]
        dataset.PixelData = np.packbits(frames.ravel(), bitorder="little").tobytes().ljust(-(-frames.size // 8), b"\0")
        dataset.PixelData += b"\0" * (len(dataset.PixelData) % 2)
        dataset.PerFrameFunctionalGroupsSequence = list(dataset.PerFrameFunctionalGroupsSequence)[::-1]

    edited(path, reverse)
    np.testing.assert_array_equal(masks_of(read_seg(path, made))["ggo"].sum(axis=(1, 2)), [0, 0, 0, 35, 35, 0, 0, 0])


def test_our_own_unpacking_agrees_with_highdicom(tmp_path):
    """Bits cross byte borders between frames; both ways to unpack them give the same frames."""
    _, path = made_with_seg(tmp_path)
    seg = highdicom.seg.segread(path)

    with frame_reader(path, read_dataset(path), scan(path)) as reader:
        ours = np.stack([reader.read(index) for index in range(seg.NumberOfFrames)])

    np.testing.assert_array_equal(ours, seg.get_stored_frames())


def test_a_file_highdicom_refuses_is_read_all_the_same(tmp_path):
    """An instance listed twice and a segment number missing in the dimension index cost nothing."""
    made, path = made_with_seg(tmp_path)

    edited(path, damage)
    with pytest.raises(Exception, match=r".+"):
        highdicom.seg.segread(path)
    np.testing.assert_array_equal(masks_of(read_seg(path, made))["ggo"], two_lesions()["ggo"])


def test_a_segment_named_once_for_all_frames_is_found(tmp_path):
    """The segment may be named in the shared groups, or not at all where the file has only one."""
    made, path = made_with_seg(tmp_path, {"ggo": two_lesions()["ggo"]})
    shared = pydicom.dcmread(path).SharedFunctionalGroupsSequence[0]

    assert shared.SegmentIdentificationSequence[0].ReferencedSegmentNumber == 1
    np.testing.assert_array_equal(masks_of(read_seg(path, made))["ggo"], two_lesions()["ggo"])

    def forget(dataset):
        del dataset.SharedFunctionalGroupsSequence[0].SegmentIdentificationSequence

    edited(path, forget)
    np.testing.assert_array_equal(masks_of(read_seg(path, made))["ggo"], two_lesions()["ggo"])


def test_frames_that_name_none_of_several_segments_are_refused(tmp_path):
    """Which segment a frame shows is never guessed."""
    made, path = made_with_seg(tmp_path)

    def forget(dataset):
        for group in dataset.PerFrameFunctionalGroupsSequence:
            del group.SegmentIdentificationSequence

    edited(path, forget)
    with pytest.raises(BrokenItemError, match="which segment"):
        read_seg(path, made)


def test_a_frame_without_a_plane_lies_on_its_source_image(tmp_path):
    """Where the plane position is missing, the source image of the frame gives the slice."""
    made, path = made_with_seg(tmp_path)

    def forget(dataset):
        for group in dataset.PerFrameFunctionalGroupsSequence:
            del group.PlanePositionSequence

    edited(path, forget)
    np.testing.assert_array_equal(masks_of(read_seg(path, made))["ggo"], two_lesions()["ggo"])
    with pytest.raises(GridMismatchError, match="neither its plane nor one image"):
        read_seg(path, made, sop_uids=("1.2", "1.3"))


def test_a_segmentation_of_a_part_is_placed_on_the_whole_image(tmp_path):
    """The extent of the SEG may be smaller than the image's; the masks are on the image grid."""
    part = a_series(tmp_path / "part", slices=4, rows=6, columns=7, origin_lps=(-20 + 0.7 * 3, -15 + 0.8 * 2, 105.0))
    (seg,) = a_seg(tmp_path, part, {"all": np.ones((4, 6, 7), dtype=bool)})
    whole = a_series(tmp_path / "ct", **SIZE)

    mask = masks_of(read_seg(seg.path, whole))["all"]

    np.testing.assert_array_equal(mask, box(SHAPE, k=slice(2, 6), j=slice(2, 8), i=slice(3, 10)))


@pytest.mark.parametrize("size", [(8, 11, 13), (9, 10, 14)])
def test_a_segmentation_cut_in_another_plane_is_placed(tmp_path, size):
    """Coronal frames, columns to the left and rows to the feet, lie where they belong on an axial image."""
    slices, rows, columns = size
    cube = {"spacing_mm": (2.0, 2.0, 2.0)}
    image = a_series(tmp_path / "ct", **SIZE, **cube)
    turned = (-1, 0, 0, 0, 0, -1)  # its slices ascend to the front
    coronal = a_series(tmp_path / "cor", slices=rows, rows=slices, columns=columns, orientation=turned,
                       origin_lps=image.geometry.position_lps((columns - 1, rows - 1, slices - 1)), **cube)  # fmt: skip
    whole = np.zeros((9, 11, 14), dtype=bool)
    whole[:8, :11, :13] = two_lesions()["consolidation"]
    seen = whole[:slices, :rows, :columns][::-1, ::-1, ::-1].transpose(1, 0, 2)
    (seg,) = a_seg(tmp_path, coronal, {"a": seen})

    annotation = read_seg(seg.path, image)

    truth = two_lesions()["consolidation"].copy()
    truth[:, rows:] = False
    np.testing.assert_array_equal(masks_of(annotation)["a"], truth)


def test_what_lies_outside_the_image_is_counted(tmp_path):
    """Voxels of a larger segmentation beyond the image are left out with their number."""
    larger = a_series(tmp_path / "larger", slices=8, rows=13, columns=13)
    (seg,) = a_seg(tmp_path, larger, {"all": np.ones((8, 13, 13), dtype=bool)})
    image = a_series(tmp_path / "ct", **SIZE)

    annotation = read_seg(seg.path, image)

    assert masks_of(annotation)["all"].all()
    (issue,) = annotation.issues
    assert (issue.item, issue.code) == ("segment 1", "annotation.outside_image")
    assert issue.message == f"{8 * 2 * 13} voxel(s) lie outside the image and were left out"


def test_spacing_that_nearly_agrees_is_placed(tmp_path):
    """Headers rounded differently (2.024902 against 2.025 mm) mean the same grid."""
    image = a_series(tmp_path / "pt", **SIZE, modality="PT", spacing_mm=(2.025, 2.025, 2.5))
    near = a_series(tmp_path / "near", **SIZE, modality="PT", spacing_mm=(2.024902, 2.024902, 2.5))
    (seg,) = a_seg(tmp_path, near, two_lesions())

    np.testing.assert_array_equal(masks_of(read_seg(seg.path, image))["ggo"], two_lesions()["ggo"])


@pytest.mark.parametrize(
    ("other", "word"),
    [
        ({"origin_lps": (-19.7, -15.0, 100.0)}, "beside its image grid"),
        ({"origin_lps": (-20.0, -15.0, 101.2)}, "beside its image grid"),
        ({"spacing_mm": (0.8, 0.8, 2.5)}, "not the image's voxels|beside its image grid"),
        ({"spacing_mm": (1.6, 1.4, 2.5)}, "not the image's voxels"),
        ({"spacing_mm": (0.8, 0.7, 5.0)}, "further apart"),
        ({"orientation": "oblique"}, "not the image's voxels"),
        ({"frame_of_reference": "1.2.9"}, "another frame of reference"),
    ],
)
def test_another_grid_of_the_same_shape_is_refused(tmp_path, other, word):
    """The same shape with another origin, spacing, orientation or frame of reference is not the same grid."""
    image = a_series(tmp_path / "ct", **SIZE)
    elsewhere = a_series(tmp_path / "other", **SIZE, **other)
    (seg,) = a_seg(tmp_path, elsewhere, two_lesions())

    with pytest.raises(GridMismatchError, match=word):
        read_seg(seg.path, image)


def test_fractional_values_count_from_half_of_the_maximum(tmp_path):
    """The threshold is a stated policy: half of the maximum is inside, and the note says so."""
    made = a_series(tmp_path / "ct", **SIZE)
    pixels = np.zeros(SHAPE, dtype=np.float32)
    pixels[3, 4, 2:6] = (0.2, 0.49, 0.51, 1.0)
    path = made_by_highdicom(tmp_path, made, pixels, "FRACTIONAL", fractional_type="PROBABILITY")

    annotation = read_seg(path, made)

    assert np.argwhere(masks_of(annotation)["s1"]).tolist() == [[3, 4, 4], [3, 4, 5]]
    assert annotation.notes == ("fractional values (probability) count from 0.5 of the maximum on",)


def test_fractional_files_that_highdicom_refuses_are_read(tmp_path):
    """Eight-bit frames decode without highdicom too."""
    made = a_series(tmp_path / "ct", **SIZE)
    pixels = np.zeros(SHAPE, dtype=np.float32)
    pixels[3, 4, 2:6] = (0.2, 0.49, 0.51, 1.0)
    path = made_by_highdicom(tmp_path, made, pixels, "FRACTIONAL", fractional_type="OCCUPANCY")
    edited(path, damage)

    with pytest.raises(Exception, match=r".+"):
        highdicom.seg.segread(path)
    assert np.argwhere(masks_of(read_seg(path, made))["s1"]).tolist() == [[3, 4, 4], [3, 4, 5]]


def test_a_label_map_gives_a_mask_for_every_value(tmp_path):
    """Each value of a label map is a segment; background is none."""
    made = a_series(tmp_path / "ct", **SIZE)
    pixels = np.zeros(SHAPE, dtype=np.uint8)
    pixels[1:3, 2:5, 2:5], pixels[4, 7, 8:12] = 1, 2
    path = made_by_highdicom(tmp_path, made, pixels, "LABELMAP")

    masks = masks_of(read_seg(path, made))

    np.testing.assert_array_equal(masks["s1"], pixels == 1)
    np.testing.assert_array_equal(masks["s2"], pixels == 2)


def test_padding_of_a_label_map_is_no_segment(tmp_path):
    """The value PixelPaddingValue names means that nothing was looked at there."""
    made = a_series(tmp_path / "ct", **SIZE)
    pixels = np.zeros(SHAPE, dtype=np.uint8)
    pixels[1:3, 2:5, 2:5], pixels[4, 7, 8:12] = 1, 2
    path = made_by_highdicom(tmp_path, made, pixels, "LABELMAP")
    edited(path, lambda dataset: setattr(dataset, "PixelPaddingValue", 2))

    assert list(masks_of(read_seg(path, made))) == ["s1"]


def test_a_described_segment_without_voxels_is_noted(tmp_path):
    """An empty segment is named and the others are kept; nothing but empty segments is an error."""
    nothing = np.zeros(SHAPE, dtype=bool)
    made, path = made_with_seg(tmp_path, {"none": nothing, **two_lesions()})

    annotation = read_seg(path, made)

    assert list(masks_of(annotation)) == ["ggo", "consolidation"]
    assert [str(one) for one in annotation.issues] == [
        "segment 1: covers no voxel of the image (annotation.empty_item)"
    ]


def test_a_segmentation_that_covers_nothing_is_an_error(tmp_path):
    """A SEG far from its image is never an empty mask."""
    far = a_series(tmp_path / "far", **SIZE, origin_lps=(-20.0, -15.0, 200.0))
    (seg,) = a_seg(tmp_path, far, two_lesions())
    image = a_series(tmp_path / "ct", **SIZE)

    with pytest.raises(AnnotationError, match="no segment covers a voxel"):
        read_seg(seg.path, image)


def test_short_pixel_data_is_refused(tmp_path):
    """Pixel data that end before the last frame are named, not read as empty."""
    made, path = made_with_seg(tmp_path)
    edited(path, lambda dataset: setattr(dataset, "PixelData", dataset.PixelData[:20]))

    with pytest.raises(TruncatedError):
        read_seg(path, made)


def test_frames_without_a_description_are_refused(tmp_path):
    """As many descriptions as frames, or nobody knows what the frames show."""
    made, path = made_with_seg(tmp_path)

    def lose(dataset):
        del dataset.PerFrameFunctionalGroupsSequence[-1]

    edited(path, lose)
    with pytest.raises(UnsupportedAnnotationError, match="6 frames and 5 descriptions"):
        read_seg(path, made)


def test_a_single_frame_needs_no_number_of_frames(tmp_path):
    """A file of one frame may leave out NumberOfFrames."""
    made, path = made_with_seg(tmp_path, {"dot": box(SHAPE, k=3, j=4, i=5)})
    edited(path, lambda dataset: delattr(dataset, "NumberOfFrames"))

    assert np.argwhere(masks_of(read_seg(path, made))["dot"]).tolist() == [[3, 4, 5]]


def test_a_position_that_is_no_number_is_refused(tmp_path):
    """NaN in a plane position never becomes a place."""
    made, path = made_with_seg(tmp_path, origin_lps=(-20.0, -15.0, 123.4375))
    path.write_bytes(path.read_bytes().replace(b"-20.0\\-15.0\\", b"nan  \\-15.0\\"))

    with pytest.raises(BrokenItemError, match="no place"):
        read_seg(path, made)


def test_pixels_that_cannot_be_decoded_are_refused(tmp_path):
    """A file that claims JPEG 2000 and holds something else is named, with what helps."""
    made, path = made_with_seg(tmp_path)

    def pretend(dataset):
        dataset.PixelData = pydicom.encaps.encapsulate([b"no codestream "] * dataset.NumberOfFrames)
        dataset["PixelData"].VR = "OB"
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.JPEG2000Lossless

    edited(path, pretend)
    with pytest.raises(UnsupportedPixelsError, match="cannot be decoded"):
        read_seg(path, made)


def test_missing_pixels_types_and_images_are_refused(tmp_path):
    """Without pixel data, a known type or an image there is nothing to read."""
    made, path = made_with_seg(tmp_path)

    with pytest.raises(DanglingReferenceError):
        read_seg(path, made, geometry=None)
    edited(path, lambda dataset: setattr(dataset, "SegmentationType", "SURFACE"))
    with pytest.raises(UnsupportedAnnotationError, match="SURFACE"):
        read_seg(path, made)
    edited(path, lambda dataset: (setattr(dataset, "SegmentationType", "BINARY"), delattr(dataset, "PixelData")))
    with pytest.raises(UnsupportedPixelsError):
        read_seg(path, made)
