"""RT Structure Sets to masks on the image grid."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom

from racoon_data.annotations.codes import concept_of, first, items
from racoon_data.annotations.contours import CLOSED, Contour, Points, draw
from racoon_data.dicom.headers import read_dataset, text_of, texts_of, whole_of
from racoon_data.errors import AnnotationError, DanglingReferenceError, GridMismatchError
from racoon_data.geometry import Geometry
from racoon_data.labels import Annotation, Mask, Segment, SegmentMask
from racoon_data.refs import InstanceRef, SeriesRef

_BROKEN = "have coordinates that are no numbers or incomplete and were left out"
_TOO_FEW = "have fewer than three points and enclose nothing"
_OTHER_FRAME = "ROI in another frame of reference"
_KEPT = "contours kept"
_FARTHEST_MM = 1e5
_ELSEWHERE = "were drawn on images of another series and were left out"


class RtstructReader:
    """Reads RT Structure Sets: every ROI with closed contours becomes one mask."""

    sop_classes = frozenset({"1.2.840.10008.5.1.4.1.1.481.3"})

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
            AnnotationError: No ROI covers a single voxel.
        """
        if geometry is None:
            raise DanglingReferenceError("the structure set has no image here", ref=source, hint="retrieve its series")
        dataset = read_dataset(path)
        rois = {whole_of(item, "ROINumber"): item for item in items(dataset, "StructureSetROISequence")}
        drawn = _contour_items(dataset)
        images = _images(dataset, drawn.values(), frozenset(sop_uids), image)
        masks, notes, total = [], [], Counter[str]()
        for number in sorted({*rois, *drawn}):
            roi = rois.get(number, pydicom.Dataset())
            if _is_in_other_frame(roi, geometry):
                total[_OTHER_FRAME] += 1
                notes.append(f"ROI {number}: names another frame of reference than the image and was left out")
                continue
            contours, counts = _contours(drawn.get(number, ()), images)
            mask, placed = draw(contours, geometry)
            total += counts
            total[_KEPT] += len(contours)
            notes += _notes(number, counts + placed, np.asarray(mask.any(axis=(1, 2))))
            if mask.any():
                masks.append(SegmentMask(_segment(dataset, roi, number), mask))
        if not masks:
            raise _refusal(total, notes, source)
        reader = next((name for item in _observations(dataset) if (name := text_of(item, "ROIInterpreter"))), "")
        return Annotation(source, "rtstruct", image, geometry, tuple(masks), reader=reader, notes=tuple(notes))


def _contour_items(dataset: pydicom.Dataset) -> dict[int, list[pydicom.Dataset]]:
    """Collect the contour items by ROI number; an ROI split over several items is one ROI."""
    drawn: dict[int, list[pydicom.Dataset]] = {}
    for roi in items(dataset, "ROIContourSequence"):
        drawn.setdefault(whole_of(roi, "ReferencedROINumber"), []).extend(items(roi, "ContourSequence"))
    return drawn


def _sops(contour: pydicom.Dataset) -> frozenset[str]:
    named = (text_of(item, "ReferencedSOPInstanceUID") for item in items(contour, "ContourImageSequence"))
    return frozenset(named) - {""}


@dataclass(frozen=True, slots=True)
class _Images:
    """Which images contours may have been drawn on.

    Attributes:
        here: Instances of the image series.
        elsewhere: Instances the file lists under other series.
        are_named: Some contour of the file names an instance of the image series.
    """

    here: frozenset[str]
    elsewhere: frozenset[str]
    are_named: bool

    def are_others(self, sop_uids: frozenset[str]) -> bool:
        """Tell whether a contour was drawn on another series; stale references leave it to the position."""
        if not sop_uids or sop_uids & self.here:
            return False
        return self.are_named or bool(sop_uids & self.elsewhere)


