"""MITK multilabel stacks (``.mitklabel.json``): one volume per group, per label, or both."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from racoon_data.annotations.tools.json_documents import Table, read_object, table_at, tables_at, text_at, whole_at
from racoon_data.annotations.tools.volumes import beside, read_grid, read_volume, require_one_grid
from racoon_data.errors import BrokenExportError, RacoonError, UnsupportedAnnotationError
from racoon_data.labels import CodedConcept, Segment
from racoon_data.outcomes import Outcome, outcome_of
from racoon_data.refs import FileRef, is_uid
from racoon_data.tool_exports import Look, Masks, OwnMask, Pointers, ToolExport, content_uid, name_in

_TYPE = "org.mitk.multilabel.segmentation.stack"
_NEWEST = 3
# MITK names properties after DICOM tag paths, sequence items in brackets.
_CODES = {
    "category": "DICOM.0062.0002.0062.0003",
    "type": "DICOM.0062.0002.0062.000F",
    "type_modifier": "DICOM.0062.0002.0062.000F.[0].0062.0011",
    "region": "DICOM.0062.0002.0008.2218",
    "region_modifier": "DICOM.0062.0002.0008.2218.[0].0008.2220",
}
_ALGORITHM = "DICOM.0062.0002.0062.0008"


@dataclass(frozen=True, slots=True)
class _Label:
    """One label and where its voxels are."""

    segment: Segment
    file: Path
    value: int


class MitkReader:
    """Reads stacks up to version 3, as MITK from 2025.08 on and Kaapana write them."""

    kind = "mitk"

    def claims(self, path: Path) -> bool:
        """Tell whether the name is a stack's."""
        return path.name.lower().endswith(".mitklabel.json")

    def look(self, path: Path) -> Look:
        """Read labels, references and the volumes' grid; a label that cannot be read costs itself alone.

        Raises:
            BrokenExportError: It holds no label that can be read.
            UnsupportedAnnotationError: It is a preset, or newer than version 3.
        """
        document = read_object(path)
        _require_known(document)
        labels, outcomes = _labels(path, document)
        files = tuple(dict.fromkeys(label.file for label in labels))
        if not labels:
            raise BrokenExportError("the stack holds no label that can be read", hint="export it with its volumes")
        grid = require_one_grid([read_grid(file) for file in files])
        uid = content_uid(self.kind, path.read_bytes(), *(file.read_bytes() for file in files))
        segments = tuple(label.segment for label in labels)
        export = ToolExport(uid, self.kind, _pointers(document), grid, segments, reader=_creator(document))
        return Look((export,), tuple(outcomes), files)

    def masks(self, path: Path, export: ToolExport) -> Masks:
        """Read one mask per label."""
        labels = _labels(path, read_object(path))[0]
        numbers = [label.segment.number for label in labels]
        for file in dict.fromkeys(label.file for label in labels):
            volume = read_volume(file)
            own = [label for label in labels if label.file == file]
            yield from (OwnMask(label.segment.number, volume.mask(label.value)) for label in own)
            yield from volume.undescribed([*numbers, *(label.value for label in own)])


def _require_known(document: Table) -> None:
    if text_at(document, "type") != _TYPE:
        hint = "label presets hold no voxels; export the segmentation as a stack"
        raise UnsupportedAnnotationError("the file is no MITK multilabel stack", hint=hint)
    version = whole_at(document, "version")
    if version is not None and version > _NEWEST:
        raise UnsupportedAnnotationError(f"MITK stack version {version}", hint=f"known: up to version {_NEWEST}")


def _labels(path: Path, document: Table) -> tuple[list[_Label], list[Outcome]]:
    """Collect labels; a file of its own goes before its group's."""
    labels: dict[int, _Label] = {}
    outcomes: list[Outcome] = []
    for place, group in enumerate(tables_at(document, "groups")):
        for number, item in enumerate(tables_at(group, "labels")):
            try:
                label = _label(path, group, item)
                if label.segment.number in labels:
                    raise BrokenExportError("two labels of the stack have one value", hint="export it again")
                labels[label.segment.number] = label
            except RacoonError as error:
                ref = FileRef(name_in(path, f"group {place} label {number}"))
                outcomes.append(outcome_of(error, ref=ref, step="read"))
    return [labels[number] for number in sorted(labels)], outcomes


