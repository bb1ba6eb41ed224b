"""Phantom hospitals differ as promised and their truth is what their files hold."""

import json
from itertools import pairwise

import highdicom
import numpy as np
import pydicom
import pytest

from racoon_data.labels import CodedConcept
from racoon_data.testing.habits import styled
from racoon_data.testing.lung_codes import CLASSES, CODINGS, LABELS_PATH
from racoon_data.testing.phantom import NAMES
from racoon_data.testing.sites import default_plans, external_plan, write_site

PLANS = {plan.name: plan for plan in (*default_plans(6), external_plan())}


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """Two patients of every site, written once: {name: (folder, truth)}."""
    root = tmp_path_factory.mktemp("sites")
    return {name: (root / name, write_site(root / name, plan, patients=2, seed=6)) for name, plan in PLANS.items()}


def headers(folder, modality):
    """Headers of a modality by series UID, sorted along the slice normal."""
    found = {}
    for path in sorted(folder.rglob("*.dcm")):
        one = pydicom.dcmread(path)
        if one.Modality == modality:
            found.setdefault(str(one.SeriesInstanceUID), []).append(one)
    if modality == "CT":
        for slices in found.values():
            row, column = np.array(slices[0].ImageOrientationPatient, float).reshape(2, 3)
            slices.sort(key=lambda one: np.cross(row, column) @ np.array(one.ImagePositionPatient, float))
    return found


@pytest.mark.parametrize("name", PLANS)
def test_segmentations_decode_to_the_truth(archives, name):
    """The union of all SEG files of a study is the true label map, as its readers outline, class by class."""
    folder, truth = archives[name]
    images = headers(folder, "CT")
    for study in truth.studies.values():
        sop_uids = [one.SOPInstanceUID for one in images[study.image.series_uid]]
        found = np.zeros(study.labels.shape, np.uint8)
        for path in sorted((folder / study.patient_id / "annotations").glob("SEG*.dcm")):
            seg = highdicom.seg.segread(path)
            frames = seg.get_pixels_by_source_instance(sop_uids, ignore_spatial_locations=True)
            for number in seg.segment_numbers:
                value = value_of(truth.plan, seg.get_segment_description(number))
                found[frames[..., number - 1] > 0] = value
        outlined = styled(study.labels, truth.plan.style_px)
        wanted = np.where(np.isin(outlined, annotated_values(truth.plan)), outlined, 0)
        assert np.array_equal(found, wanted)


def annotated_values(plan):
    """Label values that a site outlines."""
    return [value for value, name in NAMES.items() if name in plan.annotated]


def value_of(plan, description):
    """Tell a segment's label value from its code and name, the way its tool writes them."""
    coding = CODINGS[plan.coding]
    for value, name in NAMES.items():
        kind = description.segmented_property_type
        if coding.types[name] == CodedConcept(kind.value, kind.scheme_designator, kind.meaning):
            assert description.segment_label == coding.names[name]
            return value
    raise AssertionError("unknown segment")


@pytest.mark.parametrize("name", PLANS)
def test_geometry_in_the_headers_is_the_truth(archives, name):
    """Positions, orientation and spacing written give the true grid of every study."""
    folder, truth = archives[name]
    images = headers(folder, "CT")
    for study in truth.studies.values():
        slices = images[study.image.series_uid]
        for k, one in enumerate(slices):
            assert np.allclose(study.geometry.position_lps((0, 0, k)), one.ImagePositionPatient, atol=1e-4)
        across = study.geometry.position_lps((1, 0, 0))
        step = np.array(one.ImageOrientationPatient[:3], float) * one.PixelSpacing[1]
        assert np.allclose(np.array(across) - slices[0].ImagePositionPatient, step, atol=1e-4)
        assert study.geometry.frame_of_reference == slices[0].FrameOfReferenceUID
        assert study.geometry.array_shape[0] == len(slices)


def test_true_volumes_are_counted_from_the_labels(archives):
    """Volumes in ml are voxels times voxel volume, and unannotated classes count as truth too."""
    _, truth = archives["donau"]
    for uid, study in truth.studies.items():
        for value, name in NAMES.items():
            voxels = np.count_nonzero(study.labels == value)
            assert study.volume_ml[name] == pytest.approx(voxels * 3.6 * 3.6 * 4.0 / 1000, rel=1e-6)
        assert set(truth.annotated_ml(uid)) == {"ground_glass_opacity", "consolidation"}
    assert any(study.volume_ml["pleural_effusion"] > 0 for study in truth.studies.values())


