"""Measurement reports become rows, and one broken item costs one item."""

import pydicom
import pytest
from highdicom.sr import srread

from racoon_data.annotations.sr import SrReader
from racoon_data.errors import BrokenItemError, UncodedItemError, UnsupportedAnnotationError
from racoon_data.labels import CodedConcept
from racoon_data.testing.makers import Measured, a_seg, a_series, an_sr
from racoon_data.testing.reports import MODERATE, SEVERITY
from racoon_data.testing.segmentations import LESION, LUNG
from tests.annotations.helpers import box, read_with

GGO = CodedConcept("50196008", "SCT", "Ground glass opacity")
GROUP = "125007"


def a_report(folder):
    """A series, the path of its report and the segmentation it points at."""
    made = a_series(folder / "ct", slices=6)
    shape = made.geometry.array_shape
    segs = a_seg(folder, made, {"ggo": box(shape, k=2, j=slice(3, 8), i=slice(2, 9))})
    lesions = [Measured("ggo", GGO, 12.3456, mean_hu=-612.5), Measured("nodule", LESION, 0.8, severity=None)]
    path, _ = an_sr(folder, made, lesions, segs=segs)
    return made, path, segs[0]


def groups_of(dataset):
    """The measurement groups of a report, as pydicom items."""
    found = []

    def look(item):
        for child in item.get("ContentSequence", ()):
            name = child.get("ConceptNameCodeSequence")
            if name and name[0].CodeValue == GROUP:
                found.append(child)
            look(child)

    look(dataset)
    return found


def item_in(group, kind, position=0):
    """One item of a measurement group by value type."""
    return [child for child in group.ContentSequence if child.ValueType == kind][position]


def edited(path, change):
    """Change a report on disk."""
    dataset = pydicom.dcmread(path)
    change(groups_of(dataset))
    dataset.save_as(path)


def test_every_measurement_and_evaluation_is_a_row(tmp_path):
    """Volume, density and severity of two lesions are four rows with value, unit and answer."""
    made, path, _ = a_report(tmp_path)

    rows = read_with(SrReader(), path, made).findings

    assert [(row.tracking_id, row.concept.meaning, row.value, row.unit) for row in rows] == [
        ("ggo", "Volume", "12.3456", "ml"),
        ("ggo", "Attenuation Coefficient", "-612.5", "[hnsf'U]"),
        ("ggo", "Severity", "Moderate", ""),
        ("nodule", "Volume", "0.8", "ml"),
    ]
    assert (rows[2].concept, rows[2].answer) == (SEVERITY, MODERATE)
    assert rows[1].derivation == CodedConcept("373098007", "SCT", "Mean")


def test_rows_carry_lesion_site_reader_and_segment(tmp_path):
    """What a group says once stands in each of its rows."""
    made, path, seg = a_report(tmp_path)

    annotation = read_with(SrReader(), path, made)
    first, last = annotation.findings[0], annotation.findings[-1]

    assert (first.finding, first.site, first.reader) == (GGO, LUNG, "Leser^Lena")
    assert first.tracking_uid == read_uid(path)
    assert first.referenced_segments == ((seg.ref.sop_uid, 1),)
    assert last.referenced_sops == (made.sop_uids[0],)
    assert (annotation.kind, annotation.reader, annotation.masks) == ("sr", "Leser^Lena", ())


def read_uid(path):
    """The first tracking UID as highdicom reads it."""
    group = srread(path).content.get_volumetric_roi_measurement_groups()[0]
    return str(group.tracking_uid)


def test_laterality_and_time_point_are_found_where_templates_put_them(tmp_path):
    """Laterality modifies the finding site; the time point belongs to the group."""
    made, path, _ = a_report(tmp_path)

    def add(groups):
        site = next(c for c in groups[0].ContentSequence if c.ConceptNameCodeSequence[0].CodeValue == "363698007")
        site.ContentSequence = [coded("HAS CONCEPT MOD", ("272741003", "SCT"), ("7771000", "SCT", "Left"))]
        groups[0].ContentSequence.append(written("HAS OBS CONTEXT", ("C2348792", "UMLS"), "baseline"))

    edited(path, add)
    row = read_with(SrReader(), path, made).findings[0]

    assert row.laterality == CodedConcept("7771000", "SCT", "Left")
    assert row.time_point == "baseline"


