"""Labels go back to DICOM with true codes, come back the same, and say who made them from what."""

import json
from dataclasses import replace

import numpy as np
import pydicom
import pytest
from highdicom.seg import segread
from highdicom.sr import srread

from racoon_data.annotations.export_input import by_lesion, drawings_of
from racoon_data.annotations.exporting import choose_series, plan_export, write_export
from racoon_data.annotations.folder import find_annotations, read_found
from racoon_data.annotations.written_segments import Author, author_of
from racoon_data.dicom.sorting import files_under, sort_files
from racoon_data.dicom.stacking import geometry_of
from racoon_data.errors import (
    AmbiguousReferenceError,
    AnnotationError,
    GridMismatchError,
    NothingMatchedError,
    SettingsError,
    UncodedItemError,
    UnknownLabelError,
)
from racoon_data.files.nifti import read_nifti, write_nifti
from racoon_data.geometry import Geometry, as_affine
from racoon_data.grid.resample import resample_labels, target_grid
from racoon_data.harmonize.label_schema import load_schema, schema_from
from racoon_data.labels import CodedConcept, Segment
from racoon_data.testing.lung_codes import LABELS_PATH
from racoon_data.testing.makers import SegStyle, a_seg, a_series
from racoon_data.testing.multiframe import ENHANCED_CT, ENHANCED_MR, Frame, Shape, write_multiframe
from racoon_data.testing.seg_cases import two_balls
from racoon_data.testing.series_plan import SeriesPlan

SIZE = {"slices": 9, "rows": 40, "columns": 44}
NET = Author("lung net", "1.2")
SCHEMA = load_schema(LABELS_PATH)


def a_label_map(folder, series):
    """Write two balls as labels 1 and 2 on the grid of a series."""
    masks = two_balls(series)
    labels = np.where(masks["b"], 2, masks["a"]).astype(np.uint8)
    write_nifti(folder / "labels.nii.gz", labels, series.geometry)
    return folder / "labels.nii.gz", labels


def exported(folder, labels, out, *, kind="binary", author=NET, schema=SCHEMA, **options):
    """Export a label file on the series of a folder."""
    found = sort_files(files_under(folder), root=folder)
    accounts = []
    for drawing in drawings_of(labels, schema, label=options.pop("label", "")):
        chosen = choose_series(found.series, drawing, series_uid=options.pop("series_uid", ""))
        accounts.append(write_export(plan_export(drawing, chosen, author, kind=kind, **options), out))
    return accounts


def object_of(out, name):
    """The one object of a kind."""
    (path,) = out.glob(f"*-{name}.dcm")
    return path


def read_back(images, out, masks):
    """Read an exported folder beside its images and give masks by name and the account."""
    folder = masks.parent / f"{masks.name}-in"
    folder.mkdir()
    for number, path in enumerate([*images.rglob("*.dcm"), *out.glob("*.dcm")]):
        (folder / f"{number:04d}.dcm").write_bytes(path.read_bytes())
    account = read_found(find_annotations(folder), masks)
    (seg,) = [one for one in account.annotations if one["kind"] == "seg"]
    return {one["name"]: read_nifti(masks / one["file"])[0] != 0 for one in seg["masks"]}, account


@pytest.mark.parametrize("orientation", ["axial", "coronal", "oblique"])
@pytest.mark.parametrize("kind", ["binary", "labelmap", "fractional"])
def test_labels_come_back_the_same(tmp_path, orientation, kind):
    """Each kind of segmentation on each stack is read back voxel for voxel with its codes and measurements."""
    series = a_series(tmp_path / "ct", orientation=orientation, **SIZE)
    path, labels = a_label_map(tmp_path, series)

    (account,) = exported(tmp_path / "ct", path, tmp_path / "out", kind=kind)
    masks, read = read_back(tmp_path / "ct", tmp_path / "out", tmp_path / "back")

    for name, value in (("ground_glass_opacity", 1), ("consolidation", 2)):
        np.testing.assert_array_equal(masks[name], labels == value, err_msg=name)
    first = read.annotations[0]["masks"][0] if read.annotations[0]["masks"] else read.annotations[1]["masks"][0]
    assert first["type"]["value"] == "1217294009"
    assert (first["category"]["value"], first["region"]["value"]) == ("49755003", "39607008")
    volumes = {row.tracking_uid: float(row.value) for row in read.findings if row.concept.value == "118565006"}
    assert volumes == {one["tracking_uid"]: one["ml"] for one in account["segments"]}
    assert {row.unit for row in read.findings} == {"ml", "mm"}


