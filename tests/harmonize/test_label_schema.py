"""A label schema file is checked before anything is mapped with it."""

import json
from copy import deepcopy

import pytest

from racoon_data import schemas
from racoon_data.errors import SchemaError, SettingsError
from racoon_data.files.manifest import LabelSchemaRecord
from racoon_data.harmonize.label_mapping import load_schema, match_segment, schema_from
from racoon_data.labels import CodedConcept
from tests.harmonize.makers import DOCUMENT, a_segment


def _written(tmp_path, document):
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def test_a_schema_is_read(tmp_path):
    """Labels come with codes, names and priorities."""
    schema = load_schema(_written(tmp_path, DOCUMENT))

    assert (schema.name, schema.version) == ("lung-lesions", "1.0.0")
    assert [(label.value, label.name, label.priority) for label in schema.labels] == [
        (1, "effusion", 1),
        (2, "consolidation", 3),
        (3, "ggo", 2),
    ]
    assert schema.by_name("effusion").codes[0].key == ("SCT", "60046008")


def _changed(at, **values):
    document = deepcopy(DOCUMENT)
    document["labels"][at].update(values)
    return document


@pytest.mark.parametrize(
    ("document", "named"),
    [
        (_changed(0, value=0), "/labels/0/value"),
        (_changed(0, value=255), "/labels/0/value"),
        (_changed(0, colour="red"), "colour"),
        (_changed(0, codes=[{"value": "N/A", "scheme": "RACOON"}]), "/labels/0/codes/0/value"),
        ({**DOCUMENT, "schema_version": "9.0"}, "/schema_version"),
        (_changed(0, value=2), "value 2 means both 'effusion' and 'consolidation'"),
        (_changed(0, synonyms=["GROUND-GLASS opacity"]), "name groundglassopacity means both 'effusion' and 'ggo'"),
        (_changed(1, codes=[{"value": "D2-80100", "scheme": "SRT"}]), "means both 'effusion' and 'consolidation'"),
    ],
)
def test_a_wrong_schema_is_refused(tmp_path, document, named):
    """The error names the place, or the code or name that two labels claim."""
    with pytest.raises(SchemaError) as caught:
        load_schema(_written(tmp_path, document))

    assert named in caught.value.message


def test_one_code_may_serve_two_labels_told_apart_by_region(tmp_path):
    """The same type is no clash where each label asks for its own region."""
    left, right = ({"value": code, "scheme": "SCT"} for code in ("7771000", "24028007"))
    shared = [{"value": "60046008", "scheme": "SCT"}]
    document = _changed(0, regions=[left])
    document["labels"][1].update(codes=shared, regions=[right])

    assert len(load_schema(_written(tmp_path, document)).labels) == 3


def test_a_missing_or_broken_file_is_named(tmp_path):
    """No file and no JSON are told apart."""
    with pytest.raises(SettingsError, match="does not exist"):
        load_schema(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{", encoding="utf-8")
    with pytest.raises(SchemaError, match="is not JSON"):
        load_schema(tmp_path / "bad.json")


def test_the_example_is_valid():
    """The example beside the JSON Schema is read as it stands."""
    labels = load_schema(schemas.folder() / "examples" / "label-schema.json").labels

    assert [label.value for label in labels] == [1, 2]
    assert labels[1].type_modifiers[0].key == ("SCT", "7771000")


SIDED = {
    "category": {"value": "123037004", "scheme": "SCT"},
    "type": {"value": "64033007", "scheme": "SCT", "meaning": "Kidney"},
    "type_modifier": {"value": "7771000", "scheme": "SCT", "meaning": "Left"},
}
SLICER = (
    "Segmentation category and type - 3D Slicer General Anatomy list~SCT^49755003^Morphologically Altered Structure"
    "~SCT^367643001^Cyst~^^~Anatomic codes - DICOM master list~SCT^64033007^Kidney~SCT^7771000^Left"
)


def _kidneys():
    names = ({"de": ["Niere"], "en": ["Kidney"]}, ["left kidney"], {"de": ["Nierenzyste links"]})
    terms = ([{"type": SIDED["type"]}], [SIDED], [SLICER])
    labels = [
        {"value": value, "name": name, "terminology": term, "synonyms": words}
        for value, (name, term, words) in enumerate(
            zip(("kidney", "kidney_left", "cyst_left"), terms, names, strict=True), start=1
        )
    ]
    return {**DOCUMENT, "labels": labels}


def test_a_five_tuple_is_one_code():
    """Objects and Slicer's text mean the same; what asks for most wins, and another side is no match."""
    schema = schema_from(_kidneys())
    kidney, left = CodedConcept("T-71000", "SRT"), CodedConcept("7771000", "SCT")
    cyst, right = CodedConcept("367643001", "SCT"), CodedConcept("24028007", "SCT")

    plain = match_segment(a_segment("a", kidney), schema)
    sided = match_segment(a_segment("a", kidney, type_modifier=left), schema)
    lesion = match_segment(a_segment("a", cyst, region=kidney, region_modifier=left), schema)
    other = match_segment(a_segment("a", cyst, region=kidney, region_modifier=right), schema)

    assert [one.label.name for one in (plain, sided, lesion)] == ["kidney", "kidney_left", "cyst_left"]
    assert other.label is None
    assert other.why == "its type is one of cyst_left, its region modifier is not"


def test_the_category_decides_only_between_equals():
    """Tools disagree about categories: a wrong one matches still, and picks between labels that differ in it alone."""
    document = _kidneys()
    twin = {**SIDED, "category": {"value": "85756007", "scheme": "SCT"}}
    document["labels"][2] = {"value": 3, "name": "tissue", "terminology": [twin]}
    parts = {"type_modifier": CodedConcept("7771000", "SCT")}
    kidney = CodedConcept("64033007", "SCT")

    tissue = match_segment(
        a_segment("a", kidney, category=CodedConcept("85756007", "SCT"), **parts), schema_from(document)
    )
    unknown = match_segment(a_segment("a", kidney, category=CodedConcept("1", "99X"), **parts), schema_from(_kidneys()))

    assert tissue.label.name == "tissue"
    assert unknown.label.name == "kidney_left"


def test_names_have_a_language():
    """German and English names mean the label, keep their language, and clash like any name."""
    schema = schema_from(_kidneys())
    clash = _kidneys()
    clash["labels"][1]["synonyms"] = {"de": ["NIERE"]}

    assert match_segment(a_segment("NIERE"), schema).label.name == "kidney"
    assert schema.labels[0].translations == (("de", "Niere"), ("en", "Kidney"))
    with pytest.raises(SchemaError, match="name niere means both"):
        schema_from(clash)


def test_a_five_tuple_without_a_type_is_refused():
    """A 5-tuple that asks for a region alone would mean everything there."""
    document = _kidneys()
    document["labels"][0]["terminology"] = [{"region": SIDED["type"]}]

    with pytest.raises(SchemaError, match="/labels/0/terminology/0"):
        schema_from(document)


def test_the_manifest_keeps_the_whole_schema():
    """A schema that went through a manifest means the same."""
    schema = schema_from(_kidneys())

    assert LabelSchemaRecord.of(schema).to_schema() == schema
