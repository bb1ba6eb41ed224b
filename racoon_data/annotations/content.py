"""The content tree of a structured report: names, values and children of its items, whatever is missing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import pydicom

from racoon_data.annotations.codes import concept_of, first, items
from racoon_data.dicom.headers import text_of, whole_of
from racoon_data.labels import CodedConcept

Item: TypeAlias = pydicom.Dataset
Key = tuple[str, str]

# Concepts of TID 1500 by role: SNOMED CT, the legacy SRT code of the same concept, DCM, UMLS.
MEASUREMENT_GROUP: frozenset[Key] = frozenset({("DCM", "125007")})
IMAGE_LIBRARY: frozenset[Key] = frozenset({("DCM", "111028")})
EVALUATIONS: frozenset[Key] = frozenset({("UMLS", "C0034375"), ("DCM", "C0034375")})
TRACKING_ID: frozenset[Key] = frozenset({("DCM", "112039")})
TRACKING_UID: frozenset[Key] = frozenset({("DCM", "112040")})
FINDING: frozenset[Key] = frozenset({("DCM", "121071")})
CATEGORY: frozenset[Key] = frozenset({("DCM", "276214006"), ("SCT", "276214006")})
SITE: frozenset[Key] = frozenset({("SCT", "363698007"), ("SRT", "G-C0E3")})
LATERALITY: frozenset[Key] = frozenset({("SCT", "272741003"), ("SRT", "G-C171")})
METHOD: frozenset[Key] = frozenset({("SCT", "370129005"), ("SRT", "G-C036")})
DERIVATION: frozenset[Key] = frozenset({("DCM", "121401")})
TIME_POINT: frozenset[Key] = frozenset({("UMLS", "C2348792")})
PERSON: frozenset[Key] = frozenset({("DCM", "121008")})
DEVICE: frozenset[Key] = frozenset({("DCM", "121013")})

_CONTEXT = frozenset({"HAS OBS CONTEXT", "HAS CONCEPT MOD", "HAS ACQ CONTEXT"})
_TEXTS = {
    "TEXT": "TextValue",
    "PNAME": "PersonName",
    "UIDREF": "UID",
    "DATE": "Date",
    "TIME": "Time",
    "DATETIME": "DateTime",
}


def children(item: Item) -> Iterator[Item]:
    """Go through the items directly below one."""
    return items(item, "ContentSequence")


def kind_of(item: Item) -> str:
    """Give the value type, such as ``NUM``."""
    return text_of(item, "ValueType")


def name_of(item: Item) -> CodedConcept | None:
    """Give the concept name, ``None`` where the item has none."""
    return concept_of(item, "ConceptNameCodeSequence")


def is_named(item: Item, keys: frozenset[Key]) -> bool:
    """Tell whether the item's name is one of these concepts."""
    name = name_of(item)
    return name is not None and name.key in keys


def is_context(item: Item) -> bool:
    """Tell whether the item describes its parent instead of being content of its own."""
    return text_of(item, "RelationshipType") in _CONTEXT


def code_in(item: Item) -> CodedConcept | None:
    """Give the value of a CODE item."""
    return concept_of(item, "ConceptCodeSequence")


def text_in(item: Item) -> str:
    """Give the value of a text, name, UID, date or time item; the meaning of a code."""
    kind = kind_of(item)
    if kind == "CODE":
        code = code_in(item)
        return code.meaning or code.value if code else ""
    return text_of(item, _TEXTS[kind]) if kind in _TEXTS else ""


def code_under(item: Item, keys: frozenset[Key]) -> CodedConcept | None:
    """Give the code of the first child with one of these names."""
    return next((code for child in children(item) if is_named(child, keys) and (code := code_in(child))), None)


def text_under(item: Item, keys: frozenset[Key]) -> str:
    """Give the text of the first child with one of these names."""
    return next((text for child in children(item) if is_named(child, keys) and (text := text_in(child))), "")


def child_named(item: Item, keys: frozenset[Key]) -> Item | None:
    """Give the first child with one of these names."""
    return next((child for child in children(item) if is_named(child, keys)), None)


def references(item: Item) -> Iterator[tuple[str, int]]:
    """Go through images and segments an item points at, regions' source images included.

    Yields:
        SOPInstanceUID and segment number, 0 where it means the whole image.
    """
    for child in children(item):
        if kind_of(child) in ("SCOORD", "NUM", "CODE"):
            yield from references(child)
        target = first(child, "ReferencedSOPSequence") if kind_of(child) == "IMAGE" else None
        if target is not None and (sop_uid := text_of(target, "ReferencedSOPInstanceUID")):
            yield sop_uid, whole_of(target, "ReferencedSegmentNumber")
