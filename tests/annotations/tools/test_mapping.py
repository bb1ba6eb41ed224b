"""Vendor reports through mapping files: two shapes, one mapper, and errors that name the rule."""

import json
import re
import tomllib
from datetime import date
from pathlib import Path

import pytest

from racoon_data import schemas
from racoon_data.annotations.tools.mapper import MappedReader
from racoon_data.annotations.tools.mapping import load_mapping, parse_mapping
from racoon_data.annotations.tools.rules import shape_of
from racoon_data.errors import MappingError, SettingsError
from racoon_data.outcomes import Status

REPORTS = Path(__file__).resolve().parents[3] / "examples" / "vendor_reports"
RIGHT = ("SCT", "24028007")


def mapping_of(name):
    """An example mapping as a document that tests may bend."""
    return tomllib.loads((REPORTS / f"{name}.toml").read_text(encoding="utf-8"))


def look(tmp_path, name, data, document):
    """Read data through a bent mapping."""
    path = tmp_path / f"{name}.{document['format']}"
    path.write_bytes(data)
    return MappedReader(parse_mapping(document, name="bent.toml")).look(path)


def flat(**changes):
    """The flat example, its table with cells replaced."""
    data = (REPORTS / "flat.csv").read_bytes().decode("utf-8")
    for old, new in changes.pop("cells", {}).items():
        assert old in data
        data = data.replace(old, new, 1)
    return data.encode("utf-8"), {**mapping_of("flat"), **changes}


def test_a_nested_report_is_read_whole():
    """One row a lesion, several measurements in it: every number with its code, unit, site, side and time point."""
    found = MappedReader(load_mapping(REPORTS / "nested.toml")).look(REPORTS / "nested.xml")

    first, second = found.exports
    assert found.outcomes == ()
    assert (first.pointers.patient, first.pointers.accession, first.day) == ("4711", "A-17", date(2021, 3, 4))
    assert first.pointers.sop_uids == {"1.2.826.0.1.3680043.8.498.1.1.5"}
    assert [(one.tracking_id, one.concept.meaning, one.value, one.unit) for one in first.findings] == [
        ("L1", "Volume", "1.25", "cm3"),
        ("L1", "Long Axis", "14.2", "mm"),
        ("L1", "Short Axis", "9.8", "mm"),
        ("L1", "Attenuation", "Solid", ""),
        ("L2", "Long Axis", "6.1", "mm"),
        ("L2", "Attenuation", "Part solid", ""),
    ]
    assert first.findings[0].site.meaning == "Upper lobe of lung"
    assert first.findings[0].laterality.key == RIGHT
    assert first.findings[3].answer.value == "solid"
    assert {one.tracking_uid for one in second.findings} == {first.findings[0].tracking_uid}
    assert second.findings[0].time_point == "Follow-up 1"


def test_a_flat_table_passes_the_same_mapper():
    """One row a measurement, decimal comma, thousands point, German words and units: three exports of two patients."""
    found = MappedReader(load_mapping(REPORTS / "flat.toml")).look(REPORTS / "flat.csv")

    assert found.outcomes == ()
    assert [(one.pointers.patient, one.pointers.accession, one.reader) for one in found.exports] == [
        ("4711", "A-17", "Leser, Lena"),
        ("4711", "A-42", "Leser, Lena"),
        ("4712", "A-18", "Zweit, Zoe"),
    ]
    assert [(one.value, one.unit, one.concept.value) for one in found.exports[0].findings] == [
        ("1250.5", "mm3", "118565006"),
        ("14.2", "mm", "81827009"),
    ]


