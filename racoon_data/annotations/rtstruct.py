"""RT Structure Sets to masks on the image grid."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import numpy as np
import pydicom

from racoon_data.annotations import contour_items as found
from racoon_data.annotations import contours
from racoon_data.annotations.codes import concept_of, first, items
from racoon_data.annotations.interpolation import fill_gaps
from racoon_data.annotations.open_contours import open_rows, with_open
from racoon_data.dicom.headers import read_dataset, text_of, whole_of
from racoon_data.errors import (
    AnnotationError,
    BrokenItemError,
    DanglingReferenceError,
    EmptyItemError,
    GridMismatchError,
    OutsideImageError,
)
from racoon_data.geometry import Geometry
from racoon_data.labels import Annotation, Finding, ItemIssue, Mask, Segment, SegmentMask
from racoon_data.policies import DEFAULT_POLICIES, OpenContours, ReadingPolicies
from racoon_data.refs import InstanceRef, SeriesRef

_CODES: dict[str, type[AnnotationError]] = {
    found.BROKEN: BrokenItemError,
    found.TOO_FEW: BrokenItemError,
    found.MISCOUNTED: BrokenItemError,
    found.COMMAS: BrokenItemError,
    found.UNKNOWN: BrokenItemError,
    found.ELSEWHERE: DanglingReferenceError,
    found.DANGLING: DanglingReferenceError,
    found.OPENED: EmptyItemError,
    contours.OBLIQUE: GridMismatchError,
    contours.FARTHER: GridMismatchError,
    contours.OUTSIDE: OutsideImageError,
    contours.BEYOND_EDGE: OutsideImageError,
}
# What costs a part of an outline that belongs on this image: the labels are not whole without it.
_LOSSES = frozenset({found.BROKEN, found.UNKNOWN, found.DANGLING, contours.OBLIQUE})


@dataclass(slots=True)
class _Result:
    """What a structure set has given so far."""

    masks: list[SegmentMask] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    issues: list[ItemIssue] = field(default_factory=list)
    kept: int = 0
    elsewhere: int = 0
    other_frames: int = 0


@dataclass(frozen=True, slots=True)
class RtstructReader:
    """Reads RT Structure Sets: every ROI with closed contours becomes one mask.

    Attributes:
        policies: What nested contours, open contours and slices without a contour mean.
    """

    policies: ReadingPolicies = DEFAULT_POLICIES
    sop_classes = frozenset({"1.2.840.10008.5.1.4.1.1.481.3"})

    def under(self, policies: ReadingPolicies) -> Self:
        """Give a reader that follows these policies."""
        return replace(self, policies=policies)

    def read(
        self,
        path: Path,
        *,
        source: InstanceRef,
        image: SeriesRef | None,
        geometry: Geometry | None,
        sop_uids: Sequence[str],
    ) -> Annotation:
        """Draw every ROI on the image grid.

        Args:
            path: The RTSTRUCT file.
            source: Its reference.
            image: The series it is to lie on.
            geometry: That series' grid.
            sop_uids: SOPInstanceUID of every slice.

        Raises:
            DanglingReferenceError: There is no image, or every contour was drawn on another series.
            GridMismatchError: Every ROI names another frame of reference.
            AnnotationError: No ROI covers a single voxel and none holds a point or an open line.
        """
        if geometry is None:
            raise DanglingReferenceError("the structure set has no image here", ref=source, hint="retrieve its series")
        dataset = read_dataset(path)
        observed = _observations(dataset)
        reader = next((name for item in observed.values() if (name := text_of(item, "ROIInterpreter"))), "")
        result = _Result()
        rois = _rois(dataset, result)
        drawn = _contour_items(dataset)
        images = found.ContourImages()
        named = frozenset[str]().union(*(images.of(contour) for one in drawn.values() for contour in one))
        place = found.place_of(dataset, named, frozenset(sop_uids), image)
        others = found.other_frames(dataset, image)
        for number in sorted({*rois, *drawn}):
            segment = _segment(rois.get(number), observed.get(number), number)
            if _is_there(rois.get(number), number, (geometry, others), result):
                lines = found.drawn_in(drawn.get(number, ()), images, place)
                result.findings += open_rows(lines.open, segment, source=source, reader=reader)
                self._draw(lines, segment, geometry, result)
        if not result.masks and not result.findings:
            raise _refusal(result, source)
        masks, findings, notes = tuple(result.masks), tuple(result.findings), tuple(result.notes)
        return Annotation(source, "rtstruct", image, geometry, masks, findings, reader, notes, tuple(result.issues))

    def _draw(self, lines: found.Drawn, segment: Segment, geometry: Geometry, result: _Result) -> None:
        mask, placed = contours.draw(lines.closed, geometry, nesting=self.policies.nesting)
        result.kept += len(lines.closed) + len(lines.open)
        result.elsewhere += lines.counts[found.ELSEWHERE]
        item = f"ROI {segment.number}"
        if lines.open and self.policies.open_contours is OpenContours.MASKS:
            mask, missed = with_open(lines.open, geometry, mask)
            result.notes.append(f"{item}: points and open lines were drawn as the voxels they touch, as asked")
            placed[contours.OUTSIDE] += missed
        _record(item, lines.counts + placed, result)
        _gaps(item, mask.piece, geometry, result, most=self.policies.fill_gaps)
        if mask.piece.any():
            result.masks.append(SegmentMask(segment, mask))
        elif lines.closed or not (lines.open or lines.counts[found.ELSEWHERE]):
            result.issues.append(ItemIssue(item, EmptyItemError.code, "covers no voxel of the image"))


def _rois(dataset: pydicom.Dataset, result: _Result) -> dict[int, pydicom.Dataset]:
    """Collect the ROI definitions by number; the first of two with one number stands."""
    rois: dict[int, pydicom.Dataset] = {}
    for item in items(dataset, "StructureSetROISequence"):
        number = whole_of(item, "ROINumber")
        if number in rois:
            message = "is defined twice; the first definition was used for all its contours"
            result.issues.append(ItemIssue(f"ROI {number}", BrokenItemError.code, message))
        rois.setdefault(number, item)
    return rois


def _contour_items(dataset: pydicom.Dataset) -> dict[int, list[pydicom.Dataset]]:
    """Collect the contour items by ROI number; an ROI split over several items is one ROI."""
    drawn: dict[int, list[pydicom.Dataset]] = {}
    for roi in items(dataset, "ROIContourSequence"):
        drawn.setdefault(whole_of(roi, "ReferencedROINumber"), []).extend(items(roi, "ContourSequence"))
    return drawn


def _is_there(
    roi: pydicom.Dataset | None, number: int, frames: tuple[Geometry, frozenset[str]], result: _Result
) -> bool:
    """Tell whether an ROI may lie on the image, and say where its definition is absent.

    One in the frame of reference of another series the file lists is that series' matter; one in a frame
    that belongs to no series is lost.
    """
    geometry, others = frames
    if roi is None:
        message = "has contours and no definition; it was named by its number"
        result.issues.append(ItemIssue(f"ROI {number}", DanglingReferenceError.code, message))
        return True
    named = text_of(roi, "ReferencedFrameOfReferenceUID")
    if len({named, geometry.frame_of_reference or ""} - {""}) < 2:
        return True
    result.other_frames += 1
    message = "names another frame of reference than the image and was left out"
    is_lost = named not in others
    result.issues.append(ItemIssue(f"ROI {number}", GridMismatchError.code, message, is_left_out=is_lost))
    return False


def _record(item: str, counts: Counter[str], result: _Result) -> None:
    """Tell what was repaired, decided or left out: an issue where it has a code, else a note."""
    for what, count in sorted(counts.items()):
        message = f"{count} contour(s) {what}"
        if what in _CODES:
            result.issues.append(ItemIssue(item, _CODES[what].code, message, is_left_out=what in _LOSSES))
        else:
            result.notes.append(f"{item}: {message}")


def _gaps(item: str, mask: Mask, geometry: Geometry, result: _Result, *, most: int) -> None:
    if most:
        filled, left = fill_gaps(mask, geometry, most=most)
        if filled:
            result.notes.append(f"{item}: {filled} slice(s) without a contour were interpolated, as asked")
    else:
        slices = np.flatnonzero(mask.any(axis=(1, 2)))
        left = int(slices[-1] - slices[0] + 1 - slices.size) if slices.size else 0
    if left:
        result.notes.append(f"{item}: {left} slice(s) between its contours carry none and were left empty")


def _observations(dataset: pydicom.Dataset) -> dict[int, pydicom.Dataset]:
    """Collect the first observation of each ROI by its number."""
    observed: dict[int, pydicom.Dataset] = {}
    for item in items(dataset, "RTROIObservationsSequence"):
        observed.setdefault(whole_of(item, "ReferencedROINumber"), item)
    return observed


def _segment(roi: pydicom.Dataset | None, observation: pydicom.Dataset | None, number: int) -> Segment:
    roi = roi if roi is not None else pydicom.Dataset()
    placed = observation if first(observation, "AnatomicRegionSequence") is not None else roi
    described = observation if observation is not None else roi
    return Segment(
        number,
        text_of(roi, "ROIName") or text_of(described, "ROIObservationLabel") or f"ROI {number}",
        category=concept_of(described, "SegmentedPropertyCategoryCodeSequence"),
        type=concept_of(described, "RTROIIdentificationCodeSequence"),
        region=concept_of(placed, "AnatomicRegionSequence"),
        region_modifier=concept_of(first(placed, "AnatomicRegionSequence"), "AnatomicRegionModifierSequence"),
        algorithm=text_of(roi, "ROIGenerationAlgorithm"),
        tracking_uid=text_of(described, "TrackingUID"),
    )


def _refusal(result: _Result, source: InstanceRef) -> AnnotationError:
    """Say why a structure set draws nothing on this image."""
    if result.elsewhere and not result.kept:
        hint = "nothing to do where that series is here"
        return DanglingReferenceError("its contours were drawn on another series", ref=source, hint=hint)
    if result.other_frames and not result.kept:
        hint = "link it with the series it was drawn on"
        return GridMismatchError("its ROIs name another frame of reference than the image", ref=source, hint=hint)
    reasons = "; ".join((*result.notes, *map(str, result.issues))) or "there is no ROI"
    return AnnotationError(f"no ROI covers a voxel of the image: {reasons}", ref=source, hint="check its export")
