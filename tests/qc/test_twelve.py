"""Twelve defects in a dataset on disk, each found by its code; the clean dataset has no finding."""

import pytest

from racoon_data.qc.codes import DEFECTS
from racoon_data.qc.inspect import inspect
from tests.dataset.makers import a_dataset
from tests.qc.planting import COUNT, PLANTED_IN, TWELVE, clean_cases


def test_the_clean_dataset_has_no_finding(tmp_path):
    """Fourteen clean cases: zero findings, of any kind."""
    a_dataset(tmp_path, clean_cases())

    inspection = inspect(tmp_path)

    assert inspection.issues == ()
    assert len(inspection.cases) == COUNT


@pytest.mark.parametrize("name", TWELVE)
def test_each_of_the_twelve_is_found(name, tmp_path):
    """The defect is found by its own code, no other failure is told, and nobody else is accused."""
    code, plant = TWELVE[name]
    plant(tmp_path)

    inspection = inspect(tmp_path)

    planted = inspection.cases[PLANTED_IN].record.case_id
    found = [issue for issue in inspection.issues if issue.code == code]
    assert planted in [issue.case.case_id for issue in found]
    assert {issue.code for issue in inspection.issues if issue.severity == "fail"} <= {code}
    both = code in ("image.duplicate", "split.leak")
    assert {issue.case.case_id for issue in inspection.issues} == {issue.case.case_id for issue in found}
    assert len({issue.case for issue in found}) == (2 if both else 1)
    assert found[0].severity == DEFECTS[code].severity
    assert found[0].message
    assert found[0].fix
