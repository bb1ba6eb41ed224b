"""Sidecars are valid or absent."""

import json
from pathlib import Path

import pytest

from racoon_data.errors import SchemaError
from racoon_data.files.sidecar import software, write_sidecar
from racoon_data.schemas import folder, validate

FACTS = {
    "counts": {"files_in": 0, "converted": 0, "annotations": 0, "skipped": 0, "failed": 0},
    "volumes": [],
    "annotations": [],
    "refused": [],
}


def test_versions_are_listed():
    """What can change a result is named with its version."""
    assert {"racoon", "pydicom", "nibabel", "numpy", "isal"} <= software().keys()


def test_a_sidecar_names_schema_and_software(tmp_path: Path):
    """The document on disk carries its schema version and the versions that made it."""
    write_sidecar(tmp_path / "a.json", FACTS, schema="conversion")

    document = json.loads((tmp_path / "a.json").read_text())

    assert document == {"schema_version": "1.0", **FACTS, "software": software()}


def test_an_invalid_sidecar_is_not_written(tmp_path: Path):
    """A document that does not fit its schema is an error and leaves no file."""
    with pytest.raises(SchemaError):
        write_sidecar(tmp_path / "a.json", {**FACTS, "volumes": [{"file": 3}]}, schema="conversion")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["conversion", "volume-sidecar"])
def test_examples_fit_their_schemas(name: str):
    """The example beside each schema is valid."""
    example = json.loads((folder() / "examples" / f"{name}.json").read_text())

    validate(name, example)

    assert example["schema_version"] == "1.0"
