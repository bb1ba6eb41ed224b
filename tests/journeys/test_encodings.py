"""Enhanced and compressed images on the whole walk: an annotated one becomes a case like any other."""

import numpy as np
import pydicom
import pytest
from pydicom import uid

from racoon_data.files.case_sidecar import load_sidecar
from racoon_data.files.manifest import load_manifest
from racoon_data.files.nifti import read_nifti
from racoon_data.refs import SeriesRef
from racoon_data.testing.makers import a_seg, a_series
from racoon_data.testing.multiframe import ENHANCED_CT, Frame, Shape, write_multiframe
from racoon_data.testing.series_plan import MadeSeries, SeriesPlan
from tests.journeys.steps import STUDY, reasons, walk

SIZE = {"slices": 8, "rows": 40, "columns": 48}
LESION = np.zeros((8, 40, 48), dtype=bool)
LESION[3:6, 8:14, 10:18] = True


def _look(k, j, i):
    return 31 * k + 7 * j + 3 * i


def _an_enhanced_patient(archive, name):
    """One enhanced CT in one file, and the segmentation of one lesion on its frames."""
    plan = SeriesPlan(**SIZE, patient_id=name, seed=name, value_of=_look)
    frames = [Frame(k, plane) for k, plane in enumerate(plan.stored())]
    one = write_multiframe(archive / name / "ct" / "enhanced.dcm", plan, frames, Shape(ENHANCED_CT))
    made = MadeSeries(
        SeriesRef(plan.study, plan.series),
        (archive / name / "ct" / "enhanced.dcm",),
        (str(one.SOPInstanceUID),),
        tuple(range(plan.slices)),
        plan.truth_of(plan.stored()),
        plan,
    )
    a_seg(archive / name / "seg", made, {"Lesion": LESION})
    return made


def _a_compressed_patient(archive, name):
    """One CT in JPEG 2000, and the segmentation of one lesion."""
    made = a_series(archive / name / "ct", **SIZE, patient_id=name, seed=name, value_of=_look)
    for path in made.paths:
        dataset = pydicom.dcmread(path)
        dataset.compress(uid.JPEG2000Lossless, generate_instance_uid=False)
        dataset.save_as(path)
    a_seg(archive / name / "seg", made, {"Lesion": LESION})
    return made


@pytest.mark.parametrize("maker", [_an_enhanced_patient, _a_compressed_patient])
def test_an_encoded_patient_is_a_case(folder, maker):
    """The case has the voxels of the truth and the lesion on its grid."""
    made = maker(folder / "archive", "CODED-1")

    account = walk(folder, expect=0, study=STUDY.replace('spacing_mm = "native"', 'orientation = "native"'))

    assert reasons(account, "cases") == {}
    root = folder / "site" / "datasets" / "lung"
    cases = load_manifest(root).cases
    assert len(cases) == 2
    arrays = [read_nifti(root / case.images[0])[0] for case in cases]
    (found,) = [n for n, array in enumerate(arrays) if np.array_equal(array, made.truth.array)]
    labels, geometry = read_nifti(root / cases[found].label)
    assert geometry.same_grid(made.geometry, tol_mm=1e-3)
    assert np.array_equal(labels != 0, LESION)


def _a_pet_patient(archive, name):
    """One PET in Bq/ml with the segmentation of one lesion."""
    made = a_series(archive / name / "pet", **SIZE, patient_id=name, seed=name, modality="PT", slope=0.37)
    a_seg(archive / name / "seg", made, {"Lesion": LESION})
    return made


def test_a_pet_becomes_suv(folder):
    """A recipe that asks for SUV gives SUV, from the times and the dose behind the door, and says how."""
    made = _a_pet_patient(folder / "archive", "PET-1")
    study = STUDY.replace('modality = "CT"', 'modality = "PT"').replace('"native"', '"native", orientation = "native"')

    walk(folder, expect=0, study=study.replace("recipe = {", 'recipe = { pet_values = "suv",'))

    root = folder / "site" / "datasets" / "lung"
    (case,) = load_manifest(root).cases
    array, _ = read_nifti(root / case.images[0])
    sidecar = load_sidecar(root / case.sidecar)
    factor = 70_000 / (300e6 * 2 ** (-3600 / 6586.2))
    assert np.allclose(array, made.truth.array * factor, rtol=1e-5)
    assert sidecar.channels[0].unit == "SUVbw"
    assert sidecar.steps[0]["ElapsedTime"] == 3600