def tilted(folder):
    """A stack whose slices are shifted along their rows, as a tilted gantry makes them."""
    series = a_series(folder, **SIZE)
    for k, path in enumerate(series.paths):
        dataset = pydicom.dcmread(path)
        x, y, z = dataset.ImagePositionPatient
        dataset.ImagePositionPatient = [x, round(float(y) + 0.8 * k, 4), z]
        dataset.save_as(path)
    return series


@pytest.mark.parametrize("sop_class", [ENHANCED_CT, ENHANCED_MR])
@pytest.mark.parametrize("kind", ["binary", "labelmap"])
def test_frames_of_one_file_are_a_source_too(tmp_path, sop_class, kind):
    """An enhanced multi-frame image gets its segmentation back, frames in another order than slices."""
    plan = SeriesPlan(**SIZE, orientation="oblique", modality="CT" if sop_class == ENHANCED_CT else "MR")
    stored = plan.stored()
    frames = [Frame(k, stored[k]) for k in (3, 1, 0, 2, 8, 7, 5, 6, 4)]
    write_multiframe(tmp_path / "ct" / "one.dcm", plan, frames, Shape(sop_class))
    (found,) = sort_files(files_under(tmp_path / "ct"), root=tmp_path).series
    labels = np.zeros(plan.geometry.array_shape, dtype=np.uint8)
    labels[2:5, 5:20, 7:30], labels[6, 3:9, 4:8] = 1, 2
    write_nifti(tmp_path / "labels.nii.gz", labels, geometry_of(found))

    exported(tmp_path / "ct", tmp_path / "labels.nii.gz", tmp_path / "out", kind=kind)
    masks, _ = read_back(tmp_path / "ct", tmp_path / "out", tmp_path / "back")

    np.testing.assert_array_equal(masks["ground_glass_opacity"], labels == 1)
    np.testing.assert_array_equal(masks["consolidation"], labels == 2)


def test_a_tilted_stack_keeps_its_shear(tmp_path):
    """Planes of the segmentation are those of the images, so a sheared grid returns exactly."""
    series = tilted(tmp_path / "ct")
    (found,) = sort_files(files_under(tmp_path / "ct"), root=tmp_path).series
    geometry = geometry_of(found)
    labels = np.where(two_balls(series)["b"], 2, 0).astype(np.uint8)
    write_nifti(tmp_path / "labels.nii.gz", labels, geometry)

    exported(tmp_path / "ct", tmp_path / "labels.nii.gz", tmp_path / "out")
    masks, _ = read_back(tmp_path / "ct", tmp_path / "out", tmp_path / "back")

    assert abs(geometry.matrix[1, 2]) == pytest.approx(0.8)
    np.testing.assert_array_equal(masks["consolidation"], labels == 2)


def test_masks_read_before_go_back_with_their_codes(tmp_path):
    """SEG to NIfTI to SEG to NIfTI: overlap, 5-tuples with modifiers and tracking stay, Dice is 1."""
    series = a_series(tmp_path / "ct", **SIZE)
    (seg,) = a_seg(
        tmp_path, series, two_balls(series), style=SegStyle(codes={"a": CodedConcept("95436008", "SCT", "c")})
    )
    dataset = pydicom.dcmread(seg.path)
    left = pydicom.Dataset()
    left.CodeValue, left.CodingSchemeDesignator, left.CodeMeaning = "7771000", "SCT", "Left"
    dataset.SegmentSequence[1].AnatomicRegionSequence[0].AnatomicRegionModifierSequence = [left]
    dataset.save_as(seg.path)
    (tmp_path / "seg").mkdir()
    seg.path.rename(tmp_path / "seg" / "one.dcm")
    first_masks, first = read_back(tmp_path / "ct", tmp_path / "seg", tmp_path / "first")

    exported(tmp_path / "ct", tmp_path / "first", tmp_path / "out", author=Author(reader="Leser^Lena"))
    second_masks, second = read_back(tmp_path / "ct", tmp_path / "out", tmp_path / "second")

    assert (first_masks["a"] & first_masks["b"]).any()
    for name, mask in first_masks.items():
        np.testing.assert_array_equal(second_masks[name], mask)
    before, after = (
        [{key: value for key, value in mask.items() if key != "file"} for mask in one.annotations[0]["masks"]]
        for one in (first, replace(second, annotations=[x for x in second.annotations if x["kind"] == "seg"]))
    )
    assert after == before
    assert second.annotations[0]["reader"] == "Leser^Lena"
    with pytest.raises(AnnotationError, match="overlap"):
        exported(tmp_path / "ct", tmp_path / "first", tmp_path / "map", kind="labelmap")


