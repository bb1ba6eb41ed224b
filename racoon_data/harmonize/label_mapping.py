"""Segments to labels: codes first, names second, and a list of what fits none."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from racoon_data.errors import GridMismatchError, NoAnnotationError, SettingsError, UnknownLabelError
from racoon_data.geometry import SAME_GRID_MM, Geometry
from racoon_data.harmonize.codes import Key, code_key, name_keys
from racoon_data.harmonize.fuse import check_policy, fuse, paint
from racoon_data.harmonize.label_schema import PARTS, Demand, demands_of, load_schema, names_of, schema_from
from racoon_data.labels import Annotation, CodedConcept, Label, LabelMap, LabelSchema, Mask, Segment

__all__ = ["LabelMatch", "Mapped", "describe", "load_schema", "map_annotations", "match_segment", "schema_from"]


@dataclass(frozen=True, slots=True)
class LabelMatch:
    """What a segment turned out to be.

    Attributes:
        label: The label, or ``None`` where none (or more than one) fits.
        by: ``code``, ``name`` or ``meaning`` (the words beside a code), empty without a label.
        why: Why there is no label.
    """

    label: Label | None
    by: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Mapped:
    """Annotations of one image in the dataset's label language.

    Attributes:
        label_map: One label per voxel.
        unmapped: Segments that are not in it, as ``name (scheme:value)`` with a reason where it is
            not simply unknown; sorted, each once.
        readers: Who outlined anything on this image, sorted.
    """

    label_map: LabelMap
    unmapped: tuple[str, ...] = ()
    readers: tuple[str, ...] = ()


def describe(segment: Segment) -> str:
    """Name a segment for lists: ``name (scheme:value)``, or the name alone where it has no type."""
    name = " ".join(segment.name.split())[:64] or f"segment {segment.number}"
    return f"{name} ({segment.type.scheme}:{segment.type.value})" if segment.type else name


def match_segment(segment: Segment, schema: LabelSchema) -> LabelMatch:
    """Find the label a segment means.

    Codes decide where they can: the property type must be among the label's codes, and its modifier
    and region too where the label names any; the label that asks for most wins. Names come second:
    the segment's own, then the words beside its code; spelling, case and a trailing lesion counter
    (``GGO 2``) do not matter. Two labels that fit equally well are no match.
    """
    by_code = _by_code(segment, schema.labels)
    if len(by_code) == 1:
        return LabelMatch(by_code[0], by="code")
    if by_code:
        return LabelMatch(None, why=f"its code fits several labels: {_names(by_code)}")
    own = _by_name(segment.name, schema.labels)
    meaning = _by_meaning(segment.type, schema.labels)
    fitting = {label.name: label for label in (*own, *meaning)}
    if len(fitting) > 1:
        return LabelMatch(None, why=f"its names fit several labels: {_names(fitting.values())}")
    if not fitting:
        near = lacking(segment, schema)
        return LabelMatch(None, why=near[1] if near else "")
    return LabelMatch(next(iter(fitting.values())), by="name" if own else "meaning")


def map_annotations(
    annotations: Sequence[Annotation],
    schema: LabelSchema,
    *,
    geometry: Geometry,
    annotated: tuple[str, ...] = (),
    policy: str = "union",
) -> Mapped:
    """Bring every mask on an image into one label map.

    Several files of one reader are put together label by label (one lesion per file is common);
    then ``policy`` makes one of several readers.

    Args:
        annotations: What was read for one image; those without masks are passed over.
        schema: The label language.
        geometry: The image's grid; every mask must lie on it.
        annotated: Labels this site annotates, empty for all. A segment of another label is listed
            as unmapped and not drawn, because its absence elsewhere would mean nothing.
        policy: ``union``, ``majority`` or ``single:<reader>``.

    Raises:
        SettingsError: ``annotated`` or ``policy`` names something unknown.
        NoAnnotationError: There is no mask, or none of the single reader.
        UnknownLabelError: There are masks and not one of them is a label of the schema; an empty
            map would claim that nothing is there.
        GridMismatchError: A mask lies on another grid.
    """
    check_policy(policy)
    looked_for = _looked_for(schema, annotated)
    masked = [annotation for annotation in annotations if annotation.masks]
    if not masked:
        raise NoAnnotationError("no annotation of this image holds a mask", hint="allow cases without labels")
    outlined, unmapped, known = _sort(masked, schema, geometry=geometry, looked_for=looked_for)
    if not known:
        message = f"no segment is a label of {schema.name}: {'; '.join(sorted(unmapped))}"
        raise UnknownLabelError(message, hint="add its code or name to the label schema; see racoon labels check")
    readers = tuple(sorted({annotation.reader for annotation in masked}))
    fused = {label: fuse(by_reader, policy=policy, among=readers) for label, by_reader in outlined.items()}
    present = {label: mask for label, mask in fused.items() if mask is not None}
    array, overwritten = paint(present, geometry.array_shape)
    label_map = LabelMap(array, geometry, annotated=looked_for, overwritten=overwritten)
    return Mapped(label_map, tuple(sorted(unmapped)), readers)


def _sort(
    annotations: Iterable[Annotation], schema: LabelSchema, *, geometry: Geometry, looked_for: tuple[str, ...]
) -> tuple[dict[Label, dict[str, Mask]], set[str], bool]:
    """Put each mask under its label and reader; list the others; say whether any label was known."""
    outlined: dict[Label, dict[str, Mask]] = defaultdict(dict)
    unmapped: set[str] = set()
    known = False
    for annotation in annotations:
        _check_grid(annotation, geometry)
        for found in annotation.masks:
            match = match_segment(found.segment, schema)
            known = known or match.label is not None
            if match.label is None:
                unmapped.add(describe(found.segment) + (f": {match.why}" if match.why else ""))
            elif match.label.name not in looked_for:
                unmapped.add(f"{describe(found.segment)}: {match.label.name} is not annotated at this site")
            else:
                by_reader = outlined[match.label]
                before = by_reader.get(annotation.reader)
                by_reader[annotation.reader] = found.mask if before is None else np.logical_or(before, found.mask)
    return outlined, unmapped, known


def _check_grid(annotation: Annotation, geometry: Geometry) -> None:
    if annotation.geometry is None or not annotation.geometry.same_grid(geometry, tol_mm=SAME_GRID_MM):
        raise GridMismatchError(
            "a mask does not lie on its image grid",
            ref=annotation.source,
            hint="read the annotation onto the grid of the image it references",
        )


def _looked_for(schema: LabelSchema, annotated: tuple[str, ...]) -> tuple[str, ...]:
    names = tuple(label.name for label in schema.labels)
    if unknown := sorted(set(annotated) - set(names)):
        raise SettingsError(
            f"labels.annotated: {', '.join(unknown)} is no label of {schema.name}", hint=f"one of: {', '.join(names)}"
        )
    return tuple(name for name in names if name in annotated) if annotated else names


def _by_code(segment: Segment, labels: Iterable[Label]) -> list[Label]:
    fitting = [(label, rank) for label in labels if (rank := _code_rank(segment, label))]
    best = max((rank for _, rank in fitting), default=0)
    return [label for label, rank in fitting if rank == best]


def _code_rank(segment: Segment, label: Label) -> int:
    """Say how much of the segment's code the label's best 5-tuple asks for and finds; 0 where a part is missing.

    The category alone refuses nothing, for tools disagree about it; where everything else is equal it decides.
    """
    own = [code_key(getattr(segment, part)) for part in PARTS]
    return max((_rank(own, demand) for demand in demands_of(label)), default=0)


def _rank(own: Sequence[Key | None], demand: Demand) -> int:
    (category, *asked), (own_category, *found) = demand, own
    if any(want is not None and want != have for want, have in zip(asked, found, strict=True)):
        return 0
    named = sum(want is not None for want in asked)
    return 2 * named + (category is not None and category == own_category)


def lacking(segment: Segment, schema: LabelSchema) -> tuple[str, str] | None:
    """Say of a segment whose type is known which label comes nearest and what its code lacks for it.

    Returns:
        Label and reason; ``None`` where no label has this type.
    """
    kind = code_key(segment.type)
    own = [code_key(getattr(segment, part)) for part in PARTS]
    misses: list[tuple[int, str, str]] = []
    for label in schema.labels:
        for demand in demands_of(label):
            if kind is None or demand[1] != kind:
                continue
            wrong = [i for i in range(2, len(PARTS)) if demand[i] is not None and demand[i] != own[i]]
            if wrong:
                parts = " and ".join(PARTS[i].replace("_", " ") for i in wrong)
                misses.append((len(wrong), label.name, f"its type is one of {label.name}, its {parts} is not"))
    return min(misses)[1:] if misses else None


def _by_name(name: str, labels: Sequence[Label]) -> list[Label]:
    for key in name_keys(name):
        if fitting := [label for label in labels if key in names_of(label)]:
            return fitting
    return []


def _by_meaning(concept: CodedConcept | None, labels: Sequence[Label]) -> list[Label]:
    """Read the words beside a code, unless the code itself was known and a modifier or region failed it."""
    key = code_key(concept)
    if concept is None or (key and any(demand[1] == key for label in labels for demand in demands_of(label))):
        return []
    return _by_name(concept.meaning, labels)


def _names(labels: Iterable[Label]) -> str:
    return ", ".join(sorted(label.name for label in labels))
