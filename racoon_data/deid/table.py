"""The standard's Table E.1-1 (PS3.15 2024e) and our own additions, read once from the package's data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from pydicom.datadict import tag_for_keyword

from racoon_data.deid.actions import Action, Decision

_OPTIONS = {
    "rtnLongFullDatesOpt": "full_dates",
    "rtnLongModifDatesOpt": "modified_dates",
    "cleanDescOpt": "clean_descriptors",
    "cleanStructContOpt": "clean_structured_content",
    "rtnPatCharsOpt": "patient_characteristics",
    "rtnDevIdOpt": "device_identity",
    "rtnInstIdOpt": "institution_identity",
    "rtnUIDsOpt": "uids",
    "cleanGraphOpt": "clean_graphics",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One attribute of the standard's table.

    Attributes:
        name: Attribute name.
        basic: Action of the Basic Profile, such as ``X/Z/D``.
        options: Option to ``K`` (keep) or ``C`` (clean).
    """

    name: str
    basic: str
    options: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ObjectKinds:
    """Which objects pass, and what their IODs demand.

    Attributes:
        sop_classes: SOPClassUID to kind of object.
        types: Kind to tag to attribute type (1 or 2); all others count as type 3.
        waits: Kind to why its pictures wait for a person or for a rule for their device.
    """

    sop_classes: Mapping[str, str]
    types: Mapping[str, Mapping[int, int]]
    waits: Mapping[str, str]


def _data(name: str) -> Any:
    return json.loads(files("racoon_data.deid").joinpath(name).read_text(encoding="utf-8"))


@cache
def standard_rows() -> Mapping[int, Row]:
    """Give every row that names a single tag (rows for groups are code: private, 50xx, 60xx)."""
    rows = {}
    for entry in _data("annex_e_2024e.json"):
        options = {ours: entry[theirs] for theirs, ours in _OPTIONS.items() if theirs in entry}
        if len(entry["id"]) == 8 and "x" not in entry["id"]:
            rows[int(entry["id"], 16)] = Row(entry["name"], entry["basicProfile"], MappingProxyType(options))
    return MappingProxyType(rows)


@cache
def own_rules() -> Mapping[int, Decision]:
    """Give our rules for what the table omits or leaves to the project."""
    return MappingProxyType(
        {
            int(entry["tag"], 16): Decision(Action(entry["action"]), entry["reason"], Action(entry["otherwise"]))
            for entry in _data("own_rules.json")
        }
    )


@cache
def object_kinds() -> ObjectKinds:
    """Give the kinds of objects that are supported."""
    document = _data("objects.json")
    types = {
        kind: MappingProxyType(
            {
                **{int(tag_for_keyword(keyword) or 0): 2 for keyword in lists["type_2"]},
                **{int(tag_for_keyword(keyword) or 0): 1 for keyword in lists["type_1"]},
            }
        )
        for kind, lists in document["kinds"].items()
    }
    waits = {kind: lists["waits"] for kind, lists in document["kinds"].items() if "waits" in lists}
    return ObjectKinds(MappingProxyType(document["sop_classes"]), MappingProxyType(types), MappingProxyType(waits))


@cache
def report_concepts() -> tuple[frozenset[str], frozenset[str]]:
    """Give the report concepts (``scheme code``) whose text stays, and those whose items go."""
    concepts = _data("objects.json")["sr_concepts"]
    return frozenset(concepts["keep_text"]), frozenset(concepts["remove"])


@cache
def vocabulary() -> frozenset[str]:
    """Give the words that may stay in a description, in lower case."""
    lines = files("racoon_data.deid").joinpath("vocabulary.txt").read_text(encoding="utf-8").splitlines()
    return frozenset(word for line in lines if not line.startswith("#") for word in line.split())
