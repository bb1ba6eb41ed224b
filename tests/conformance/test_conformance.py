"""Our column of the conformance table: every hard case gives its truth, or its refusal."""

from pathlib import Path

import numpy as np
import pytest

from racoon_data.testing.hard_cases import HardCase
from tests.conformance.cases import all_cases, real_cases
from tests.conformance.judge import Output, verdict
from tests.conformance.write import PAGE, is_as_expected, judged, known_rows, page


@pytest.mark.parametrize("case", all_cases(), ids=lambda case: f"{case.topic}: {case.name}")
def test_a_hard_case_is_right(case: HardCase, tmp_path: Path):
    """Every voxel of every volume is where it belongs; what cannot be a volume is refused with its code."""
    seen = judged(case, "racoon", tmp_path)

    assert is_as_expected(case, seen), seen


@pytest.mark.real
@pytest.mark.parametrize("number", range(10))
def test_a_real_series_is_right(number: int, tmp_path: Path):
    """Public series equal what an independent tool wrote, and the tilted one what its headers say."""
    case = real_cases()[number]

    assert judged(case, "racoon", tmp_path) == "right"


def test_the_judge_notices(tmp_path: Path):
    """One voxel off, half a voxel away, mirrored or missing is not right."""
    truths = all_cases()[0].make(tmp_path)
    array, affine = np.asarray(truths[0].array, dtype=np.float64), truths[0].geometry.matrix
    moved, other = affine.copy(), array.copy()
    moved[0, 3] += 0.5 * affine[0, 0] + 0.05
    other[0, 0, 0] += 1

    assert verdict(truths, [Output(array, affine)]) == "right"
    assert verdict(truths, [Output(array, affine)] * 2) == "right, 1 more"
    assert verdict(truths, [Output(other, affine)]) == "wrong"
    assert verdict(truths, [Output(array, moved)]) == "wrong"
    assert verdict(truths, [Output(array[:, :, ::-1], affine)]) == "wrong"
    assert verdict(truths, []) == "nothing"


def test_the_page_lists_every_case():
    """docs/conformance.md was written again after the last new case (``make conformance NEW=--new``)."""
    text = PAGE.read_text(encoding="utf-8")

    assert [case.name for case in all_cases() if f"| {case.name} " not in text] == []


def test_a_page_is_read_back():
    """What the page says of a case is what was seen, so that new cases can be added to it."""
    rows = [(case, ["right", "wrong"]) for case in all_cases()[:3]]

    known = known_rows(page(rows, ["racoon", "dcm2niix"]), ["racoon", "dcm2niix"])

    assert list(known.values()) == [["right", "wrong"]] * 3
    assert known_rows(page(rows, ["racoon", "dcm2niix"]), ["racoon"]) == {}
