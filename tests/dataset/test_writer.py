"""Cases become files that say what the case said, whole or not at all."""

import json

import numpy as np
import pytest

from racoon_data.cases import Channel
from racoon_data.dataset.readers import without_overlap
from racoon_data.dataset.writer import write_case
from racoon_data.errors import DatasetError, GridMismatchError, SchemaError
from racoon_data.files.case_sidecar import load_sidecar
from racoon_data.files.nifti import read_nifti
from racoon_data.geometry import Geometry, as_affine
from racoon_data.labels import IGNORE, Annotation, Label, LabelMap, LabelSchema, Segment, SegmentMask
from racoon_data.refs import CaseRef, InstanceRef
from racoon_data.volumes import Volume
from tests.dataset.makers import GRID, NAMES, SCHEMA, a_case, a_mask


def files_in(root):
    """List every file below a folder."""
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def test_voxels_and_grid_come_back(tmp_path):
    """Image and label files hold exactly the case's values on the case's grid."""
    case = a_case()

    record = write_case(case, tmp_path, schema=SCHEMA)

    image, grid = read_nifti(tmp_path / record.images[0])
    labels, label_grid = read_nifti(tmp_path / record.label)
    assert np.array_equal(image, case.channels[0].volume.array)
    assert image.dtype == np.float32
    assert np.array_equal(labels, case.label_map.array)
    assert labels.dtype == np.uint8
    assert GRID.same_grid(grid, tol_mm=1e-4)
    assert GRID.same_grid(label_grid, tol_mm=1e-4)


def test_whole_numbers_are_stored_as_int16(tmp_path):
    """Integer images that fit int16 keep every value in half the space."""
    volume = Volume(np.full(GRID.array_shape, 3071, dtype=np.int32), GRID, "HU")
    channel = a_case().channels[0]
    changed = Channel(channel.name, volume, channel.series, channel.acquisition)

    record = write_case(a_case(channels=(changed,)), tmp_path, schema=SCHEMA)

    image, _ = read_nifti(tmp_path / record.images[0])
    assert image.dtype == np.int16
    assert int(image.max()) == 3071


def test_absent_differs_from_not_annotated(tmp_path):
    """A label that was looked for and is absent measures 0 ml; one nobody looked for is not listed."""
    case = a_case()
    empty = LabelMap(np.zeros_like(case.label_map.array), GRID, NAMES[:1])

    record = write_case(a_case(label_map=empty), tmp_path, schema=SCHEMA)

    assert record.label_ml == {NAMES[0]: 0.0}
    assert record.annotated == NAMES[:1]


def test_volumes_are_true(tmp_path):
    """27 voxels of 6.75 cubic millimetres are 0.182 ml."""
    record = write_case(a_case(), tmp_path, schema=SCHEMA)

    assert record.label_ml == {NAMES[0]: 0.182, NAMES[1]: 0.182}


def test_ignored_voxels_get_the_value_after_the_last_label(tmp_path):
    """nnU-Net wants consecutive labels, so "ignore" is written as one more than the last."""
    array = a_case().label_map.array.copy()
    array[0, 0, 0] = IGNORE

    record = write_case(a_case(label_map=LabelMap(array, GRID, NAMES)), tmp_path, schema=SCHEMA)

    labels, _ = read_nifti(tmp_path / record.label)
    assert labels[0, 0, 0] == 4
    assert load_sidecar(tmp_path / record.sidecar).label.ignored_voxels == 1


def test_a_training_case_without_label_lies_where_none_is_required(tmp_path):
    """imagesTr requires a label for each image; an unlabelled case goes to imagesTs."""
    record = write_case(a_case(label_map=None), tmp_path, schema=SCHEMA, split="train", fold=2)

    assert record.images == ("imagesTs/case-001_0000.nii.gz",)
    assert (record.label, record.split, record.fold) == (None, "train", 2)


