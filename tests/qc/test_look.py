"""Damage on disk is a finding with its own code, and the other cases are looked at all the same."""

import json
from dataclasses import replace

import pytest

from racoon_data.errors import DamagedDatasetError
from racoon_data.files.nifti import read_nifti, write_nifti
from racoon_data.qc.inspect import inspect
from tests.dataset.makers import GRID, a_case, a_dataset
from tests.qc.planting import reseal, shifted_grid


def _missing(root, record):
    (root / record.label).unlink()


def _changed(root, record):
    path = root / record.readers[0]
    path.write_bytes(path.read_bytes() + b"\0")


def _cut_short(root, record):
    path = root / record.images[0]
    path.write_bytes(path.read_bytes()[:900])
    reseal(root)


def _foreign_sidecar(root, record):
    (root / record.sidecar).write_text('{"ConvolutionKernel": Br40f\\3}')
    reseal(root)


def _moved(root, record):
    for path in (record.images[0], record.label):
        array, grid = read_nifti(root / path)
        write_nifti(root / path, array, shifted_grid(grid, 20))
    reseal(root)


DAMAGE = {
    "file.missing": _missing,
    "file.changed": _changed,
    "file.unreadable": _cut_short,
    "file.bad_sidecar": _foreign_sidecar,
    "image.moved": _moved,
}


@pytest.mark.parametrize("code", DAMAGE)
def test_damage_is_found(code, tmp_path):
    """The damaged case is named with the right code, and no other case is."""
    manifest = a_dataset(tmp_path)
    DAMAGE[code](tmp_path, manifest.cases[1])

    inspection = inspect(tmp_path)

    assert [(issue.code, issue.case.case_id) for issue in inspection.issues] == [(code, "case-002")]
    assert [one.record.case_id for one in inspection.cases] == [case.case_id for case in manifest.cases]


def test_a_case_without_image_is_not_measured_and_says_why(tmp_path):
    """Nothing is invented about voxels nobody could read."""
    manifest = a_dataset(tmp_path)
    _cut_short(tmp_path, manifest.cases[0])

    seen = inspect(tmp_path, is_drawn=True).cases[0]

    assert seen.facts is None
    assert seen.thumbnails == ()
    assert "imagesT" in seen.trouble


def test_a_folder_that_is_no_dataset_is_refused(tmp_path):
    """Without a manifest there is nothing to compare with."""
    with pytest.raises(DamagedDatasetError):
        inspect(tmp_path)


def test_workers_see_the_same(tmp_path):
    """Two processes find what one finds, in the same order."""
    manifest = a_dataset(tmp_path, [a_case(1), a_case(2, seed=1), replace(a_case(3), unmapped=("Narbe",))])
    _moved(tmp_path, manifest.cases[2])

    alone, together = inspect(tmp_path), inspect(tmp_path, workers=2)

    assert together.issues == alone.issues
    assert [one.facts for one in together.cases] == [one.facts for one in alone.cases]
    assert len(alone.issues) > 2


def test_whole_numbers_in_a_float_label_are_labels(tmp_path):
    """Other tools write label maps as float; whole numbers count, halves are unknown values."""
    manifest = a_dataset(tmp_path)
    for record, change in zip(manifest.cases[:2], (0.0, 0.5), strict=True):
        array, _ = read_nifti(tmp_path / record.label)
        write_nifti(tmp_path / record.label, (array + change * (array == 2)).astype("float32"), GRID)
    reseal(tmp_path)

    issues = inspect(tmp_path).issues

    assert [(issue.case.case_id, issue.code) for issue in issues] == [("case-002", "label.unexpected_value")]
    assert "2.5" in issues[0].message


def test_findings_survive_a_case_name_of_the_schema(tmp_path):
    """Every line of findings.jsonl fits its schema."""
    from racoon_data import schemas
    from racoon_data.qc.findings import write_issues

    manifest = a_dataset(tmp_path)
    _missing(tmp_path, manifest.cases[0])
    path = write_issues(tmp_path, inspect(tmp_path).issues)

    for line in path.read_text().splitlines():
        schemas.validate("qc-finding", json.loads(line))
    assert path.read_text().count("\n") == 1
