"""Mask exports of other tools: every segment with its voxels, codes and references, and errors that have names."""

import json

import numpy as np
import pytest

from racoon_data.annotations.tools.dcmqi import DcmqiReader
from racoon_data.annotations.tools.labelled import LabelFileReader
from racoon_data.annotations.tools.mitk import MitkReader
from racoon_data.annotations.tools.slicer import SlicerReader
from racoon_data.errors import BrokenExportError, HostileExportError, UnsupportedAnnotationError
from racoon_data.files.nifti import write_nifti
from racoon_data.files.nrrd import read_nrrd
from racoon_data.geometry import SAME_GRID_MM, Geometry, as_affine
from tests.annotations.helpers import box
from tests.annotations.tools.makers import (
    TISSUE,
    a_label_file,
    a_mitk_stack,
    slicer_keys,
    temporo,
    write_json,
    write_nrrd,
)

TURN = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]]) @ np.diag([0.7, 0.9, 2.5])
MATRIX = np.eye(4)
MATRIX[:3, :3], MATRIX[:3, 3] = TURN, (-30.5, 12.25, 7.0)
GRID = Geometry((9, 7, 5), as_affine(MATRIX))
ONE = box(GRID.array_shape, k=slice(1, 3), j=slice(2, 5), i=slice(0, 4))
TWO = box(GRID.array_shape, k=4, j=6, i=slice(6, 9))
OVER = box(GRID.array_shape, k=slice(2, 5), j=slice(4, 7), i=slice(3, 9))


def read(reader, path):
    """What a reader finds: the look, and masks by segment name."""
    look = reader.look(path)
    export = look.exports[0]
    names = {segment.number: segment.name for segment in export.segments}
    return look, export, {names[one.number]: one.mask for one in reader.masks(path, export) if one.number > 0}


def same(found, truth):
    """Whether masks are the truth voxel for voxel."""
    return found.keys() == truth.keys() and all(np.array_equal(found[name], truth[name]) for name in truth)


@pytest.mark.parametrize("space", ["left-posterior-superior", "right-anterior-superior"])
def test_slicer_overlap_in_layers(tmp_path, space):
    """Two segments that overlap lie in two layers; both are whole, on an oblique grid, in LPS and in RAS files."""
    keys = slicer_keys(
        {"ID": "S1", "Name": "one", "LabelValue": 3, "Layer": 0, "Tags": f"x:y|TerminologyEntry:{TISSUE}|"},
        {"ID": "S2", "Name": "over", "LabelValue": 1, "Layer": 1},
    )
    path = write_nrrd(tmp_path / "a.seg.nrrd", np.stack([ONE * 3, OVER]).astype(np.uint8), GRID, keys=keys, space=space)

    _, export, masks = read(SlicerReader(), path)

    assert same(masks, {"one": ONE, "over": OVER})
    assert export.grid.same_grid(GRID, tol_mm=1e-9)
    first = export.segments[0]
    assert [code.value for code in (first.category, first.type, first.region, first.region_modifier)] == [
        "49755003",
        "52988006",
        "39607008",
        "24028007",
    ]
    assert first.type_modifier is None
    assert list(map(str, export.issues)) == ["segment 2: has no terminology (annotation.uncoded)"]


def test_old_slicer_files_have_a_layer_per_segment(tmp_path):
    """Before LabelValue and Layer each segment had a layer of ones."""
    keys = slicer_keys({"ID": "S1", "Name": "one"}, {"ID": "S2", "Name": "two"})
    path = write_nrrd(tmp_path / "a.seg.nrrd", np.stack([ONE, TWO]).astype(np.uint8), GRID, keys=keys)

    assert same(read(SlicerReader(), path)[2], {"one": ONE, "two": TWO})


def test_slicer_notes_what_no_segment_describes(tmp_path):
    """A label without a segment is noted, and so are voxels outside the stated extent, which are kept."""
    keys = slicer_keys({"Name": "one", "LabelValue": 1, "Layer": 0, "Extent": "0 8 0 6 0 1"})
    path = write_nrrd(tmp_path / "a.seg.nrrd", (ONE + 2 * TWO).astype(np.uint8), GRID, keys=keys)

    _, export, masks = read(SlicerReader(), path)

    assert same(masks, {"one": ONE})
    assert {(one.item, one.code, one.message) for one in export.issues} == {
        ("segment 1", "annotation.uncoded", "has no terminology"),
        ("segment 1", "annotation.broken_item", f"{ONE[2].sum()} voxel(s) lie outside its stated extent and were kept"),
        ("label value 2 of layer 0", "annotation.broken_item", "is described by no segment and was left out"),
    }


