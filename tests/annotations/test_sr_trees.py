"""Reports of every kind: who, which version, whose, and whatever tree a tool writes, right or broken."""

import copy

import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from racoon_data.annotations.codes import is_private
from racoon_data.annotations.folder import find_annotations, read_found
from racoon_data.annotations.sr import SrReader
from racoon_data.errors import (
    BrokenItemError,
    EmptyItemError,
    HostileFileError,
    RacoonError,
    UncodedItemError,
    WrongPatientError,
)
from racoon_data.labels import CodedConcept
from racoon_data.testing import report_items as built
from racoon_data.testing.makers import a_series
from tests.annotations.helpers import read_with

SEVERITY = CodedConcept("246112005", "SCT", "Severity")
SEVERE = CodedConcept("24484000", "SCT", "Severe")
IMPRESSION = CodedConcept("121073", "DCM", "Impression")
LEFT = CodedConcept("7771000", "SCT", "Left")
ML = CodedConcept("ml", "UCUM", "milliliter")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A series that reports are about."""
    return a_series(tmp_path_factory.mktemp("ct"), slices=4)


def rows_of(folder, made, *content, **attributes):
    """The annotation of a report with this content."""
    path, _ = built.a_report(folder, made, content, **attributes)
    return read_with(SrReader(), path, made)


@pytest.mark.parametrize("sop_class", [built.BASIC_TEXT, built.ENHANCED, built.COMPREHENSIVE])
def test_plain_reports_give_their_sentences(tmp_path, made, sop_class):
    """Sections of text and a coded conclusion are rows of kind text, with section words as concept."""
    section = built.container(
        CodedConcept("121070", "DCM", "Findings"),
        built.text(CodedConcept("121071", "DCM", "Finding"), "two nodules"),
        built.text(IMPRESSION, "no change"),
        built.coded(SEVERITY, SEVERE),
    )

    rows = rows_of(tmp_path, made, section, sop_class=sop_class).findings

    assert [(row.concept.meaning, row.value, row.group_kind) for row in rows] == [
        ("Finding", "two nodules", "text"), ("Impression", "no change", "text"), ("Severity", "Severe", "text"),
    ]  # fmt: skip
    assert rows[2].answer == SEVERE


def test_a_tree_of_no_template_gives_measurements_and_sentences(tmp_path, made):
    """Numbers below sections, below text and below each other are rows, whatever the template."""
    deep = built.number(built.VOLUME, "1.5", ML, built.number(built.VOLUME, "0.5", ML))
    note = built.text(IMPRESSION, "see below")
    note.ContentSequence = [deep]
    tree = built.container(CodedConcept("1", "99HOSPITAL", "Ours"), note)

    annotation = rows_of(tmp_path, made, tree)

    assert [(row.value, row.group_kind) for row in annotation.findings] == [
        ("see below", "text"), ("1.5", "text"), ("0.5", "text"),
    ]  # fmt: skip


def test_observers_state_and_version_stand_in_every_row(tmp_path, made):
    """Two persons and a device; a group with its own reader; a verified report that replaces another."""
    before = pydicom.Dataset()
    before.StudyInstanceUID = made.ref.study_uid
    in_series, target = pydicom.Dataset(), pydicom.Dataset()
    target.ReferencedSOPClassUID, target.ReferencedSOPInstanceUID = built.COMPREHENSIVE, "1.2.3.99"
    in_series.SeriesInstanceUID, in_series.ReferencedSOPSequence = "1.2.3", [target]
    before.ReferencedSeriesSequence = [in_series]
    own = built.tracked_group("b", built.text(built.PERSON, "Drei^Leser", relation="HAS OBS CONTEXT", kind="PNAME"))
    own.ContentSequence.append(built.number(built.VOLUME, "2", ML))

    annotation = rows_of(
        tmp_path, made,
        built.text(built.PERSON, "Eins^Leser", relation="HAS OBS CONTEXT", kind="PNAME"),
        built.text(built.PERSON, "Zwei^Leser", relation="HAS OBS CONTEXT", kind="PNAME"),
        built.text(built.DEVICE, "Station 1", relation="HAS OBS CONTEXT"),
        built.tracked_group("a", built.number(built.VOLUME, "1", ML)),
        own,
        VerificationFlag="VERIFIED",
        PredecessorDocumentsSequence=[before],
    )  # fmt: skip
    first, second = annotation.findings

    assert (first.reader, first.observer_type) == ("Eins^Leser; Zwei^Leser", "person device")
    assert (second.reader, second.observer_type) == ("Drei^Leser", "person")
    assert (first.status, first.predecessors) == ("COMPLETE VERIFIED", ("1.2.3.99",))
    assert annotation.notes == ("replaces report 1.2.3.99",)


def test_a_device_alone_is_the_reader(tmp_path, made):
    """Where no person is named the device is."""
    device = built.text(built.DEVICE, "Lungenprogramm", relation="HAS OBS CONTEXT")
    annotation = rows_of(tmp_path, made, device, built.number(built.VOLUME, "1", ML))

    assert (annotation.reader, annotation.findings[0].observer_type) == ("Lungenprogramm", "device")
    assert annotation.findings[0].group_kind == "report"


def test_a_lesion_is_followed_by_its_tracking_uid(tmp_path, made):
    """Two reports of two time points and two readers stay four rows, told apart by all three."""
    for name, person, time, value in (("A", "Eins", "baseline", "4"), ("B", "Zwei", "follow-up", "2")):
        groups = [
            built.tracked_group(
                lesion,
                built.text(built.TIME_POINT, time, relation="HAS OBS CONTEXT"),
                built.number(built.VOLUME, value, ML),
            )
            for lesion in ("left", "right")
        ]
        who = built.text(built.PERSON, person, relation="HAS OBS CONTEXT", kind="PNAME")
        built.a_report(tmp_path / "in", made, [who, *groups], name=name)

    read = read_found(find_annotations(tmp_path / "in"), tmp_path / "out")

    kept = {(row.tracking_id, row.reader, row.time_point, row.value) for row in read.findings}
    assert kept == {
        (lesion, *rest)
        for lesion in ("left", "right")
        for rest in (("Eins", "baseline", "4"), ("Zwei", "follow-up", "2"))
    }
    assert len({row.tracking_uid for row in read.findings}) == 2


@pytest.mark.parametrize("code", ["126071", "126070"])
def test_a_time_point_may_be_an_identifier(tmp_path, made, code):
    """Protocol or subject time point identifiers stand in for the time point."""
    point = built.text(CodedConcept(code, "DCM", "Time Point Identifier"), "V2", relation="HAS OBS CONTEXT")
    annotation = rows_of(tmp_path, made, built.tracked_group("a", point, built.number(built.VOLUME, "1", ML)))

    assert annotation.findings[0].time_point == "V2"


def test_retired_codes_become_current_ones(tmp_path, made):
    """SRT names, sites, sides and answers are SCT rows; what has no successor stays as written and is listed."""
    site = built.coded(
        CodedConcept("G-C0E3", "SRT", "Finding Site"), CodedConcept("T-28000", "SRT", "Lung"),
        built.coded(CodedConcept("G-C171", "SRT", "Laterality"), CodedConcept("G-A101", "SRT", "Left")),
        relation="HAS CONCEPT MOD",
    )  # fmt: skip
    finding = built.coded(built.FINDING, CodedConcept("M-01000", "SNM3", "Altered structure"))
    method = built.coded(
        CodedConcept("370129005", "SCT", "Measurement Method"),
        CodedConcept("X-00000", "SRT", "Unheard of"),
        relation="HAS CONCEPT MOD",
    )
    length = built.number(CodedConcept("G-A22A", "SRT", "Length"), "3", built.MILLIMETRE, method)

    annotation = rows_of(tmp_path, made, built.tracked_group("a", finding, site, length))

    (row,) = annotation.findings
    assert row.concept.key == ("SCT", "410668003")
    assert row.site is not None
    assert row.site.key == ("SCT", "39607008")
    assert row.laterality == LEFT
    assert row.finding is not None
    assert row.finding.key == ("SCT", "49755003")
    assert row.method is not None
    assert row.method.key == ("SRT", "X-00000")
    assert [(issue.code, "X-00000" in issue.message) for issue in annotation.issues] == [(UncodedItemError.code, True)]


def test_an_image_of_the_library_alone_is_counted(tmp_path, made):
    """The image library describes images; what no finding points at is told in a note."""
    listed = [built.image(made, k, relation="CONTAINS") for k in (0, 1, 2)]
    library = built.container(CodedConcept("111028", "DCM", "Image Library"), *listed)
    length = built.number(built.VOLUME, "1", ML, built.image(made, 1, relation="INFERRED FROM"))

    annotation = rows_of(tmp_path, made, library, built.tracked_group("a", length))

    assert annotation.notes == ("2 image(s) are named in the image library alone and are no rows",)


@pytest.mark.parametrize(
    ("concept", "private"),
    [(CodedConcept("39607008", "SCT"), False), (CodedConcept("N/A", "RACOON", "GGO"), True),
     (CodedConcept("1", "99ABC"), True), (CodedConcept("", "DCM", "words"), True)],
)  # fmt: skip
def test_private_codes_are_told_from_public_ones(concept, private):
    """A scheme of the standard's table with a value is public; the rest is somebody's own."""
    assert is_private(concept) is private


@pytest.mark.parametrize(
    ("written", "kept", "said"),
    [("1,75", "1.75", "decimal comma"), ("viel", "viel", "no number"), ("nan", "nan", "no number")],
)
def test_numbers_that_are_none_are_kept_and_said(tmp_path, made, written, kept, said):
    """A decimal comma is read as a point; words and NaN stay as written, each with an issue."""
    path, _ = built.a_report(tmp_path, made, [built.number(built.VOLUME, "9.87", ML)])
    path.write_bytes(path.read_bytes().replace(b"9.87", written.ljust(4).encode()))

    annotation = read_with(SrReader(), path, made)

    assert annotation.findings[0].value == kept
    assert [issue.code for issue in annotation.issues] == [BrokenItemError.code]
    assert said in annotation.issues[0].message


def test_a_number_may_be_stored_as_floating_point_or_rational(tmp_path, made):
    """Where NumericValue is absent the two other forms stand in."""
    floating, rational = (built.number(built.VOLUME, "1", ML) for _ in range(2))
    for item in (floating, rational):
        del item.MeasuredValueSequence[0].NumericValue
    floating.MeasuredValueSequence[0].FloatingPointValue = 2.5
    measured = rational.MeasuredValueSequence[0]
    measured.RationalNumeratorValue, measured.RationalDenominatorValue = 3, 4

    rows = rows_of(tmp_path, made, floating, rational).findings

    assert [row.value for row in rows] == ["2.5", "0.75"]


def test_an_empty_group_and_a_measurement_without_value_cost_nothing_else(tmp_path, made):
    """Each is an issue at its place; the other group's number is a row."""
    annotation = rows_of(
        tmp_path, made,
        built.tracked_group("empty"),
        built.tracked_group("full", built.number(built.VOLUME, "", ML), built.number(built.VOLUME, "7", ML)),
    )  # fmt: skip

    assert [row.value for row in annotation.findings] == ["", "7"]
    assert [(issue.item, issue.code) for issue in annotation.issues] == [
        ("item 1.1", EmptyItemError.code), ("item 1.2.3", BrokenItemError.code),
    ]  # fmt: skip


