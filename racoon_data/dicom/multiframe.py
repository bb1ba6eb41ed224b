"""A multi-frame file to slices: each frame described by the attributes a single image would have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pydicom

from racoon_data.dicom.facts import Facts
from racoon_data.dicom.groups import groups_of, items_of
from racoon_data.dicom.headers import read_dataset, text_of, texts_of, value_of, whole_of
from racoon_data.dicom.images import Image, slice_header
from racoon_data.errors import FrameCountError, NoGeometryError, UnsupportedObjectError, UnsupportedPixelsError, about
from racoon_data.refs import SeriesRef

_OF_FRAMES = frozenset((
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "SpacingBetweenSlices",
    "RescaleSlope", "RescaleIntercept", "RescaleType", "EchoTime", "EffectiveEchoTime", "EchoNumbers",
    "DiffusionBValue", "DiffusionGradientOrientation", "ComplexImageComponent", "FrameType", "ImageType",
    "TemporalPositionIndex", "TemporalPositionIdentifier", "TemporalPositionTimeOffset", "TriggerTime",
    "NominalCardiacTriggerDelayTime", "FrameAcquisitionNumber", "AcquisitionNumber", "FrameAcquisitionDateTime",
    "AcquisitionTime", "StackID", "InStackPositionNumber", "DimensionIndexValues", "ConvolutionKernel", "KVP",
    "ContrastBolusAgent", "RepetitionTime", "FlipAngle", "InversionTime", "PixelPaddingValue", "Units",
))  # fmt: skip
# What a functional group calls it, and what a single image does (PS3.3 C.7.6.16.2, C.8.13).
_CLASSIC = {
    "EffectiveEchoTime": "EchoTime", "FrameType": "ImageType", "TemporalPositionIndex": "TemporalPositionIdentifier",
    "NominalCardiacTriggerDelayTime": "TriggerTime", "FrameAcquisitionNumber": "AcquisitionNumber",
}  # fmt: skip
_PLACES = (
    ("ImagePositionPatient", "PlanePositionSequence"),
    ("ImageOrientationPatient", "PlaneOrientationSequence"),
    ("PixelSpacing", "PixelMeasuresSequence"),
)
_ALONG_STACK = frozenset(("ImagePositionPatient", "InStackPositionNumber", "SliceLocation"))
_DEPTH = 3

Values = dict[str, tuple[str, ...]]


def frames_of(path: Path, facts: Facts) -> tuple[Image, ...]:
    """Describe every frame of a multi-frame image.

    A frame's own functional groups win over shared ones, and those over the top level; values of unassigned
    converted attributes (legacy converted images) count as groups do. Dimension indices are kept as
    ``DimensionIndex1`` and so on, also where their pointer is private; those along the stack are left out.

    Args:
        path: The file.
        facts: What sorting read of its top level.

    Raises:
        UnsupportedObjectError: Its frames are tiles of a slide.
        UnsupportedPixelsError: It has no pixel data.
        FrameCountError: It describes another number of frames than it claims.
        NoGeometryError: A frame does not say where it lies; the message names the functional group.
        DicomError: It cannot be read.
    """
    if not facts.has_pixels:
        raise UnsupportedPixelsError("the image has no pixel data", hint="retrieve it again")
    dataset = read_dataset(path)
    _demand_slices(dataset)
    count = whole_of(dataset, "NumberOfFrames") or 1
    described = len(value_of(dataset, "PerFrameFunctionalGroupsSequence") or ())
    if described != count:
        message = f"{count} frame(s) claimed, {described} described"
        raise FrameCountError(message, hint="ask the sender for a new export")
    shared = _values(groups_of(dataset, count)[:1])
    pointers = _pointers(dataset)
    ref = SeriesRef(facts.text("StudyInstanceUID"), facts.text("SeriesInstanceUID"))
    return tuple(
        _image(path, ref, replace(facts, values={**shared, **own}), frame)
        for frame, own in enumerate(_each_frame(dataset, count, pointers))
    )


def _demand_slices(dataset: pydicom.Dataset) -> None:
    is_tiled = text_of(dataset, "DimensionOrganizationType").startswith("TILED")
    if is_tiled or whole_of(dataset, "TotalPixelMatrixColumns") > 0:
        raise UnsupportedObjectError("its frames are tiles of a slide, not slices", hint="use a tool for slides")


def _pointers(dataset: pydicom.Dataset) -> tuple[bool, ...]:
    """Tell for each dimension whether it counts something else than places along the stack."""
    items = value_of(dataset, "DimensionIndexSequence") or ()
    tags = [value_of(item, "DimensionIndexPointer") for item in items]
    return tuple(tag is None or pydicom.datadict.keyword_for_tag(tag) not in _ALONG_STACK for tag in tags)


def _each_frame(dataset: pydicom.Dataset, count: int, pointers: tuple[bool, ...]) -> Iterator[Values]:
    own_groups = value_of(dataset, "PerFrameFunctionalGroupsSequence") or ()
    for frame in range(count):
        values = _values((own_groups[frame],))
        indices = values.get("DimensionIndexValues", ())
        for number, (is_other, index) in enumerate(zip(pointers, indices, strict=False), start=1):
            if is_other:
                values[f"DimensionIndex{number}"] = (index,)
        yield values


def _values(groups: tuple[pydicom.Dataset, ...]) -> Values:
    """Gather the attributes of functional groups under the names that single images use."""
    found: Values = {}
    for group in groups:
        for _, item in items_of(group):
            _gather(item, found, _DEPTH)
    for grouped, classic in _CLASSIC.items():
        if grouped in found:
            found[classic] = found.pop(grouped)
    if moment := found.pop("FrameAcquisitionDateTime", None):
        found["AcquisitionTime"] = (moment[0][8:].split("+")[0].split("-")[0],)
    return found


def _gather(item: pydicom.Dataset, found: Values, depth: int) -> None:
    for tag in list(item.keys()):
        keyword = pydicom.datadict.keyword_for_tag(tag)
        if keyword in _OF_FRAMES:
            if texts := texts_of(item, keyword):
                found[keyword] = texts
        elif keyword and depth and pydicom.datadict.dictionary_VR(tag) == "SQ":
            for inner in (value_of(item, keyword) or ())[:1]:
                _gather(inner, found, depth - 1)


def _image(path: Path, ref: SeriesRef, facts: Facts, frame: int) -> Image:
    for keyword, group in _PLACES:
        if not facts.texts(keyword):
            raise NoGeometryError(f"frame {frame + 1} has no {group}", hint="nothing racoon could know")
    with about(ref):
        header = slice_header(path, facts)
    return Image(replace(header, frame=frame, instance_number=frame + 1, facts=facts), ref, facts)
