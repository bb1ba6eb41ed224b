"""What a site's segments reach, before anything is built."""

from racoon_data.harmonize.label_check import SeenSegment, check_segments, never_reached
from racoon_data.labels import CodedConcept
from tests.harmonize.makers import EFFUSION, TISSUE, a_schema, a_segment


def _checked(segments, site="north", reader="r1"):
    return check_segments([SeenSegment(site, reader, segment) for segment in segments], a_schema())


def test_every_spelling_is_tried_and_counted():
    """Reached labels say by what; the others name the nearest label, or none."""
    names = [
        a_segment("x", EFFUSION),
        a_segment("x", EFFUSION),
        a_segment("Konsolidirung", TISSUE),
        a_segment("zebra"),
        a_segment("GGO", CodedConcept("N/A", "RACOON", "Cons")),
    ]

    rows = {row.segment: row for row in _checked(names)}

    assert (rows["x (SCT:60046008)"].label, rows["x (SCT:60046008)"].by) == ("effusion", "code")
    assert rows["x (SCT:60046008)"].count == 2
    assert rows["Konsolidirung (SRT:T-D0050)"].nearest == "consolidation"
    assert (rows["zebra"].label, rows["zebra"].nearest) == ("", "")
    assert "consolidation, ggo" in rows["GGO (RACOON:N/A)"].why
    assert {row.reader for row in rows.values()} == {"r1"}


def test_a_known_type_with_a_wrong_side_names_its_label():
    """Where the type is known and a modifier is missing, the label is nearest and the reason says what lacks."""
    schema = a_schema(type_modifiers=[{"value": "7771000", "scheme": "SCT", "meaning": "Left"}], synonyms=[])

    (row,) = check_segments([SeenSegment("north", "r1", a_segment("Segment 1", EFFUSION))], schema)

    assert (row.label, row.nearest) == ("", "effusion")
    assert "its type modifier is not" in row.why


def test_sites_and_readers_are_told_apart():
    """Each site and reader has its rows, and the labels nobody reached there are listed."""
    rows = (*_checked([a_segment("ggo")], site="north"), *_checked([a_segment("Cons")], site="south", reader="r2"))

    assert [(row.site, row.reader, row.label) for row in rows] == [
        ("north", "r1", "ggo"),
        ("south", "r2", "consolidation"),
    ]
    assert never_reached(rows, a_schema())["south", "r2"] == ("effusion", "ggo")