def test_items_that_point_at_other_items_are_followed(tmp_path, made):
    """A measurement that infers from a region written elsewhere knows the region's image."""
    pointer = pydicom.Dataset()
    pointer.RelationshipType, pointer.ReferencedContentItemIdentifier = "INFERRED FROM", [1, 1]
    region = built.on_image(made, 2, "POLYLINE", [(3, 3), (9, 3)])
    length = built.number(built.VOLUME, "4", ML, pointer)

    (row,) = rows_of(tmp_path, made, region, length).findings

    assert (row.referenced_sops, row.region) == ((made.sop_uids[2],), "SCOORD POLYLINE")


def test_items_that_point_in_circles_or_nowhere_end(tmp_path, made):
    """A region that points at itself, and pointers out of the tree, cost nothing but themselves."""
    region = built.on_image(made, 2, "POLYLINE", [(3, 3), (9, 3)])
    for path in ([1, 1], [1], [1, 9], [1, 1, 1, 1]):
        pointer = pydicom.Dataset()
        pointer.RelationshipType, pointer.ReferencedContentItemIdentifier = "INFERRED FROM", path
        region.ContentSequence.append(pointer)

    annotation = rows_of(tmp_path, made, region, built.number(built.VOLUME, "4", ML))

    assert [row.value for row in annotation.findings] == ["4"]
    assert annotation.masks[0].voxels == 7


