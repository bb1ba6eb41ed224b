"""Which segments reach which label, by what, and what comes nearest where none is reached."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches

from racoon_data.harmonize.codes import name_key
from racoon_data.harmonize.label_mapping import describe, lacking, match_segment
from racoon_data.harmonize.label_schema import names_of
from racoon_data.labels import LabelSchema, Segment


@dataclass(frozen=True, slots=True)
class SeenSegment:
    """A segment somewhere: at which site, by which reader (both pseudonymous, empty where unknown), how often."""

    site: str
    reader: str
    segment: Segment
    count: int = 1


@dataclass(frozen=True, slots=True, order=True)
class SegmentRow:
    """One way of writing a segment, at one reader of one site.

    Attributes:
        site: The site, dataset or folder it comes from.
        reader: Pseudonymous annotator, empty where unknown.
        segment: ``name (scheme:value)``.
        label: The label it reaches, empty where none.
        by: ``code``, ``name`` or ``meaning``, empty without a label.
        nearest: Without a label, the one whose code or name is most alike, if any is.
        why: Why there is no label, where more is known than that none fits.
        count: How many segments are written so.
    """

    site: str
    reader: str
    segment: str
    label: str = ""
    by: str = ""
    nearest: str = ""
    why: str = ""
    count: int = 1

    def to_json(self) -> dict[str, object]:
        """Give the row as a JSON document."""
        return asdict(self)


def check_segments(segments: Iterable[SeenSegment], schema: LabelSchema) -> tuple[SegmentRow, ...]:
    """Try segments against a schema.

    Args:
        segments: What was seen at which site and reader.
        schema: The label language.

    Returns:
        One row per site, reader and spelling, sorted.
    """
    rows: Counter[SegmentRow] = Counter()
    for seen in segments:
        rows[_row(seen, schema)] += seen.count
    return tuple(sorted(replace(row, count=count) for row, count in rows.items()))


def never_reached(rows: Iterable[SegmentRow], schema: LabelSchema) -> dict[tuple[str, str], tuple[str, ...]]:
    """List for every site and reader the labels that none of its segments reaches.

    That may mean absent or not annotated; ``labels.annotated`` of the study file says which.
    """
    reached: dict[tuple[str, str], set[str]] = {}
    for row in rows:
        reached.setdefault((row.site, row.reader), set()).add(row.label)
    names = [label.name for label in schema.labels]
    return {key: tuple(name for name in names if name not in found) for key, found in reached.items()}


def nearest_label(segment: Segment, schema: LabelSchema) -> str:
    """Name the label that shares a segment's type, else the one spelled most like it or the words beside its code.

    Returns:
        The label's name; empty where nothing is alike.
    """
    if shared := lacking(segment, schema):
        return shared[0]
    owners = {key: label.name for label in schema.labels for key in sorted(names_of(label))}
    words = (segment.name, segment.type.meaning if segment.type else "")
    for key in (name_key(word) for word in words):
        if near := get_close_matches(key, owners, n=1, cutoff=0.5):
            return owners[near[0]]
    return ""


def _row(seen: SeenSegment, schema: LabelSchema) -> SegmentRow:
    segment = seen.segment
    match = match_segment(segment, schema)
    if match.label is not None:
        return SegmentRow(seen.site, seen.reader, describe(segment), match.label.name, match.by)
    near = nearest_label(segment, schema)
    return SegmentRow(seen.site, seen.reader, describe(segment), nearest=near, why=match.why)