def test_a_prediction_returns_to_the_source_grid(tmp_path):
    """A label map on a harmonized grid is carried to the grid of its images, with volumes before and after."""
    series = a_series(tmp_path / "ct", slices=12, rows=48, columns=52, spacing_mm=(0.8, 0.7, 1.5))
    labels = two_balls(series)["a"].astype(np.uint8)
    grid = target_grid(series.geometry, (1.0, 1.0, 1.0))
    write_nifti(tmp_path / "pred.nii.gz", resample_labels(labels, series.geometry, grid), grid)

    (account,) = exported(tmp_path / "ct", tmp_path / "pred.nii.gz", tmp_path / "out")
    masks, _ = read_back(tmp_path / "ct", tmp_path / "out", tmp_path / "back")

    found, truth = masks["ground_glass_opacity"], labels != 0
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > 0.9
    assert "returned to the source grid" in account["notes"][0]


def test_a_turned_label_map_loses_nothing(tmp_path):
    """Axes in another order or direction are put right without interpolation."""
    series = a_series(tmp_path / "ct", **SIZE)
    _, labels = a_label_map(tmp_path, series)
    flip = np.diag([-1.0, 1, -1, 1])
    flip[0, 3], flip[2, 3] = SIZE["columns"] - 1, SIZE["slices"] - 1
    turned = Geometry(series.geometry.shape, as_affine(series.geometry.matrix @ flip))
    write_nifti(tmp_path / "turned.nii.gz", np.ascontiguousarray(labels[::-1, :, ::-1]), turned)

    exported(tmp_path / "ct", tmp_path / "turned.nii.gz", tmp_path / "out")
    masks, _ = read_back(tmp_path / "ct", tmp_path / "out", tmp_path / "back")

    np.testing.assert_array_equal(masks["consolidation"], labels == 2)


def test_fractions_are_kept_to_a_255th(tmp_path):
    """Probabilities of one label become a FRACTIONAL segmentation with their values."""
    series = a_series(tmp_path / "ct", **SIZE)
    values = np.random.default_rng(7).random(series.geometry.array_shape, dtype=np.float32)
    write_nifti(tmp_path / "p.nii.gz", values, series.geometry)

    exported(tmp_path / "ct", tmp_path / "p.nii.gz", tmp_path / "out", kind="fractional", label="consolidation")

    volume = segread(object_of(tmp_path / "out", "seg")).get_volume(rescale_fractional=True)
    stored = volume.array[..., 0][::-1]  # highdicom's slices run down the normal
    np.testing.assert_allclose(stored, values, atol=0.5 / 255 + 1e-6)
    write_nifti(tmp_path / "p.nii.gz", values * 100, series.geometry)
    with pytest.raises(AnnotationError, match="between 0 and 1"):
        exported(tmp_path / "ct", tmp_path / "p.nii.gz", tmp_path / "out", label="consolidation")


