"""Every instance the PACS lists ends exactly once: used, skipped or failed, whatever came in."""

import numpy as np
import pydicom
import pytest
from pydicom.uid import SecondaryCaptureImageStorage

from racoon_data.faults import FaultPlan
from racoon_data.files.case_sidecar import load_sidecar
from racoon_data.files.manifest import load_manifest
from racoon_data.files.nifti import read_nifti
from racoon_data.testing.makers import Measured, a_seg, a_series, an_rtstruct, an_sr, rectangle
from racoon_data.testing.segmentations import LESION
from tests.journeys.steps import SMALL, STUDY, a_lesion, a_patient, a_study, account_of, ends, files_of, racoon, served

PER_SERIES = STUDY + 'case = { per = "annotated-series" }\n'


def the_dataset(folder):
    """The dataset that stands at the site, and its folder."""
    root = folder / "site" / "datasets" / "lung"
    return load_manifest(root), root


def a_second_series(archive, name, **options):
    """Another CT series of a patient's study."""
    return a_series(archive / name / "second", **{**SMALL, "patient_id": name, "seed": name, **options})


def a_screenshot(archive, name):
    """A secondary capture of a patient's study, in a series of its own."""
    dataset = pydicom.dcmread(next((archive / name / "ct").glob("*.dcm")))
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{dataset.SOPInstanceUID}.9"
    dataset.SeriesInstanceUID, dataset.Modality, dataset.ConversionType = f"{dataset.SeriesInstanceUID}.9", "OT", "WSD"
    (archive / name / "sc").mkdir()
    dataset.save_as(archive / name / "sc" / "SC1.dcm")


def test_two_cases_a_study_use_each_instance_once(folder):
    """Two annotated series of one study are two cases."""
    second = a_second_series(folder / "archive", "GOOD-1", kernel="B70f", series_number=3)
    a_lesion(folder / "archive" / "GOOD-1" / "seg2", second)

    account = account_of(folder, PER_SERIES)

    assert [ends(stage.outcomes) for stage in account.stages] == [{"used": 18}, {"used": 2}]


def test_the_same_examination_twice_is_one_case(folder):
    """A copy under other UIDs and another name would count twice, perhaps on both sides of the split."""
    for name in ("COPY-1", "COPY-2"):
        a_patient(folder / "archive", name, value_of=lambda k, j, i: 11 * k + 3 * j - 2 * i)

    account = account_of(folder)

    manifest, _ = the_dataset(folder)
    (copy,) = [outcome for outcome in account.stages[1].outcomes if outcome.code]
    assert ends(account.stages[1].outcomes) == {"case.quality": 1, "used": 2}
    assert ends(account.stages[0].outcomes) == {"case.quality": 9, "used": 18}
    assert any(f"image.duplicate: same voxels as case {case.case_id}" in copy.message for case in manifest.cases)
    assert not [path for path in files_of(folder / "site" / "datasets") if copy.ref.case_id in path]


def test_a_screenshot_waits_in_quarantine_and_its_study_goes_on(folder):
    """A secondary capture is set aside by the door; the case needs it not."""
    a_screenshot(folder / "archive", "GOOD-1")

    account = account_of(folder)

    assert [ends(stage.outcomes) for stage in account.stages] == [{"deid.identity_risk": 1, "used": 9}, {"used": 1}]
    assert list((folder / "site" / "quarantine").iterdir())


def test_a_study_of_which_nothing_passes_is_still_counted(folder):
    """A study that is all screenshot gives no case, and says so."""
    a_patient(folder / "archive", "SHOT-1")
    a_screenshot(folder / "archive", "SHOT-1")
    for path in (*(folder / "archive" / "SHOT-1" / "ct").iterdir(), *(folder / "archive" / "SHOT-1" / "seg").iterdir()):
        path.unlink()

    account = account_of(folder)

    assert ends(account.stages[0].outcomes) == {"deid.identity_risk": 1, "used": 9}
    assert ends(account.stages[1].outcomes) == {"case.no_channel": 1, "used": 1}


def test_a_segmentation_in_quarantine_keeps_its_case_out(folder):
    """A mask that waits for a decision may be half of the truth: the case waits with it."""
    made, _ = a_patient(folder / "archive", "HELD-1")
    seg = a_lesion(folder / "archive" / "HELD-1" / "seg2", made, name="Lesion 2")
    dataset = pydicom.dcmread(seg.path)
    dataset.PatientID = ""
    dataset.save_as(seg.path)

    account = account_of(folder)

    assert ends(account.stages[1].outcomes) == {"case.incomplete_labels": 1, "used": 1}
    assert ends(account.stages[0].outcomes) == {"case.incomplete_labels": 9, "deid.quarantined": 1, "used": 9}


