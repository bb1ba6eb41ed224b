"""Frames of a DICOM segmentation: which segment each one shows, and where it lies."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pydicom

from racoon_data.annotations.codes import first, items, source_image
from racoon_data.annotations.slice_names import SourceImage
from racoon_data.dicom.guard import Scan
from racoon_data.dicom.headers import numbers_of, text_of, whole_of
from racoon_data.dicom.walk import ITEM, Traced
from racoon_data.errors import UnsupportedAnnotationError
from racoon_data.geometry import Point

_AGAIN = "export the segmentation again"
_SHARED, _PER_FRAME = 0x52009229, 0x52009230
_POSITION, _ORIENTATION, _SPACING = 0x00200032, 0x00200037, 0x00280030
_SEGMENT = 0x0062000B

# What the guard is to trace: the functional groups that say what a frame shows and where it lies.
WATCHED = frozenset((ITEM, _SHARED, _PER_FRAME, _POSITION, _ORIENTATION, _SPACING, _SEGMENT))

Cosines = tuple[float, float, float, float, float, float]


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a segmentation.

    Attributes:
        segment: Segment it shows, 0 in a label map (its values are segment numbers) or where it does not say.
        position_lps: Centre of its first pixel (mm), ``None`` where it does not say.
        cosines: Direction of growing column index and of growing row index, ``None`` where it does not say.
        pixel_spacing_mm: Between rows, between columns, ``None`` where it does not say.
        sources: Images it was derived from, read only where it names no position.
    """

    segment: int
    position_lps: Point | None
    cosines: Cosines | None
    pixel_spacing_mm: tuple[float, float] | None
    sources: tuple[SourceImage, ...] = ()


@dataclass(slots=True)
class _Group:
    """Raw values of one item of functional groups, by tag; the first of each counts."""

    raw: dict[int, bytes] = field(default_factory=dict)


def frame_count(dataset: pydicom.Dataset) -> int:
    """Count the frames; a file without NumberOfFrames holds one."""
    return max(whole_of(dataset, "NumberOfFrames"), 1)


def frames_of(dataset: pydicom.Dataset, scanned: Scan) -> tuple[Frame, ...]:
    """Describe every frame from the functional groups, per frame first, shared second.

    The values are taken from the guard's own walk over the file: a parser would build some thirty
    objects a frame, and a large segmentation has ten thousand frames.

    Args:
        dataset: The segmentation, pixels not needed.
        scanned: What the guard saw with ``WATCHED`` traced.

    Raises:
        UnsupportedAnnotationError: The segmentation does not describe each frame.
    """
    shared, groups = _groups(scanned.trace)
    count = frame_count(dataset)
    if count == 1 and not groups:
        groups = [_Group()]
    if len(groups) != count:
        raise UnsupportedAnnotationError(f"{count} frames and {len(groups)} descriptions of frames", hint=_AGAIN)
    numbers = [whole_of(item, "SegmentNumber") for item in items(dataset, "SegmentSequence")]
    is_label_map = text_of(dataset, "SegmentationType") == "LABELMAP"
    only = numbers[0] if len(numbers) == 1 and not is_label_map else 0
    reading = _Reading(scanned.is_little_endian, only, is_label_map)
    frames = [reading.frame(group.raw, shared.raw) for group in groups]
    return tuple(_with_sources(frames, dataset) if any(one.position_lps is None for one in frames) else frames)


def _groups(trace: Sequence[Traced]) -> tuple[_Group, list[_Group]]:
    """Sort traced values into the shared group and one group a frame."""
    shared, groups, where = _Group(), list[_Group](), 0
    for one in trace:
        if one.depth == 0:
            where = one.tag
        elif one.tag == ITEM:
            if one.depth == 1 and where == _PER_FRAME:
                groups.append(_Group())
        elif where == _SHARED:
            shared.raw.setdefault(one.tag, one.raw)
        elif where == _PER_FRAME and groups:
            groups[-1].raw.setdefault(one.tag, one.raw)
    return shared, groups


@dataclass(frozen=True, slots=True)
class _Reading:
    """How raw values of one file are read.

    Attributes:
        is_little: Byte order.
        only: Number of the only segment described, 0 where there are several.
        is_label_map: Values are segment numbers, so frames name no segment.
    """

    is_little: bool
    only: int
    is_label_map: bool

    def frame(self, own: dict[int, bytes], shared: dict[int, bytes]) -> Frame:
        """Read one frame's place and segment."""
        position = _decimals(own.get(_POSITION) or shared.get(_POSITION), 3)
        cosines = _decimals(own.get(_ORIENTATION) or shared.get(_ORIENTATION), 6)
        spacing = _decimals(own.get(_SPACING) or shared.get(_SPACING), 2)
        return Frame(
            0 if self.is_label_map else self._whole(own.get(_SEGMENT) or shared.get(_SEGMENT)) or self.only,
            (position[0], position[1], position[2]) if position else None,
            (cosines[0], cosines[1], cosines[2], cosines[3], cosines[4], cosines[5]) if cosines else None,
            (spacing[0], spacing[1]) if spacing else None,
        )

    def _whole(self, raw: bytes | None) -> int:
        if raw is None or len(raw) < 2:
            return 0
        return int(struct.unpack("<H" if self.is_little else ">H", raw[:2])[0])


def _decimals(raw: bytes | None, count: int) -> tuple[float, ...] | None:
    """Read a DS value of so many numbers, ``None`` where it has fewer or some do not parse."""
    if not raw:
        return None
    try:
        numbers = tuple(map(float, raw.decode("ascii").strip("\0 ").split("\\")[:count]))
    except (ValueError, UnicodeDecodeError):
        return None
    return numbers if len(numbers) == count else None


def _with_sources(frames: Sequence[Frame], dataset: pydicom.Dataset) -> Iterator[Frame]:
    """Add the source images to frames without a position; this one goes through the parser."""
    shared = first(dataset, "SharedFunctionalGroupsSequence")
    groups = list(items(dataset, "PerFrameFunctionalGroupsSequence")) or [pydicom.Dataset()]
    for one, group in zip(frames, groups, strict=True):
        sources = () if one.position_lps is not None else _sources(group, shared)
        yield Frame(one.segment, one.position_lps, one.cosines, one.pixel_spacing_mm, sources)


def _sources(frame: pydicom.Dataset, shared: pydicom.Dataset | None) -> tuple[SourceImage, ...]:
    derivations = [*items(frame, "DerivationImageSequence"), *items(shared, "DerivationImageSequence")]
    images = (image for item in derivations for image in items(item, "SourceImageSequence"))
    return tuple(dict.fromkeys(source_image(image) for image in images))


def slice_step_mm(dataset: pydicom.Dataset) -> float | None:
    """Give the declared SpacingBetweenSlices of the shared pixel measures, ``None`` where absent."""
    measures = first(first(dataset, "SharedFunctionalGroupsSequence"), "PixelMeasuresSequence")
    numbers = numbers_of(measures, "SpacingBetweenSlices") if measures is not None else None
    return abs(numbers[0]) if numbers and numbers[0] else None