def test_the_same_input_gives_the_same_bytes(tmp_path):
    """Two exports are equal byte for byte; another algorithm makes other objects of the same lesion."""
    series = a_series(tmp_path / "ct", **SIZE)
    path, _ = a_label_map(tmp_path, series)
    for name in ("one", "two"):
        exported(tmp_path / "ct", path, tmp_path / name)
    (other,) = exported(tmp_path / "ct", path, tmp_path / "three", author=Author("lung net", "1.3"))

    for name in ("seg", "sr"):
        one, two = object_of(tmp_path / "one", name), object_of(tmp_path / "two", name)
        assert one.name == two.name
        assert one.read_bytes() == two.read_bytes()
        assert (
            pydicom.dcmread(one).SOPInstanceUID != pydicom.dcmread(object_of(tmp_path / "three", name)).SOPInstanceUID
        )
    seg = pydicom.dcmread(object_of(tmp_path / "one", "seg"))
    assert [item.TrackingUID for item in seg.SegmentSequence] == [one["tracking_uid"] for one in other["segments"]]
    assert (seg.ContentDate, seg.StudyDate) == ("20200317", "20200317")


def test_objects_say_who_made_them_from_what(tmp_path):
    """The algorithm stands in SEG and SR, the report points at the segmentation, both at every source image."""
    series = a_series(tmp_path / "ct", **SIZE)
    path, _ = a_label_map(tmp_path, series)

    exported(tmp_path / "ct", path, tmp_path / "out")
    seg = pydicom.dcmread(object_of(tmp_path / "out", "seg"))
    report = srread(object_of(tmp_path / "out", "sr"))

    algorithm = seg.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence[0]
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("lung net", "1.2")
    referenced = {item.ReferencedSOPInstanceUID for item in seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence}
    assert referenced == set(series.sop_uids)
    groups = report.content.get_volumetric_roi_measurement_groups()
    segments = [item for group in groups for item in group[0].ContentSequence if item.ValueType == "IMAGE"]
    assert [item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for item in segments] == [seg.SOPInstanceUID] * 2
    assert [group.finding_type.value for group in groups] == ["1217294009", "95436008"]
    assert groups[0].finding_sites[0].value.value == "39607008"


def test_a_corrected_prediction_names_both(tmp_path):
    """An algorithm and a reader make it semiautomatic; the report's observers are the person and the device."""
    series = a_series(tmp_path / "ct", **SIZE)
    path, _ = a_label_map(tmp_path, series)

    exported(tmp_path / "ct", path, tmp_path / "out", author=Author("lung net", "1.2", "Leser^Lena"))
    seg = pydicom.dcmread(object_of(tmp_path / "out", "seg"))
    report = srread(object_of(tmp_path / "out", "sr"))

    assert seg.SegmentSequence[0].SegmentAlgorithmType == "SEMIAUTOMATIC"
    assert seg.ContentCreatorName == "Leser^Lena"
    contexts = report.content.get_observer_contexts()
    assert sorted(one.observer_type.meaning for one in contexts) == ["Device", "Person"]


def test_an_algorithm_is_not_passed_off_as_a_reader(tmp_path):
    """Masks that an algorithm made are not written under a reader's name alone."""
    segment = Segment(1, "a", algorithm="AUTOMATIC")

    with pytest.raises(SettingsError, match="an algorithm made"):
        author_of([segment], reader="Leser^Lena")
    assert author_of([segment], algorithm="net", version="1").kind == "AUTOMATIC"


