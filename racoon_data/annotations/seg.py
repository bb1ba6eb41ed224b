"""DICOM segmentations (binary, fractional, label map) to masks on the image grid."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pydicom

from racoon_data.annotations.codes import concept_of, first, items
from racoon_data.annotations.frames import Frame, Stored, frames_of, pixels_of, slice_step_mm
from racoon_data.annotations.placing import TOLERANCE_VOXELS, place_of
from racoon_data.dicom.headers import number_of, read_dataset, text_of, value_of, whole_of
from racoon_data.errors import (
    AnnotationError,
    DanglingReferenceError,
    GridMismatchError,
    UnsupportedAnnotationError,
    about,
)
from racoon_data.geometry import Geometry
from racoon_data.labels import Annotation, Mask, Segment, SegmentMask
from racoon_data.refs import InstanceRef, SeriesRef

# Policy for FRACTIONAL: a voxel belongs to the segment from half of MaximumFractionalValue on.
FRACTIONAL_THRESHOLD = 0.5

_TYPES = ("BINARY", "FRACTIONAL", "LABELMAP")
_RESAMPLE = "export it again from the original series, or allow resampling"


@dataclass(slots=True, eq=False)
class _Canvas:
    """Masks being filled, by segment number."""

    geometry: Geometry
    masks: dict[int, Mask] = field(default_factory=dict)
    outside: Counter[int] = field(default_factory=Counter)

    def draw(self, segment: int, inside: Mask, frame: Frame, *, sop_uids: Sequence[str]) -> None:
        """Put one frame of one segment in place."""
        place = place_of(frame, self.geometry, sop_uids=sop_uids)
        if segment not in self.masks:
            self.masks[segment] = np.zeros(self.geometry.array_shape, dtype=np.bool_)
        outside, apart = place.put(inside, self.masks[segment])
        if apart > TOLERANCE_VOXELS:
            raise GridMismatchError(f"segment {segment} lies {apart:.2f} voxels beside its image grid", hint=_RESAMPLE)
        self.outside[segment] += outside


class SegReader:
    """Reads DICOM segmentations: every segment becomes one mask, overlap kept."""

    sop_classes = frozenset({"1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"})

    def read(
        self,
        path: Path,
        *,
        source: InstanceRef,
        image: SeriesRef | None,
        geometry: Geometry | None,
        sop_uids: Sequence[str],
    ) -> Annotation:
        """Place every segment on the image grid.

        Args:
            path: The SEG file.
            source: Its reference.
            image: The series it is to lie on.
            geometry: That series' grid.
            sop_uids: SOPInstanceUID of every slice.

        Raises:
            DanglingReferenceError: There is no image.
            GridMismatchError: It does not lie on the image grid.
            UnsupportedAnnotationError: Its type is none of BINARY, FRACTIONAL and LABELMAP.
            AnnotationError: No segment covers a single voxel.
        """
        with about(source):
            if geometry is None:
                raise DanglingReferenceError("the segmentation has no image here", hint="retrieve its series")
            dataset = read_dataset(path, pixels=True)
            _require_known(dataset, geometry)
            canvas = _Canvas(geometry)
            frames = frames_of(dataset)
            _require_same_step(dataset, frames, geometry)
            for frame, stored in zip(frames, pixels_of(dataset), strict=True):
                for number, inside in _segments_in(stored, frame, dataset):
                    canvas.draw(number, inside, frame, sop_uids=sop_uids)
            return _annotation(dataset, canvas, source, image)


def _require_known(dataset: pydicom.Dataset, geometry: Geometry) -> None:
    kind = text_of(dataset, "SegmentationType")
    if kind not in _TYPES:
        raise UnsupportedAnnotationError(f"segmentation type {kind or 'missing'}", hint=f"known: {', '.join(_TYPES)}")
    frames = {text_of(dataset, "FrameOfReferenceUID"), geometry.frame_of_reference or ""} - {""}
    if len(frames) > 1:
        raise GridMismatchError(
            "the segmentation lies in another frame of reference than the image",
            hint="link it with the series it was made on",
        )


def _require_same_step(dataset: pydicom.Dataset, frames: Sequence[Frame], geometry: Geometry) -> None:
    """Refuse a coarser stack: its frames would fall on every second slice and leave comb teeth.

    Frames may be absent, so the distance between them alone says nothing; the declared one must agree.
    """
    declared = slice_step_mm(dataset)
    if declared is None or geometry.shape[2] < 2:
        return
    normal = np.cross(geometry.matrix[:3, 0], geometry.matrix[:3, 1])
    normal /= np.linalg.norm(normal)
    heights = np.unique(np.round([normal @ frame.position_lps for frame in frames if frame.position_lps], 3))
    step = abs(float(normal @ geometry.matrix[:3, 2]))
    if len(heights) > 1 and declared > 1.5 * step and float(np.diff(heights).min()) > 1.5 * step:
        raise GridMismatchError("the segmentation's slices are further apart than the image's", hint=_RESAMPLE)


def _segments_in(stored: Stored, frame: Frame, dataset: pydicom.Dataset) -> Iterator[tuple[int, Mask]]:
    """Split a frame into the segments it shows; only those with a pixel."""
    kind = text_of(dataset, "SegmentationType")
    if kind == "LABELMAP":
        padding = value_of(dataset, "PixelPaddingValue")
        for value in np.unique(stored):
            if value not in (0, padding):
                yield int(value), stored == value
        return
    lowest = FRACTIONAL_THRESHOLD * _most(dataset) if kind == "FRACTIONAL" else 1
    inside = stored >= lowest
    if inside.any():
        yield frame.segment, inside


def _most(dataset: pydicom.Dataset) -> float:
    return number_of(dataset, "MaximumFractionalValue") or 255.0


def _annotation(dataset: pydicom.Dataset, canvas: _Canvas, source: InstanceRef, image: SeriesRef | None) -> Annotation:
    described = {whole_of(item, "SegmentNumber"): item for item in items(dataset, "SegmentSequence")}
    notes = []
    if text_of(dataset, "SegmentationType") == "FRACTIONAL":
        meaning = text_of(dataset, "SegmentationFractionalType").lower() or "fraction"
        notes.append(f"fractional values ({meaning}) count from {FRACTIONAL_THRESHOLD} of the maximum on")
    masks = []
    for number in sorted({*described, *canvas.masks}):
        item = described.get(number)
        mask = canvas.masks.get(number)
        notes += _notes(number, item, mask, canvas.outside[number])
        if mask is not None and mask.any():
            masks.append(SegmentMask(_segment(number, item if item is not None else pydicom.Dataset()), mask))
    if not masks:
        hint = "check that it was exported with its content and from this series"
        raise AnnotationError(f"no segment covers a voxel of the image: {'; '.join(notes)}", hint=hint)
    reader = text_of(dataset, "ContentCreatorName")
    return Annotation(source, "seg", image, canvas.geometry, tuple(masks), reader=reader, notes=tuple(notes))


def _notes(number: int, item: pydicom.Dataset | None, mask: Mask | None, outside: int) -> Iterator[str]:
    if item is None:
        yield f"segment {number}: has frames and no description"
    elif concept_of(item, "SegmentedPropertyTypeCodeSequence") is None:
        yield f"segment {number}: has no property type code"
    if outside:
        yield f"segment {number}: {outside} voxel(s) lie outside the image and were left out"
    if mask is None or not mask.any():
        yield f"segment {number}: covers no voxel of the image"


def _segment(number: int, item: pydicom.Dataset) -> Segment:
    kind = first(item, "SegmentedPropertyTypeCodeSequence")
    region = first(item, "AnatomicRegionSequence")
    return Segment(
        number,
        text_of(item, "SegmentLabel") or text_of(item, "SegmentDescription") or f"segment {number}",
        category=concept_of(item, "SegmentedPropertyCategoryCodeSequence"),
        type=concept_of(item, "SegmentedPropertyTypeCodeSequence"),
        type_modifier=concept_of(kind, "SegmentedPropertyTypeModifierCodeSequence"),
        region=concept_of(item, "AnatomicRegionSequence"),
        region_modifier=concept_of(region, "AnatomicRegionModifierSequence"),
        algorithm=text_of(item, "SegmentAlgorithmType"),
        tracking_uid=text_of(item, "TrackingUID"),
    )
