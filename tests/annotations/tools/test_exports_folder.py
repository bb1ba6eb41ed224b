"""Exports of other tools in a folder: linked like DICOM, placed on the image grid, every file accounted for."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest

from racoon_data import schemas
from racoon_data.annotations.folder import find_annotations, read_found
from racoon_data.annotations.tools.mapping import load_mapping
from racoon_data.files.nifti import read_nifti, write_nifti
from racoon_data.geometry import Geometry, as_affine
from racoon_data.testing.makers import a_seg, a_series
from tests.annotations.helpers import box
from tests.annotations.tools.makers import (
    a_label_file,
    a_mitk_stack,
    slicer_keys,
    temporo,
    write_nrrd,
)
from tests.journeys.steps import racoon

REPORTS = Path(__file__).resolve().parents[3] / "examples" / "vendor_reports"


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """An oblique CT and a mask on it."""
    folder = tmp_path_factory.mktemp("image")
    made = a_series(folder / "ct", slices=6, rows=20, columns=24, orientation="oblique", patient_id="P1")
    return made, box(made.geometry.array_shape, k=slice(1, 4), j=slice(3, 9), i=slice(2, 11))


def cropped(geometry, start, shape):
    """A part of a grid as a grid of its own."""
    matrix = geometry.matrix.copy()
    matrix[:3, 3] = geometry.position_lps(start)
    return Geometry(shape, as_affine(matrix))


def turned(geometry):
    """The same voxels with i turned round and j and k swapped, as a tool of another orientation stores them."""
    matrix = geometry.matrix.copy()
    matrix[:3, 3] = geometry.position_lps((geometry.shape[0] - 1, 0, 0))
    matrix[:3, 0] *= -1
    matrix = matrix[:, [0, 2, 1, 3]]
    return Geometry((geometry.shape[0], geometry.shape[2], geometry.shape[1]), as_affine(matrix))


def account(tmp_path, image, *, resample=False):
    """Read the exports of ``tmp_path/in`` beside an image."""
    found = find_annotations(tmp_path / "in", images=image[0].paths[0].parent)
    return read_found(found, tmp_path / "out", resample=resample)


def written(tmp_path, read):
    """Masks by segment name as they were written."""
    return {
        mask["name"]: read_nifti(tmp_path / "out" / mask["file"])
        for one in read.annotations
        for mask in one["masks"]
    }  # fmt: skip


def test_every_mask_format_lands_on_the_image_grid(tmp_path, image):
    """NIfTI, NRRD and MITK, whole, turned round and cropped, all equal the truth voxel for voxel."""
    made, mask = image
    own, part = turned(made.geometry), cropped(made.geometry, (2, 3, 1), (9, 6, 3))
    a_label_file(tmp_path / "in" / "nifti", {"whole": mask}, made.geometry, series_uids=[made.ref.series_uid])
    a_mitk_stack(
        tmp_path / "in" / "mitk",
        {"turned": np.transpose(mask[:, :, ::-1], (1, 0, 2))},
        own,
        **{"DICOM.0008.2112.[0].0008.1155": temporo(*made.sop_uids)["value"]},
    )
    keys = slicer_keys({"Name": "cropped", "LabelValue": 1, "Layer": 0})
    write_nrrd(tmp_path / "in" / "c.seg.nrrd", mask[1:4, 3:9, 2:11].astype(np.uint8), part, keys=keys)

    read = account(tmp_path, image)

    masks = written(tmp_path, read)
    assert masks.keys() == {"whole", "turned", "cropped"}
    for array, geometry in masks.values():
        np.testing.assert_array_equal(array, mask)
        assert geometry.same_grid(made.geometry, tol_mm=1e-3)
    assert {one["kind"]: one["confidence"] for one in read.annotations} == {
        "label-file": "reference",
        "mitk": "reference",
        "slicer": "geometry",
    }
    assert [one.code for one in read.outcomes if one.code] == []
    document = json.loads((tmp_path / "out" / "annotations.json").read_text())
    assert schemas.problems("annotations", document) == ()


def test_a_mask_partly_outside_is_counted(tmp_path, image):
    """Voxels beyond the image are left out with their number, the rest is kept."""
    made, _ = image
    over = cropped(made.geometry, (-3, 0, 0), made.geometry.shape)
    mask = box(made.geometry.array_shape, k=1, j=slice(0, 4), i=slice(0, 5))
    a_label_file(tmp_path / "in", {"over": mask}, over, series_uids=[made.ref.series_uid])

    [one] = account(tmp_path, image).annotations

    assert one["masks"][0]["voxels"] == 8
    assert [(issue["code"], issue["message"]) for issue in one["issues"]] == [
        ("annotation.outside_image", "12 voxel(s) lie outside the image and were left out")
    ]


def test_values_nobody_describes_are_named(tmp_path, image):
    """A label value without a description is an issue with its voxels counted, in stacks and label files alike."""
    made, mask = image
    stray = box(made.geometry.array_shape, k=5, j=15, i=slice(0, 4))
    path = a_mitk_stack(tmp_path / "in" / "m", {"one": mask, "two": stray}, made.geometry)
    document = json.loads(path.read_text())
    document["groups"][0]["labels"].pop()
    path.write_text(json.dumps(document))
    a_label_file(tmp_path / "in" / "l", {"one": mask}, made.geometry)
    write_nifti(tmp_path / "in" / "l" / "1.nii.gz", (mask + 7 * stray).astype(np.uint8), made.geometry)

    read = account(tmp_path, image)

    found = {(one["kind"], str(issue["item"]), issue["message"]) for one in read.annotations for issue in one["issues"]}
    message = "4 voxel(s) are described by no segment and were left out"
    assert found == {("mitk", "label value 2", message), ("label-file", "label value 7", message)}


def test_half_a_voxel_beside_is_refused_or_resampled_as_asked(tmp_path, image):
    """The same shape half a voxel away is another grid; with resampling the note states the drift."""
    made, mask = image
    beside = cropped(made.geometry, (0.5, 0.0, 0.0), made.geometry.shape)
    a_label_file(tmp_path / "in", {"half": mask}, beside, series_uids=[made.ref.series_uid])

    refused = account(tmp_path, image)
    sampled = account(tmp_path, image, resample=True)

    assert [one.code for one in refused.outcomes if one.code] == ["annotation.grid_mismatch"]
    assert "0.50 voxels beside" in refused.outcomes[0].message
    assert "was resampled onto the image grid; its volume changed by" in sampled.annotations[0]["notes"][0]
    assert sampled.annotations[0]["masks"][0]["voxels"] == pytest.approx(mask.sum(), rel=0.15)


def test_another_frame_of_reference_is_refused_even_when_resampling(tmp_path, image):
    """References that contradict the frame of reference are never overruled."""
    made, mask = image
    facts = {"series_uids": [made.ref.series_uid], "frame_of_reference": "9.9.9"}
    a_label_file(tmp_path / "in", {"far": mask}, made.geometry, **facts)

    read = account(tmp_path, image, resample=True)

    assert [(one.code, "frame of reference" in one.message) for one in read.outcomes if one.code] == [
        ("annotation.grid_mismatch", True)
    ]


def test_a_mask_that_fits_two_series_names_both(tmp_path, image):
    """Two reconstructions of one grid cannot be told apart without references."""
    made, mask = image
    twin = a_series(tmp_path / "in" / "twin", **{**same_grid(), "series_number": 9, "kernel": "B70f"})
    a_label_file(tmp_path / "in", {"whose": mask}, made.geometry)

    read = account(tmp_path, image)

    [end] = [one for one in read.outcomes if one.code]
    assert end.code == "annotation.ambiguous_reference"
    assert made.ref.series_uid in end.message
    assert twin.ref.series_uid in end.message


def same_grid():
    """Options of the fixture's series."""
    return {"slices": 6, "rows": 20, "columns": 24, "orientation": "oblique", "patient_id": "P1"}


