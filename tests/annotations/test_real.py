"""Public annotations of real tools, against references that other tools wrote."""

import json
import subprocess
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK
from highdicom.sr import srread

from racoon_data.annotations.folder import find_annotations
from racoon_data.annotations.read import read_annotation
from racoon_data.annotations.seg import SegReader
from racoon_data.annotations.sr import SrReader
from racoon_data.dicom.stacking import geometry_of
from racoon_data.geometry import Geometry, as_affine
from racoon_data.labels import CodedConcept
from racoon_data.refs import InstanceRef, SeriesRef

pytestmark = pytest.mark.real

SOURCE = InstanceRef("1.1", "1.2", "1.3")


def on_grid(path: Path, geometry: Geometry):
    """A reference mask ``[k, j, i]`` turned to the axis order and direction of a grid, nothing else."""
    image = nibabel.load(path)
    wanted = nibabel.orientations.io_orientation(np.diag([-1, -1, 1, 1]) @ geometry.matrix)
    turn = nibabel.orientations.ornt_transform(nibabel.orientations.io_orientation(image.affine), wanted)
    return np.asarray(image.as_reoriented(turn).dataobj).transpose(2, 1, 0) > 0


@pytest.mark.parametrize("patient", ["STS_008", "STS_025", "STS_042"])
@pytest.mark.parametrize("modality", ["CT", "PET", "MR_T1"])
def test_structure_sets_equal_the_reference_masks(real_data, patient, modality):
    """GTV_Mass of nine RTSTRUCTs equals the published mask voxel for voxel."""
    folder = real_data / "sts" / patient
    (link,) = find_annotations(folder / "dicom" / modality).links
    geometry = geometry_of(link.series)

    annotation = read_annotation(link, geometry)
    (drawn,) = annotation.masks

    reference = on_grid(folder / "nifti" / f"{modality}_mask.nii.gz", geometry)
    np.testing.assert_array_equal(drawn.mask, reference)
    assert (drawn.segment.name, annotation.notes) == (f"GTV_Mass_{modality}", ())


def test_the_liver_segmentation_equals_its_nrrd(real_data):
    """A SEG of 2016 with SRT codes lies on its CT as the NRRD it was made from says."""
    links = find_annotations(real_data / "dcmqi").links
    (link,) = [one for one in links if one.file.path.name == "liver.dcm"]

    (drawn,) = read_annotation(link, geometry_of(link.series)).masks

    nrrd = SimpleITK.ReadImage(str(real_data / "dcmqi" / "liver_seg.nrrd"))
    np.testing.assert_array_equal(drawn.mask, SimpleITK.GetArrayFromImage(nrrd) != 0)
    assert drawn.segment.type == CodedConcept("T-62000", "SRT", "Liver")


def stack_of(path: Path) -> tuple[Geometry, list[float]]:
    """The regular stack that holds every frame of a highdicom test SEG, and the frames' slices."""
    seg = pydicom.dcmread(path)
    spacing = [float(v) for v in seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing]
    places = [
        [float(v) for v in group.PlanePositionSequence[0].ImagePositionPatient]
        for group in seg.PerFrameFunctionalGroupsSequence
    ]
    heights = sorted({place[2] for place in places})
    matrix = np.diag([spacing[1], spacing[0], 1.25, 1.0])
    matrix[:3, 3] = (*places[0][:2], heights[0])
    slices = round((heights[-1] - heights[0]) / 1.25) + 1
    geometry = Geometry((seg.Columns, seg.Rows, slices), as_affine(matrix), seg.FrameOfReferenceUID)
    return geometry, [round((place[2] - heights[0]) / 1.25) for place in places]


@pytest.mark.parametrize("kind", ["binary", "binary_overlap", "true_fractional"])
def test_segmentations_equal_their_stored_frames(real_data, kind):
    """Each frame lies on its slice; overlap stays in both masks; fractions count from a half on."""
    path = real_data / "highdicom" / f"seg_image_ct_{kind}.dcm"
    geometry, slices = stack_of(path)
    stored = pydicom.dcmread(path)
    numbers = [one.SegmentIdentificationSequence[0].ReferencedSegmentNumber
               for one in stored.PerFrameFunctionalGroupsSequence]  # fmt: skip
    lowest = 127.5 if kind == "true_fractional" else 1

    masks = SegReader().read(path, source=SOURCE, image=SeriesRef("1", "2"), geometry=geometry, sop_uids=()).masks

    for drawn in masks:
        truth = np.zeros(geometry.array_shape, dtype=bool)
        for frame, k, number in zip(stored.pixel_array, slices, numbers, strict=True):
            truth[k] |= (frame >= lowest) & (number == drawn.segment.number)
        np.testing.assert_array_equal(drawn.mask, truth)
    assert len(masks) == len(stored.SegmentSequence)
    assert (masks[0].mask & masks[-1].mask).any()


