"""DICOM segmentations (binary, fractional, label map) to masks on the image grid."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import pydicom

from racoon_data.annotations.frames import WATCHED, Frame, frames_of, slice_step_mm
from racoon_data.annotations.placing import TOLERANCE_VOXELS, Piece, Place, Placer, joined
from racoon_data.annotations.segments import (
    backgrounds,
    coding_issues,
    described,
    issue,
    segment_of,
    threshold_of,
)
from racoon_data.annotations.slice_names import SliceNames
from racoon_data.dicom.frame_pixels import frame_reader
from racoon_data.dicom.guard import Scan, scan
from racoon_data.dicom.headers import read_dataset, text_of, value_of, whole_of
from racoon_data.errors import (
    AnnotationError,
    BrokenItemError,
    ConflictingClaimError,
    DanglingReferenceError,
    EmptyItemError,
    GridMismatchError,
    OutsideImageError,
    RacoonError,
    UnsupportedAnnotationError,
    UnsupportedPixelsError,
    about,
)
from racoon_data.geometry import Geometry
from racoon_data.labels import Annotation, BoxedMask, ItemIssue, Mask, SegmentMask
from racoon_data.policies import DEFAULT_POLICIES, Fractional, ReadingPolicies
from racoon_data.ports import ALONE, Surroundings
from racoon_data.refs import InstanceRef, SeriesRef

_TYPES = ("BINARY", "FRACTIONAL", "LABELMAP")
_RESAMPLE = "export it again from the original series, or allow resampling"
_AGAIN = "export the segmentation again"


@dataclass(slots=True, eq=False)
class _Canvas:
    """Pieces of masks by segment number, and what went wrong with which segment or frame."""

    geometry: Geometry
    pieces: dict[int, list[Piece]] = field(default_factory=lambda: defaultdict(list))
    outside: Counter[int] = field(default_factory=Counter)
    spoilt: dict[int, RacoonError] = field(default_factory=dict)
    lost: dict[int, RacoonError] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Rule:
    """How the stored values of a file are understood."""

    kind: str
    is_bits: bool = False
    lowest: float = 1.0
    backgrounds: frozenset[int] = frozenset()

    def segments_in(self, stored: npt.NDArray[np.unsignedinteger], segment: int) -> Iterator[tuple[int, Mask]]:
        """Split a frame into the segments it shows; only those with a pixel."""
        if self.kind == "LABELMAP":
            counts = np.bincount(stored.ravel())
            yield from ((int(n), stored == n) for n in np.flatnonzero(counts) if int(n) not in self.backgrounds)
            return
        inside = stored.view(np.bool_) if self.is_bits else stored >= self.lowest
        if inside.any():
            yield segment, inside


@dataclass(frozen=True, slots=True)
class SegReader:
    """Reads DICOM segmentations: every segment becomes one mask, overlap kept.

    Attributes:
        policies: From where on values of FRACTIONAL files count.
        around: Frame numbers of the image's slices.
    """

    policies: ReadingPolicies = DEFAULT_POLICIES
    around: Surroundings = ALONE

    def under(self, policies: ReadingPolicies) -> Self:
        """Give a reader that follows these policies."""
        return replace(self, policies=policies)

    def amid(self, surroundings: Surroundings) -> Self:
        """Give a reader that knows the frame numbers of the slices."""
        return replace(self, around=surroundings)

    @property
    def sop_classes(self) -> frozenset[str]:
        """SOP classes it reads."""
        return frozenset({"1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"})

    def read(
        self,
        path: Path,
        *,
        source: InstanceRef,
        image: SeriesRef | None,
        geometry: Geometry | None,
        sop_uids: Sequence[str],
    ) -> Annotation:
        """Place every segment on the image grid, frame by frame; the pixel data are never held as a whole.

        A segment with a broken or misplaced frame is left out and named; the others are kept.

        Args:
            path: The SEG file.
            source: Its reference.
            image: The series it is to lie on.
            geometry: That series' grid.
            sop_uids: SOPInstanceUID of every slice.

        Raises:
            DanglingReferenceError: There is no image.
            GridMismatchError: It does not lie on the image grid.
            UnsupportedAnnotationError: It is tiled, or its type is none of BINARY, FRACTIONAL and LABELMAP.
            AnnotationError: No segment covers a single voxel.
        """
        with about(source):
            if geometry is None:
                raise DanglingReferenceError("the segmentation has no image here", hint="retrieve its series")
            scanned = scan(path, watch=WATCHED)
            dataset = read_dataset(path, is_scanned=True)
            _require_known(dataset, geometry)
            rule, notes = _rule(dataset, self.policies.fractional)
            canvas, slices = _Canvas(geometry), SliceNames(sop_uids, self.around.frame_numbers)
            frames = frames_of(dataset, scanned)
            _require_same_step(dataset, frames, geometry)
            _draw(canvas, frames, rule, files=(path, dataset, scanned), placer=Placer(geometry, slices=slices))
            annotation = Annotation(source, "seg", image, geometry, reader=text_of(dataset, "ContentCreatorName"))
            return _finish(annotation, dataset, canvas, (rule, notes, frames))


def _require_known(dataset: pydicom.Dataset, geometry: Geometry) -> None:
    if "TILED" in text_of(dataset, "DimensionOrganizationType") or value_of(dataset, "TotalPixelMatrixRows"):
        hint = "microscopy segmentations are not read; export one frame per image plane"
        raise UnsupportedAnnotationError("the segmentation is tiled", hint=hint)
    kind = text_of(dataset, "SegmentationType")
    if kind not in _TYPES:
        raise UnsupportedAnnotationError(f"segmentation type {kind or 'missing'}", hint=f"known: {', '.join(_TYPES)}")
    frames = {text_of(dataset, "FrameOfReferenceUID"), geometry.frame_of_reference or ""} - {""}
    if len(frames) > 1:
        raise GridMismatchError(
            "the segmentation lies in another frame of reference than the image",
            hint="link it with the series it was made on",
        )


def _rule(dataset: pydicom.Dataset, policy: Fractional) -> tuple[_Rule, tuple[str, ...]]:
    kind = text_of(dataset, "SegmentationType")
    if kind == "LABELMAP":
        return _Rule(kind, backgrounds=backgrounds(dataset)), ()
    if kind == "BINARY":
        return _Rule(kind, is_bits=whole_of(dataset, "BitsAllocated") == 1), ()
    lowest, notes = threshold_of(dataset, policy)
    return _Rule(kind, lowest=lowest), notes


def _require_same_step(dataset: pydicom.Dataset, frames: Sequence[Frame], geometry: Geometry) -> None:
    """Refuse a coarser stack: its frames would fall on every second slice and leave comb teeth.

    Frames may be absent, so the distance between them alone says nothing; the declared one must agree.
    """
    declared = slice_step_mm(dataset)
    if declared is None or geometry.shape[2] < 2:
        return
    normal = np.cross(geometry.matrix[:3, 0], geometry.matrix[:3, 1])
    normal /= np.linalg.norm(normal)
    positions = np.array([frame.position_lps for frame in frames if _is_finite(frame)])
    heights = np.unique(np.round(positions @ normal, 3)) if len(positions) else np.zeros(0)
    step = abs(float(normal @ geometry.matrix[:3, 2]))
    if len(heights) > 1 and declared > 1.5 * step and float(np.diff(heights).min()) > 1.5 * step:
        raise GridMismatchError("the segmentation's slices are further apart than the image's", hint=_RESAMPLE)


def _is_finite(frame: Frame) -> bool:
    return frame.position_lps is not None and all(map(math.isfinite, frame.position_lps))


def _draw(
    canvas: _Canvas,
    frames: Sequence[Frame],
    rule: _Rule,
    *,
    files: tuple[Path, pydicom.Dataset, Scan],
    placer: Placer,
) -> None:
    """Put every frame in place; one that cannot be costs its segments, or itself where it names none."""
    with frame_reader(*files) as reader:
        for index, frame in enumerate(frames):
            shown = [frame.segment] if frame.segment else []
            try:
                if not frame.segment and rule.kind != "LABELMAP":
                    raise BrokenItemError("does not say which segment it shows", hint=_AGAIN)
                stored, top = reader.read_shown(index)
                insides = dict(rule.segments_in(stored, frame.segment))
                shown = list(insides)
                if shown:
                    _put(canvas, insides, placer.place(frame), top=top)
            except (AnnotationError, UnsupportedPixelsError) as error:
                canvas.lost[index] = error
                canvas.spoilt.update((number, error) for number in shown if number not in canvas.spoilt)


def _put(canvas: _Canvas, insides: dict[int, Mask], place: Place, *, top: int) -> None:
    for number, inside in insides.items():
        piece = place.piece(inside, top=top)
        if piece.apart > TOLERANCE_VOXELS:
            raise GridMismatchError(f"it lies {piece.apart:.2f} voxels beside its image grid", hint=_RESAMPLE)
        canvas.outside[number] += piece.outside
        canvas.pieces[number].append(piece)


def _conflicts(rule: _Rule, masks: Sequence[SegmentMask], frames: Sequence[Frame]) -> Iterator[ItemIssue]:
    """Count voxels that several values of a label map claim, possible where frames share a plane."""
    places = {frame.position_lps or frame.sources for frame in frames}
    if rule.kind != "LABELMAP" or len(places) == len(frames) or len(masks) < 2:
        return
    claimed = masks[0].mask
    twice = np.zeros_like(claimed)
    for one in masks[1:]:
        mask = one.mask
        twice |= claimed & mask
        claimed |= mask
    if count := int(np.count_nonzero(twice)):
        message = f"{count} voxel(s) are claimed by several values; every claim is kept"
        yield issue("label map", ConflictingClaimError, message)


def _finish(
    annotation: Annotation,
    dataset: pydicom.Dataset,
    canvas: _Canvas,
    said: tuple[_Rule, tuple[str, ...], Sequence[Frame]],
) -> Annotation:
    rule, notes, frames = said
    known = described(dataset)
    masks, issues = [], [*_frame_issues(canvas)]
    for number in sorted({*known, *canvas.pieces, *canvas.spoilt} - rule.backgrounds):
        item = known.get(number)
        drawn = joined(canvas.pieces.pop(number, []), canvas.geometry.array_shape)
        issues += [*coding_issues(number, item), *_mask_issues(number, drawn, canvas)]
        if number not in canvas.spoilt and drawn is not None:
            masks.append(SegmentMask(segment_of(number, item), drawn))
    if not masks:
        _refuse(canvas, issues)
    issues += _conflicts(rule, masks, frames)
    return replace(annotation, masks=tuple(masks), notes=notes, issues=tuple(issues))


def _frame_issues(canvas: _Canvas) -> Iterator[ItemIssue]:
    """Name lost frames that belong to no segment known; the others are told with their segment."""
    of_segments = {id(error) for error in canvas.spoilt.values()}
    for index, error in canvas.lost.items():
        if id(error) not in of_segments:
            yield issue(
                f"frame {index + 1}",
                type(error),
                f"is left out, segments may lack its plane: {error.message}",
                is_left_out=True,
            )


def _mask_issues(number: int, drawn: BoxedMask | None, canvas: _Canvas) -> Iterator[ItemIssue]:
    name = f"segment {number}"
    if (error := canvas.spoilt.get(number)) is not None:
        frame = next(index for index, lost in canvas.lost.items() if lost is error) + 1
        yield issue(name, type(error), f"is left out because of frame {frame}: {error.message}", is_left_out=True)
        return
    if outside := canvas.outside[number]:
        yield issue(name, OutsideImageError, f"{outside} voxel(s) lie outside the image and were left out")
    if drawn is None:
        yield issue(name, EmptyItemError, "covers no voxel of the image")


def _refuse(canvas: _Canvas, issues: Sequence[ItemIssue]) -> None:
    """Refuse a file without a mask: for the reason its first frame was lost, or because it is empty.

    Raises:
        AnnotationError: Always.
    """
    if canvas.lost:
        raise next(iter(canvas.lost.values()))
    hint = "check that it was exported with its content and from this series"
    raise AnnotationError(f"no segment covers a voxel of the image: {'; '.join(map(str, issues))}", hint=hint)
