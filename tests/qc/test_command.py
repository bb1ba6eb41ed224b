"""racoon qc, as a person or a script runs it."""

import json

import pytest

from racoon_data import schemas
from racoon_data.errors import AmbiguousCaseError
from racoon_data.qc.codes import DEFECTS
from tests.dataset.makers import a_case, a_dataset
from tests.journeys.steps import racoon


@pytest.fixture
def root(tmp_path):
    """A dataset with one warning and no failure."""
    a_dataset(tmp_path / "lung", [a_case(1), a_case(2, unmapped=("Narbe",))])
    return tmp_path / "lung"


@pytest.mark.parametrize(("fail_on", "code"), [("fail", 0), ("warn", 6), ("never", 0)])
def test_what_fails_is_chosen(root, fail_on, code):
    """A warning fails only where warnings are asked to."""
    assert racoon("qc", "check", root, "--fail-on", fail_on).exit_code == code


def test_failures_fail_unless_never(root):
    """A failed check exits with 6, and with 0 where nothing shall fail."""
    next((root / "imagesTr").glob("*")).write_bytes(b"")

    assert racoon("qc", "check", root).exit_code == 6
    assert racoon("qc", "check", root, "--fail-on", "never").exit_code == 0
    assert racoon("qc", "report", root, "--fail-on", "never").exit_code == 0


def test_json_lines_are_findings(root):
    """Each line on stdout is a finding that fits the schema, the same as in findings.jsonl."""
    said = racoon("qc", "check", root, "--json")

    lines = said.out.splitlines()
    assert [json.loads(line)["code"] for line in lines] == ["label.unmapped"]
    for line in lines:
        schemas.validate("qc-finding", json.loads(line))
    assert (root / "qc" / "findings.jsonl").read_text().splitlines() == lines


def test_a_dry_run_leaves_the_findings_alone(root):
    """Nothing is written, the findings are told."""
    said = racoon("qc", "check", root, "--dry-run")

    assert "label.unmapped" in said.out
    assert not (root / "qc").exists()


def test_several_datasets_name_their_site(root, tmp_path):
    """Lines of several datasets say whose they are."""
    a_dataset(tmp_path / "other", [a_case(3)])

    said = racoon("qc", "check", root, tmp_path / "other", "--json")

    assert json.loads(said.out)["site"] == "north"


@pytest.mark.parametrize("code", sorted(DEFECTS))
def test_every_finding_is_explained(code):
    """Meaning and remedy of each code are whole sentences."""
    said = racoon("qc", "explain", code, "--json").document

    assert said["code"] == code
    assert said["meaning"].endswith(".")
    assert len(said["fix"]) > 15


def test_codes_of_what_was_left_out_are_explained_too():
    """The reasons under which a report lists what was left out can be asked for by the same command."""
    said = racoon("qc", "explain", AmbiguousCaseError.code)

    assert said.exit_code == 0
    assert "case.ambiguous (skipped)" in said.out


def test_without_a_code_all_are_listed():
    """The list holds every finding code."""
    listed = racoon("qc", "explain", "--json").document

    assert {row["code"] for row in listed} == set(DEFECTS)
