"""A prediction on de-identified images goes back to the PACS under the patient's own identity."""

import json

import numpy as np
import pydicom

from racoon_data.annotations.folder import find_annotations, read_found
from racoon_data.dicom.sorting import files_under, sort_files
from racoon_data.dicom.stacking import geometry_of
from racoon_data.files.nifti import read_nifti, write_nifti
from racoon_data.testing.lung_codes import LABELS_PATH
from tests.journeys.steps import LABELS, a_patient, racoon, served, walk


def test_a_prediction_returns_to_the_pacs(tmp_path):
    """Walk, predict, export, restore, push: the PACS holds SEG and SR of the patient, on the original images."""
    series, _ = a_patient(tmp_path / "archive", "MUSTER-1")
    (tmp_path / "labels.json").write_text(json.dumps(LABELS))
    walk(tmp_path, expect=0)
    work = tmp_path / "site" / "work"
    (known,) = sort_files(files_under(work), root=work).series
    labels = np.zeros((8, 24, 28), dtype=np.uint8)
    labels[2:5, 6:12, 5:20] = 2
    write_nifti(tmp_path / "pred.nii.gz", labels, geometry_of(known))
    results = tmp_path / "results"
    settings = tmp_path / "site" / "racoon.toml"
    settings.write_text(settings.read_text() + '\n[deid]\nresults_to = ["pacs"]\n')

    said = racoon("annotations", "export", tmp_path / "pred.nii.gz", work, results, "--labels", LABELS_PATH,
                  "--algorithm", "net", "--algorithm-version", "1.0")  # fmt: skip
    assert said.exit_code == 0, said.err
    assert "MUSTER" not in "".join(map(str, results.rglob("*")))
    with served(tmp_path) as site:
        restored = racoon("deid", "restore", results, "--to", "pacs", "--site", site)
        assert restored.exit_code == 0, restored.err + restored.out
        pushed = racoon("pacs", "push", "pacs", site / "outgoing" / "pacs", "--site", site)
        assert pushed.exit_code == 0, pushed.err + pushed.out

    back = [pydicom.dcmread(path) for path in (tmp_path / "archive").rglob("*.dcm")]
    objects = {one.Modality: one for one in back if "racoon" in str(one.get("Manufacturer", ""))}
    assert objects.keys() == {"SEG", "SR"}
    assert {(one.PatientID, one.StudyInstanceUID) for one in objects.values()} == {("MUSTER-1", series.ref.study_uid)}
    assert objects["SEG"].ReferencedSeriesSequence[0].SeriesInstanceUID == series.ref.series_uid
    objects["SEG"].save_as(tmp_path / "archive" / "MUSTER-1" / "ct" / "result.dcm")
    account = read_found(find_annotations(tmp_path / "archive" / "MUSTER-1" / "ct"), tmp_path / "read")
    (mask,) = account.annotations[0]["masks"]
    np.testing.assert_array_equal(read_nifti(tmp_path / "read" / mask["file"])[0], labels // 2)
