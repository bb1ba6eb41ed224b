"""A label schema file is checked before anything is mapped with it."""

import json
from copy import deepcopy

import pytest

from racoon_data import schemas
from racoon_data.errors import SchemaError, SettingsError
from racoon_data.harmonize.label_mapping import load_schema
from tests.harmonize.makers import DOCUMENT


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