def code(value, scheme, meaning="words"):
    """A code item."""
    item = pydicom.Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def coded(relation, name, value):
    """A CODE content item."""
    item = pydicom.Dataset()
    item.RelationshipType, item.ValueType = relation, "CODE"
    item.ConceptNameCodeSequence, item.ConceptCodeSequence = [code(*name)], [code(*value)]
    return item


def written(relation, name, text):
    """A TEXT content item."""
    item = pydicom.Dataset()
    item.RelationshipType, item.ValueType, item.TextValue = relation, "TEXT", text
    item.ConceptNameCodeSequence = [code(*name)]
    return item


def test_a_number_without_a_value_costs_only_itself(tmp_path):
    """A NUM item without measured value is kept empty and noted; the rest of the report is read."""
    made, path, _ = a_report(tmp_path)

    def empty(groups):
        del item_in(groups[0], "NUM").MeasuredValueSequence

    edited(path, empty)
    annotation = read_with(SrReader(), path, made)

    assert [row.value for row in annotation.findings] == ["", "-612.5", "Moderate", "0.8"]
    assert [(issue.code, issue.message) for issue in annotation.issues] == [
        (BrokenItemError.code, "measurement without a value, kept with an empty one")
    ]


def test_items_without_names_or_codes_do_not_stop_the_reading(tmp_path):
    """A group stripped of names and a finding without code leave the other rows as they are."""
    made, path, _ = a_report(tmp_path)

    def damage(groups):
        del item_in(groups[0], "NUM").ConceptNameCodeSequence
        for child in groups[0].ContentSequence:
            if child.ValueType == "CODE":
                child.ConceptCodeSequence = []
        del groups[1].ContentSequence[0].ValueType

    edited(path, damage)
    annotation = read_with(SrReader(), path, made)
    rows = annotation.findings

    assert [row.value for row in rows] == ["12.3456", "-612.5", "", "0.8"]
    assert {issue.code for issue in annotation.issues} == {
        UncodedItemError.code, BrokenItemError.code, UnsupportedAnnotationError.code,
    }  # fmt: skip
    assert rows[0].concept == CodedConcept("", "", "")
    assert rows[0].finding is None


def test_private_units_and_concepts_are_kept_and_listed(tmp_path):
    """A quantity and a unit under a hospital's own scheme stay as written, with a note."""
    made, path, _ = a_report(tmp_path)

    def privatise(groups):
        number = item_in(groups[0], "NUM")
        number.ConceptNameCodeSequence = [code("N/A", "RACOON", "GGO volume")]
        number.MeasuredValueSequence[0].MeasurementUnitsCodeSequence = [code("cm3", "RACOON", "cubic centimetre")]

    edited(path, privatise)
    annotation = read_with(SrReader(), path, made)

    assert annotation.findings[0].concept == CodedConcept("N/A", "RACOON", "GGO volume")
    assert annotation.findings[0].unit == "cm3"
    assert [(issue.code, issue.message) for issue in annotation.issues] == [
        (UncodedItemError.code, "1 item(s) with code N/A of scheme RACOON, kept as written"),
        (UncodedItemError.code, "1 item(s) with unit cm3 of scheme RACOON instead of UCUM, kept as written"),
    ]


def test_written_evaluations_are_rows_and_unknown_content_is_noted(tmp_path):
    """A sentence in a measurement group is an evaluation; an item of unknown type is left out by name."""
    made, path, _ = a_report(tmp_path)

    def add(groups):
        groups[0].ContentSequence.append(written("CONTAINS", ("121106", "DCM", "Comment"), "unchanged"))
        waveform = written("CONTAINS", ("1", "99X", "Trace"), "")
        waveform.ValueType = "WAVEFORM"
        groups[0].ContentSequence.append(waveform)

    edited(path, add)
    annotation = read_with(SrReader(), path, made)

    assert ("Comment", "unchanged") in [(row.concept.meaning, row.value) for row in annotation.findings]
    assert [(issue.item, issue.message) for issue in annotation.issues] == [
        (issue.item, "WAVEFORM (99X 1) was left out") for issue in annotation.issues
    ]
    assert annotation.issues[0].code == UnsupportedAnnotationError.code


def test_a_report_that_says_nothing_is_refused(tmp_path):
    """Groups without a measurement, an evaluation or a region leave nothing to give."""
    made, path, _ = a_report(tmp_path)

    def strip(groups):
        for group in groups:
            group.ContentSequence = []

    edited(path, strip)
    with pytest.raises(UnsupportedAnnotationError, match="no measurement"):
        read_with(SrReader(), path, made)
