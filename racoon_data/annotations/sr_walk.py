"""The walk over a report's content: one row per measurement or evaluation, regions by group, issues by item."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from racoon_data.annotations import content
from racoon_data.annotations.codes import is_private, is_retired
from racoon_data.annotations.content import Item
from racoon_data.annotations.regions import Region, complaint_about
from racoon_data.annotations.report_header import observers_of
from racoon_data.annotations.sr_values import Measured, measured_in
from racoon_data.dicom.headers import text_of, texts_of
from racoon_data.errors import (
    AnnotationError,
    BrokenItemError,
    EmptyItemError,
    UncodedItemError,
    UnsupportedAnnotationError,
)
from racoon_data.labels import CodedConcept, Finding, ItemIssue

UNNAMED = CodedConcept("", "", "")

_IDENTITY = (
    content.TRACKING_ID
    | content.TRACKING_UID
    | content.FINDING
    | content.CATEGORY
    | content.SITE
    | content.LATERALITY
    | content.METHOD
    | content.DERIVATION
    | frozenset().union(*content.TIME_POINTS)
)
# Context that describes a report or a group and is no row: who, how, and the words of a language.
_KNOWN_CONTEXT = (
    content.OBSERVER_TYPE
    | content.PERSON
    | content.DEVICE
    | content.DEVICE_UID
    | frozenset({("DCM", code) for code in ("121049", "121046", "121058", "121009", "121010", "121011")})
    | frozenset({("DCM", code) for code in ("121014", "121015", "121016", "121017", "121018", "121019", "121020")})
    | frozenset({("DCM", code) for code in ("121024", "121028", "121029", "121030", "121031", "121032", "121033")})
    | frozenset({("DCM", code) for code in ("111001", "111002", "111003", "126010", "126100", "112227", "111040")})
    | frozenset({("SCT", "106233006"), ("NCIt", "C67447"), ("NCIt", "C67447")})
)
_POINTERS = frozenset({"IMAGE", "COMPOSITE", "UIDREF"})


@dataclass(slots=True)
class Group:
    """A measurement group, or what stands outside any.

    Attributes:
        number: Position among the report's groups, 0 for what stands outside.
        finding: What its rows share.
        regions: Graphics drawn in it.
    """

    number: int
    finding: Finding
    regions: list[Region] = field(default_factory=list)


@dataclass(slots=True)
class Walk:
    """One walk over a report.

    Attributes:
        root: The report.
        findings: Rows, in order of content.
        groups: Groups that hold something, the report itself first.
        issues: What is wrong with single items.
        uncoded: Private codes and units that were kept, with how often they stand there.
        context: Context items of unknown meaning, with how often they stand there.
        library: Images the report's image library lists.
    """

    root: Item
    findings: list[Finding] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    issues: list[ItemIssue] = field(default_factory=list)
    uncoded: Counter[str] = field(default_factory=Counter)
    context: Counter[str] = field(default_factory=Counter)
    library: set[str] = field(default_factory=set)

    def run(self, shared: Finding) -> None:
        """Walk the report; every row starts from ``shared``."""
        self.groups.append(Group(0, shared))
        self._children(self.root, "1", self.groups[0], shared, is_group=False)

    def all_issues(self) -> tuple[ItemIssue, ...]:
        """Give the issues of items, and one for each private code or unit."""
        codes = [
            ItemIssue("report", UncodedItemError.code, f"{count} item(s) with {what}, kept as written")
            for what, count in sorted(self.uncoded.items())
        ]
        return (*self.issues, *codes)

    def notes(self) -> Iterator[str]:
        """Say what stands in the report and is no row."""
        for what, count in sorted(self.context.items()):
            yield f"{count} context item(s) ({what}) are not in the table"
        named = {sop_uid for row in self.findings for sop_uid in row.referenced_sops}
        if only := len(self.library - named):
            yield f"{only} image(s) are named in the image library alone and are no rows"

    def _issue(self, path: str, kind: type[AnnotationError], message: str) -> None:
        self.issues.append(ItemIssue(f"item {path}", kind.code, message))

    def _children(self, item: Item, path: str, group: Group, shared: Finding, *, is_group: bool) -> None:
        for position, child in enumerate(content.children(item), start=1):
            self._child(child, f"{path}.{position}", group, shared, is_group=is_group)

    def _child(self, item: Item, path: str, group: Group, shared: Finding, *, is_group: bool) -> None:
        kind = content.kind_of(item)
        if kind == "CONTAINER":
            self._container(item, path, group, shared, is_group=is_group)
        elif kind == "NUM" and text_of(item, "RelationshipType") != "HAS ACQ CONTEXT":
            self._number(item, path, group, shared)
        elif kind in content.REGIONS:
            self._region(item, path, group)
        elif kind in content.TEXTUAL | {"CODE", "NUM"}:
            self._words(item, path, group, shared, is_group=is_group)
        elif not kind and texts_of(item, "ReferencedContentItemIdentifier"):
            return  # points at an item that is read where it stands
        elif kind not in _POINTERS:
            name = content.name_of(item)
            what = f"{kind or 'item without value type'} ({_spelled(name)})"
            self._issue(path, UnsupportedAnnotationError, f"{what} was left out")

    def _container(self, item: Item, path: str, group: Group, shared: Finding, *, is_group: bool) -> None:
        if content.is_named(item, content.IMAGE_LIBRARY):
            self.library.update(content.images_below(item))
            return
        observers = observers_of(item)
        if observers.names:
            shared = replace(shared, reader=observers.names, observer_type=observers.kinds)
        if not content.is_named(item, content.MEASUREMENT_GROUP):
            is_evaluated = is_group or content.is_named(item, content.EVALUATIONS)
            self._children(item, path, group, shared, is_group=is_evaluated)
            return
        self._count_identity(item, path)
        before = len(self.findings)
        number = sum(one.number > 0 for one in self.groups) + 1
        inner = Group(number, self._identified(item, shared))
        self.groups.append(inner)
        self._children(item, path, inner, inner.finding, is_group=True)
        if len(self.findings) == before and not inner.regions:
            self._issue(path, EmptyItemError, "measurement group without a measurement, evaluation or region")

    def _count_identity(self, group: Item, path: str) -> None:
        for what, keys in (("findings", content.FINDING), ("finding sites", content.SITE)):
            named = [child for child in content.children(group) if content.is_named(child, keys)]
            if (count := sum(content.code_in(child) is not None for child in named)) > 1:
                self._issue(path, BrokenItemError, f"names {count} {what}; its rows hold the first")

    def _identified(self, group: Item, shared: Finding) -> Finding:
        """Add what a measurement group says about all its rows."""
        site = content.child_named(group, content.SITE)
        side = content.code_under(site, content.LATERALITY) if site is not None else None
        points = (content.text_under(group, keys) for keys in content.TIME_POINTS)
        found = replace(
            shared,
            tracking_id=content.text_under(group, content.TRACKING_ID),
            tracking_uid=content.text_under(group, content.TRACKING_UID),
            finding=self._known(content.code_under(group, content.FINDING)),
            site=self._known(content.code_in(site)) if site is not None else None,
            laterality=self._known(side or content.code_under(group, content.LATERALITY)),
            time_point=next(filter(None, points), shared.time_point),
            method=self._known(content.code_under(group, content.METHOD)),
            group_kind=_kind_of_group(group),
        )
        return self._pointed(group, found)

    def _pointed(self, item: Item, shared: Finding) -> Finding:
        targets = list(dict.fromkeys(content.references(item, self.root)))
        drawn = (content.resolved(child, self.root) for child in content.children(item))
        regions = [f"{content.kind_of(one)} {text_of(one, 'GraphicType')}" for one in drawn if _is_region(one)]
        sops = dict.fromkeys((*shared.referenced_sops, *(sop_uid for sop_uid, _ in targets)))
        segments = dict.fromkeys((*shared.referenced_segments, *(target for target in targets if target[1])))
        region = "; ".join(dict.fromkeys((*filter(None, shared.region.split("; ")), *regions)))
        return replace(shared, referenced_sops=tuple(sops), referenced_segments=tuple(segments), region=region)

    def _number(self, item: Item, path: str, group: Group, shared: Finding) -> None:
        measured = measured_in(item)
        for complaint in measured.complaints:
            self._issue(path, BrokenItemError, complaint)
        if measured.foreign_unit:
            self.uncoded[f"unit {measured.foreign_unit}"] += 1
        row = self._measurement(item, path, shared, measured)
        self.findings.append(row)
        for position, child in enumerate(content.children(item), start=1):
            place = f"{path}.{position}"
            relation = text_of(child, "RelationshipType")
            if content.kind_of(child) in ("CODE", "TEXT") and relation in ("HAS PROPERTIES", "CONTAINS"):
                if not content.is_named(child, _IDENTITY):
                    self._row(
                        child, place, replace(row, value="", unit="", derivation=None, answer=None, about=row.concept)
                    )
            else:
                self._child(child, place, group, row, is_group=False)

    def _measurement(self, item: Item, path: str, shared: Finding, measured: Measured) -> Finding:
        site = content.child_named(item, content.SITE)
        finding = replace(
            self._pointed(item, shared),
            concept=self._named(item, path),
            value=measured.value,
            unit=measured.unit,
            derivation=self._known(content.code_under(item, content.DERIVATION)),
            method=self._known(content.code_under(item, content.METHOD)) or shared.method,
            answer=measured.qualifier,
            about=None,
            tracking_id=shared.tracking_id or content.text_under(item, content.TRACKING_ID),
            tracking_uid=shared.tracking_uid or content.text_under(item, content.TRACKING_UID),
            laterality=self._known(content.code_under(item, content.LATERALITY)) or shared.laterality,
            group_kind=shared.group_kind or "report",
        )
        if site is None:
            return finding
        side = self._known(content.code_under(site, content.LATERALITY))
        own = self._known(content.code_in(site))
        return replace(finding, site=own or finding.site, laterality=side or finding.laterality)

    def _words(self, item: Item, path: str, group: Group, shared: Finding, *, is_group: bool) -> None:
        """Read a code or text: an evaluation in a group, a sentence outside; context describes its parent."""
        kind = content.kind_of(item)
        is_words = kind in ("CODE", "TEXT")
        is_sentence = kind == "TEXT" and content.is_named(item, content.FINDING)
        if is_group and content.is_named(item, _IDENTITY) and not is_sentence:
            return
        if content.is_context(item) or (is_group and not is_words):
            if not content.is_named(item, _KNOWN_CONTEXT | _IDENTITY) and kind != "UIDREF":
                self.context[_spelled(content.name_of(item))] += 1
            return
        if kind != "UIDREF":
            kept = shared if is_group else replace(shared, group_kind=shared.group_kind or "text")
            self._row(item, path, kept)
            self._children(item, path, group, kept, is_group=False)

    def _row(self, item: Item, path: str, shared: Finding) -> None:
        value = content.text_in(item)
        if not value:
            self._issue(path, BrokenItemError, f"{content.kind_of(item)} without a value, kept with an empty one")
        answer = self._known(content.code_in(item)) if content.kind_of(item) == "CODE" else None
        own = replace(self._pointed(item, shared), concept=self._named(item, path), value=value, answer=answer)
        self.findings.append(own)

    def _region(self, item: Item, path: str, group: Group) -> None:
        kind, graphic = content.kind_of(item), text_of(item, "GraphicType")
        dimensions = 2 if kind == "SCOORD" else 3
        try:
            points = np.array([float(text) for text in texts_of(item, "GraphicData")], dtype=np.float64)
        except ValueError:
            points = np.array([np.nan])
        if complaint := complaint_about(graphic, points, dimensions=dimensions):
            self._issue(path, BrokenItemError, f"{kind} {complaint} and was not drawn")
            return
        images, frame = content.source_images(item, self.root), text_of(item, "ReferencedFrameOfReferenceUID")
        group.regions.append(Region(f"item {path}", kind, graphic, points.reshape(-1, dimensions), images, frame))

    def _named(self, item: Item, path: str) -> CodedConcept:
        name = content.name_of(item)
        if name is None:
            self._issue(path, UncodedItemError, f"{content.kind_of(item)} without a concept name, kept without one")
            return UNNAMED
        return self._known(name) or UNNAMED

    def _known(self, code: CodedConcept | None) -> CodedConcept | None:
        if code is not None and (is_private(code) or is_retired(code)):
            what = " without a successor in SCT" if is_retired(code) else ""
            self.uncoded[f"code {code.value or '(none)'} of scheme {code.scheme or '(none)'}{what}"] += 1
        return code


def _is_region(item: Item) -> bool:
    return content.kind_of(item) in content.REGIONS


def _spelled(name: CodedConcept | None) -> str:
    return f"{name.scheme} {name.value}" if name else "unnamed"


def _kind_of_group(group: Item) -> str:
    """Tell which of the three groups of TID 1500 it is: on images, planar or volumetric regions."""
    surfaces = content.VOLUME_SURFACE | content.REFERENCED_SEGMENT
    below = list(content.children(group))
    if any(content.is_named(child, surfaces) for child in below):
        return "volumetric"
    if any(content.is_named(child, content.REFERENCED_SEGMENT_FRAME) or _is_region(child) for child in below):
        return "planar"
    return "image"