@pytest.mark.parametrize("levels", [25, 60])
def test_deep_trees_are_read_or_refused_by_name(tmp_path, made, levels):
    """Twenty-five sections inside each other are read; beyond the guard's depth the file is refused."""
    tree = built.number(built.VOLUME, "4", ML)
    for _ in range(levels):
        tree = built.container(CodedConcept("121070", "DCM", "Findings"), tree)

    if levels < 30:
        assert rows_of(tmp_path, made, tree).findings[0].value == "4"
    else:
        with pytest.raises(HostileFileError):
            rows_of(tmp_path, made, tree)


def test_wrong_relationships_do_not_hide_a_measurement(tmp_path, made):
    """A number said to be a property or a modifier is a row all the same."""
    numbers = [
        built.number(built.VOLUME, str(n), ML, relation=relation)
        for n, relation in enumerate(("HAS PROPERTIES", "HAS CONCEPT MOD", "INFERRED FROM", ""))
    ]

    annotation = rows_of(tmp_path, made, built.tracked_group("a", *numbers))

    assert [row.value for row in annotation.findings] == ["0", "1", "2", "3"]


def test_context_of_unknown_meaning_is_listed(tmp_path, made):
    """A modifier no column is for is counted in the notes."""
    odd = built.text(CodedConcept("42", "99X", "Weather"), "fine", relation="HAS OBS CONTEXT")

    annotation = rows_of(tmp_path, made, odd, built.number(built.VOLUME, "4", ML))

    assert annotation.notes == ("1 context item(s) (99X 42) are not in the table",)