def test_labels_without_true_codes_are_refused(tmp_path):
    """No dummy code is ever written: the message names the label and what to add."""
    series = a_series(tmp_path / "ct", **SIZE)
    path, _ = a_label_map(tmp_path, series)
    document = json.loads(LABELS_PATH.read_text())
    del document["labels"][0]["written"]

    with pytest.raises(UncodedItemError, match="ground_glass_opacity") as caught:
        exported(tmp_path / "ct", path, tmp_path / "out", schema=schema_from(document))
    assert '"written"' in caught.value.hint
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_written_is_refused(tmp_path):
    """No schema, unknown values, unknown label, an empty map, another place: each has its reason."""
    series = a_series(tmp_path / "ct", **SIZE)
    path, labels = a_label_map(tmp_path, series)
    with pytest.raises(SettingsError, match="schema"):
        exported(tmp_path / "ct", path, tmp_path / "out", schema=None)
    with pytest.raises(SettingsError, match="no label"):
        exported(tmp_path / "ct", path, tmp_path / "out", label="liver")
    for array, kind in (
        (labels * 9, UnknownLabelError),
        (labels * 0, NothingMatchedError),
        (labels * 127.5 + 0.5, AnnotationError),
    ):
        write_nifti(tmp_path / "x.nii.gz", array.astype(np.float32), series.geometry)
        with pytest.raises(kind):
            exported(tmp_path / "ct", tmp_path / "x.nii.gz", tmp_path / "out")
    far = Geometry(series.geometry.shape, as_affine(series.geometry.matrix + np.pad([[900.0]], ((0, 3), (3, 0)))))
    write_nifti(tmp_path / "far.nii.gz", labels, far)
    with pytest.raises(GridMismatchError, match="no segment covers"):
        exported(tmp_path / "ct", tmp_path / "far.nii.gz", tmp_path / "out")
    with pytest.raises(NothingMatchedError, match="source series"):
        exported(tmp_path / "ct", path, tmp_path / "out", series_uid="1.2.3")


def test_of_several_series_the_one_with_the_grid_is_taken(tmp_path):
    """Two series with one grid need a name; one with another grid does not stand in the way."""
    series = a_series(tmp_path / "all" / "ct", **SIZE)
    a_series(tmp_path / "all" / "thick", slices=4, rows=40, columns=44, spacing_mm=(0.8, 0.7, 5.0), series_number=4)
    path, _ = a_label_map(tmp_path, series)
    assert exported(tmp_path / "all", path, tmp_path / "out")[0]["image_series_uid"] == series.ref.series_uid

    twin = a_series(tmp_path / "all" / "twin", description="Twin", series_number=5, **SIZE)
    with pytest.raises(AmbiguousReferenceError, match="2 series"):
        exported(tmp_path / "all", path, tmp_path / "out")
    (account,) = exported(tmp_path / "all", path, tmp_path / "out", series_uid=twin.ref.series_uid)
    assert account["image_series_uid"] == twin.ref.series_uid


def test_each_lesion_is_measured_alone(tmp_path):
    """Two boxes of one label are two segments with volume and diameters of their own; a label of one part stays."""
    series = a_series(tmp_path / "ct", **SIZE)
    labels = np.zeros(series.geometry.array_shape, dtype=np.uint8)
    labels[1:3, 3:9, 4:20] = 1
    labels[6, 20:23, 30:33] = 1
    labels[4, 30:36, 3:9] = 2
    write_nifti(tmp_path / "labels.nii.gz", labels, series.geometry)

    (drawing,) = drawings_of(tmp_path / "labels.nii.gz", SCHEMA)
    found = sort_files(files_under(tmp_path / "ct"), root=tmp_path)
    chosen = choose_series(found.series, drawing)
    account = write_export(plan_export(by_lesion(drawing), chosen, NET, kind="binary"), tmp_path / "out")

    rows = {row["name"]: row for row in account["segments"]}
    across = series.geometry.spacing_mm[0]
    assert {name: row["voxels"] for name, row in rows.items()} == {
        "ground_glass_opacity 1": 192, "ground_glass_opacity 2": 9, "consolidation": 36,
    }  # fmt: skip
    assert rows["ground_glass_opacity 2"]["long_axis_mm"] < 6 * across < rows["ground_glass_opacity 1"]["long_axis_mm"]
    assert len({row["tracking_uid"] for row in rows.values()}) == 3
    masks, _ = read_back(tmp_path / "ct", tmp_path / "out", tmp_path / "masks")
    np.testing.assert_array_equal(sum(masks.values()), labels != 0)


def test_fractions_are_not_taken_apart(tmp_path):
    """Between two lesions lie fractions that belong to neither."""
    series = a_series(tmp_path / "ct", **SIZE)
    write_nifti(tmp_path / "p.nii.gz", np.full(series.geometry.array_shape, 0.4, dtype=np.float32), series.geometry)
    (drawing,) = drawings_of(tmp_path / "p.nii.gz", SCHEMA, label="consolidation")

    with pytest.raises(SettingsError, match="fractions"):
        by_lesion(drawing)
