"""Measurement reports (TID 1500) to findings, one row per measurement or evaluation, tolerant per item."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from racoon_data.annotations import content
from racoon_data.annotations.codes import concept_of, first
from racoon_data.annotations.content import Item
from racoon_data.dicom.headers import read_dataset, text_of
from racoon_data.errors import UnsupportedAnnotationError
from racoon_data.geometry import Geometry
from racoon_data.labels import Annotation, CodedConcept, Finding
from racoon_data.refs import InstanceRef, SeriesRef

UNNAMED = CodedConcept("", "", "")

_REGIONS = frozenset({"SCOORD", "SCOORD3D"})
_IDENTITY = (
    content.TRACKING_ID
    | content.TRACKING_UID
    | content.FINDING
    | content.CATEGORY
    | content.SITE
    | content.LATERALITY
    | content.TIME_POINT
    | content.METHOD
)
_NO_UNIT = frozenset({"", "N/A"})


@dataclass(slots=True)
class _Rows:
    """What a report has given so far."""

    findings: list[Finding] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)


class SrReader:
    """Reads measurement reports: every number and every coded or written evaluation becomes a finding.

    Basic Text and Enhanced SR without measurements are not read: they are refused, not guessed at.
    """

    sop_classes = frozenset(f"1.2.840.10008.5.1.4.1.1.88.{number}" for number in (11, 22, 33, 34, 35))

    def read(
        self,
        path: Path,
        *,
        source: InstanceRef,
        image: SeriesRef | None,
        geometry: Geometry | None,
        sop_uids: Sequence[str],
    ) -> Annotation:
        """Read the report's findings.

        Args:
            path: The SR file.
            source: Its reference.
            image: The series it is about, ``None`` where that is not here.
            geometry: Not needed; image regions are listed in the notes and not drawn.
            sop_uids: Not needed.

        Raises:
            UnsupportedAnnotationError: It holds no measurement and no evaluation.
        """
        report = read_dataset(path)
        reader = _reader(report)
        rows = _Rows()
        _walk(report, Finding(source, UNNAMED, reader=reader), rows, is_evaluated=False)
        if not rows.findings:
            raise UnsupportedAnnotationError(
                "the report holds no measurement and no coded evaluation",
                ref=source,
                hint="reports of plain text are not read; export measurements as TID 1500",
            )
        notes = tuple(f"{count} item(s): {what}" for what, count in sorted(rows.dropped.items()))
        return Annotation(source, "sr", image, findings=tuple(rows.findings), reader=reader, notes=notes)


def _reader(item: Item) -> str:
    return content.text_under(item, content.PERSON) or content.text_under(item, content.DEVICE)


def _walk(item: Item, context: Finding, rows: _Rows, *, is_evaluated: bool) -> None:
    """Go down the tree; ``context`` is the finding every row below starts from."""
    for child in content.children(item):
        kind = content.kind_of(child)
        if kind == "NUM":
            rows.findings.append(_measurement(child, context, rows))
            _walk(child, rows.findings[-1], rows, is_evaluated=False)
        elif kind == "CONTAINER":
            _enter(child, context, rows)
        elif kind in _REGIONS:
            rows.dropped[f"image region ({kind}) kept as a reference and not drawn"] += 1
        elif not content.is_context(child):
            _content(child, kind, context, rows, is_evaluated=is_evaluated)


def _enter(container: Item, context: Finding, rows: _Rows) -> None:
    if content.is_named(container, content.IMAGE_LIBRARY):
        return
    is_group = content.is_named(container, content.MEASUREMENT_GROUP)
    below = _identified(container, context) if is_group else context
    before = len(rows.findings)
    _walk(container, below, rows, is_evaluated=is_group or content.is_named(container, content.EVALUATIONS))
    if is_group and len(rows.findings) == before:
        rows.dropped["measurement group without a measurement or evaluation"] += 1


def _content(child: Item, kind: str, context: Finding, rows: _Rows, *, is_evaluated: bool) -> None:
    if content.is_named(child, _IDENTITY) or kind in ("IMAGE", "UIDREF"):
        return
    if is_evaluated and kind in ("CODE", "TEXT") and content.text_in(child):
        own = replace(_pointed(child, context), concept=content.name_of(child) or UNNAMED)
        rows.findings.append(replace(own, value=content.text_in(child), answer=content.code_in(child)))
    else:
        name = content.name_of(child)
        what = f"{name.scheme} {name.value}" if name else "unnamed"
        rows.dropped[f"{kind or 'item without value type'} ({what}) left out"] += 1


def _identified(group: Item, context: Finding) -> Finding:
    """Add to a finding what a measurement group says about all its rows."""
    site = content.child_named(group, content.SITE)
    side = content.code_under(site, content.LATERALITY) if site is not None else None
    found = replace(
        context,
        tracking_id=content.text_under(group, content.TRACKING_ID),
        tracking_uid=content.text_under(group, content.TRACKING_UID),
        finding=content.code_under(group, content.FINDING),
        site=content.code_in(site) if site is not None else None,
        laterality=side or content.code_under(group, content.LATERALITY),
        time_point=content.text_under(group, content.TIME_POINT) or context.time_point,
        method=content.code_under(group, content.METHOD),
        reader=_reader(group) or context.reader,
    )
    return _pointed(group, found)


def _pointed(item: Item, context: Finding) -> Finding:
    targets = list(dict.fromkeys(content.references(item)))
    if not targets:
        return context
    sops = dict.fromkeys((*context.referenced_sops, *(sop_uid for sop_uid, _ in targets)))
    segments = dict.fromkeys((*context.referenced_segments, *(target for target in targets if target[1])))
    return replace(context, referenced_sops=tuple(sops), referenced_segments=tuple(segments))


def _measurement(item: Item, context: Finding, rows: _Rows) -> Finding:
    measured = first(item, "MeasuredValueSequence")
    value = text_of(measured, "NumericValue") if measured is not None else ""
    if not value:
        rows.dropped["measurement without a value, kept with an empty one"] += 1
    site = content.child_named(item, content.SITE)
    finding = replace(
        _pointed(item, context),
        concept=content.name_of(item) or UNNAMED,
        value=value,
        unit=_unit(measured, rows),
        derivation=content.code_under(item, content.DERIVATION),
        method=content.code_under(item, content.METHOD) or context.method,
        answer=concept_of(item, "NumericValueQualifierCodeSequence"),
        tracking_id=context.tracking_id or content.text_under(item, content.TRACKING_ID),
        tracking_uid=context.tracking_uid or content.text_under(item, content.TRACKING_UID),
    )
    if site is None:
        return finding
    side = content.code_under(site, content.LATERALITY)
    return replace(finding, site=content.code_in(site) or finding.site, laterality=side or finding.laterality)


def _unit(measured: Item | None, rows: _Rows) -> str:
    unit = concept_of(measured, "MeasurementUnitsCodeSequence")
    if unit is None:
        return ""
    if unit.scheme != "UCUM":
        rows.dropped[f"unit under scheme {unit.scheme or 'none'} instead of UCUM, kept as written"] += 1
    return unit.meaning if unit.value in _NO_UNIT else unit.value
