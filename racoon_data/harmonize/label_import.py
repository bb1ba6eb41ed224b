"""A foreign label table to a label schema: values without gaps, 5-tuples, English and German names."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from racoon_data.errors import SettingsError
from racoon_data.harmonize.codes import code_key, name_key
from racoon_data.harmonize.german import german_names
from racoon_data.harmonize.label_schema import PARTS, schema_from
from racoon_data.harmonize.label_tables import Table, TableRow
from racoon_data.labels import CodedConcept, Terminology

_MOST_LABELS = 254
_UNSAFE = re.compile(r"[^A-Za-z0-9]+")


@dataclass(frozen=True, slots=True)
class Imported:
    """A label schema made of a table.

    Attributes:
        document: The schema, JSON-ready and checked.
        notes: What could not be taken over as it was, as sentences.
    """

    document: dict[str, Any]
    notes: tuple[str, ...]


def import_table(table: Table, *, name: str, only: Sequence[str] = ()) -> Imported:
    """Make a label schema of a foreign table.

    Values are kept where they run from 1 without a gap; otherwise labels are numbered in the table's order, because
    training frameworks need that. A 5-tuple or name that two labels share means neither, and is left out and noted.

    Args:
        table: What was read.
        name: Name of the schema.
        only: Names of the labels to take, in this order; empty for all.

    Raises:
        SettingsError: A wanted label is not in the table, or there are more labels than a voxel can tell apart.
        SchemaError: The result is no label schema.
    """
    rows = _wanted(table, only)
    if len(rows) > _MOST_LABELS:
        raise SettingsError(
            f"the table has {len(rows)} labels, a label map holds {_MOST_LABELS}", hint="choose some with --only"
        )
    notes: list[str] = []
    values = _values(rows, notes)
    names = _names(rows, notes)
    codes = _once_only(rows, notes)
    spellings = [_spellings(row, own) for row, own in zip(rows, names, strict=True)]
    taken = Counter(key for group in spellings for key in {name_key(word) for word in group["all"]})
    entries = [
        _entry(value, own, code, words, taken)
        for value, own, code, words in zip(values, names, codes, spellings, strict=True)
    ]
    entries.sort(key=lambda entry: int(entry["value"]))
    document = {"schema_version": "1.0", "name": name, "version": "1.0", "labels": entries}
    schema_from(document)
    return Imported(document, tuple(notes))


def _wanted(table: Table, only: Sequence[str]) -> list[TableRow]:
    if not only:
        return list(table.rows)
    by_name = {name_key(word): row for row in reversed(table.rows) for word in (row.name, *row.also)}
    by_name |= {name_key(row.name): row for row in reversed(table.rows)}
    for word in only:
        if name_key(word) not in by_name:
            near = get_close_matches(name_key(word), by_name, n=1)
            hint = (
                f"did you mean {by_name[near[0]].name}?" if near else "racoon labels import TABLE --dry-run lists them"
            )
            raise SettingsError(f"the table has no label {word!r}", hint=hint)
    return [by_name[name_key(word)] for word in only]


def _values(rows: Sequence[TableRow], notes: list[str]) -> list[int]:
    given = [row.value for row in rows if row.value is not None]
    if sorted(given) == list(range(1, len(rows) + 1)):
        return given
    order = sorted(range(len(rows)), key=lambda place: (rows[place].value is None, rows[place].value or 0, place))
    values = [0] * len(rows)
    for new, place in enumerate(order, start=1):
        values[place] = new
        if (old := rows[place].value) not in (None, new):
            notes.append(f"{rows[place].name}: value {old} became {new}, so that values have no gap")
    return values


def _names(rows: Sequence[TableRow], notes: list[str]) -> list[str]:
    names: list[str] = []
    keys: set[str] = set()
    for row in rows:
        plain = unicodedata.normalize("NFKD", row.name).encode("ascii", "ignore").decode()
        stem = _UNSAFE.sub("_", plain).strip("_")[:50] or "label"
        choices = (stem if count == 1 else f"{stem}_no{count}" for count in range(1, len(rows) + 2))
        name = next(one for one in choices if name_key(one) not in keys)
        if name != stem:
            notes.append(f"{row.name}: the table has this name more than once; this one is called {name}")
        keys.add(name_key(name))
        names.append(name)
    return names


def _once_only(rows: Sequence[TableRow], notes: list[str]) -> list[Terminology | None]:
    """Keep 5-tuples that mean one label only."""
    keys = [_key(row.terminology) for row in rows]
    count = Counter(key for key in keys if key is not None)
    kept: list[Terminology | None] = []
    for row, key in zip(rows, keys, strict=True):
        is_shared = key is not None and count[key] > 1
        if is_shared:
            notes.append(f"{row.name}: its code means another label too and was left out; names decide")
        kept.append(row.terminology if key is not None and not is_shared else None)
    return kept


def _key(one: Terminology | None) -> tuple[object, ...] | None:
    if one is None or code_key(one.type) is None:
        return None
    return tuple(code_key(getattr(one, part)) for part in PARTS)


def _spellings(row: TableRow, name: str) -> dict[str, list[str]]:
    english = [row.name, *row.also, *_english(row.terminology)]
    own = name_key(name)
    words = {"en": _distinct(english, own), "de": _distinct(_german(row.terminology), own)}
    return {**words, "all": [name, *words["en"], *words["de"]]}


def _english(one: Terminology | None) -> list[str]:
    if one is None or one.type is None or not one.type.meaning:
        return []
    side = _meaning(one.type_modifier)
    parts = [one.type.meaning, _meaning(one.region)] if one.region else [one.type.meaning]
    plain = " of ".join(part for part in parts if part)
    return [f"{side} {plain}", f"{plain} {side}"] if side else [plain]


def _german(one: Terminology | None) -> list[str]:
    if one is None or one.type is None or one.region is not None:
        return []
    return list(german_names(one.type.meaning, _meaning(one.type_modifier)))


def _meaning(code: CodedConcept | None) -> str:
    return code.meaning if code else ""


def _distinct(words: Iterable[str], own: str) -> list[str]:
    unique = {name_key(word): word for word in reversed([word for word in words if word])}
    return [word for key, word in reversed(unique.items()) if key != own and key]


def _entry(
    value: int, name: str, code: Terminology | None, words: dict[str, list[str]], taken: Counter[str]
) -> dict[str, Any]:
    entry: dict[str, Any] = {"value": value, "name": name}
    if code is not None:
        entry["terminology"] = [_parts(code)]
        entry["written"] = _written(code)
    synonyms = {tongue: [word for word in words[tongue] if taken[name_key(word)] == 1] for tongue in ("de", "en")}
    if kept := {tongue: found for tongue, found in synonyms.items() if found}:
        entry["synonyms"] = kept
    return entry


def _parts(one: Terminology) -> dict[str, dict[str, str]]:
    codes = {part: getattr(one, part) for part in PARTS}
    return {part: _code(code) for part, code in codes.items() if code_key(code) is not None}


def _written(one: Terminology) -> dict[str, dict[str, str]]:
    codes = {"category": one.category, "type": one.type, "type_modifier": one.type_modifier}
    codes |= {"site": one.region, "laterality": one.region_modifier}
    return {part: _code(code) for part, code in codes.items() if code is not None and code_key(code) is not None}


def _code(code: CodedConcept) -> dict[str, str]:
    return {"value": code.value, "scheme": code.scheme, "meaning": code.meaning}