@pytest.mark.parametrize("is_per_label", [False, True])
def test_mitk_stacks_of_both_strategies(tmp_path, is_per_label):
    """A volume per group or per label gives the same masks, codes, tracking and references."""
    properties = {
        "DICOM.0008.2112.[0].0008.1155": temporo("1.2.3.1", "1.2.3.2")["value"],
        "DICOM.0008.1115.[0].0020.000E": temporo("1.2.3")["value"],
        "DICOM.0010.0020": temporo("P1")["value"],
    }
    path = a_mitk_stack(tmp_path, {"one": ONE, "two": TWO}, GRID, is_per_label=is_per_label, **properties)

    look, export, masks = read(MitkReader(), path)

    assert same(masks, {"one": ONE, "two": TWO})
    assert look.outcomes == ()
    assert len(look.companions) == (2 if is_per_label else 1)
    assert export.pointers.sop_uids == {"1.2.3.1", "1.2.3.2"}
    assert (export.pointers.series_uids, export.pointers.patient) == ({"1.2.3"}, "P1")
    assert [(one.type.value, one.algorithm, one.tracking_uid) for one in export.segments] == [
        ("52988006", "MANUAL", "2.25.1"),
        ("52988006", "MANUAL", "2.25.2"),
    ]


def test_a_label_file_goes_before_its_group(tmp_path):
    """In a mixed stack the label's own volume overrides the group's."""
    path = a_mitk_stack(tmp_path, {"one": ONE, "two": TWO}, GRID)
    document = json.loads(path.read_text())
    write_nifti(tmp_path / "own.nii.gz", OVER.astype(np.uint8), GRID)
    document["groups"][0]["labels"][0] |= {"_file": "own.nii.gz", "_file_value": 1}
    write_json(path, document)

    assert same(read(MitkReader(), path)[2], {"one": OVER, "two": TWO})


def test_a_broken_label_costs_itself_alone(tmp_path):
    """A label whose volume is absent, one outside the folder and one without a value are named; one is read."""
    path = a_mitk_stack(tmp_path / "in", {"one": ONE, "two": TWO, "three": OVER & False, "four": OVER & False}, GRID)
    document = json.loads(path.read_text())
    labels = document["groups"][0]["labels"]
    labels[1]["_file"], labels[2]["_file"] = "absent.nrrd", "../../outside.nrrd"
    del labels[3]["value"]
    write_nrrd(tmp_path / "outside.nrrd", ONE.astype(np.uint8), GRID)
    write_json(path, document)

    look, _, masks = read(MitkReader(), path)

    assert same(masks, {"one": ONE})
    assert [(str(one.ref).partition("#")[2], one.code) for one in look.outcomes] == [
        ("group 0 label 1", "annotation.broken_export"),
        ("group 0 label 2", "annotation.broken_export"),
        ("group 0 label 3", "annotation.broken_export"),
    ]


@pytest.mark.parametrize("change", [{"version": 4}, {"type": "org.mitk.multilabel.preset"}])
def test_newer_stacks_and_presets_are_refused(tmp_path, change):
    """A version nobody has seen yet and a preset without voxels are unsupported, not guessed at."""
    path = a_mitk_stack(tmp_path, {"one": ONE}, GRID)
    write_json(path, json.loads(path.read_text()) | change)

    with pytest.raises(UnsupportedAnnotationError):
        MitkReader().look(path)


def test_a_label_file_keeps_overlap_codes_and_findings(tmp_path):
    """Our own format: overlapping labels in two files, references, a finding, and a UID that follows the content."""
    row = {"concept": {"value": "118565006", "scheme": "SCT"}, "value": "1.5", "unit": "ml", "referenced_sops": ["1.2"]}
    facts = {"patient": "P1", "series_uids": ["1.2.3"], "reader": "A", "findings": [row]}
    path = a_label_file(tmp_path, {"one": ONE, "over": OVER}, GRID, **facts)

    _, export, masks = read(LabelFileReader(), path)
    write_nifti(tmp_path / "1.nii.gz", TWO.astype(np.uint8), GRID)
    again = LabelFileReader().look(path).exports[0]

    assert same(masks, {"one": ONE, "over": OVER})
    assert export.grid.same_grid(GRID, tol_mm=SAME_GRID_MM)
    assert (export.pointers.patient, export.pointers.series_uids, export.reader) == ("P1", {"1.2.3"}, "A")
    assert (export.findings[0].value, export.findings[0].source.sop_uid) == ("1.5", export.uid)
    assert again.uid != export.uid


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"masks": []}, "names neither masks nor findings"),
        ({"mask": []}, "mask: there is no such key"),
        ({"schema_version": "2.0"}, "schema_version"),
        ({"masks": [{"file": "/etc/hostname", "labels": [{"value": 1, "name": "x"}]}]}, "out of the export's folder"),
        ({"masks": [{"file": "9.nii.gz", "labels": [{"value": 1, "name": "x"}]}]}, "is not there"),
        ({"masks": [{"file": "1.nii.gz", "labels": []}]}, "masks/0/labels"),
    ],
)
def test_a_wrong_label_file_names_its_key(tmp_path, change, message):
    """Each mistake ends in one error that says where."""
    path = a_label_file(tmp_path, {"one": ONE}, GRID)
    write_json(path, json.loads(path.read_text()) | change)

    with pytest.raises(BrokenExportError, match=message):
        LabelFileReader().look(path)


