"""Three phantom hospitals walk: what the datasets say is what is true about every patient."""

import numpy as np
import pytest

from racoon_data.deid.pseudonyms import Pseudonymizer
from racoon_data.deid.vault import create_key
from racoon_data.files.case_sidecar import load_sidecar
from racoon_data.files.manifest import load_manifest
from racoon_data.files.nifti import read_nifti
from racoon_data.grid.resample import resample_labels
from racoon_data.pacs.serve import EmbeddedPacs
from racoon_data.qc.findings import read_issues
from racoon_data.testing.lung_codes import CLASSES
from racoon_data.testing.site_study import STUDY_NAME, site_toml, study_toml
from racoon_data.testing.sites import default_plans, write_site
from tests.journeys.steps import a_study, racoon

PATIENTS = 2


@pytest.fixture(scope="module", params=default_plans(3), ids=lambda plan: plan.name)
def walked(request, tmp_path_factory):
    """A hospital's truth by the study's name behind the door, its dataset folder and the account of its walk."""
    plan, folder = request.param, tmp_path_factory.mktemp(request.param.name)
    truth = write_site(folder / "archive", plan, patients=PATIENTS, seed=len(plan.name) + 40)
    site = folder / "site"
    key = create_key(site / "vault")
    with EmbeddedPacs(folder / "archive") as pacs:
        (site / "racoon.toml").write_text(site_toml(plan, pacs.port))
        said = racoon("run", a_study(folder, study_toml(plan)), "--site", site, "--json")
    assert said.exit_code == 0, said.err[-1500:] + said.out
    uid = Pseudonymizer(key).uid
    return plan, {uid(name): study for name, study in truth.studies.items()}, site / "datasets" / STUDY_NAME, said


def cases_of(walked):
    """Each case with its folder and the truth about its study."""
    _, truth, root, _ = walked
    for case in load_manifest(root).cases:
        sidecar = load_sidecar(root / case.sidecar)
        yield case, sidecar, truth[sidecar.channels[0].study_instance_uid]


def test_every_patient_is_a_case_from_the_annotated_series(walked):
    """No patient is lost, and the series a right rule chooses is the one that is used."""
    _, truth, _, said = walked
    cases = list(cases_of(walked))

    assert len(cases) == len(truth) == PATIENTS
    assert {(stage["failed"], *stage["reasons"]) for stage in said.document["stages"]} <= {
        (0,),
        (0, "case.not_selected"),
    }
    for _, sidecar, study in cases:
        assert len(sidecar.channels[0].sop_instance_uids) == study.geometry.shape[2]


def test_volumes_are_true(walked):
    """Each class measures what is true, whatever its code; 0 ml means looked for and absent.

    Within 8 % or 1 ml: voxels of 50 mm3 become voxels of 45 mm3 on a tipped grid, and thin rims round either way.
    """
    plan, *_ = walked
    for case, _, study in cases_of(walked):
        assert set(case.label_ml) == set(case.annotated) == set(plan.annotated)
        for name, measured_ml in case.label_ml.items():
            assert measured_ml == pytest.approx(study.volume_ml[name], rel=0.08, abs=1.0), name


def test_every_voxel_is_true(walked):
    """The label map is the truth about the classes this hospital outlines, carried onto the dataset's grid.

    Beside it stand lesions that the grid lost and the recipe drew again: no more than their volume, where they were.
    """
    plan, _, root, _ = walked
    outlined = [CLASSES.index(name) + 1 for name in plan.annotated]
    for case, sidecar, study in cases_of(walked):
        array, grid = read_nifti(root / case.label)
        known = np.where(np.isin(study.labels, outlined), study.labels, 0).astype(np.uint8)
        truth = resample_labels(known, study.geometry, grid)
        assert truth.any()
        nearest = resample_labels(known, study.geometry, grid, interpolation="nearest")
        drawn_again = (truth == 0) & (array > 0) & (array == nearest)
        (volumes,) = [step["labels"] for step in sidecar.steps if step["step"] == "label_volumes"]
        lost_ml = sum(row["vanished_ml"] + row["restored"] * grid.voxel_ml / 2 for row in volumes if row["restored"])
        assert np.count_nonzero(drawn_again) * grid.voxel_ml <= lost_ml
        assert np.count_nonzero((array != truth) & ~drawn_again) <= 1e-3 * np.count_nonzero(truth)


def test_every_report_is_in_the_findings(walked):
    """One volume in the table for each lesion that was outlined, and it is the true one."""
    plan, _, root, _ = walked
    rows = (root / "findings.csv").read_text().splitlines()

    outlined = sum(len(reader.segments) for _, sidecar, _ in cases_of(walked) for reader in sidecar.readers)
    assert plan.has_report
    assert sum(",Volume," in row for row in rows) == outlined > 0


def test_quality_control_accuses_nobody(walked):
    """Where everything is true nothing is found, but lesions of two or three voxels that a coarser grid lost."""
    _, _, root, _ = walked

    assert (root / "qc" / "findings.jsonl").is_file()
    assert {issue.code for issue in read_issues(root)} <= {"label.lesion_lost"}
    for _, sidecar, _ in cases_of(walked):
        assert [step["step"] for step in sidecar.steps].count("label_places") == 1
        assert all(step["software"]["racoon"] for step in sidecar.steps)
        assert "map" in {step["step"] for step in sidecar.steps}
