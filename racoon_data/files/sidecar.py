"""JSON beside an image: what made it, always valid against its schema."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from racoon_data import __version__
from racoon_data.files.atomic import write_json
from racoon_data.schemas import validate

SCHEMA_VERSION = "1.0"
_PACKAGES = ("pydicom", "highdicom", "SimpleITK", "nibabel", "numpy", "isal")


@lru_cache(maxsize=1)
def _versions() -> tuple[tuple[str, str], ...]:
    seen = _installed()
    return (("racoon", __version__), *((package, seen[package]) for package in _PACKAGES if package in seen))


def _installed() -> dict[str, str]:
    """Read versions off the names of installed distributions: importlib.metadata takes longer to load than this."""
    wanted = {package.lower(): package for package in _PACKAGES}
    found: dict[str, str] = {}
    for folder in sys.path:
        with suppress(OSError):
            for path in sorted(Path(folder).glob("*.dist-info")):
                package, _, version = path.name.removesuffix(".dist-info").partition("-")
                if package.lower() in wanted:
                    found.setdefault(wanted[package.lower()], version)
    return found


def software() -> dict[str, str]:
    """List the versions that can change a result: racoon and the libraries that touch values."""
    return dict(_versions())


def write_sidecar(path: Path, facts: Mapping[str, object], *, schema: str) -> None:
    """Write a JSON document whole, valid and with the versions that made it.

    Args:
        path: Where to write.
        facts: JSON-ready values.
        schema: Name of the schema it has to fit.

    Raises:
        SchemaError: The document does not fit; nothing is written.
        DiskFullError: No space is left.
    """
    document = {"schema_version": SCHEMA_VERSION, **facts, "software": software()}
    validate(schema, document)
    write_json(path, document)