def test_volumes_of_one_annotation_share_a_grid(tmp_path):
    """Two volumes on different grids are no annotation of one image."""
    path = a_label_file(tmp_path, {"one": ONE, "two": TWO}, GRID)
    moved = MATRIX.copy()
    moved[0, 3] += 1
    write_nifti(tmp_path / "2.nii.gz", TWO.astype(np.uint8), Geometry(GRID.shape, as_affine(moved)))

    with pytest.raises(BrokenExportError, match="different grids"):
        LabelFileReader().look(path)


@pytest.mark.parametrize("is_split", [False, True])
def test_dcmqi_meta_json_describes_its_volumes(tmp_path, is_split):
    """One volume for all labels, or one numbered volume per overlapping group, with dcmqi's codes."""
    code = {"CodeValue": "52988006", "CodingSchemeDesignator": "SCT", "CodeMeaning": "Lesion"}
    items = [
        {
            "labelID": value,
            "SegmentLabel": name,
            "SegmentedPropertyTypeCodeSequence": code,
            "SegmentAlgorithmType": "MANUAL",
        }
        for value, name in ((1, "one"), (2, "two"))
    ]
    groups = [[items[0]], [items[1]]] if is_split else [items]
    path = write_json(tmp_path / "p-meta.json", {"ContentCreatorName": "A", "segmentAttributes": groups})
    if is_split:
        write_nifti(tmp_path / "p-1.nii.gz", ONE.astype(np.uint8), GRID)
        write_nrrd(tmp_path / "p-2.nrrd", TWO.astype(np.uint8) * np.uint8(2), GRID)
    else:
        write_nifti(tmp_path / "p.nii.gz", (ONE + 2 * TWO).astype(np.uint8), GRID)

    look, export, masks = read(DcmqiReader(), path)

    assert same(masks, {"one": ONE, "two": TWO})
    assert (export.segments[0].type.value, export.reader, len(look.companions)) == ("52988006", "A", 1 + is_split)


def test_masks_in_floating_point_are_rounded(tmp_path):
    """Values of 0.9999 are ones (SimpleITK writes them so); values between labels are refused."""
    path = a_label_file(tmp_path, {"one": ONE}, GRID)
    write_nifti(tmp_path / "1.nii.gz", ONE.astype(np.float32) * 0.9999, GRID)

    assert same(read(LabelFileReader(), path)[2], {"one": ONE})

    write_nifti(tmp_path / "1.nii.gz", ONE.astype(np.float32) * 0.5, GRID)
    with pytest.raises(BrokenExportError, match="between labels"):
        read(LabelFileReader(), path)


@pytest.mark.parametrize("fields", [{"encoding": "raw"}, {"encoding": "raw", "endian": "big"}, {"encoding": "gzip"}])
def test_nrrd_encodings(tmp_path, fields):
    """Raw in both byte orders and gzip give the same 16-bit values."""
    values = np.arange(np.prod(GRID.shape), dtype=np.uint16).reshape(GRID.array_shape)
    path = write_nrrd(tmp_path / "a.nrrd", values, GRID, **fields)

    found = read_nrrd(path)

    np.testing.assert_array_equal(found.array()[0], values)
    assert found.geometry.same_grid(GRID, tol_mm=1e-9)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"space directions": "none none none"}, UnsupportedAnnotationError),
        ({"space_origin": None}, UnsupportedAnnotationError),
        ({"data_file": "other.raw"}, UnsupportedAnnotationError),
        ({"encoding": "hex"}, UnsupportedAnnotationError),
        ({"sizes": "9 7 500"}, BrokenExportError),
        ({"sizes": "9 7 x"}, BrokenExportError),
        ({"sizes": "90000 70000 50000"}, HostileExportError),
        ({"space_directions": "(1,0,0) (1,0,0) (0,0,1)"}, BrokenExportError),
    ],
)
def test_a_bad_nrrd_is_a_named_error(tmp_path, fields, error):
    """No place, voxels elsewhere, wrong sizes and a header that promises terabytes."""
    path = write_nrrd(tmp_path / "a.nrrd", ONE.astype(np.uint8), GRID, **fields)

    with pytest.raises(error):
        read_nrrd(path).array()


def test_a_gzip_bomb_stops_at_the_promised_size(tmp_path):
    """Voxels are inflated no further than the header says there are, and a cut stream is an error."""
    path = write_nrrd(tmp_path / "a.nrrd", np.zeros((1, 1, 1), np.uint8), Geometry((1, 1, 1), GRID.affine_lps))
    big = write_nrrd(
        tmp_path / "b.nrrd", np.zeros((100, 100, 100), np.uint8), Geometry((100, 100, 100), GRID.affine_lps)
    )
    head, body = path.read_bytes().split(b"\n\n", 1)[0], big.read_bytes().split(b"\n\n", 1)[1]
    path.write_bytes(head + b"\n\n" + body)
    big.write_bytes(big.read_bytes()[:-20])

    assert read_nrrd(path).array().size == 1
    with pytest.raises(BrokenExportError):
        read_nrrd(big).array()
