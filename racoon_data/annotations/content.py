"""The content tree of a structured report: names, values and children of its items, whatever is missing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import pydicom

from racoon_data.annotations.codes import concept_of, first, items, modern, source_image
from racoon_data.annotations.slice_names import SourceImage
from racoon_data.dicom.headers import text_of, texts_of, whole_of
from racoon_data.labels import CodedConcept

Item: TypeAlias = pydicom.Dataset
Key = tuple[str, str]

# Concepts of TID 1500 by role, SNOMED codes as SNOMED CT (older reports write SRT, which names are turned from).
MEASUREMENT_GROUP: frozenset[Key] = frozenset({("DCM", "125007")})
IMAGE_LIBRARY: frozenset[Key] = frozenset({("DCM", "111028")})
EVALUATIONS: frozenset[Key] = frozenset({("UMLS", "C0034375"), ("DCM", "C0034375")})
TRACKING_ID: frozenset[Key] = frozenset({("DCM", "112039")})
TRACKING_UID: frozenset[Key] = frozenset({("DCM", "112040")})
FINDING: frozenset[Key] = frozenset({("DCM", "121071")})
CATEGORY: frozenset[Key] = frozenset({("DCM", "276214006"), ("SCT", "276214006")})
SITE: frozenset[Key] = frozenset({("SCT", "363698007")})
LATERALITY: frozenset[Key] = frozenset({("SCT", "272741003")})
METHOD: frozenset[Key] = frozenset({("SCT", "370129005")})
DERIVATION: frozenset[Key] = frozenset({("DCM", "121401")})
# Time point; protocol and subject time point identifiers stand in where it is absent.
TIME_POINTS: tuple[frozenset[Key], ...] = (
    frozenset({("UMLS", "C2348792")}),
    frozenset({("DCM", "126071")}),
    frozenset({("DCM", "126070")}),
)
OBSERVER_TYPE: frozenset[Key] = frozenset({("DCM", "121005")})
PERSON: frozenset[Key] = frozenset({("DCM", "121008")})
DEVICE: frozenset[Key] = frozenset({("DCM", "121013")})
DEVICE_UID: frozenset[Key] = frozenset({("DCM", "121012")})
SUBJECT_ID: frozenset[Key] = frozenset({("DCM", "121030")})
SUBJECT_CLASS: frozenset[Key] = frozenset({("DCM", "121024")})
REFERENCED_SEGMENT: frozenset[Key] = frozenset({("DCM", "121191")})
REFERENCED_SEGMENT_FRAME: frozenset[Key] = frozenset({("DCM", "121214")})
VOLUME_SURFACE: frozenset[Key] = frozenset({("DCM", "121231")})
IMAGE_REGION: frozenset[Key] = frozenset({("DCM", "111030")})

_CONTEXT = frozenset({"HAS OBS CONTEXT", "HAS CONCEPT MOD", "HAS ACQ CONTEXT"})
_TEXTS = {
    "TEXT": "TextValue",
    "PNAME": "PersonName",
    "UIDREF": "UID",
    "DATE": "Date",
    "TIME": "Time",
    "DATETIME": "DateTime",
}
TEXTUAL = frozenset(_TEXTS)
REGIONS = frozenset({"SCOORD", "SCOORD3D"})
_POINTERS = frozenset({"IMAGE", "COMPOSITE", "WAVEFORM"})


def children(item: Item) -> Iterator[Item]:
    """Go through the items directly below one."""
    return items(item, "ContentSequence")


def kind_of(item: Item) -> str:
    """Give the value type, such as ``NUM``."""
    return text_of(item, "ValueType")


def name_of(item: Item) -> CodedConcept | None:
    """Give the concept name under its current scheme, ``None`` where the item has none."""
    name = concept_of(item, "ConceptNameCodeSequence")
    return modern(name) if name else None


def is_named(item: Item, keys: frozenset[Key]) -> bool:
    """Tell whether the item's name is one of these concepts."""
    name = name_of(item)
    return name is not None and name.key in keys


def is_context(item: Item) -> bool:
    """Tell whether the item describes its parent instead of being content of its own."""
    return text_of(item, "RelationshipType") in _CONTEXT


def code_in(item: Item) -> CodedConcept | None:
    """Give the value of a CODE item under its current scheme."""
    code = concept_of(item, "ConceptCodeSequence")
    return modern(code) if code else None


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


def texts_under(item: Item, keys: frozenset[Key]) -> tuple[str, ...]:
    """Give the texts of all children with one of these names."""
    return tuple(text for child in children(item) if is_named(child, keys) and (text := text_in(child)))


def resolved(item: Item, root: Item) -> Item:
    """Follow an item that only points at another one (by-reference relationship); itself where it does not.

    ReferencedContentItemIdentifier counts from 1 at the root; a path that leads nowhere gives the item back.
    """
    path = texts_of(item, "ReferencedContentItemIdentifier")
    if kind_of(item) or not path or not all(step.isdigit() for step in path):
        return item
    found = root
    for step in path[1:]:
        below = list(children(found))
        if not 0 < int(step) <= len(below):
            return item
        found = below[int(step) - 1]
    return found


def references(item: Item, root: Item) -> Iterator[tuple[str, int]]:
    """Go through images and segments an item points at, regions' source images included.

    Yields:
        SOPInstanceUID and segment number, 0 where it means the whole image.
    """
    for child in children(item):
        target = resolved(child, root)
        kind = kind_of(target)
        if kind in ("SCOORD", "SCOORD3D", "NUM", "CODE") and (target is child or kind in REGIONS):
            # what was followed once is not followed further: items may point at each other in a circle
            yield from references(target, root if target is child else pydicom.Dataset())
        pointed = first(target, "ReferencedSOPSequence") if kind in _POINTERS else None
        if pointed is not None and (sop_uid := text_of(pointed, "ReferencedSOPInstanceUID")):
            yield sop_uid, whole_of(pointed, "ReferencedSegmentNumber")


def source_images(region: Item, root: Item) -> tuple[SourceImage, ...]:
    """Give the images a region was drawn on, with the frames it names."""
    found = dict.fromkeys(
        source_image(pointed)
        for child in children(region)
        if kind_of(target := resolved(child, root)) in _POINTERS
        and (pointed := first(target, "ReferencedSOPSequence")) is not None
    )
    return tuple(image for image in found if image.sop_uid)


def images_below(item: Item) -> Iterator[str]:
    """Go through the SOPInstanceUIDs of the images an item holds, at any depth (files nest at most so deep)."""
    for child in children(item):
        pointed = first(child, "ReferencedSOPSequence") if kind_of(child) in _POINTERS else None
        if pointed is not None and (sop_uid := text_of(pointed, "ReferencedSOPInstanceUID")):
            yield sop_uid
        yield from images_below(child)