def test_a_report_of_another_subject_is_refused(tmp_path, made):
    """A subject that is not the patient of the header, or images of a study it does not list, is a refusal."""
    subject = built.text(CodedConcept("121030", "DCM", "Subject ID"), "SOMEBODY-ELSE", relation="HAS OBS CONTEXT")
    length = built.number(built.VOLUME, "4", ML)
    with pytest.raises(WrongPatientError, match="another patient"):
        rows_of(tmp_path / "a", made, subject, length)

    other = a_series(tmp_path / "other", slices=2, seed="other")
    path, _ = built.a_report(tmp_path / "b", made, [length])
    with pytest.raises(WrongPatientError, match="another study"):
        read_with(SrReader(), path, other)


def test_what_a_group_says_more_than_once_is_said(tmp_path, made):
    """A written finding is a row of its own; of two coded ones the rows hold the first, and an issue says so."""
    group = built.tracked_group(
        "a",
        built.text(built.FINDING, "looks spiculated"),
        built.coded(built.FINDING, SEVERE),
        built.coded(built.FINDING, LEFT),
        built.number(built.VOLUME, "1", ML),
    )

    annotation = rows_of(tmp_path, made, group)

    assert [row.value for row in annotation.findings] == ["looks spiculated", "1"]
    assert {row.finding for row in annotation.findings} == {SEVERE}
    assert annotation.issues[0].message == "names 2 findings; its rows hold the first"


SCHEMELESS = CodedConcept("1", "", "no scheme")
DAMAGE = ("drop value type", "drop name", "drop value", "empty sequence", "relation", "nest", "twice", "private")


def damaged(item, what):
    """Break one content item."""
    if what == "drop value type" and "ValueType" in item:
        del item.ValueType
    elif what == "drop name":
        item.ConceptNameCodeSequence = []
    elif what == "drop value":
        for keyword in ("MeasuredValueSequence", "TextValue", "ConceptCodeSequence", "GraphicData"):
            if keyword in item:
                delattr(item, keyword)
    elif what == "empty sequence":
        item.ContentSequence = []
    elif what == "private":
        item.ConceptNameCodeSequence = [built.code_item(SCHEMELESS)]
    _restructured(item, what)


def _restructured(item, what):
    if what == "relation":
        item.RelationshipType = "HAS CONCEPT MOD" if item.get("RelationshipType") == "CONTAINS" else "INFERRED FROM"
    elif what == "nest":
        inner = copy.deepcopy(item)
        item.ContentSequence = [*item.get("ContentSequence", ()), inner]
    elif what == "twice" and "ContentSequence" in item:
        item.ContentSequence = [*item.ContentSequence, *copy.deepcopy(list(item.ContentSequence))]


def all_items(items):
    """Every content item of a tree."""
    for item in items:
        yield item
        yield from all_items(item.get("ContentSequence", ()))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 40), st.sampled_from(DAMAGE)), min_size=1, max_size=6))
def test_damage_never_costs_the_other_group(tmp_path, made, damages):
    """Whatever is broken in one group, the other group's measurement is read and nothing is raised."""
    victim = built.tracked_group(
        "victim",
        built.coded(built.FINDING, SEVERE),
        built.coded(built.SITE, LEFT, built.coded(CodedConcept("272741003", "SCT", "Laterality"), LEFT)),
        built.on_image(made, 1, "POLYLINE", [(2, 2), (8, 2), (8, 8), (2, 2)]),
        built.number(built.VOLUME, "3.5", ML, built.on_image(made, 2, "POINT", [(4, 4)])),
        built.coded(SEVERITY, SEVERE),
    )
    for place, what in damages:
        found = list(all_items([victim]))
        damaged(found[place % len(found)], what)
    safe = built.tracked_group("safe", built.number(built.VOLUME, "77.25", ML))

    try:
        annotation = rows_of(tmp_path, made, victim, safe)
    except RacoonError as error:
        pytest.fail(f"the whole report was lost: {error}")

    assert [row.value for row in annotation.findings if row.tracking_id == "safe"] == ["77.25"]


def test_a_missing_scheme_is_listed(tmp_path, made):
    """A code without a scheme is somebody's own."""
    annotation = rows_of(tmp_path, made, built.number(SCHEMELESS, "1", ML))

    assert [issue.code for issue in annotation.issues] == [UncodedItemError.code]
