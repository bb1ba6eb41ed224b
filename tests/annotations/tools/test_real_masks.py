"""Public masks of other tools, through a label file, land where the public annotations lie."""

import shutil

import numpy as np
import pytest

from racoon_data.annotations.folder import find_annotations
from racoon_data.annotations.read import read_annotation
from racoon_data.dicom.stacking import geometry_of
from tests.annotations.tools.makers import write_json

pytestmark = pytest.mark.real


def labelled(path, folder, **facts):
    """A copy of a mask with a label file beside it."""
    folder.mkdir()
    shutil.copy(path, folder)
    masks = [{"file": path.name, "labels": [{"value": 1, "name": "x"}]}]
    document = {"format": "racoon-labels", "schema_version": "1.0", "masks": masks, **facts}
    write_json(folder / "x.labels.json", document)
    return folder


@pytest.mark.parametrize("has_reference", [True, False], ids=["reference", "geometry"])
@pytest.mark.parametrize("patient", ["STS_008", "STS_025", "STS_042"])
@pytest.mark.parametrize("modality", ["CT", "PET", "MR_T1"])
def test_independent_nifti_masks_equal_the_structure_sets(real_data, tmp_path, patient, modality, has_reference):
    """NIfTI in another orientation, written by another tool, equals the RTSTRUCT voxel for voxel on the image grid."""
    home = real_data / "sts" / patient
    images = home / "dicom" / modality
    [drawn] = find_annotations(images).links
    facts = {"series_uids": [drawn.series.ref.series_uid]} if has_reference else {}
    folder = labelled(home / "nifti" / f"{modality}_mask.nii.gz", tmp_path / "in", **facts)
    geometry = geometry_of(drawn.series)

    [link] = [one for one in find_annotations(folder, images=images).links if one.file.modality == "SEG"]

    truth = read_annotation(drawn, geometry).masks[0].mask
    np.testing.assert_array_equal(read_annotation(link, geometry).masks[0].mask, truth)
    assert link.confidence == ("reference" if has_reference else "geometry")


def test_the_liver_nrrd_equals_the_liver_segmentation(real_data, tmp_path):
    """The NRRD a SEG was made from lies where the SEG lies, found by its grid alone."""
    images = real_data / "dcmqi"
    folder = labelled(images / "liver_seg.nrrd", tmp_path / "in")

    links = find_annotations(folder, images=images).links

    seg = next(one for one in links if one.file.path.name == "liver.dcm")
    nrrd = next(one for one in links if one.file.path.name == "x.labels.json")
    geometry = geometry_of(seg.series)
    assert (nrrd.series.ref, nrrd.confidence) == (seg.series.ref, "geometry")
    truth = read_annotation(seg, geometry).masks[0].mask
    np.testing.assert_array_equal(read_annotation(nrrd, geometry).masks[0].mask, truth)