def test_a_pet_report_gives_all_its_measurements(real_data):
    """22 measurements of one tracked tumour, with unit, derivation, site and the segment they are of."""
    path = real_data / "dcmqi" / "sr-example" / "sr.dcm"

    annotation = SrReader().read(path, source=SOURCE, image=None, geometry=None, sop_uids=())
    first = annotation.findings[0]

    assert len(annotation.findings) == 22
    assert (first.value, first.unit, first.derivation.meaning) == ("6.01529", "{SUVbw}g/ml", "Mean")
    assert (first.tracking_id, first.time_point, first.site.value) == ("primary tumor", "1", "55940004")
    assert len({row.tracking_uid for row in annotation.findings}) == 1
    assert {row.referenced_segments for row in annotation.findings} == {first.referenced_segments}
    assert first.referenced_segments[0][1] == 1


def test_a_planar_report_agrees_with_highdicom(real_data):
    """Area, its two judgements, tracking UID and source image are what highdicom reads; nothing is missing."""
    path = real_data / "highdicom" / "sr_document.dcm"
    (group,) = srread(path).content.get_planar_roi_measurement_groups()

    annotation = SrReader().read(path, source=SOURCE, image=None, geometry=None, sop_uids=())
    area, normality, significance = annotation.findings

    assert float(area.value) == group.get_measurements()[0].value
    assert {row.tracking_uid for row in annotation.findings} == {group.tracking_uid}
    assert area.referenced_sops == (group.roi.ContentSequence[0].referenced_sop_instance_uid,)
    assert (normality.value, significance.value) == ("Normal", "Not significant")
    assert normality.about == significance.about == area.concept
    assert (area.reader, area.observer_type, area.status) == ("Foo", "person device", "PARTIAL UNVERIFIED")


def test_a_planar_region_is_the_disc_of_pixels_it_was_drawn_as(real_data, tmp_path):
    """The circle of the highdicom report, centre (58, 52) and 11 pixels wide, on its CT slice."""
    for name in ("ct_image.dcm", "sr_document.dcm"):
        (tmp_path / name).write_bytes((real_data / "highdicom" / name).read_bytes())
    (link,) = find_annotations(tmp_path).links
    geometry = geometry_of(link.series)

    annotation = read_annotation(link, geometry)

    rows, columns = np.indices((geometry.shape[1], geometry.shape[0]))
    disc = np.hypot(columns + 0.5 - 58, rows + 0.5 - 52) <= 11
    (drawn,) = annotation.masks
    np.testing.assert_array_equal(drawn.mask[0], disc)
    assert drawn.segment.name == "Planar ROI Measurements"
    assert annotation.issues == ()


def test_a_pet_report_agrees_with_dcmqi(real_data, tmp_path):
    """Every measurement item dcmqi's reader finds is one of our rows: value, unit, quantity, derivation, lesion."""
    path = real_data / "dcmqi" / "sr-example" / "sr.dcm"
    dcmqi = pytest.importorskip("dcmqi", reason="the extra peers is not installed")
    command = [str(Path(dcmqi.__file__).parent / "bin" / "tid1500reader"), "--inputDICOM", str(path)]
    command += ["--outputMetadata", str(tmp_path / "sr.json")]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    (group,) = json.loads((tmp_path / "sr.json").read_text())["Measurements"]

    rows = SrReader().read(path, source=SOURCE, image=None, geometry=None, sop_uids=()).findings

    theirs = sorted(
        (item["value"], item["units"]["CodeValue"], item["quantity"]["CodeMeaning"],
         item.get("derivationModifier", {}).get("CodeMeaning", ""))
        for item in group["measurementItems"]
    )  # fmt: skip
    ours = [
        (row.value, row.unit, row.concept.meaning, row.derivation.meaning if row.derivation else "") for row in rows
    ]
    assert sorted(ours) == theirs
    assert {row.tracking_uid for row in rows} == {group["TrackingUniqueIdentifier"]}