def test_another_patients_mask_is_refused(tmp_path, image):
    """A mask that names this series and another patient is kept out."""
    made, mask = image
    a_label_file(tmp_path / "in", {"x": mask}, made.geometry, series_uids=[made.ref.series_uid], patient="P2")

    assert [one.code for one in account(tmp_path, image).outcomes if one.code] == ["annotation.wrong_patient"]


def test_a_mask_of_no_series_here_is_a_coded_skip(tmp_path, image):
    """A grid that lies on no image is not forced onto one."""
    made, mask = image
    a_label_file(tmp_path / "in", {"x": mask}, cropped(made.geometry, (0.3, 0.4, 0.5), made.geometry.shape))

    [end] = [one for one in account(tmp_path, image).outcomes if one.code]

    assert end.code == "annotation.dangling_reference"
    assert "grid of none of 1 series" in end.message


def test_a_seg_without_references_is_linked_by_its_grid(tmp_path, image):
    """Of two series in one frame of reference the SEG lies on the one whose voxels its frames are."""
    made = a_series(tmp_path / "in" / "ct", slices=6, patient_id="P1")
    other = a_series(tmp_path / "in" / "thick", slices=4, spacing_mm=(1.1, 1.1, 5.0), patient_id="P1", series_number=5)
    mask = box(made.geometry.array_shape, k=slice(1, 4), j=slice(3, 9), i=slice(2, 11))
    [seg] = a_seg(tmp_path / "in" / "seg", made, {"one": mask})
    dataset = pydicom.dcmread(seg.path)
    del dataset.ReferencedSeriesSequence, dataset.SourceImageSequence
    for group in dataset.PerFrameFunctionalGroupsSequence:
        del group.DerivationImageSequence
    dataset.save_as(seg.path)

    [link] = find_annotations(tmp_path / "in").links

    assert made.geometry.frame_of_reference == other.geometry.frame_of_reference
    assert (link.series.ref, link.confidence) == (made.ref, "geometry")


