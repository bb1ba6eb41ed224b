"""The label schema file: one JSON document, checked, to a LabelSchema."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from racoon_data import schemas
from racoon_data.documents import read_json
from racoon_data.errors import SchemaError, SettingsError
from racoon_data.harmonize.codes import code_key, name_key
from racoon_data.labels import CodedConcept, Label, LabelSchema


def load_schema(path: Path) -> LabelSchema:
    """Read a label schema file (``schemas/label-schema``).

    Raises:
        SettingsError: The file does not exist.
        SchemaError: It is no JSON, does not validate, or gives one code or name to two labels.
    """
    try:
        document = read_json(path)
    except FileNotFoundError as error:
        raise SettingsError(f"{path} does not exist", hint="name an existing label schema") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise SchemaError(f"{path} is not JSON: {error}", hint="mend the syntax") from error
    return schema_from(document)


def schema_from(document: object) -> LabelSchema:
    """Turn a parsed label schema document into its noun.

    Raises:
        SchemaError: It does not validate, or gives one value, code or name to two labels.
    """
    schemas.validate("label-schema", document)
    assert isinstance(document, Mapping)  # the JSON Schema says so
    labels = tuple(_label(entry) for entry in document["labels"])
    _refuse_doubles("value", ((str(label.value), label) for label in labels))
    _refuse_doubles("name", ((key, label) for label in labels for key in names_of(label)))
    _refuse_doubles("code", ((str(key), label) for label in labels for key in _demands(label)))
    return LabelSchema(document["name"], document["version"], labels)


def names_of(label: Label) -> frozenset[str]:
    """Give every spelling that means a label, made comparable."""
    return frozenset(name_key(name) for name in (label.name, *label.synonyms))


def _label(entry: Mapping[str, Any]) -> Label:
    return Label(
        entry["value"],
        entry["name"],
        codes=_concepts(entry.get("codes", ())),
        synonyms=tuple(entry.get("synonyms", ())),
        priority=entry.get("priority", 0),
        type_modifiers=_concepts(entry.get("type_modifiers", ())),
        regions=_concepts(entry.get("regions", ())),
        written=tuple((part, _concepts([code])[0]) for part, code in sorted(entry.get("written", {}).items())),
    )


def _concepts(entries: Iterable[Mapping[str, str]]) -> tuple[CodedConcept, ...]:
    return tuple(CodedConcept(entry["value"], entry["scheme"], entry.get("meaning", "")) for entry in entries)


def _demands(label: Label) -> list[tuple[object, ...]]:
    """List every combination of type, modifier and region that means this label."""
    modifiers = [code_key(concept) for concept in label.type_modifiers] or [None]
    regions = [code_key(concept) for concept in label.regions] or [None]
    types = {code_key(concept) for concept in label.codes} - {None}
    return [(kind, modifier, region) for kind in types for modifier in modifiers for region in regions]


def _refuse_doubles(what: str, claims: Iterable[tuple[str, Label]]) -> None:
    owner: dict[str, Label] = {}
    for key, label in claims:
        first = owner.setdefault(key, label)
        if first is not label:
            message = f"label-schema: {what} {key} means both {first.name!r} and {label.name!r}"
            raise SchemaError(message, hint="a code or name may mean one label only")
