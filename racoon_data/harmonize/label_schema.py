"""The label schema file: one JSON document, checked, to a LabelSchema."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from racoon_data import schemas
from racoon_data.documents import read_json
from racoon_data.errors import SchemaError, SettingsError
from racoon_data.harmonize.codes import Key, code_key, name_key
from racoon_data.harmonize.label_document import Concept, LabelDocument, LabelEntry, Tuple5, Written
from racoon_data.labels import CodedConcept, Label, LabelSchema, Terminology

Demand = tuple[Key | None, ...]
PARTS = tuple(one.name for one in fields(Terminology))


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
    try:
        read = LabelDocument.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        place = "/" + "/".join(str(part) for part in first["loc"])
        raise SchemaError(f"label-schema: {place}: {first['msg']}", hint="see the page on harmonizing") from error
    labels = tuple(map(_label, read.labels))
    _refuse_doubles("value", ((str(label.value), label) for label in labels))
    _refuse_doubles("name", ((key, label) for label in labels for key in names_of(label)))
    _refuse_doubles("code", ((_text(demand), label) for label in labels for demand in demands_of(label)))
    return LabelSchema(read.name, read.version, labels)


def names_of(label: Label) -> frozenset[str]:
    """Give every spelling that means a label, made comparable."""
    return frozenset(name_key(name) for name in label.names)


def demands_of(label: Label) -> tuple[Demand, ...]:
    """List every 5-tuple that means a label: category, type, its modifier, region, its modifier; ``None`` asks nothing.

    ``codes`` with ``type_modifiers`` and ``regions`` give every combination of them.
    """
    modifiers = [code_key(concept) for concept in label.type_modifiers] or [None]
    regions = [code_key(concept) for concept in label.regions] or [None]
    types = [key for concept in label.codes if (key := code_key(concept))]
    plain = [(None, kind, one, region, None) for kind in types for one in modifiers for region in regions]
    whole = [tuple(code_key(getattr(one, part)) for part in PARTS) for one in label.terminology]
    return tuple(dict.fromkeys((*plain, *whole)))


def slicer_entry(text: str) -> Terminology:
    """Read 3D Slicer's text of a 5-tuple: ``context~category~type~modifier~context~region~modifier``.

    Codes are ``scheme^value^meaning``; what is empty or missing asks for nothing.
    """
    places = dict(zip(PARTS, (1, 2, 3, 5, 6), strict=True))
    pieces = text.split("~")
    codes = {part: _slicer_code(pieces[place]) for part, place in places.items() if place < len(pieces)}
    return Terminology(**codes)


def _slicer_code(text: str) -> CodedConcept | None:
    scheme, value, meaning = (part.strip() for part in (*text.split("^"), "", "")[:3])
    return CodedConcept(value, scheme, meaning) if scheme and value else None


def _label(entry: LabelEntry) -> Label:
    is_plain = not isinstance(entry.synonyms, Mapping)
    by_language = {} if isinstance(entry.synonyms, tuple) else entry.synonyms
    return Label(
        entry.value,
        entry.name,
        codes=_concepts(entry.codes),
        synonyms=tuple(entry.synonyms) if is_plain else (),
        priority=entry.priority,
        type_modifiers=_concepts(entry.type_modifiers),
        regions=_concepts(entry.regions),
        written=_written(entry.written),
        terminology=tuple(map(_terminology, entry.terminology)),
        translations=tuple((tongue, name) for tongue, names in sorted(by_language.items()) for name in names),
    )


def _written(written: Written) -> tuple[tuple[str, CodedConcept], ...]:
    parts = ((part, getattr(written, part)) for part in sorted(Written.model_fields))
    return tuple((part, _concepts((code,))[0]) for part, code in parts if code is not None)


def _terminology(entry: str | Tuple5) -> Terminology:
    if isinstance(entry, str):
        return slicer_entry(entry)
    parts: dict[str, Concept | None] = {part: getattr(entry, part) for part in PARTS}
    return Terminology(**{part: _concepts((code,))[0] for part, code in parts.items() if code is not None})


def _concepts(entries: Iterable[Concept]) -> tuple[CodedConcept, ...]:
    return tuple(CodedConcept(entry.value, entry.scheme, entry.meaning) for entry in entries)


def _text(demand: Demand) -> str:
    return " + ".join(f"{part} {key[0]}:{key[1]}" for part, key in zip(PARTS, demand, strict=True) if key)


def _refuse_doubles(what: str, claims: Iterable[tuple[Any, Label]]) -> None:
    owner: dict[Any, Label] = {}
    for key, label in claims:
        first = owner.setdefault(key, label)
        if first is not label:
            message = f"label-schema: {what} {key} means both {first.name!r} and {label.name!r}"
            raise SchemaError(message, hint="a code or name may mean one label only")
