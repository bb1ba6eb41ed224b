"""qc/findings.jsonl, the data behind the report: written sorted, read back, completed across cases."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from racoon_data.cases import QcIssue
from racoon_data.documents import parse_json
from racoon_data.errors import DamagedDatasetError, SchemaError
from racoon_data.files.atomic import write_text
from racoon_data.files.case_sidecar import load_sidecar
from racoon_data.files.manifest import Manifest
from racoon_data.qc.checks import check_duplicates
from racoon_data.refs import CaseRef

FINDINGS_JSONL = "qc/findings.jsonl"


def write_issues(root: Path, issues: Iterable[QcIssue]) -> Path:
    """Write the issues of a dataset, one JSON document a line, sorted by case and code.

    Args:
        root: The dataset folder.
        issues: Issues of every case, in any order; repeats are written once.

    Returns:
        The file.
    """
    unique = sorted(set(issues), key=lambda issue: (issue.case, issue.code, issue.message))
    lines = [json.dumps(issue.to_json(), ensure_ascii=False) + "\n" for issue in unique]
    write_text(root / FINDINGS_JSONL, "".join(lines))
    return root / FINDINGS_JSONL


def read_issues(root: Path) -> tuple[QcIssue, ...]:
    """Read the issues of a dataset; a dataset that was not checked yet has none.

    Raises:
        SchemaError: A line is no QC finding.
    """
    path = root / FINDINGS_JSONL
    if not path.is_file():
        return ()
    lines = path.read_text(encoding="utf-8").splitlines()
    return tuple(_issue(line, number) for number, line in enumerate(lines, start=1))


def _issue(line: str, number: int) -> QcIssue:
    try:
        return QcIssue.from_json(parse_json(line))
    except (ValueError, KeyError, TypeError) as error:
        raise SchemaError(
            f"{FINDINGS_JSONL}: line {number} is no QC finding", hint="check the dataset again"
        ) from error


def issues_across(root: Path, manifest: Manifest) -> tuple[QcIssue, ...]:
    """Look for what only shows when all cases are seen together: the same image twice.

    Raises:
        DamagedDatasetError: A sidecar is missing or damaged.
    """
    hashes: dict[str, str] = {}
    for case in manifest.cases:
        outputs = {output.path: output.pixel_sha256 for output in load_sidecar(root / case.sidecar).outputs}
        if case.images[0] not in outputs:
            raise DamagedDatasetError("the sidecar does not name the image", ref=CaseRef(case.case_id))
        hashes[case.case_id] = outputs[case.images[0]]
    return check_duplicates(hashes)


def all_issues(root: Path, manifest: Manifest) -> tuple[QcIssue, ...]:
    """Give what the case checks wrote and what shows across cases: failures first, then by code and case.

    Raises:
        DamagedDatasetError: A sidecar is missing or damaged.
        SchemaError: ``findings.jsonl`` cannot be read.
    """
    unique = {*read_issues(root), *issues_across(root, manifest)}
    return tuple(sorted(unique, key=lambda issue: (issue.severity, issue.code, issue.case, issue.message)))
