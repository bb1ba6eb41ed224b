"""Segments to labels: codes first, names second, and a list of what fits none."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from racoon_data.errors import GridMismatchError, NoAnnotationError, SettingsError, UnknownLabelError
from racoon_data.geometry import SAME_GRID_MM, Geometry
from racoon_data.harmonize.codes import Key, code_key, name_keys
from racoon_data.harmonize.fuse import SINGLE, Fused, check_policy, fuse, ignore, paint
from racoon_data.harmonize.label_schema import PARTS, Demand, demands_of, load_schema, names_of, schema_from
from racoon_data.labels import Annotation, CodedConcept, Label, LabelMap, LabelSchema, Mask, Segment

__all__ = [
    "LabelMatch",
    "MapRules",
    "Mapped",
    "describe",
    "load_schema",
    "map_annotations",
    "match_segment",
    "schema_from",
]


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


@dataclass(frozen=True, slots=True)
class MapRules:
    """How segments become one label map.

    Attributes:
        annotated: Labels this site annotates, empty for all. A segment of another label is listed as unmapped and not
            drawn, because its absence elsewhere would mean nothing.
        annotated_by: Labels a reader annotates, for readers who look for other labels than their site; a reader who
            does not look for a label has no vote on it.
        policy: Several readers to one; see ``fuse``.
        undecided: What readers leave open becomes ``outside`` or ``ignore``.
        unmapped: Segments of no label are listed, and drawn as background (``list``) or as ``ignore``; ``refuse``
            refuses the case.
        not_annotated: Voxels without a label, in a case where not every label was looked for, are ``background`` or
            ``ignore``.
    """

    annotated: tuple[str, ...] = ()
    annotated_by: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    policy: str = "union"
    undecided: str = "outside"
    unmapped: str = "list"
    not_annotated: str = "background"


_PLAIN = MapRules()


def map_annotations(
    annotations: Sequence[Annotation], schema: LabelSchema, *, geometry: Geometry, rules: MapRules = _PLAIN
) -> Mapped:
    """Bring every mask on an image into one label map.

    Several files of one reader are put together label by label (one lesion per file is common);
    then ``rules.policy`` makes one of several readers.

    Args:
        annotations: What was read for one image; those without masks are passed over.
        schema: The label language.
        geometry: The image's grid; every mask must lie on it.
        rules: What counts and who wins.

    Raises:
        SettingsError: The rules name something unknown.
        NoAnnotationError: There is no mask, or none of the single reader.
        UnknownLabelError: There are masks and not one of them is a label of the schema; an empty
            map would claim that nothing is there. Or one is none, and the rules refuse that.
        GridMismatchError: A mask lies on another grid.
    """
    check_policy(rules.policy)
    masked = [annotation for annotation in annotations if annotation.masks]
    if not masked:
        raise NoAnnotationError("no annotation of this image holds a mask", hint="allow cases without labels")
    readers = tuple(sorted({annotation.reader for annotation in masked}))
    looked_for = {reader: _looked_for_by(reader, schema, rules) for reader in readers}
    found = _sort(masked, schema, geometry=geometry, looked_for=looked_for)
    if not found.is_known or (rules.unmapped == "refuse" and found.strangers):
        what = "a segment is no" if found.is_known else "no segment is a"
        message = f"{what} label of {schema.name}: {'; '.join(sorted(found.unmapped))}"
        raise UnknownLabelError(message, hint="add its code or name to the label schema; see racoon labels check")
    label_map = _fused(found, schema, looked_for, rules=rules, geometry=geometry)
    return Mapped(label_map, tuple(sorted(found.unmapped)), readers)


def _fused(
    found: _Found,
    schema: LabelSchema,
    looked_for: Mapping[str, tuple[str, ...]],
    *,
    rules: MapRules,
    geometry: Geometry,
) -> LabelMap:
    fused: dict[Label, Fused] = {}
    for label, by_reader in found.outlined.items():
        among = [reader for reader, names in looked_for.items() if label.name in names]
        if (one := fuse(by_reader, policy=rules.policy, among=among)) is not None:
            fused[label] = one
    array, overwritten = paint({label: one.mask for label, one in fused.items()}, geometry.array_shape)
    if rules.undecided == "ignore":
        ignore(array, (one.undecided for one in fused.values() if one.undecided is not None))
    if rules.unmapped == "ignore":
        ignore(array, found.strangers)
    chosen = rules.policy.removeprefix(SINGLE) if rules.policy.startswith(SINGLE) else None
    counted = [names for reader, names in looked_for.items() if chosen in (None, reader)]
    names = tuple(label.name for label in schema.labels if any(label.name in own for own in counted))
    if rules.not_annotated == "ignore" and len(names) < len(schema.labels):
        ignore(array, [np.ones_like(array, dtype=np.bool_)])
    by_reader_names = tuple(looked_for.items()) if rules.annotated_by else ()
    return LabelMap(array, geometry, annotated=names, overwritten=overwritten, annotated_by=by_reader_names)


@dataclass(slots=True)
class _Found:
    """Masks by label and reader; what is no label, as words and as masks; whether any label was known."""

    outlined: dict[Label, dict[str, Mask]] = field(default_factory=lambda: defaultdict(dict))
    unmapped: set[str] = field(default_factory=set)
    strangers: list[Mask] = field(default_factory=list)
    is_known: bool = False


def _sort(
    annotations: Iterable[Annotation],
    schema: LabelSchema,
    *,
    geometry: Geometry,
    looked_for: Mapping[str, tuple[str, ...]],
) -> _Found:
    """Put each mask under its label and reader; list the others; say whether any label was known."""
    found = _Found()
    for annotation in annotations:
        _check_grid(annotation, geometry)
        for one in annotation.masks:
            match = match_segment(one.segment, schema)
            found.is_known = found.is_known or match.label is not None
            if match.label is None:
                found.unmapped.add(describe(one.segment) + (f": {match.why}" if match.why else ""))
                found.strangers.append(one.mask)
            elif match.label.name not in looked_for[annotation.reader]:
                found.unmapped.add(f"{describe(one.segment)}: {match.label.name} is not annotated at this site")
                found.strangers.append(one.mask)
            else:
                by_reader = found.outlined[match.label]
                before = by_reader.get(annotation.reader)
                by_reader[annotation.reader] = one.mask if before is None else np.logical_or(before, one.mask)
    return found


def _check_grid(annotation: Annotation, geometry: Geometry) -> None:
    if annotation.geometry is None or not annotation.geometry.same_grid(geometry, tol_mm=SAME_GRID_MM):
        raise GridMismatchError(
            "a mask does not lie on its image grid",
            ref=annotation.source,
            hint="read the annotation onto the grid of the image it references",
        )


def check_rules(schema: LabelSchema, rules: MapRules) -> None:
    """Refuse rules that name a label the schema does not have.

    Raises:
        SettingsError: It names the key and the label.
    """
    names = [label.name for label in schema.labels]
    lists = {"annotated": rules.annotated, **{f"readers.{who}": own for who, own in rules.annotated_by.items()}}
    for key, listed in lists.items():
        if unknown := sorted(set(listed) - set(names)):
            message = f"labels.{key}: {', '.join(unknown)} is no label of {schema.name}"
            raise SettingsError(message, hint=f"one of: {', '.join(names)}")


def _looked_for_by(reader: str, schema: LabelSchema, rules: MapRules) -> tuple[str, ...]:
    check_rules(schema, rules)
    own, site = rules.annotated_by.get(reader), rules.annotated
    names = (label.name for label in schema.labels)
    return tuple(name for name in names if (not site or name in site) and (own is None or name in own))


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
