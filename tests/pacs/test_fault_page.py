"""The page of faults tells what is true, and lists every key of the fault plan."""

import pytest

from racoon_data.faults import FaultPlan
from tests.pacs import fault_cases, fault_plans
from tests.pacs.fault_page import PAGE


def rows(columns):
    """The rows of the table with so many columns, without its head."""
    lines = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| ")]
    found = [line.strip("| ").split(" | ") for line in lines]
    return [row for row in found if len(row) == columns and row[-1] != "Seen"]


def test_the_page_shows_every_case_and_saw_what_was_expected():
    """Each case stands there with its end, nothing else was seen, and no key of the plan is left out."""
    plans = {(case.what, way, end) for case in fault_plans.CASES for way, end in case.expected.items()}
    shown = {(row[0], way, row[3]) for row in rows(5) for way in row[2].split(", ")}
    keys = {key for case in fault_plans.CASES for key in case.plan.model_fields_set}

    assert shown == plans
    assert [(row[0], row[1]) for row in rows(3)] == [(case.name, case.expected) for case in fault_cases.CASES]
    assert [row for row in (*rows(5), *rows(3)) if row[-1] != row[-2]] == []
    assert set(FaultPlan.model_fields) - keys == set()


@pytest.mark.parametrize("number", range(len(fault_plans.CASES)))
def test_a_fault_has_the_end_it_must_have(number, tmp_path):
    """Each case in one of its ways, in turn; ``make faults`` runs all of them."""
    case = fault_plans.CASES[number]
    way = sorted(case.expected)[number % len(case.expected)]

    assert fault_plans.run(case, way, tmp_path) == case.expected[way]
