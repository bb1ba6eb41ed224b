"""Where each value of a site's settings came from: the default, the file, the environment or an option."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from racoon_data import documents
from racoon_data.errors import SettingsError

PREFIX = "RACOON_"
_LEVEL = "__"
# What names a place where a secret lies; the secret itself is never read here, so it cannot be printed.
_SECRET_NAMES = ("_env", "_file")


@dataclass(frozen=True, slots=True)
class Value:
    """One value of the settings.

    Attributes:
        key: Its dotted name, such as ``site.workers``.
        value: What it is; for the name of a secret only whether something is there.
        origin: ``default``, ``file``, ``environment NAME`` or ``option``.
    """

    key: str
    value: Any
    origin: str


def overlaid(
    document: Mapping[str, Any], *, environment: Mapping[str, str], options: Iterable[str] = ()
) -> tuple[dict[str, Any], dict[str, str]]:
    """Lay environment and options over a settings file.

    ``RACOON_SITE__WORKERS=4`` is ``site.workers = 4``: table and key stand in capitals, two underscores between them,
    and one underscore for a hyphen. Values are written as in TOML; what is no TOML is a text.

    Args:
        document: The file.
        environment: Variables; those without two underscores are not settings.
        options: ``KEY=VALUE`` with dotted keys.

    Returns:
        The document, and the origin of each value that was laid over, by dotted key.

    Raises:
        SettingsError: An option is not ``KEY=VALUE``.
    """
    whole: dict[str, Any] = _copied(document)
    origins: dict[str, str] = {}
    for name in sorted(environment):
        if name.startswith(PREFIX) and _LEVEL in name:
            path = _path_of(whole, name.removeprefix(PREFIX).split(_LEVEL))
            _put(whole, path, _parsed(environment[name]), name)
            origins[".".join(path)] = f"environment {name}"
    for option in options:
        key, equals, text = option.partition("=")
        if not equals or not key.strip():
            raise SettingsError(f"--set {option!r} is not KEY=VALUE", hint="for instance site.workers=4")
        _put(whole, key.strip().split("."), _parsed(text), f"--set {key}")
        origins[key.strip()] = "option"
    return whole, origins


def _copied(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _copied(value) if isinstance(value, dict) else value for key, value in table.items()}


def _path_of(whole: Mapping[str, Any], words: list[str]) -> list[str]:
    """Spell the words of a variable as the file spells its keys."""
    path, here = [], whole
    for word in words:
        known = {str(key).upper().replace("-", "_"): str(key) for key in here}
        key = known.get(word.upper(), word.lower())
        path.append(key)
        inner = here.get(key)
        here = inner if isinstance(inner, dict) else {}
    return path


def _put(whole: dict[str, Any], path: list[str], value: Any, name: str) -> None:
    here = whole
    for key in path[:-1]:
        here = here.setdefault(key, {})
        if not isinstance(here, dict):
            raise SettingsError(f"{name}: {key} is no table", hint="racoon settings lists every key")
    here[path[-1]] = value


def _parsed(text: str) -> Any:
    try:
        return documents.parse_toml(f"value = {text}")["value"]
    except ValueError:
        return text


def values_of(settings: BaseModel, written: Mapping[str, Any], origins: Mapping[str, str]) -> tuple[Value, ...]:
    """List every value with its origin; of a secret's place only whether something is there.

    Args:
        settings: The settings as they hold.
        written: The document of the file.
        origins: What was laid over it.
    """
    document = settings.model_dump(mode="json")
    return tuple(Value(key, _shown(key, value), _origin(key, written, origins)) for key, value in _flat(document))


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{name}.")
        else:
            yield name, value


def _origin(key: str, written: Mapping[str, Any], origins: Mapping[str, str]) -> str:
    parts = key.split(".")
    for length in range(len(parts), 0, -1):
        if (named := ".".join(parts[:length])) in origins:
            return origins[named]
    here: Any = written
    for part in parts:
        if not isinstance(here, Mapping) or part not in here:
            return "default"
        here = here[part]
    return "file"


def _shown(key: str, value: Any) -> Any:
    if not value or not key.endswith(_SECRET_NAMES):
        return value
    if key.endswith("_env"):
        return f"${value} ({'set' if os.environ.get(str(value)) else 'not set'})"
    return f"{value} (its content is not shown)"