def test_json_passes_the_same_mapper(tmp_path):
    """The flat report as nested JSON needs another mapping and no code."""
    document = mapping_of("flat") | {"format": "json", "files": "*.json", "decimal": ".", "rows": "patients/lesions"}
    document["links"] = {"patient": "../id", "date": "../date"}
    row = {"Läsion": "1", "Art": "Rundherd", "Seite": "rechts", "Messung": "Durchmesser", "Wert": 14.2, "Einheit": "mm"}
    data = {"patients": [{"id": 4711, "date": "04.03.2021", "lesions": [row]}, {"id": 12, "lesions": [row, row]}]}

    found = look(tmp_path, "x", json.dumps(data).encode(), document)

    assert [(one.pointers.patient, len(one.findings), one.day) for one in found.exports] == [
        ("4711", 1, date(2021, 3, 4)),
        ("12", 2, None),
    ]
    assert found.exports[0].findings[0].value == "14.2"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("14,2", "14.2", "rule 'value' expects a number with decimal ',', found '99.9'; did you mean decimal = '.'?"),
        ("14,2", "ca. 14", "rule 'value' expects a number with decimal ',', found 'aa. 99'"),
        ("14,2", "nan", "rule 'value' expects a number with decimal ',', found 'aaa'"),
        ("14,2", "1.250", "rule 'value' expects a number with decimal ',', found '9.999'; did you mean decimal = '.'?"),
        (
            "Rundherd",
            "Rundherde",
            "rule 'lesion.finding' expects one of 'Rundherd', 'Konsolidierung', found 'aaaaaaaaa'; "
            "did you mean 'Rundherd'?",
        ),
        ("04.03.2021", "2021-03-04", "rule 'links.date' expects a date like %d.%m.%Y, found '9999-99-99'"),
        ("mm³", "Liter", "rule 'value' expects one of 'mm', 'mm³', 'ml', found 'aaaaa'"),
    ],
)
def test_a_value_that_does_not_fit_names_its_rule(tmp_path, old, new, message):
    """The row, the rule, what it expects, the shape of what stood there (never the value) and what may be meant."""
    found = look(tmp_path, "flat", *flat(cells={old: new}))

    wrong = found.outcomes[0]
    assert wrong.message == message
    assert (wrong.code, wrong.status) == ("annotation.mapping", Status.FAILED)
    assert re.fullmatch(r"file flat\.csv#line [23]", str(wrong.ref))
    assert sum(len(one.findings) for one in found.exports) >= 3


def test_a_wrong_part_keeps_the_rest_of_its_row(tmp_path):
    """A lesion type no map knows costs the type, not the measurement."""
    found = look(tmp_path, "flat", *flat(cells={"Konsolidierung": "Fleck"}))

    last = found.exports[-1].findings[0]
    assert (last.finding, last.value) == (None, "22.4")


def test_a_missing_column_is_suggested(tmp_path):
    """A required rule whose column has another name says which one is meant."""
    data, document = flat(cells={"Patienten-Nr.": "Patienten-Nr"})

    found = look(tmp_path, "flat", data, document)

    assert found.exports == ()
    assert found.outcomes[0].message.startswith("rule 'links.patient' expects 'Patienten-Nr.', found Patienten-Nr, ")
    assert found.outcomes[0].message.endswith("did you mean 'Patienten-Nr'?")


def test_a_misspelt_optional_path_is_not_silent(tmp_path):
    """A rule that never finds anything, where a resembling name stands, is a finding on the file."""
    data, document = flat()
    document["lesion"]["tracking_id"] = "Laesion"

    found = look(tmp_path, "flat", data, document)

    messages = [str(one.ref) + ": " + one.message for one in found.outcomes]
    assert any("rule lesion.tracking_id" in one and "did you mean 'Läsion'?" in one for one in messages)


def test_rows_that_lead_nowhere_are_an_error(tmp_path):
    """Without a row nothing is read, and the message says where the path breaks off."""
    document = mapping_of("nested") | {"rows": "/ReadingReport/Subject/Exams/Lesion"}

    with pytest.raises(MappingError, match=r"rule 'rows' expects 'Exams', found Exam; did you mean 'Exam'\?"):
        look(tmp_path, "nested", (REPORTS / "nested.xml").read_bytes(), document)