def test_overlapping_masks_of_a_reader_are_all_kept(tmp_path):
    """Two outlines that overlap go to two files, and each voxel of both comes back."""
    first, second = a_mask(slice(0, 4), slice(0, 4), slice(0, 4)), a_mask(slice(2, 6), slice(2, 6), slice(2, 6))
    masks = tuple(SegmentMask(Segment(n, name), m) for n, name, m in ((1, "a", first), (2, "b", second)))
    annotation = Annotation(InstanceRef("1", "2", "3"), "seg", None, GRID, masks, (), "R7")

    record = write_case(a_case(annotations=(annotation,)), tmp_path, schema=SCHEMA)

    assert record.readers == ("readers/case-001/R7.nii.gz", "readers/case-001/R7_2.nii.gz")
    back = [read_nifti(tmp_path / path)[0] == 1 for path in record.readers]
    assert np.array_equal(back[0], first)
    assert np.array_equal(back[1], second)


def test_masks_without_overlap_share_a_layer():
    """Outlines that do not touch need one file."""
    masks = [SegmentMask(Segment(n, ""), a_mask(slice(n, n + 1), slice(0, 2), slice(0, 2))) for n in range(3)]

    assert [len(layer) for layer in without_overlap(masks)] == [3]


def test_readers_never_share_a_file(tmp_path):
    """Names that differ only in characters no file name takes get different files."""
    mask = (SegmentMask(Segment(1, "a"), a_mask(slice(0, 2), slice(0, 2), slice(0, 2))),)
    two = tuple(Annotation(InstanceRef("1", "2", name), "seg", None, GRID, mask, (), name) for name in ("a b", "a/b"))

    record = write_case(a_case(annotations=two), tmp_path, schema=SCHEMA)

    assert len(set(record.readers)) == 2


def test_labels_on_another_grid_are_refused(tmp_path):
    """Images and labels on different grids never reach the disk."""
    shifted = GRID.matrix
    shifted[0, 3] += 50
    moved = Geometry(GRID.shape, as_affine(shifted))

    with pytest.raises(GridMismatchError) as caught:
        write_case(a_case(label_map=LabelMap(a_case().label_map.array, moved)), tmp_path, schema=SCHEMA)

    assert caught.value.ref == CaseRef("case-001")
    assert files_in(tmp_path) == []


def test_a_case_that_fails_leaves_no_file(tmp_path):
    """A label value the schema does not know ends the case, and what was written is taken away."""
    array = a_case().label_map.array.copy()
    array[0, 0, 0] = 77

    with pytest.raises(DatasetError, match="77"):
        write_case(a_case(label_map=LabelMap(array, GRID)), tmp_path, schema=SCHEMA)

    assert files_in(tmp_path) == []


def test_a_case_that_changes_sides_leaves_nothing_behind(tmp_path):
    """Written again on the other side of the split, a case stands there alone."""
    write_case(a_case(), tmp_path, schema=SCHEMA, split="train")

    record = write_case(a_case(annotations=()), tmp_path, schema=SCHEMA, split="test")

    assert files_in(tmp_path) == sorted(record.sha256)


@pytest.mark.parametrize("name", ["", "../x", "a b", "a/b", "a.nii"])
def test_a_case_id_must_be_a_file_name(tmp_path, name):
    """Ids that could leave the folder or break a file system are refused."""
    with pytest.raises(DatasetError):
        write_case(a_case(ref=CaseRef(name)), tmp_path, schema=SCHEMA)


def test_label_values_with_a_gap_are_refused(tmp_path):
    """nnU-Net reads consecutive labels only, so a gap is refused before anything is written."""
    schema = LabelSchema("gap", "1", (Label(1, "a"), Label(3, "b")))

    with pytest.raises(SchemaError, match="not 1 to 2"):
        write_case(a_case(label_map=None), tmp_path, schema=schema)


def test_the_sidecar_names_sources_and_steps(tmp_path):
    """The sidecar tells series, instances, annotation, steps and the words of the reader."""
    record = write_case(a_case(), tmp_path, schema=SCHEMA)

    document = json.loads((tmp_path / record.sidecar).read_text())
    assert document["Channels"][0]["SeriesInstanceUID"] == "2.25.1.1"
    assert document["Channels"][0]["Acquisition"]["ConvolutionKernel"] == ["Br40f", "3"]
    assert document["Annotations"][0]["SOPInstanceUID"] == "2.25.1.2.1"
    assert [segment["Name"] for segment in document["Readers"][0]["Segments"]] == ["GGO", "Kons"]
    assert document["Steps"] == [{"step": "reorient", "to": "RAS"}]
