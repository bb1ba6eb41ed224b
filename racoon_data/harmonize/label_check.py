"""Which segments reach which label, by what, and what comes nearest where none is reached."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches

from racoon_data.harmonize.codes import name_key
from racoon_data.harmonize.label_mapping import describe, match_segment
from racoon_data.harmonize.label_schema import names_of
from racoon_data.labels import LabelSchema, Segment


@dataclass(frozen=True, slots=True, order=True)
class SegmentRow:
    """One way of writing a segment, at one reader.

    Attributes:
        reader: Pseudonymous annotator, empty where unknown.
        segment: ``name (scheme:value)``.
        label: The label it reaches, empty where none.
        by: ``code``, ``name`` or ``meaning``, empty without a label.
        nearest: Without a label, the one whose name is most alike, if any is.
        why: Why there is no label, where more is known than that none fits.
        count: How many segments are written so.
    """

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


def check_segments(segments: Iterable[tuple[str, Segment]], schema: LabelSchema) -> tuple[SegmentRow, ...]:
    """Try segments against a schema.

    Args:
        segments: Reader and segment.
        schema: The label language.

    Returns:
        One row per reader and spelling, sorted.
    """
    rows = Counter(_row(reader, segment, schema) for reader, segment in segments)
    return tuple(sorted(replace(row, count=count) for row, count in rows.items()))


def nearest_label(segment: Segment, schema: LabelSchema) -> str:
    """Name the label that is spelled most like a segment or the words beside its code; empty if none is."""
    owners = {key: label.name for label in schema.labels for key in sorted(names_of(label))}
    words = (segment.name, segment.type.meaning if segment.type else "")
    for key in (name_key(word) for word in words):
        if near := get_close_matches(key, owners, n=1, cutoff=0.5):
            return owners[near[0]]
    return ""


def _row(reader: str, segment: Segment, schema: LabelSchema) -> SegmentRow:
    match = match_segment(segment, schema)
    if match.label is not None:
        return SegmentRow(reader, describe(segment), match.label.name, match.by)
    return SegmentRow(reader, describe(segment), nearest=nearest_label(segment, schema), why=match.why)
