"""Label tables of other tools, read: dcmqi, TotalSegmentator, 3D Slicer, nnU-Net."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from racoon_data.documents import parse_json, read_text
from racoon_data.errors import SchemaError, SettingsError
from racoon_data.harmonize.label_schema import PARTS
from racoon_data.labels import CodedConcept, Terminology

_MOST = 8 << 20
# Parts of a 5-tuple as dcmqi, TotalSegmentator and older Slicer tables spell them, and as newer Slicer tables do.
_SEQUENCES = (
    "SegmentedPropertyCategoryCodeSequence",
    "SegmentedPropertyTypeCodeSequence",
    "SegmentedPropertyTypeModifierCodeSequence",
    "AnatomicRegionSequence",
    "AnatomicRegionModifierSequence",
)
_COLUMNS = ("Category", "Type", "TypeModifier", "Region", "RegionModifier")
_KINDS = "dcmqi JSON, a TotalSegmentator or Slicer CSV, a Slicer terminology JSON or colour table, nnU-Net dataset.json"


@dataclass(frozen=True, slots=True)
class TableRow:
    """One entry of a foreign table.

    Attributes:
        name: Its name there.
        value: Its voxel value there, ``None`` where the table has none.
        terminology: Its 5-tuple, ``None`` where the table has no codes.
        also: Further names it has there.
    """

    name: str
    value: int | None = None
    terminology: Terminology | None = None
    also: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """A foreign table: its kind, as ``racoon labels import`` names it, and its rows in order."""

    kind: str
    rows: tuple[TableRow, ...]


def read_table(path: Path) -> Table:
    """Read a label table of another tool; what it is shows in its content.

    Known are dcmqi's segmentation metadata (``segmentAttributes``), TotalSegmentator's SNOMED table and name lists,
    3D Slicer's terminology (``SegmentationCodes``), colour tables (``.ctbl``, ``.txt``) and colour CSV, and
    the ``labels`` of an nnU-Net ``dataset.json``.

    Raises:
        SettingsError: The file does not exist.
        SchemaError: It is none of these, or cut.
    """
    try:
        text = read_text(path, most=_MOST).lstrip("\ufeff")
    except FileNotFoundError as error:
        raise SettingsError(f"{path} does not exist", hint="name the table") from error
    except (ValueError, OSError) as error:
        raise SchemaError(f"{path.name} cannot be read as text: {error}", hint=f"give {_KINDS}") from error
    try:
        kind, rows = _read(text)
        table = Table(kind, tuple(rows))
    except (KeyError, TypeError, ValueError, AttributeError, csv.Error) as error:
        raise SchemaError(f"{path.name} is a broken label table: {error}", hint="export it again") from error
    if not table.rows:
        raise SchemaError(f"{path.name} is no label table", hint=f"give {_KINDS}")
    return table


def _read(text: str) -> tuple[str, Iterable[TableRow]]:
    if text.lstrip().startswith("{"):
        return _from_json(parse_json(text))
    head = text.splitlines()[0].split(",") if text.strip() else []
    names = {name.strip().strip('"') for name in head}
    rows = csv.DictReader(io.StringIO(text))
    if "Structure" in names:
        return "totalsegmentator", (_csv_row(row, "Structure") for row in rows)
    if "LabelValue" in names:
        return "slicer-csv", (_csv_row(row, "Name") for row in rows if row["LabelValue"] != "0")
    if {"Index", "TotalSegmentator_name"} <= names:
        return "totalsegmentator", (_csv_row(row, "TotalSegmentator_name") for row in rows)
    return "slicer-colors", _colors(text)


def _from_json(document: Any) -> tuple[str, Iterable[TableRow]]:
    if "segmentAttributes" in document:
        groups = document["segmentAttributes"]
        return "dcmqi", (_dcmqi(one) for group in groups for one in (group if isinstance(group, list) else [group]))
    if "SegmentationCodes" in document:
        return "slicer-terminology", _slicer_types(document["SegmentationCodes"]["Category"])
    if "channel_names" in document or "numTraining" in document:
        named = ((name, value) for name, value in document["labels"].items() if name not in ("background", "ignore"))
        return "nnunet", (TableRow(name, value if isinstance(value, int) else None) for name, value in named)
    if document and all(str(key).isdigit() and isinstance(name, str) for key, name in document.items()):
        return "totalsegmentator", (TableRow(name, int(key)) for key, name in document.items() if int(key))
    raise ValueError("none of the known keys is in it")


def _dcmqi(entry: Mapping[str, Any]) -> TableRow:
    parts = {part: _dcmqi_code(entry.get(sequence)) for part, sequence in zip(PARTS, _SEQUENCES, strict=True)}
    kind = parts["type"]
    labels = [entry.get(key, "") for key in ("SegmentLabel", "SegmentDescription")]
    names = [name for name in (*labels, kind.meaning if kind else "", f"label {entry['labelID']}") if name]
    return TableRow(names[0], int(entry["labelID"]), _tuple(parts), tuple(names[1:-1]))


def _dcmqi_code(entry: Any) -> CodedConcept | None:
    if isinstance(entry, list):
        entry = entry[0] if entry else None
    if not entry:
        return None
    return _concept(entry["CodingSchemeDesignator"], entry["CodeValue"], entry.get("CodeMeaning", ""))


def _slicer_types(categories: Iterable[Mapping[str, Any]]) -> Iterator[TableRow]:
    """Walk category, type and modifier of a terminology; a type with modifiers gives a row for each as well."""
    for group in categories:
        category = _dcmqi_code(group)
        for kind in group.get("Type", ()):
            base = {"category": category, "type": _dcmqi_code(kind)}
            name = kind["CodeMeaning"]
            also = tuple(one for one in (kind.get("SlicerLabel") or kind.get("3dSlicerLabel"),) if one)
            yield TableRow(name, None, _tuple(base), also)
            for side in kind.get("Modifier", ()):
                whole = {**base, "type_modifier": _dcmqi_code(side)}
                yield TableRow(f"{side['CodeMeaning']} {name}", None, _tuple(whole))


def _csv_row(row: Mapping[str, Any], name: str) -> TableRow:
    codes: dict[str, CodedConcept | None] = {}
    for part, sequence, column in zip(PARTS, _SEQUENCES, _COLUMNS, strict=True):
        old = [row.get(f"{sequence}.{end}") for end in ("CodingSchemeDesignator", "CodeValue", "CodeMeaning")]
        new = [row.get(f"{column}_{end}") for end in ("CodingScheme", "CodeValue", "CodeMeaning")]
        codes[part] = _concept(*old) or _concept(*new)
    value = row.get("LabelValue") or row.get("Index")
    kind = codes["type"]
    called = (row.get(name) or (kind.meaning if kind else "")).strip()
    also = (row.get("TA2_name") or "").strip()
    return TableRow(called, int(value) if value else None, _tuple(codes), (also,) if also else ())


def _colors(text: str) -> Iterator[TableRow]:
    """Read Slicer's colour table: value, name with underscores, red, green, blue, opacity."""
    for line in text.splitlines():
        parts = line.split()
        if line.startswith("#") or len(parts) not in (5, 6) or not parts[0].isdigit() or int(parts[0]) == 0:
            continue
        if all(color.isdigit() for color in parts[2:]):
            yield TableRow(parts[1], int(parts[0]))


def _concept(scheme: Any, value: Any, meaning: Any) -> CodedConcept | None:
    scheme, value = str(scheme or "").strip(), str(value or "").strip()
    return CodedConcept(value, scheme, str(meaning or "").strip()) if scheme and value else None


def _tuple(parts: Mapping[str, CodedConcept | None]) -> Terminology | None:
    return Terminology(**parts) if parts.get("type") is not None else None