def test_two_equally_good_series_are_ambiguous(folder):
    """Nothing is guessed: the case is skipped and both series say why."""
    _, seg = a_patient(folder / "archive", "TWIN-1")
    seg.path.unlink()
    a_second_series(folder / "archive", "TWIN-1", series_number=3)

    account = account_of(folder)

    assert ends(account.stages[1].outcomes) == {"case.ambiguous": 1, "used": 1}
    assert ends(account.stages[0].outcomes) == {"case.ambiguous": 16, "used": 9}


def test_an_incomplete_study_is_kept_out_and_comes_with_the_next_walk(folder):
    """The PACS leaves out an instance of each study: all are accounted for, and nothing is lost."""
    account = account_of(folder, faults=FaultPlan(drop_last=1))
    later = account_of(folder)

    assert ends(account.stages[1].outcomes) == {"case.incomplete_study": 1}
    assert ends(account.stages[0].outcomes) == {"case.incomplete_study": 8, "pacs.partial": 1}
    assert ends(later.stages[0].outcomes) == {"used": 9}


def test_a_walk_that_could_not_fetch_anything_whole_says_so(folder):
    """The only study is incomplete: exit 5, the study, what happened and what helps."""
    with served(folder, FaultPlan(drop_last=1)) as site:
        said = racoon("run", a_study(folder, STUDY), "--site", site)

    assert said.exit_code == 5
    assert "study is partial: 8 of 9 instances arrived (case.incomplete_study)" in said.err
    assert "what helps: run again to fetch the rest" in said.err
    assert "runs/lung.json" in said.err


def test_what_the_pacs_no_longer_lists_is_no_longer_used(folder):
    """A segmentation was replaced at the PACS: the next walk reads the new one alone."""
    made, seg = a_patient(folder / "archive", "EDIT-1")
    account_of(folder)
    seg.path.unlink()
    a_lesion(folder / "archive" / "EDIT-1" / "seg2", made, name="Lesion 2")

    account = account_of(folder)

    manifest, root = the_dataset(folder)
    assert ends(account.stages[0].outcomes) == {"used": 18}
    assert all(len(load_sidecar(root / case.sidecar).annotations) == 1 for case in manifest.cases)


def test_a_localizer_and_a_lone_report_are_accounted_for(folder):
    """A series no channel wants is not selected; a report on a series that is not here goes with its study."""
    archive = folder / "archive"
    a_patient(archive, "MORE-1")
    a_second_series(archive, "MORE-1", slices=1, image_type=("ORIGINAL", "PRIMARY", "LOCALIZER"), series_number=1)
    absent = a_series(folder / "absent", **SMALL, patient_id="MORE-1", seed="MORE-1", series_number=9)
    an_sr(archive / "MORE-1" / "sr", absent, [Measured("Lesion", LESION, 1.5)])

    account = account_of(folder)

    assert ends(account.stages[0].outcomes) == {"case.not_selected": 1, "used": 19}


def test_a_report_of_a_study_with_two_cases_is_read_once(folder):
    """Findings of a report without a series of its own stand in one case, not in all."""
    archive = folder / "archive"
    second = a_second_series(archive, "GOOD-1", kernel="B70f", series_number=3)
    a_lesion(archive / "GOOD-1" / "seg2", second)
    absent = a_series(folder / "absent", **SMALL, patient_id="GOOD-1", seed="GOOD-1", series_number=9)
    an_sr(archive / "GOOD-1" / "sr", absent, [Measured("Lesion", LESION, 1.5, mean_hu=None, severity=None)])

    account_of(folder, PER_SERIES)

    _, root = the_dataset(folder)
    assert len((root / "findings.csv").read_text().splitlines()) == 2


TWO_CHANNELS = """
name = "lung"
channels = [{ name = "CT", modality = "CT", prefer = [] }, { name = "PET", modality = "PT", prefer = [] }]
labels = { schema_file = "labels.json" }
recipe = { spacing_mm = "native" }
test_fraction = 0.0
"""


@pytest.fixture
def pet(folder):
    """A patient with an unmarked CT and a PET whose slices are twice as far apart, annotated on the PET."""
    archive = folder / "archive"
    (archive / "GOOD-1" / "seg").rename(folder / "set-aside")
    plain = {"patient_id": "GOOD-1", "seed": "GOOD-1"}
    made = a_series(
        archive / "GOOD-1" / "pet",
        **SMALL,
        **plain,
        modality="PT",
        origin_lps=(-20.0, -15.0, 91.25),
        spacing_mm=(0.8, 0.7, 5.0),
    )
    a_lesion(archive / "GOOD-1" / "pet-seg", made)
    return folder, made


def test_a_mask_on_the_second_channel_labels_the_case(pet):
    """The mask is read on the PET's grid and carried onto the CT's."""
    folder, made = pet

    account = account_of(folder, TWO_CHANNELS)

    manifest, root = the_dataset(folder)
    (case,) = manifest.cases
    array, grid = read_nifti(root / case.label)
    true_ml = 3 * 6 * 8 * made.geometry.voxel_ml
    assert ends(account.stages[0].outcomes) == {"used": 17}
    assert grid.shape[2] == 8
    assert grid.spacing_mm[2] == pytest.approx(2.5)
    assert np.count_nonzero(array) * grid.voxel_ml == pytest.approx(true_ml)


