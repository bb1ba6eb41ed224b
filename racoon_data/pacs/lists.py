"""Lists of patient IDs or accession numbers: CSV, JSON or plain lines, read strictly."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from racoon_data.documents import parse_json
from racoon_data.errors import SettingsError
from racoon_data.refs import FileRef

_WILD = "*?\\"
_MOST_BYTES = 64 << 20


def read_list(path: Path, keyword: str) -> tuple[str, ...]:
    """Read identifiers from a file, each once, in the file's order.

    A CSV file has a column named like the keyword, or one column alone; a JSON file is a list of texts, or of objects
    with a key named like the keyword; any other file has one identifier a line.

    Args:
        path: The file, UTF-8.
        keyword: ``PatientID`` or ``AccessionNumber``.

    Raises:
        SettingsError: The file is no such list, or an entry is empty, too long, or holds a wildcard, which would ask
            for other patients too. The message names the entry by its position, never by its value.
    """
    text = _text_of(path)
    kinds = {".csv": _from_csv, ".json": _from_json}
    entries = kinds.get(path.suffix.lower(), _from_lines)(text, keyword, path)
    for position, entry in enumerate(entries, start=1):
        _check(entry, position, path, keyword)
    if not entries:
        raise SettingsError("the list is empty", ref=FileRef(path.name), hint=f"write one {keyword} a line")
    return tuple(dict.fromkeys(entry.strip() for entry in entries))


def _text_of(path: Path) -> str:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise SettingsError("the list is larger than 64 MiB", ref=FileRef(path.name), hint="split it")
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        hint = "name a file you may read, saved as UTF-8"
        raise SettingsError("the list cannot be read", ref=FileRef(path.name), hint=hint) from error


def _from_lines(text: str, keyword: str, path: Path) -> list[str]:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[1:] if lines and lines[0].strip() == keyword else lines


def _from_csv(text: str, keyword: str, path: Path) -> list[str]:
    lines = text.splitlines()
    separator = max(",;\t", key=(lines or [""])[0].count)
    rows = [row for row in csv.reader(lines, delimiter=separator) if any(cell.strip() for cell in row)]
    header = [cell.strip() for cell in rows[0]] if rows else []
    if keyword in header:
        column = header.index(keyword)
        return [row[column] if column < len(row) else "" for row in rows[1:]]
    if any(len(row) != 1 for row in rows):
        hint = f"name the column with the identifiers {keyword}"
        raise SettingsError(f"no column is called {keyword}", ref=FileRef(path.name), hint=hint)
    return [row[0] for row in rows]


def _from_json(text: str, keyword: str, path: Path) -> list[str]:
    try:
        document: Any = parse_json(text)
    except ValueError as error:
        raise SettingsError("the list is not JSON", ref=FileRef(path.name), hint="mend the syntax") from error
    entries: Sequence[Any] = document if isinstance(document, list) else []
    found = [entry.get(keyword) if isinstance(entry, dict) else entry for entry in entries]
    if not isinstance(document, list) or not all(isinstance(entry, str) for entry in found):
        hint = f'write ["1", "2"] or [{{"{keyword}": "1"}}]; identifiers are texts'
        raise SettingsError("the list is not a list of texts", ref=FileRef(path.name), hint=hint)
    return [str(entry) for entry in found]


def _check(entry: str, position: int, path: Path, keyword: str) -> None:
    longest = 64 if keyword == "PatientID" else 16
    wrong = ""
    if not entry.strip():
        wrong = "is empty"
    elif any(letter in entry for letter in _WILD):
        wrong = "holds a wildcard or backslash"
    elif len(entry.strip()) > longest or not entry.strip().isprintable():
        wrong = f"is no {keyword}"
    if wrong:
        raise SettingsError(f"entry {position} {wrong}", ref=FileRef(path.name), hint="mend or remove it")