def _label(path: Path, group: Table, item: Table) -> _Label:
    value = whole_at(item, "value")
    if value is None or value < 1:
        raise BrokenExportError("a label has no value", hint="export it again")
    own = text_at(item, "_file") or text_at(item, "file")
    name = own or text_at(group, "_file") or text_at(group, "file")
    if not name:
        raise BrokenExportError("a label names no volume", hint="export it again")
    stored = whole_at(item, "_file_value")
    codes = {key: _code(item, prefix) for key, prefix in _CODES.items()}
    tracking = text_at(item, "tracking_uid")
    segment = Segment(
        value,
        text_at(item, "name") or f"label {value}",
        algorithm=_property(item, _ALGORITHM),
        tracking_uid=tracking if is_uid(tracking) else "",
        **codes,
    )
    return _Label(segment, beside(path, name), value if stored is None else stored)


def _code(item: Table, prefix: str) -> CodedConcept | None:
    value, scheme, meaning = (
        _property(item, f"{prefix}.[0].{tag}") or _property(item, f"{prefix}.{tag}")
        for tag in ("0008.0100", "0008.0102", "0008.0104")
    )
    return CodedConcept(value, scheme, meaning) if value or meaning else None


def _property(item: Table, key: str) -> str:
    """Read a property, written plain or with its class and one value per slice and time step."""
    return next(iter(_values(item.get(key))), "")


def _values(value: Any) -> Iterator[str]:
    if isinstance(value, (str, int, float)):
        yield str(value).strip()
    elif isinstance(value, dict):
        inner = value.get("value", value)
        if isinstance(inner, dict):
            yield from (text for one in tables_at(inner, "values") if (text := text_at(one, "value")))
        elif inner is not value:
            yield from _values(inner)


def _pointers(document: Table) -> Pointers:
    """Collect references from the stack's properties: source images, their series, files and patient."""
    properties: dict[str, list[str]] = {}
    for by_class in table_at(document, "properties").values():
        if isinstance(by_class, dict):
            for key, value in by_class.items():
                properties.setdefault(key.upper(), []).extend(_values(value))
    sops = [one for key, values in properties.items() if key.endswith("0008.1155") for one in values]
    sops += [one for one in _reference_files(document) if is_uid(one)]
    series = [
        one
        for key, values in properties.items()
        if re.fullmatch(r"DICOM\.(0008\.1115.*\.)?0020\.000E", key)
        for one in values
    ]
    first = {key: values[0] for key, values in properties.items() if values}
    return Pointers(
        first.get("DICOM.0010.0020", ""),
        first.get("DICOM.0020.000D", ""),
        first.get("DICOM.0008.0050", ""),
        frozenset(filter(is_uid, series)),
        frozenset(filter(is_uid, sops)),
        first.get("DICOM.0020.0052") or None,
    )


def _reference_files(document: Table) -> Iterator[str]:
    """Give the names of the files a stack was drawn on; many archives name files after instances."""
    table = table_at(table_at(document, "properties"), "StringLookupTableProperty")
    listed = table.get("referenceFiles")
    values = listed.values() if isinstance(listed, dict) else listed if isinstance(listed, list) else ()
    for value in values:
        text = text_at({"path": value}, "path") or text_at(value, "value")
        yield re.sub(r"\.dcm$", "", text.replace("\\", "/").rpartition("/")[2], flags=re.IGNORECASE)


def _creator(document: Table) -> str:
    by_class = table_at(document, "properties").values()
    names = (next(_values(one.get("DICOM.0070.0084")), "") for one in by_class if isinstance(one, dict))
    return next(filter(None, names), "")
