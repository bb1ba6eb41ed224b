"""Other tools' exports walk with their images: to the right case, under pseudonyms, each with an end of its own."""

import csv
import hashlib

import numpy as np
import pytest

from racoon_data.deid.pseudonyms import Pseudonymizer
from racoon_data.deid.vault import load_key
from racoon_data.files.nifti import read_nifti
from racoon_data.testing.makers import a_series
from racoon_data.testing.series_plan import Person
from tests.annotations.tools.makers import a_label_file
from tests.journeys.steps import SMALL, STUDY, a_patient, account_of, ends, files_of, racoon, served

MAPPING = """
schema_version = "1.0"
name = "table"
format = "csv"
delimiter = ";"
decimal = ","
date_format = "%d.%m.%Y"
[links]
patient = { path = "Pat", required = true }
accession = "Acc"
reader = "Reader"
date = "Date"
[lesion]
tracking_id = "Lesion"
[[measurements]]
name = "diameter"
value = "mm"
unit = { constant = "mm" }
concept = { constant = { value = "81827009", scheme = "SCT", meaning = "Diameter" } }
[[evaluations]]
name = "remark"
text = "Remark"
concept = { constant = { value = "remark", scheme = "99X", meaning = "Remark" } }
"""
WITH_EXPORTS = STUDY + 'exports = [{ folder = "mint", mapping = "mint.toml" }, { folder = "masks" }]\n'
HEADER = "Pat;Acc;Reader;Date;Lesion;mm;Remark\n"


def an_archive(folder):
    """GOOD-1 and SECOND-1 in the archive, empty folders for exports, and the mapping."""
    made = a_patient(
        folder / "archive", "SECOND-1", person=Person(accession_number="B77-2020-0401-X", study_date="20200401")
    )
    (folder / "mint").mkdir()
    (folder / "masks").mkdir()
    (folder / "mint.toml").write_text(MAPPING)
    return made


def rows_of(folder):
    """The findings of the dataset."""
    with (folder / "site" / "datasets" / "lung" / "findings.csv").open(encoding="utf-8") as table:
        return list(csv.DictReader(table))


def test_a_report_reaches_its_case_and_tells_no_name(folder):
    """Rows go to their patients' cases with relative days; names, numbers, dates and remarks stay in the hospital."""
    an_archive(folder)
    (folder / "mint" / "Muster_Erika.csv").write_text(
        HEADER
        + "GOOD-1;A20200317;Leser, Lena;20.03.2020;Muster L1;14,2;Frau Muster informiert\n"
        + "SECOND-1;B77-2020-0401-X;Zweit, Zoelinde;01.04.2020;2;9,5;\n"
    )

    account = account_of(folder, WITH_EXPORTS)

    names = Pseudonymizer(load_key(folder / "site" / "vault"))
    rows = rows_of(folder)
    assert ends(account.stages[1].outcomes) == {"used": 2}
    assert {one["value"]: one["time_point"] for one in rows} == {"14.2": "day 3", "9.5": "day 0"}
    assert {(one["unit"], one["concept_code"]) for one in rows} == {("mm", "81827009")}
    assert {one["reader"] for one in rows} == {names.reader("Leser, Lena"), names.reader("Zweit, Zoelinde")}
    assert all(one["tracking_uid"].startswith("2.25.") and one["tracking_id"] == "" for one in rows)
    told = {**files_of(folder / "site" / "datasets"), **files_of(folder / "site" / "runs")}
    told |= files_of(folder / "site" / "work" / "exports")
    for secret in (
        b"Muster",
        b"Leser",
        b"Zoelinde",
        b"GOOD-1",
        b"A20200317",
        b"B77-2020-0401-X",
        b"informiert",
        b"2020-03",
        b"20.03.",
    ):
        assert not [name for name, data in told.items() if secret in data], secret


def test_a_row_goes_to_its_own_patient(folder):
    """Each case holds the findings of its own patient and no other's."""
    an_archive(folder)
    text = HEADER + "GOOD-1;A20200317;A;17.03.2020;1;14,2;\nSECOND-1;B77-2020-0401-X;B;01.04.2020;1;9,5;\n"
    (folder / "mint" / "x.csv").write_text(text)

    account_of(folder, WITH_EXPORTS)

    names = Pseudonymizer(load_key(folder / "site" / "vault"))
    owners = {one["value"]: one["case_id"] for one in rows_of(folder)}
    assert names.patient("GOOD-1") in owners["14.2"]
    assert names.patient("SECOND-1") in owners["9.5"]


