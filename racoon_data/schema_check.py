"""A quick yes to a JSON document that fits its schema; whatever else is for the full validator to say.

The full validator takes a tenth of a second to load. It is asked only where this one cannot say yes: because the
document does not fit, or because the schema has a rule that is not known here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

Schema = Mapping[str, Any]
_SILENT = frozenset(("$schema", "$id", "title", "description", "examples", "default", "$comment"))


def fits(schema: Schema, document: object) -> bool:
    """Tell whether a document surely fits; ``False`` says nothing yet.

    Args:
        schema: JSON Schema, draft 2020-12.
        document: Parsed JSON.
    """
    return all(
        name in _SILENT or (name in _RULES and _RULES[name](wanted, document, schema))
        for name, wanted in schema.items()
    )


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


_TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "number": _is_number,
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
}


def _type(wanted: Any, value: Any, schema: Schema) -> bool:
    names = [wanted] if isinstance(wanted, str) else wanted
    return any(name in _TYPES and _TYPES[name](value) for name in names)


def _is_same(one: Any, other: Any) -> bool:
    """Texts alone are compared here: true and 1, or 1 and 1.0, are a matter of their own."""
    return isinstance(one, str) and isinstance(other, str) and one == other


def _properties(wanted: Any, value: Any, schema: Schema) -> bool:
    return not isinstance(value, dict) or all(fits(wanted[key], value[key]) for key in wanted.keys() & value.keys())


def _additional(wanted: Any, value: Any, schema: Schema) -> bool:
    if not isinstance(value, dict):
        return True
    rest = value.keys() - schema.get("properties", {}).keys()
    if isinstance(wanted, bool):
        return wanted or not rest
    return all(fits(wanted, value[key]) for key in rest)


def _items(wanted: Any, value: Any, schema: Schema) -> bool:
    return not isinstance(value, list) or all(fits(wanted, one) for one in value)


def _for(kind: str, holds: Callable[[Any, Any], bool]) -> Callable[[Any, Any, Schema], bool]:
    """Make a rule that speaks about values of one type and lets others pass."""
    return lambda wanted, value, _: not _TYPES[kind](value) or holds(wanted, value)


_RULES: dict[str, Callable[[Any, Any, Schema], bool]] = {
    "type": _type,
    "const": lambda wanted, value, _: _is_same(wanted, value),
    "enum": lambda wanted, value, _: any(_is_same(one, value) for one in wanted),
    "properties": _properties,
    "additionalProperties": _additional,
    "items": _items,
    "required": _for("object", lambda wanted, value: all(key in value for key in wanted)),
    "minItems": _for("array", lambda wanted, value: len(value) >= wanted),
    "maxItems": _for("array", lambda wanted, value: len(value) <= wanted),
    "minLength": _for("string", lambda wanted, value: len(value) >= wanted),
    "pattern": _for("string", lambda wanted, value: re.search(wanted, value) is not None),
    "minimum": _for("number", lambda wanted, value: value >= wanted),
    "maximum": _for("number", lambda wanted, value: value <= wanted),
    "exclusiveMinimum": _for("number", lambda wanted, value: value > wanted),
    "exclusiveMaximum": _for("number", lambda wanted, value: value < wanted),
}