def test_a_seg_of_another_grid_is_resampled_where_asked(tmp_path):
    """A SEG made on thick slices and linked with thin ones is refused; resampled it keeps its volume within 10 %."""
    thin = a_series(tmp_path / "in" / "ct", slices=20, spacing_mm=(1.0, 1.0, 1.0), patient_id="P1")
    thick = a_series(tmp_path / "thick", slices=7, spacing_mm=(1.0, 1.0, 3.0), patient_id="P1", series_number=5)
    mask = box(thick.geometry.array_shape, k=slice(1, 5), j=slice(5, 15), i=slice(6, 18))
    [seg] = a_seg(tmp_path / "in" / "seg", thick, {"one": mask})
    dataset = pydicom.dcmread(seg.path)
    dataset.ReferencedSeriesSequence[0].SeriesInstanceUID = thin.ref.series_uid
    for item, uid in zip(dataset.ReferencedSeriesSequence[0].ReferencedInstanceSequence, thin.sop_uids, strict=False):
        item.ReferencedSOPInstanceUID = uid
    for group in dataset.PerFrameFunctionalGroupsSequence:
        group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID = thin.sop_uids[0]
    dataset.save_as(seg.path)
    found = find_annotations(tmp_path / "in")

    refused = read_found(found, tmp_path / "refused")
    sampled = read_found(found, tmp_path / "out", resample=True)

    assert [one.code for one in refused.outcomes if one.code] == ["annotation.grid_mismatch"]
    volume = mask.sum() * thick.geometry.voxel_ml
    assert sampled.annotations[0]["masks"][0]["ml"] == pytest.approx(volume, rel=0.1)
    assert "was resampled onto the image grid" in " ".join(sampled.annotations[0]["notes"])


def test_the_same_export_twice_counts_once(tmp_path, image):
    """A copied folder gives one annotation and one coded skip."""
    made, mask = image
    a_label_file(tmp_path / "in" / "a", {"x": mask}, made.geometry, series_uids=[made.ref.series_uid])
    shutil.copytree(tmp_path / "in" / "a", tmp_path / "in" / "b")

    read = account(tmp_path, image)

    assert len(read.annotations) == 1
    assert [one.code for one in read.outcomes if one.code] == ["dicom.duplicate_instance"]


def test_a_report_writes_relative_days(tmp_path):
    """Without images a mapped report gives its table; days count from the patient's first, dates go nowhere."""
    read = read_found(
        find_annotations(REPORTS / "flat.csv", mapping=load_mapping(REPORTS / "flat.toml")), tmp_path / "out"
    )

    text = (tmp_path / "out" / "findings.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    assert [(one["value"], one["time_point"]) for one in rows] == [
        ("1250.5", "day 0"),
        ("14.2", "day 0"),
        ("11.0", "day 92"),
        ("22.4", "day 0"),
    ]
    assert "2021" not in text
    assert len(read.annotations) == 3


def test_the_command_line_reads_and_lists_exports(tmp_path):
    """``list`` shows kinds and confidence, ``read --mapping`` writes the table; a bad mapping exits 3."""
    flat, mapping = REPORTS / "flat.csv", REPORTS / "flat.toml"

    listed = racoon("annotations", "list", flat, "--mapping", mapping, "--json")
    read = racoon("annotations", "read", flat, tmp_path / "out", "--mapping", mapping, "--json")
    (tmp_path / "bad.toml").write_text(mapping.read_text(encoding="utf-8").replace("value = { path", "valeu = { path"))
    bad = racoon("annotations", "list", flat, "--mapping", tmp_path / "bad.toml")

    assert {one["kind"] for one in listed.document["annotations"]} == {"mapped:flat-example"}
    assert (read.exit_code, read.document["findings"]) == (0, 4)
    assert bad.exit_code == 3
    assert "rule 'value' has no key 'valeu'; did you mean 'value'?" in bad.err
