"""Structured reports to findings and masks: one row per measurement or evaluation, tolerant per item."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from racoon_data.annotations.regions import Drawn, Region, draw_regions
from racoon_data.annotations.report_header import header_of, require_same_subject
from racoon_data.annotations.slice_names import SliceNames
from racoon_data.annotations.sr_walk import UNNAMED, Group, Walk
from racoon_data.dicom.headers import read_dataset
from racoon_data.errors import DanglingReferenceError, UnsupportedAnnotationError
from racoon_data.geometry import Geometry
from racoon_data.labels import Annotation, Finding, ItemIssue, Mask, Segment, SegmentMask
from racoon_data.policies import DEFAULT_POLICIES, ReadingPolicies
from racoon_data.ports import ALONE, Surroundings
from racoon_data.refs import InstanceRef, SeriesRef

# Basic Text, Enhanced, Comprehensive, Comprehensive 3D, Extensible; CAD of breast, chest and colon; echo.
_NUMBERS = (11, 22, 33, 34, 35, 50, 65, 69, 72)


@dataclass(slots=True)
class _Masks:
    masks: list[SegmentMask] = field(default_factory=list)
    issues: list[ItemIssue] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class SrReader:
    """Reads structured reports: numbers, coded and written evaluations are rows, regions are masks.

    TID 1500 is understood group by group; any other tree (Basic Text, Enhanced SR, a hospital's own) gives
    its measurements and sentences as rows.

    Attributes:
        policies: What nested regions mean.
        around: Frame numbers of the image's slices, and other series its regions may lie on.
    """

    policies: ReadingPolicies = DEFAULT_POLICIES
    around: Surroundings = ALONE
    sop_classes = frozenset(f"1.2.840.10008.5.1.4.1.1.88.{number}" for number in _NUMBERS)

    def under(self, policies: ReadingPolicies) -> Self:
        """Give a reader that follows these policies."""
        return replace(self, policies=policies)

    def amid(self, surroundings: Surroundings) -> Self:
        """Give a reader that knows frame numbers and the report's other series."""
        return replace(self, around=surroundings)

    def read(
        self,
        path: Path,
        *,
        source: InstanceRef,
        image: SeriesRef | None,
        geometry: Geometry | None,
        sop_uids: Sequence[str],
    ) -> Annotation:
        """Read the report's findings, and its regions onto the image grid.

        Args:
            path: The SR file.
            source: Its reference.
            image: The series it is about, ``None`` where that is not here.
            geometry: That series' grid; without one regions are issues and not drawn.
            sop_uids: SOPInstanceUID of every slice, in order of k.

        Raises:
            WrongPatientError: It is about another patient, or another study than the images.
            UnsupportedAnnotationError: It holds no measurement, evaluation, sentence or region.
        """
        report = read_dataset(path)
        require_same_subject(report, image)
        header = header_of(report)
        shared = Finding(
            source,
            UNNAMED,
            reader=header.observers.names,
            observer_type=header.observers.kinds,
            status=header.status,
            predecessors=header.predecessors,
        )
        walk = Walk(report)
        walk.run(shared)
        drawn = self._drawn(walk.groups, geometry, SliceNames(sop_uids, self.around.frame_numbers))
        if self.around.is_further:
            found = Annotation(source, "sr", image, geometry, tuple(drawn.masks), reader=header.observers.names)
            return replace(found, issues=tuple(drawn.issues))
        if not walk.findings and not drawn.masks and not drawn.issues:
            raise UnsupportedAnnotationError(
                "the report holds no measurement, evaluation, sentence or region", ref=source, hint="check its export"
            )
        notes = [*walk.notes(), *(f"replaces report {sop_uid}" for sop_uid in header.predecessors)]
        return Annotation(
            source,
            "sr",
            image,
            geometry if drawn.masks else None,
            tuple(drawn.masks),
            tuple(walk.findings),
            header.observers.names,
            tuple(notes),
            (*walk.all_issues(), *drawn.issues),
        )

    def _drawn(self, groups: Sequence[Group], geometry: Geometry | None, slices: SliceNames) -> _Masks:
        found = _Masks()
        for group in groups:
            regions = [one for one in group.regions if self._belongs_here(one, slices)]
            if geometry is None:
                what = "was not drawn: its image is not here or its series forms no volume"
                found.issues += [ItemIssue(one.item, DanglingReferenceError.code, what) for one in regions]
            elif regions:
                drawn = draw_regions(regions, geometry, slices, nesting=self.policies.nesting)
                found.issues += [ItemIssue(item, kind.code, message) for item, kind, message in drawn.issues]
                found.masks += _masks(group, drawn, len(found.masks))
        return found

    def _belongs_here(self, region: Region, slices: SliceNames) -> bool:
        """Tell whether a region is this series' matter; what is nobody's is the first series' issue."""
        if any(image.sop_uid in slices for image in region.images):
            return True
        return not self.around.is_further and not any(one.sop_uid in self.around.elsewhere for one in region.images)


def _masks(group: Group, drawn: Drawn, before: int) -> list[SegmentMask]:
    """Give a group's areas and its lines as segments of their own."""
    name = group.finding.tracking_id or (f"group {group.number}" if group.number else "report")
    parts: list[tuple[str, Mask]] = [(name, drawn.areas), (f"{name} (lines)", drawn.lines)]
    filled = [(label, mask) for label, mask in parts if mask.any()]
    return [
        SegmentMask(_segment(group.finding, before + place, label), mask)
        for place, (label, mask) in enumerate(filled, start=1)
    ]


def _segment(finding: Finding, number: int, name: str) -> Segment:
    return Segment(
        number,
        name,
        type=finding.finding,
        region=finding.site,
        region_modifier=finding.laterality,
        tracking_uid=finding.tracking_uid,
    )
