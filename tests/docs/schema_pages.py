"""Writes a page for every schema: each object with its keys, types, defaults and meanings, and the example."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from racoon_data import schemas

Schema = Mapping[str, Any]


def schema_pages() -> dict[str, str]:
    """Give the text of every page by its name below ``docs/``."""
    pages = {f"schemas/{name}.md": _page(name) for name in schemas.names()}
    return {"schemas/README.md": _index(), **pages}


def _index() -> str:
    rows = [f"| [{name}]({name}.md) | {_said(schemas.load(name))[0]} |" for name in schemas.names()]
    head = [
        "# Schemas",
        "",
        "One JSON Schema (2020-12) for every file that is read or written; `racoon schema show NAME` prints one, and",
        "`racoon schema validate FILE` names each place that does not fit, with what helps. Written by `make docs`.",
        "",
        "| schema | what |",
        "|---|---|",
    ]
    return "\n".join([*head, *rows]) + "\n"


def _page(name: str) -> str:
    schema = schemas.load(name)
    example = (schemas.folder() / "examples" / f"{name}.json").read_text(encoding="utf-8")
    lines = [f"# {name}", "", f"`{schema['$id']}`", ""]
    for title, part in _objects(schema):
        text, meanings = _said(part)
        lines += [f"## {title}", "", text, ""] if title else [text, ""]
        rows = [_row(key, one, part, meanings) for key, one in part.get("properties", {}).items()]
        if rows:
            lines += ["| key | value | default | meaning |", "|---|---|---|---|", *rows, ""]
    return "\n".join([*lines, "## Example", "", "```json", example.rstrip(), "```"]) + "\n"


def _objects(schema: Schema) -> Iterator[tuple[str, Schema]]:
    yield "", schema
    yield from sorted(schema.get("$defs", {}).items())


def _said(part: Schema) -> tuple[str, dict[str, str]]:
    """Split a description into its prose and what it says of each attribute."""
    text = inspect.cleandoc(str(part.get("description") or part.get("title") or ""))
    prose, _, attributes = text.partition("\nAttributes:\n")
    found = re.findall(r"^ {4}(\w+): (.*(?:\n {5,}.*)*)", attributes, flags=re.MULTILINE)
    return _flat(prose), {key: _flat(meaning) for key, meaning in found}


def _flat(text: str) -> str:
    return " ".join(text.replace("``", "`").split()).replace("|", "\\|")


def _row(key: str, one: Schema, part: Schema, meanings: Mapping[str, str]) -> str:
    needed = "**required**" if key in part.get("required", ()) else ""
    default = f"`{_json(one['default'])}`" if "default" in one else needed
    snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key).lower()
    meaning = _flat(str(one.get("description") or meanings.get(key) or meanings.get(snake) or ""))
    return f"| `{key}` | {_kind(one)} | {default} | {meaning} |"


def _json(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return (text if len(text) <= 60 else text[:57] + "...").replace("|", "\\|")


def _kind(one: Schema) -> str:
    """Say what a value may be, in a few words."""
    if "$ref" in one:
        name = str(one["$ref"]).rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "const" in one:
        return f"`{_json(one['const'])}`"
    if "enum" in one:
        return " or ".join(f"`{_json(value)}`" for value in one["enum"])
    for join in ("anyOf", "oneOf", "allOf"):
        if join in one:
            return " or ".join(_kind(part) for part in one[join])
    return _plain(one)


def _plain(one: Schema) -> str:
    kind = one.get("type", "anything")
    kinds = kind if isinstance(kind, list) else [kind]
    words = " or ".join(str(word) for word in kinds)
    if "array" in kinds:
        parts = one.get("prefixItems")
        items = ", ".join(map(_kind, parts)) if parts else _kind(one["items"]) if one.get("items") else "anything"
        return f"{words} of {items}"
    if "object" in kinds and isinstance(one.get("additionalProperties"), Mapping):
        return f"{words} of {_kind(one['additionalProperties'])}"
    return words + _limits(one)


def _limits(one: Schema) -> str:
    words = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    found = [f"{sign} {one[key]}" for key, sign in words.items() if key in one]
    found += [f"matching `{one['pattern']}`".replace("|", "\\|")] if "pattern" in one else []
    return f", {', '.join(found)}" if found else ""
