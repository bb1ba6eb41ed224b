"""The JSON Schemas of every file we read or write, and validation against them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from racoon_data.errors import SchemaError
from racoon_data.schema_check import fits

if TYPE_CHECKING:
    from jsonschema import ValidationError
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


@dataclass(frozen=True, slots=True)
class Problem:
    """One place of a document that does not fit its schema.

    Attributes:
        pointer: Where (JSON pointer).
        message: What is wrong.
        remedy: What helps.
    """

    pointer: str
    message: str
    remedy: str


def problems(name: str, document: object) -> tuple[Problem, ...]:
    """List every place of a JSON document that does not fit a schema.

    Args:
        name: Schema name, such as ``dataset-manifest``.
        document: Parsed JSON.

    Raises:
        SchemaError: No schema has this name.
    """
    errors = sorted(_validator(name).iter_errors(document), key=lambda e: list(map(str, e.path)))
    return tuple(_problem(error) for error in errors)


@lru_cache(maxsize=64)
def _validator(name: str) -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(load(name))


def _problem(error: ValidationError) -> Problem:
    pointer = "/" + "/".join(str(part) for part in error.absolute_path)
    return Problem(pointer, error.message[:200], _remedy(error))


def _remedy(error: ValidationError) -> str:
    rule, wanted = str(error.validator), error.validator_value
    if rule == "additionalProperties" and isinstance(error.schema, dict):
        known = sorted(error.schema.get("properties", {}))
        extra = sorted(set(error.instance) - set(known)) if isinstance(error.instance, dict) else []
        near = [match for key in extra for match in get_close_matches(str(key), known, n=1)]
        return f"did you mean {', '.join(near)}?" if near else f"remove it; known keys: {', '.join(known)}"
    remedies = {
        "required": "add the missing key",
        "type": f"write a value of type {wanted}",
        "enum": f"write one of {wanted}",
        "const": f"write {wanted!r}",
        "pattern": f"write a text that matches {wanted}",
    }
    return remedies.get(rule, "compare with the example in schemas/examples")


def validate(name: str, document: object) -> None:
    """Check a JSON document against a schema.

    Args:
        name: Schema name, such as ``dataset-manifest``.
        document: Parsed JSON.

    Raises:
        SchemaError: It does not validate; the message names the place (JSON pointer).
    """
    if fits(load(name), document):
        return
    if found := problems(name, document):
        first = found[0]
        hint = f"{len(found)} place(s) to mend; here: {first.remedy}"
        raise SchemaError(f"{name}: {first.pointer}: {first.message}", hint=hint)
