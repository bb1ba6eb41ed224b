"""Plug-ins found by name through entry points: the four groups and no more."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

from racoon_data.errors import SettingsError

SOURCES = "racoon.sources"
ANNOTATION_READERS = "racoon.annotation_readers"
EXPORTERS = "racoon.exporters"
AGGREGATORS = "racoon.aggregators"
GROUPS = (SOURCES, ANNOTATION_READERS, EXPORTERS, AGGREGATORS)


def found(group: str) -> dict[str, EntryPoint]:
    """List the plug-ins of a group by name, without loading them."""
    return {entry.name: entry for entry in sorted(entry_points(group=group), key=lambda entry: entry.name)}


def load(group: str, name: str) -> Any:
    """Load one plug-in.

    Raises:
        SettingsError: The group has no plug-in of this name.
    """
    entries = found(group)
    if name not in entries:
        known = ", ".join(entries) or "none installed"
        raise SettingsError(f"no plug-in {name!r} in {group}", hint=f"known: {known}")
    return entries[name].load()
