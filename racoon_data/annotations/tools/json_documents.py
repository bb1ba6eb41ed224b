"""JSON of other tools as plain dictionaries and lists, asked for tolerantly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from racoon_data.annotations.tools.trees import load_json, read_bytes
from racoon_data.errors import BrokenExportError
from racoon_data.labels import CodedConcept

Table = dict[str, Any]


def read_object(path: Path) -> Table:
    """Read a JSON object; of keys that repeat the last counts, numbers stay texts.

    Raises:
        HostileExportError: It is too deep or too large.
        BrokenExportError: It is no JSON object.
    """
    document = _plain(load_json(read_bytes(path)))
    if not isinstance(document, dict):
        raise BrokenExportError("the JSON is no object", hint="export it again")
    return document


def _plain(value: Any) -> Any:
    if isinstance(value, list) and type(value) is not list:
        return {key: _plain(inner) for key, inner in value}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


def table_at(value: object, key: str) -> Table:
    """Give an inner object, an empty one where there is none."""
    inner = value.get(key) if isinstance(value, dict) else None
    return inner if isinstance(inner, dict) else {}


def tables_at(value: object, key: str) -> list[Table]:
    """Give a list of objects; one alone counts as a list."""
    inner = value.get(key) if isinstance(value, dict) else None
    members = inner if isinstance(inner, list) else [inner]
    return [member for member in members if isinstance(member, dict)]


def text_at(value: object, key: str) -> str:
    """Give a scalar as text, empty where there is none."""
    inner = value.get(key) if isinstance(value, dict) else None
    if isinstance(inner, bool):
        return str(inner).lower()
    return str(inner).strip() if isinstance(inner, (str, int, float)) else ""


def whole_at(value: object, key: str) -> int | None:
    """Give a whole number, ``None`` where there is none."""
    text = text_at(value, key)
    try:
        return int(float(text)) if text else None
    except (ValueError, OverflowError):
        return None


def dicom_code(value: Table, key: str) -> CodedConcept | None:
    """Read a code as DICOM JSON-likes spell it: CodeValue, CodingSchemeDesignator, CodeMeaning."""
    item = next(iter(tables_at(value, key)), {})
    found = CodedConcept(
        text_at(item, "CodeValue"), text_at(item, "CodingSchemeDesignator"), text_at(item, "CodeMeaning")
    )
    return found if found.value or found.meaning else None
