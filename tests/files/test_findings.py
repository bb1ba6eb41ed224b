"""The findings table is tidy and whole."""

import csv

from racoon_data.files.findings import FINDING_COLUMNS, finding_row, write_findings
from racoon_data.labels import CodedConcept, Finding
from racoon_data.refs import InstanceRef

VOLUME = CodedConcept("118565006", "SCT", "Volume")


def a_finding(**facts):
    """A measured volume."""
    return Finding(InstanceRef("1", "2", "3"), VOLUME, "1.5", "ml", **facts)


def test_every_fact_has_its_column():
    """Codes take three columns, lists are joined, and absent facts are empty."""
    row = finding_row(a_finding(referenced_sops=("7", "8"), referenced_segments=(("8", 2),), reader="R1"))

    assert tuple(row) == FINDING_COLUMNS
    assert (row["concept_scheme"], row["concept_code"], row["concept"]) == ("SCT", "118565006", "Volume")
    assert (row["value"], row["unit"], row["site"], row["reader"]) == ("1.5", "ml", "", "R1")
    assert (row["referenced_sop_uids"], row["referenced_segments"]) == ("7 8", "8#2")


def test_the_table_reads_back_as_written(tmp_path):
    """Commas, quotes, line breaks and umlauts survive; a further column comes first."""
    words = 'Größe, "klar"\nzweite Zeile'
    rows = [{"case": "c1", **finding_row(a_finding(tracking_id=words))}, {"case": "c2", **finding_row(a_finding())}]

    write_findings(tmp_path / "findings.csv", rows)

    with (tmp_path / "findings.csv").open(encoding="utf-8", newline="") as stream:
        assert list(csv.DictReader(stream)) == rows


def test_no_findings_give_a_table_with_its_header(tmp_path):
    """A dataset without reports still has a table a program can open."""
    write_findings(tmp_path / "findings.csv", [])

    assert (tmp_path / "findings.csv").read_text() == ",".join(FINDING_COLUMNS) + "\n"
