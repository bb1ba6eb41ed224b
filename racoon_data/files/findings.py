"""Findings of reports as a tidy table: one row per measurement or evaluation."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from racoon_data.files.atomic import write_text
from racoon_data.labels import CodedConcept, Finding

_CODED = ("concept", "derivation", "method", "finding", "site", "laterality", "answer", "about")


def _columns_of(name: str) -> tuple[str, str, str]:
    return (f"{name}_scheme", f"{name}_code", name)


FINDING_COLUMNS: tuple[str, ...] = (
    "study_uid",
    "source_sop_uid",
    "tracking_uid",
    "tracking_id",
    "value",
    "unit",
    *(column for name in _CODED for column in _columns_of(name)),
    "reader",
    "observer_type",
    "time_point",
    "status",
    "group_kind",
    "region",
    "predecessor_sop_uids",
    "referenced_sop_uids",
    "referenced_segments",
)


def finding_row(finding: Finding) -> dict[str, str]:
    """Spread a finding over the columns of the table.

    A coded value takes three columns: scheme, code and, under its own name, the words. Several values
    in one cell are joined by a space; a segment is written ``SOPInstanceUID#number``.

    Example:
        >>> from racoon_data.refs import InstanceRef
        >>> volume = CodedConcept("118565006", "SCT", "Volume")
        >>> row = finding_row(Finding(InstanceRef("1", "2", "3"), volume, "1.5", "ml"))
        >>> row["concept"], row["value"], row["unit"], row["site"]
        ('Volume', '1.5', 'ml', '')
    """
    row = {
        "study_uid": finding.source.study_uid,
        "source_sop_uid": finding.source.sop_uid,
        "tracking_uid": finding.tracking_uid,
        "tracking_id": finding.tracking_id,
        "value": finding.value,
        "unit": finding.unit,
        "reader": finding.reader,
        "observer_type": finding.observer_type,
        "time_point": finding.time_point,
        "status": finding.status,
        "group_kind": finding.group_kind,
        "region": finding.region,
        "predecessor_sop_uids": " ".join(finding.predecessors),
        "referenced_sop_uids": " ".join(finding.referenced_sops),
        "referenced_segments": " ".join(f"{sop_uid}#{number}" for sop_uid, number in finding.referenced_segments),
    }
    for name in _CODED:
        concept: CodedConcept | None = getattr(finding, name)
        values = (concept.scheme, concept.value, concept.meaning) if concept else ("", "", "")
        row |= zip(_columns_of(name), values, strict=True)
    return {column: row[column] for column in FINDING_COLUMNS}


def write_measurements(path: Path, rows: Iterable[Mapping[str, str]]) -> None:
    """Write the table as JSON lines (``schemas/measurement``), one object per row, whole or not at all."""
    write_text(path, "".join(json.dumps(dict(row), ensure_ascii=False) + "\n" for row in rows))


def write_findings(path: Path, rows: Iterable[Mapping[str, str]]) -> None:
    """Write the table as CSV (UTF-8, RFC 4180 quoting), whole or not at all.

    Args:
        path: The file.
        rows: Rows as ``finding_row`` gives them, kept in order; further columns, such as a case, come first.
    """
    table = [dict(row) for row in rows]
    further = dict.fromkeys(column for row in table for column in row if column not in FINDING_COLUMNS)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, [*further, *FINDING_COLUMNS], restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    write_text(path, text.getvalue())