def test_what_does_not_fit_is_set_aside_with_a_code(folder):
    """Another patient's number, a study elsewhere, a broken number and a broken file each end with a row."""
    an_archive(folder)
    (folder / "mint" / "x.csv").write_text(
        HEADER
        + "GOOD-1;B77-2020-0401-X;A;17.03.2020;1;1,0;\n"
        + "GOOD-1;Z1;A;17.03.2020;1;2,0;\n"
        + "GOOD-1;A20200317;A;17.03.2020;1;3.0;\n"
        + "GOOD-1;A20200317;A;17.03.2020;1;4,0;\n"
    )
    (folder / "masks" / "bad.labels.json").write_text("{}")

    account = account_of(folder, WITH_EXPORTS)

    assert ends(account.stages[1].outcomes) == {
        "annotation.broken_export": 1,
        "annotation.dangling_reference": 1,
        "annotation.mapping": 1,
        "annotation.wrong_patient": 1,
        "used": 1,
    }
    digest = hashlib.sha256((folder / "mint" / "x.csv").read_bytes()).hexdigest()[:12]
    assert any(str(one.ref).startswith(f"file export {digest}#") for one in account.stages[1].outcomes)
    assert [one["value"] for one in rows_of(folder)] == ["4.0"]


def test_a_mask_of_another_reader_is_kept_beside_the_first(folder):
    """A label file and the archive's SEG are two readers: both stand in readers/, voxel for voxel."""
    made, _ = an_archive(folder)
    mask = np.zeros(made.geometry.array_shape, dtype=bool)
    mask[2:5, 10:16, 11:19] = True
    series = made.ref.series_uid
    a_label_file(folder / "masks", {"Lesion": mask}, made.geometry, series_uids=[series], reader="Zweit^Zoe")

    account = account_of(folder, WITH_EXPORTS)

    names = Pseudonymizer(load_key(folder / "site" / "vault"))
    readers = folder / "site" / "datasets" / "lung" / "readers"
    own = [path for path in readers.rglob("*.nii.gz") if names.reader("Zweit^Zoe") in path.name]
    assert ends(account.stages[1].outcomes) == {"used": 1}
    assert len(list(own[0].parent.iterdir())) == 2
    array, grid = read_nifti(own[0])
    assert int(array.astype(bool).sum()) == mask.sum()
    assert grid.voxel_ml == pytest.approx(made.geometry.voxel_ml)


def test_walking_again_builds_nothing_again(folder):
    """The same exports give the same bytes; a changed mapping gives new rows."""
    an_archive(folder)
    (folder / "mint" / "x.csv").write_text(HEADER + "GOOD-1;A20200317;A;17.03.2020;L1;14,2;\n")
    account_of(folder, WITH_EXPORTS)
    before = files_of(folder / "site" / "datasets")

    account_of(folder, WITH_EXPORTS)
    again = files_of(folder / "site" / "datasets")
    (folder / "mint.toml").write_text(MAPPING + '[privacy]\nkeep = ["tracking_id"]\n')
    account_of(folder, WITH_EXPORTS)

    assert again == before
    assert [one["tracking_id"] for one in rows_of(folder)] == ["L1"]


def test_a_missing_folder_or_mapping_ends_before_the_walk(folder):
    """A study file that names what is not there exits 3 and asks the PACS nothing."""
    with served(folder) as site:
        (folder / "study.toml").write_text(WITH_EXPORTS)
        said = racoon("run", folder / "study.toml", "--site", site)

    assert said.exit_code == 3
    assert "mint is no folder" in said.err
    assert said.out == ""


def test_masks_without_references_find_their_series_by_grid(folder):
    """A mask that names nobody lies on the one grid that fits, however many patients there are."""
    made = a_series(
        folder / "archive" / "ODD" / "ct", **{**SMALL, "rows": 20, "patient_id": "ODD", "seed": "odd", "slices": 9}
    )
    an_archive(folder)
    mask = np.zeros(made.geometry.array_shape, dtype=bool)
    mask[2:5, 10:16, 11:19] = True
    a_label_file(folder / "masks", {"Lesion": mask}, made.geometry)

    account = account_of(folder, WITH_EXPORTS)

    assert ends(account.stages[1].outcomes) == {"used": 1}
    assert ends(account.stages[2].outcomes) == {"used": 3}


def test_an_export_that_is_there_twice_has_a_row_for_each(folder):
    """A copied file gives its rows once, and the account names the copy."""
    an_archive(folder)
    for name in ("a.csv", "b.csv"):
        (folder / "mint" / name).write_text(HEADER + "GOOD-1;A20200317;A;17.03.2020;1;14,2;\n")

    account = account_of(folder, WITH_EXPORTS)

    assert ends(account.stages[1].outcomes) == {"dicom.duplicate_instance": 1, "used": 1}
    assert len(rows_of(folder)) == 1
