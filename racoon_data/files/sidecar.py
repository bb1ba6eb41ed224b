"""JSON beside an image: what made it, always valid against its schema."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from racoon_data import __version__
from racoon_data.files.atomic import write_json
from racoon_data.schemas import validate

SCHEMA_VERSION = "1.0"
_PACKAGES = ("pydicom", "highdicom", "SimpleITK", "nibabel", "numpy", "isal")


@lru_cache(maxsize=1)
def _versions() -> tuple[tuple[str, str], ...]:
    found = [("racoon", __version__)]
    for package in _PACKAGES:
        try:
            found.append((package, version(package)))
        except PackageNotFoundError:
            continue
    return tuple(found)


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
