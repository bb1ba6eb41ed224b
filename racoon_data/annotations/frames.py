"""Frames of a DICOM segmentation: what each one shows, where it lies, and its stored values."""

from __future__ import annotations

import sqlite3
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.pixels import iter_pixels

from racoon_data.annotations.codes import first, items
from racoon_data.dicom.headers import numbers_of, text_of, value_of, whole_of
from racoon_data.errors import TruncatedError, UnsupportedAnnotationError, UnsupportedPixelsError
from racoon_data.geometry import Point

Stored = npt.NDArray[Any]

# What highdicom says when a segmentation is outside what it models (missing dimension index, an instance
# referenced twice, no plane position, big endian, unknown transfer syntax): our own reader takes over.
_REFUSALS = (
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    IndexError,
    RuntimeError,
    sqlite3.Error,
)


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a segmentation.

    Attributes:
        segment: Segment it shows, 0 where every value is a segment number (label map).
        position_lps: Centre of its first pixel (mm), ``None`` where it does not say.
        row_direction: Direction of growing column index, ``None`` where it does not say.
        column_direction: Direction of growing row index, ``None`` where it does not say.
        pixel_spacing_mm: Between rows, between columns, ``None`` where it does not say.
        source_sops: Images it was derived from, read only where it names no position.
    """

    segment: int
    position_lps: Point | None
    row_direction: Point | None
    column_direction: Point | None
    pixel_spacing_mm: tuple[float, float] | None
    source_sops: tuple[str, ...] = ()


def frame_count(dataset: pydicom.Dataset) -> int:
    """Count the frames; a file without NumberOfFrames holds one."""
    return max(whole_of(dataset, "NumberOfFrames"), 1)


def frames_of(dataset: pydicom.Dataset) -> tuple[Frame, ...]:
    """Describe every frame from the functional groups, per frame first, shared second.

    Raises:
        UnsupportedAnnotationError: The segmentation does not say which segment a frame shows.
    """
    shared = first(dataset, "SharedFunctionalGroupsSequence")
    groups = list(items(dataset, "PerFrameFunctionalGroupsSequence"))
    missing = frame_count(dataset) - len(groups)
    groups += [pydicom.Dataset() for _ in range(missing)]
    numbers = [whole_of(item, "SegmentNumber") for item in items(dataset, "SegmentSequence")]
    is_label_map = text_of(dataset, "SegmentationType") == "LABELMAP"
    only = numbers[0] if len(numbers) == 1 else None
    return tuple(
        _frame(group, shared, segment=0 if is_label_map else _segment_number(group, shared, only))
        for group in groups[: frame_count(dataset)]
    )


def _group(frame: pydicom.Dataset, shared: pydicom.Dataset | None, keyword: str) -> pydicom.Dataset:
    found = first(frame, keyword)
    if found is None:
        found = first(shared, keyword)
    return found if found is not None else pydicom.Dataset()


def _segment_number(frame: pydicom.Dataset, shared: pydicom.Dataset | None, only: int | None) -> int:
    number = whole_of(_group(frame, shared, "SegmentIdentificationSequence"), "ReferencedSegmentNumber") or only
    if not number:
        raise UnsupportedAnnotationError(
            "a frame does not say which segment it shows", hint="export the segmentation again"
        )
    return number


def _frame(frame: pydicom.Dataset, shared: pydicom.Dataset | None, *, segment: int) -> Frame:
    position = numbers_of(_group(frame, shared, "PlanePositionSequence"), "ImagePositionPatient", count=3)
    orientation = _group(frame, shared, "PlaneOrientationSequence")
    cosines = numbers_of(orientation, "ImageOrientationPatient", count=6)
    spacing = numbers_of(_group(frame, shared, "PixelMeasuresSequence"), "PixelSpacing", count=2)
    return Frame(
        segment,
        (position[0], position[1], position[2]) if position else None,
        (cosines[0], cosines[1], cosines[2]) if cosines else None,
        (cosines[3], cosines[4], cosines[5]) if cosines else None,
        (spacing[0], spacing[1]) if spacing else None,
        _sources(frame, shared) if position is None else (),
    )


def _sources(frame: pydicom.Dataset, shared: pydicom.Dataset | None) -> tuple[str, ...]:
    derivations = [*items(frame, "DerivationImageSequence"), *items(shared, "DerivationImageSequence")]
    images = (image for item in derivations for image in items(item, "SourceImageSequence"))
    return tuple(dict.fromkeys(text_of(image, "ReferencedSOPInstanceUID") for image in images))


def slice_step_mm(dataset: pydicom.Dataset) -> float | None:
    """Give the declared SpacingBetweenSlices of the shared pixel measures, ``None`` where absent."""
    shared = first(dataset, "SharedFunctionalGroupsSequence")
    numbers = numbers_of(_group(pydicom.Dataset(), shared, "PixelMeasuresSequence"), "SpacingBetweenSlices")
    return abs(numbers[0]) if numbers and numbers[0] else None


def pixels_of(dataset: pydicom.Dataset) -> Iterator[Stored]:
    """Decode the frames in stored order, one at a time.

    highdicom decodes what it accepts; a bit unpacker of our own and pydicom's decoders take what it refuses.

    Yields:
        One array ``[row, column]`` of stored values per frame.

    Raises:
        TruncatedError: The pixel data end before the last frame does.
        UnsupportedPixelsError: No installed decoder reads the pixel data.
    """
    accepted = _by_highdicom(dataset)
    if accepted is not None:
        for index in range(frame_count(dataset)):
            yield accepted.get_stored_frame(index, as_index=True)
    elif whole_of(dataset, "BitsAllocated") == 1 and not _is_encapsulated(dataset):
        yield from _unpack(dataset)
    else:
        yield from _by_pydicom(dataset)


def _by_highdicom(dataset: pydicom.Dataset) -> Any | None:
    """Let highdicom parse the segmentation, ``None`` where it refuses."""
    import highdicom

    _require_whole(dataset)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            accepted = highdicom.seg.Segmentation.from_dataset(dataset, copy=False)
            accepted.get_stored_frame(0, as_index=True)
    except _REFUSALS:
        return None
    return accepted


def _is_encapsulated(dataset: pydicom.Dataset) -> bool:
    try:
        return bool(dataset.file_meta.TransferSyntaxUID.is_encapsulated)
    except ValueError:
        return True  # a syntax newer than pydicom's list; every new one is encapsulated


def _require_whole(dataset: pydicom.Dataset) -> None:
    data = value_of(dataset, "PixelData")
    if data is None:
        raise UnsupportedPixelsError("the segmentation has no pixel data", hint="export it again")
    bits = frame_count(dataset) * whole_of(dataset, "Rows") * whole_of(dataset, "Columns")
    bits *= whole_of(dataset, "BitsAllocated")
    if not _is_encapsulated(dataset) and len(data) * 8 < bits:
        raise TruncatedError("the pixel data end before the last frame", hint="send the file again")


def _unpack(dataset: pydicom.Dataset) -> Iterator[Stored]:
    """Unpack 1-bit frames (PS3.5 8.1.1: packed without a gap, so a frame may begin inside a byte)."""
    data = np.frombuffer(dataset.PixelData, dtype=np.uint8)
    rows, columns = whole_of(dataset, "Rows"), whole_of(dataset, "Columns")
    size = rows * columns
    for index in range(frame_count(dataset)):
        start = index * size
        packed = data[start // 8 : -(-(start + size) // 8)]
        bits = np.unpackbits(packed, bitorder="little")[start % 8 : start % 8 + size]
        yield bits.reshape(rows, columns)


def _by_pydicom(dataset: pydicom.Dataset) -> Iterator[Stored]:
    try:
        yield from iter_pixels(dataset)
    except _REFUSALS as error:
        raise UnsupportedPixelsError(
            "the segmentation's pixel data cannot be decoded", hint="install racoon[codecs]"
        ) from error