def test_sites_differ_as_hospitals_do():
    """Three sites cover the codings, one lesion a file, one class never looked for, three orders of slices."""
    plans = default_plans(3)

    assert [plan.coding for plan in plans] == ["SCT", "SRT", "RACOON"]
    assert [plan.is_one_lesion_per_file for plan in plans] == [False, True, False]
    assert [len(plan.annotated) for plan in plans] == [3, 3, 2]
    assert len({plan.cosines for plan in plans}) == 3
    assert len({plan.thickness_mm for plan in plans}) == 3
    assert len({plan.scanner for plan in (*default_plans(6), external_plan())}) == 7
    with pytest.raises(ValueError, match="1 to 6"):
        default_plans(7)


def test_one_lesion_per_file(archives):
    """A site that writes each lesion to its own file has several files for one class."""
    folder, truth = archives["brenz"]
    files = list(folder.rglob("SEG*.dcm"))

    assert all(len(pydicom.dcmread(path).SegmentSequence) == 1 for path in files)
    assert len(files) > len(truth.studies) * len(CLASSES)


def test_series_to_choose_from(archives):
    """Some studies hold a second reconstruction or a localizer beside the annotated series."""
    kinds = {}
    for name, (folder, truth) in archives.items():
        series = headers(folder, "CT").values()
        kernels = {one[0].ConvolutionKernel for one in series}
        localizers = [one for one in series if "LOCALIZER" in one[0].ImageType]
        kinds[name] = (len(kernels), len(localizers) // len(truth.studies))

    assert kinds["alster"] == (2, 0)
    assert kinds["brenz"] == (1, 1)
    assert kinds["fulda"] == (1, 0)


def test_order_of_numbers_and_feet_first(archives):
    """Feet-first slices run down along their normal; numbers run backwards where planned."""
    feet = next(iter(headers(archives["brenz"][0] / "BRENZ-0001" / "scan", "CT").values()))
    back = next(iter(headers(archives["donau"][0] / "DONAU-0001" / "scan", "CT").values()))

    assert all(a.ImagePositionPatient[2] > b.ImagePositionPatient[2] for a, b in pairwise(feet))
    assert feet[0].PatientPosition == "FFS"
    assert [one.InstanceNumber for one in back] == list(range(len(back), 0, -1))


def test_reports_measure_what_is_true(archives):
    """The volumes in the TID 1500 reports are the true ones."""
    folder, truth = archives["alster"]
    for study in truth.studies.values():
        report = highdicom.sr.srread(folder / study.patient_id / "annotations" / "SR0001.dcm")
        groups = report.content.get_volumetric_roi_measurement_groups()
        measured = {group.tracking_identifier: group.get_measurements()[0].value for group in groups}
        present = {name: ml for name, ml in study.volume_ml.items() if ml > 0}
        assert measured == pytest.approx(present, abs=1e-3)
    assert not list(archives["isar"][0].rglob("SR*.dcm"))


def test_same_seed_same_archive(tmp_path):
    """Writing a site twice gives the same files, byte for byte; another seed gives others."""
    plan = default_plans(1)[0]
    for name, seed in (("one", 3), ("two", 3), ("three", 4)):
        write_site(tmp_path / name, plan, patients=1, seed=seed)
    one, two, three = (
        {path.relative_to(root): path.read_bytes() for path in sorted(root.rglob("*.dcm"))}
        for root in (tmp_path / "one", tmp_path / "two", tmp_path / "three")
    )

    assert one == two
    assert one.keys() == three.keys()
    assert one != three


def test_label_schema_knows_the_lesions():
    """The shipped label schema has the phantom's values and names, with codes and synonyms."""
    schema = json.loads(LABELS_PATH.read_text(encoding="utf-8"))

    assert {label["value"]: label["name"] for label in schema["labels"]} == NAMES
    assert all(label["codes"] and label["synonyms"] for label in schema["labels"])
    assert len({label["priority"] for label in schema["labels"]}) == 3
