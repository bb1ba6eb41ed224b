"""The JSON Schemas of every file we read or write, and validation against them."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from racoon_data.errors import SchemaError

if TYPE_CHECKING:
    from pydantic import BaseModel

_HERE = Path(__file__).resolve().parent
_FOLDERS = (_HERE / "_schemas", _HERE.parent / "schemas")


def folder() -> Path:
    """Find the schema folder: inside the wheel, or at the root of a checkout.

    Raises:
        SchemaError: The installation lost its schemas.
    """
    for candidate in _FOLDERS:
        if candidate.is_dir():
            return candidate
    raise SchemaError("the schema folder is missing", hint="install racoon again")


def names() -> tuple[str, ...]:
    """List the schemas by name."""
    return tuple(sorted(path.name.removesuffix(".schema.json") for path in folder().glob("*.schema.json")))


@lru_cache(maxsize=64)
def load(name: str) -> dict[str, Any]:
    """Read one schema.

    Raises:
        SchemaError: No schema has this name.
    """
    path = folder() / f"{name}.schema.json"
    if not path.is_file():
        raise SchemaError(f"there is no schema {name!r}", hint=f"one of: {', '.join(names())}")
    schema: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return schema


def of_model(model: type[BaseModel], name: str, *, version: str = "1.0") -> dict[str, Any]:
    """Give the JSON Schema of a pydantic model, named and versioned.

    Args:
        model: The model a reader parses with.
        name: Schema name, such as ``dataset-manifest``.
        version: Version of the file format.
    """
    schema = model.model_json_schema(mode="validation")
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": dialect, "$id": f"urn:racoon:schema:{name}:{version}", **schema}


def validate(name: str, document: object) -> None:
    """Check a JSON document against a schema.

    Args:
        name: Schema name, such as ``dataset-manifest``.
        document: Parsed JSON.

    Raises:
        SchemaError: It does not validate; the message names the place (JSON pointer).
    """
    from jsonschema import Draft202012Validator

    errors = sorted(Draft202012Validator(load(name)).iter_errors(document), key=lambda e: list(map(str, e.path)))
    if errors:
        pointer = "/" + "/".join(str(part) for part in errors[0].absolute_path)
        raise SchemaError(f"{name}: {pointer}: {errors[0].message[:200]}", hint=f"{len(errors)} place(s) to mend")
