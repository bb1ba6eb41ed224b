"""JSON and TOML that somebody gave us, read within bounds: size, depth, number of values, length of keys."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

MAX_JSON_CHARACTERS = 128 << 20
MAX_JSON_VALUES = 4_000_000
MAX_TOML_CHARACTERS = 1 << 20
_LONG_KEY = re.compile(r"""(?<![\w"'-])(?:[\w"'-]+[ \t]*\.[ \t]*){33}""")


def read_text(path: Path, *, most: int = MAX_JSON_CHARACTERS) -> str:
    """Read a text file of bounded size.

    Raises:
        ValueError: It is larger, or no UTF-8.
        OSError: It cannot be read.
    """
    with path.open("rb") as stream:
        raw = stream.read(most + 1)
    if len(raw) > most:
        raise ValueError(f"the file is larger than {most >> 20} MiB")
    return raw.decode("utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON file; see ``parse_json``.

    Raises:
        ValueError: It is no JSON, or beyond a bound.
        OSError: It cannot be read.
    """
    return parse_json(read_text(path))


def parse_json(text: str) -> Any:
    """Parse JSON of bounded size, number of values and depth (what the interpreter's stack bears).

    Raises:
        json.JSONDecodeError: It is no JSON, or beyond a bound.
        ValueError: A number has too many digits.
    """
    if len(text) > 1 << 20 and text.count(",") > MAX_JSON_VALUES:
        raise json.JSONDecodeError(f"more than {MAX_JSON_VALUES} values", "", 0)
    try:
        return json.loads(text)
    except RecursionError as error:
        raise json.JSONDecodeError("nested too deep", "", 0) from error


def parse_toml(text: str) -> dict[str, Any]:
    """Parse TOML of bounded size, depth and length of dotted keys, which cost the square of their parts.

    Raises:
        tomllib.TOMLDecodeError: It is no TOML, or beyond a bound.
    """
    if len(text) > MAX_TOML_CHARACTERS:
        raise tomllib.TOMLDecodeError(f"larger than {MAX_TOML_CHARACTERS >> 20} MiB")
    if _LONG_KEY.search(text):
        raise tomllib.TOMLDecodeError("a key of more than 32 parts")
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise tomllib.TOMLDecodeError("nested too deep") from error
    except tomllib.TOMLDecodeError:
        raise
    except ValueError as error:  # a number of thousands of digits
        raise tomllib.TOMLDecodeError("a number has too many digits") from error
