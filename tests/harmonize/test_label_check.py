"""What a site's segments reach, before anything is built."""

from racoon_data.harmonize.label_check import check_segments
from racoon_data.labels import CodedConcept
from tests.harmonize.makers import EFFUSION, TISSUE, a_schema, a_segment


def test_every_spelling_is_tried_and_counted():
    """Reached labels say by what; the others name the nearest label, or none."""
    names = [
        a_segment("x", EFFUSION),
        a_segment("x", EFFUSION),
        a_segment("Konsolidirung", TISSUE),
        a_segment("zebra"),
        a_segment("GGO", CodedConcept("N/A", "RACOON", "Cons")),
    ]

    rows = {row.segment: row for row in check_segments((("r1", segment) for segment in names), a_schema())}

    assert (rows["x (SCT:60046008)"].label, rows["x (SCT:60046008)"].by) == ("effusion", "code")
    assert rows["x (SCT:60046008)"].count == 2
    assert rows["Konsolidirung (SRT:T-D0050)"].nearest == "consolidation"
    assert (rows["zebra"].label, rows["zebra"].nearest) == ("", "")
    assert "consolidation, ggo" in rows["GGO (RACOON:N/A)"].why
    assert {row.reader for row in rows.values()} == {"r1"}