def _images(
    dataset: pydicom.Dataset,
    drawn: Iterable[Sequence[pydicom.Dataset]],
    here: frozenset[str],
    image: SeriesRef | None,
) -> _Images:
    named: set[str] = set().union(*(_sops(contour) for contours in drawn for contour in contours))
    own = image.series_uid if image is not None else ""
    listed = (
        series
        for frame in items(dataset, "ReferencedFrameOfReferenceSequence")
        for study in items(frame, "RTReferencedStudySequence")
        for series in items(study, "RTReferencedSeriesSequence")
        if text_of(series, "SeriesInstanceUID") != own
    )
    elsewhere = frozenset[str]().union(*(_sops(series) for series in listed))
    return _Images(here, elsewhere, not here.isdisjoint(named))


def _is_in_other_frame(roi: pydicom.Dataset, geometry: Geometry) -> bool:
    frames = {text_of(roi, "ReferencedFrameOfReferenceUID"), geometry.frame_of_reference or ""} - {""}
    return len(frames) > 1


def _contours(drawn: Iterable[pydicom.Dataset], images: _Images) -> tuple[list[Contour], Counter[str]]:
    counts: Counter[str] = Counter()
    contours = []
    for item in drawn:
        kind = text_of(item, "ContourGeometricType") or "CLOSED_PLANAR"
        sop_uids = _sops(item)
        points = _points(item)
        if kind not in CLOSED:
            counts[f"are {kind} and enclose nothing"] += 1
        elif images.are_others(sop_uids):
            counts[_ELSEWHERE] += 1
        elif points is None:
            counts[_BROKEN] += 1
        elif len(points) < 3:
            counts[_TOO_FEW] += 1
        else:
            contours.append(Contour(kind == "CLOSEDPLANAR_XOR", points, sop_uids))
    return contours, counts


def _points(item: pydicom.Dataset) -> Points | None:
    """Read the vertices (mm, LPS), ``None`` where they are no whole triples of sensible numbers.

    The bytes are split here: a structure set holds millions of numbers, and pydicom makes an object of each.
    """
    raw = item.get_item("ContourData")
    value = raw.value if raw is not None else b""
    texts = value.rstrip(b"\0 ").split(b"\\") if isinstance(value, bytes) else texts_of(item, "ContourData")
    try:
        flat = np.array([float(text) for text in texts], dtype=np.float64)
    except ValueError:
        return None
    if flat.size % 3 or not (np.abs(flat) <= _FARTHEST_MM).all():
        return None
    return flat.reshape(-1, 3)


def _notes(number: int, counts: Counter[str], is_drawn: Mask) -> list[str]:
    notes = [f"ROI {number}: {count} contour(s) {what}" for what, count in sorted(counts.items())]
    slices = np.flatnonzero(is_drawn)
    if not slices.size:
        return [*notes, f"ROI {number}: covers no voxel of the image"]
    if gaps := int(slices[-1] - slices[0] + 1 - slices.size):
        notes.append(f"ROI {number}: {gaps} slice(s) between its contours carry none and were left empty")
    return notes


def _observations(dataset: pydicom.Dataset) -> Iterable[pydicom.Dataset]:
    return items(dataset, "RTROIObservationsSequence")


def _segment(dataset: pydicom.Dataset, roi: pydicom.Dataset, number: int) -> Segment:
    same = (item for item in _observations(dataset) if whole_of(item, "ReferencedROINumber") == number)
    observation = next(same, None)
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


def _refusal(total: Counter[str], notes: Sequence[str], source: InstanceRef) -> AnnotationError:
    """Say why a structure set draws nothing on this image."""
    if total[_ELSEWHERE] and not total[_KEPT]:
        hint = "nothing to do where that series is here"
        return DanglingReferenceError("its contours were drawn on another series", ref=source, hint=hint)
    if total[_OTHER_FRAME] and not total[_KEPT]:
        hint = "link it with the series it was drawn on"
        return GridMismatchError("its ROIs name another frame of reference than the image", ref=source, hint=hint)
    reasons = "; ".join(notes) or "there is no ROI"
    return AnnotationError(f"no ROI covers a voxel of the image: {reasons}", ref=source, hint="check its export")