def test_values_no_rule_reads_are_counted(tmp_path):
    """What the mapping leaves out has a row that says where and how often, and no value."""
    document = mapping_of("nested") | {"privacy": {}}

    found = look(tmp_path, "nested", (REPORTS / "nested.xml").read_bytes(), document)

    left_out = "are read by no rule and left out"
    assert [one.message for one in found.outcomes] == [
        f"1 value(s) at ReadingReport/@version {left_out}",
        f"1 value(s) at ReadingReport/Subject/Exam/Lesion/Remark {left_out}",
    ]
    assert {(one.code, one.status) for one in found.outcomes} == {("annotation.unmapped_field", Status.SKIPPED)}


def test_a_row_of_another_width_is_named(tmp_path):
    """A row cut short is a finding on its line; the others are read."""
    data, document = flat()

    found = look(tmp_path, "flat", data + b"4711;A-42\n", document)

    assert [(str(one.ref), one.code) for one in found.outcomes] == [
        ("file flat.csv#line 6", "annotation.broken_export")
    ]
    assert len(found.exports) == 3


@pytest.mark.parametrize(
    ("bend", "message"),
    [
        (lambda d: d["measurements"][0].update(valeu="x"), "rule 'value' has no key 'valeu'; did you mean 'value'?"),
        (lambda d: d["measurements"][0].pop("unit"), "rule 'value': unit: is missing"),
        (lambda d: d["links"].update(patent="x"), "rule 'links.patent' has no key 'patent'; did you mean 'patient'?"),
        (lambda d: d["measurements"][0]["concept"].pop("map"), "rule 'value': concept: needs a 'map'"),
        (lambda d: d.update(measurements=[]), "needs at least one [[measurements]] or [[evaluations]] rule"),
        (lambda d: d["measurements"].append(d["measurements"][0]), "two rules are named 'value'"),
        (lambda d: d["lesion"].update(tracking_id="a//b"), "rule 'lesion.tracking_id': the path 'a//b' cannot be read"),
        (lambda d: d.update(format="pdf"), "Input should be 'xml', 'json' or 'csv'"),
    ],
)
def test_a_wrong_mapping_names_the_nearest_rule(bend, message):
    """A mapping is checked before any export is opened; the message names file and rule."""
    document = mapping_of("flat")
    bend(document)

    with pytest.raises(SettingsError) as caught:
        parse_mapping(document, name="my.toml")

    assert caught.value.message.startswith("my.toml: ")
    assert message in caught.value.message
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("name", ["nested", "flat"])
def test_the_example_mappings_fit_the_schema(name):
    """What the docs show validates against schemas/report-mapping."""
    assert schemas.problems("report-mapping", json.loads(json.dumps(mapping_of(name)))) == ()


def test_shapes_show_no_value():
    """Digits and letters are replaced, long texts cut."""
    assert shape_of("Müller, 1962") == "aaaaaa, 9999"
    assert shape_of("x" * 50) == "a" * 24 + "..."


@pytest.mark.parametrize(
    ("decimal", "text", "number"),
    [
        (",", "1.234,5", "1234.5"),
        (",", "0,5", "0.5"),
        (",", "-3", "-3"),
        (".", "1,234.5", "1234.5"),
        (".", "1e-3", "1e-3"),
    ],
)
def test_numbers_are_read_in_the_mappings_notation(tmp_path, decimal, text, number):
    """Thousands marks go, the decimal mark becomes a point, digits stay."""
    document = mapping_of("flat") | {"decimal": decimal}
    data = (
        f"Patienten-Nr.;Messung;Wert;Einheit;Art;Seite;Läsion;Untersuchung;Datum;Befunder\n1;Volumen;{text};ml;;;;;;\n"
    )

    found = look(tmp_path, "flat", data.encode(), document)

    assert found.exports[0].findings[0].value == number
