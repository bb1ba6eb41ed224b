"""qc/findings.jsonl, the data behind the report: written sorted, read back."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from racoon_data.cases import QcIssue
from racoon_data.documents import parse_json
from racoon_data.errors import SchemaError
from racoon_data.files.atomic import write_text

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
