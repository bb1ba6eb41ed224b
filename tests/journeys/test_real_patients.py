"""Three public patients walk from the embedded PACS to a dataset that equals independent references."""

import os
from pathlib import Path

import numpy as np
import pydicom
import pytest

from racoon_data.deid.pseudonyms import Pseudonymizer
from racoon_data.deid.vault import load_key
from racoon_data.files.manifest import load_manifest
from racoon_data.files.nifti import read_nifti
from racoon_data.grid.reorient import reorient
from racoon_data.pacs.push import push
from racoon_data.pacs.serve import EmbeddedPacs
from racoon_data.qc.findings import read_issues
from racoon_data.volumes import Volume
from tests.journeys.steps import a_site, a_study, racoon

pytestmark = pytest.mark.real

LABELS = """{"schema_version": "1.0", "name": "soft tissue sarcoma", "version": "1", "labels": [
  {"value": 1, "name": "gross_tumor_volume", "codes": [], "priority": 1,
   "synonyms": ["GTV_Mass_CT", "GTV_Mass_PET", "GTV_Mass_MR_T1"]}]}"""
STUDY = """
name = "sarcoma"
channels = [{ name = "image", min_slices = 3 }]
case = { per = "annotated-series" }
labels = { schema_file = "labels.json" }
recipe = { orientation = "RAS", spacing_mm = "native" }
"""
IMAGES = [f"{patient}/{kind}" for patient in ("STS_008", "STS_025", "STS_042") for kind in ("CT", "PET", "MR_T1")]


@pytest.fixture(scope="module")
def walked(tmp_path_factory):
    """The site after ``racoon run`` on a PACS that holds the three patients."""
    folder = tmp_path_factory.mktemp("sts")
    files = sorted((Path(os.environ["RACOON_REAL_DATA"]) / "sts").glob("*/dicom/**/*.dcm"))
    (folder / "labels.json").write_text(LABELS)
    with EmbeddedPacs(folder / "archive") as pacs:
        stored = push(pacs.node(), files)
        assert [outcome.code for outcome in stored if outcome.code] == []
        site = a_site(folder / "site", port=pacs.port)
        said = racoon("run", a_study(folder, STUDY), "--site", site, "--json")
    assert said.exit_code == 0, said.out[-3000:]
    return site, said.document, len(files)


def test_everything_that_came_in_is_in_the_dataset(walked):
    """All instances and all nine annotated series are used."""
    _, account, files = walked
    instances, cases = account["stages"]

    assert (instances["in"], instances["used"]) == (files, files)
    assert (cases["in"], cases["used"]) == (9, 9)


@pytest.mark.parametrize("name", IMAGES)
def test_image_and_mask_equal_the_reference(walked, real_data, name):
    """After orientation only, the mask is equal voxel for voxel and the image within float32 rounding."""
    site, _, _ = walked
    patient, kind = name.split("/")
    reference = real_data / "sts" / patient
    case, root = _case_of(site, reference / "dicom" / kind / "image")

    image, truth = _ras(root / case.images[0]), _ras(reference / "nifti" / f"{kind}_image.nii.gz")
    mask, truth_mask = _ras(root / case.label), _ras(reference / "nifti" / f"{kind}_mask.nii.gz")

    assert mask.geometry.same_grid(truth_mask.geometry, tol_mm=0.01)
    assert mask.array.any()
    assert np.array_equal(mask.array != 0, truth_mask.array != 0)
    assert image.geometry.same_grid(truth.geometry, tol_mm=0.01)
    largest = float(np.abs(truth.array).max())
    assert np.abs(image.array.astype(np.float64) - truth.array).max() <= 2 * np.finfo(np.float32).eps * largest


def test_quality_control_accuses_no_patient(walked):
    """Real CT, PET and MR have no failure; one MR series ends in two blank slices, which is told."""
    site, _, _ = walked
    issues = read_issues(site / "datasets" / "sarcoma")

    assert [(issue.code, str(issue.severity)) for issue in issues] == [("image.blank_ends", "warn")]


def _case_of(site, dicom_folder):
    """Find the case that was made from a series, through the key of the site."""
    original = pydicom.dcmread(next(dicom_folder.iterdir()), stop_before_pixels=True)
    wanted = Pseudonymizer(load_key(site / "vault")).uid(original.SeriesInstanceUID)
    root = site / "datasets" / "sarcoma"
    for case in load_manifest(root).cases:
        if wanted in (root / case.sidecar).read_text():
            return case, root
    raise AssertionError(f"no case was made from {dicom_folder.name}")


def _ras(path):
    array, geometry = read_nifti(path)
    return reorient(Volume(array, geometry), "RAS")