def test_masks_on_channels_of_two_grids_fail_with_a_code(pet):
    """Two grids have no common label map: the case says so instead of choosing one."""
    folder, _ = pet
    (folder / "set-aside").rename(folder / "archive" / "GOOD-1" / "seg")

    account = account_of(folder, TWO_CHANNELS)

    (case,) = account.stages[1].outcomes
    assert case.code == "annotation.grid_mismatch"
    assert "CT, PET" in case.message


def test_masks_on_channels_of_one_grid_are_one_label_map(folder):
    """Two reconstructions on one grid, each annotated, give the union."""
    archive = folder / "archive"
    second = a_second_series(archive, "GOOD-1", kernel="B70f", series_number=3)
    mask = np.zeros((8, 24, 28), dtype=bool)
    mask[0, :4, :4] = True
    a_seg(archive / "GOOD-1" / "seg2", second, {"Lesion": mask})
    channels = 'channels = [{ name = "soft", kernel = "B31f" }, { name = "sharp", kernel = "B70f" }]'

    account = account_of(folder, STUDY.replace('channels = [{ name = "CT", modality = "CT" }]', channels))

    manifest, root = the_dataset(folder)
    array, _ = read_nifti(root / manifest.cases[0].label)
    assert ends(account.stages[0].outcomes) == {"used": 18}
    assert np.count_nonzero(array) == 3 * 6 * 8 + 16


@pytest.mark.parametrize("order", [("CT", "PT"), ("PT", "CT")])
def test_a_structure_set_over_two_channels_is_read_where_it_was_drawn(folder, order):
    """It lists both series of the study and was drawn on the CT: one reading, whichever channel comes first."""
    archive = folder / "archive"
    (archive / "GOOD-1" / "seg").rename(folder / "set-aside")
    plain = {**SMALL, "patient_id": "BOTH-1", "seed": "BOTH-1"}
    scan = a_series(archive / "BOTH-1" / "ct", **plain)
    pet = a_series(archive / "BOTH-1" / "pet", **plain, modality="PT", spacing_mm=(0.8, 0.7, 5.0))
    path, _ = an_rtstruct(
        archive / "BOTH-1", scan, {"Lesion": [rectangle(k, columns=(5, 10), rows=(6, 12)) for k in range(2, 6)]}
    )
    dataset = pydicom.dcmread(path)
    listed = dataset.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0].RTReferencedSeriesSequence
    other = pydicom.dcmread(an_rtstruct(folder / "pet", pet, {"Lesion": []})[0])
    listed.append(
        other.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0].RTReferencedSeriesSequence[0]
    )
    dataset.save_as(path)
    channels = ", ".join(f'{{ name = "{kind}", modality = "{kind}", prefer = [] }}' for kind in order)

    account = account_of(folder, STUDY.replace('{ name = "CT", modality = "CT" }', channels))

    manifest, root = the_dataset(folder)
    assert ends(account.stages[0].outcomes) == {"case.no_channel": 8, "used": 17}
    assert len(load_sidecar(root / manifest.cases[0].sidecar).annotations) == 1
    assert manifest.cases[0].label_ml["lesion"] > 0


def test_an_ambiguous_mask_keeps_its_case_out(folder):
    """A mask that may lie on the chosen series or on its twin is not left out of the label map in silence."""
    archive = folder / "archive"
    made, _ = a_patient(archive, "DRAW-1")
    a_second_series(archive, "DRAW-1", kernel="B70f", series_number=3)
    seg = a_lesion(archive / "DRAW-1" / "seg2", made, name="Lesion 2")
    dataset = pydicom.dcmread(seg.path)
    del dataset.ReferencedSeriesSequence, dataset.SourceImageSequence
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        del frame.DerivationImageSequence
    dataset.save_as(seg.path)

    account = account_of(folder)

    assert ends(account.stages[1].outcomes) == {"case.incomplete_labels": 1, "used": 1}
    assert ends(account.stages[0].outcomes) == {
        "annotation.ambiguous_reference": 1,
        "case.incomplete_labels": 17,
        "used": 9,
    }


def test_a_broken_slice_refuses_its_own_case_alone(folder):
    """Where two series of a study are cases of their own, one that lost a slice does not take the other with it."""
    archive = folder / "archive"
    second = a_second_series(archive, "GOOD-1", kernel="B70f", series_number=3)
    a_lesion(archive / "GOOD-1" / "seg2", second)
    content = second.paths[3].read_bytes()
    second.paths[3].write_bytes(content[: len(content) // 2])

    account = account_of(folder, PER_SERIES)

    assert ends(account.stages[1].outcomes) == {"case.incomplete_series": 1, "used": 1}
