"""Makers of multi-frame images: a plan's slices as frames, with functional groups."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.tag import BaseTag, Tag

from racoon_data.testing.headers import file_meta, series_header
from racoon_data.testing.saving import save
from racoon_data.testing.series_plan import SeriesPlan
from racoon_data.testing.uids import made_uid

ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4.1"
ENHANCED_PET = "1.2.840.10008.5.1.4.1.1.130"
LEGACY_CT = "1.2.840.10008.5.1.4.1.1.2.2"
LEGACY_MR = "1.2.840.10008.5.1.4.1.1.4.4"
LEGACY_PET = "1.2.840.10008.5.1.4.1.1.128.1"
PARAMETRIC_MAP = "1.2.840.10008.5.1.4.1.1.30"
_NOT_ON_TOP = (
    "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "RescaleSlope", "RescaleIntercept", "RescaleType",
    "ConvolutionKernel", "WindowCenter", "WindowWidth", "EchoTime", "RepetitionTime", "ScanningSequence",
    "SequenceVariant", "ScanOptions", "MRAcquisitionType", "EchoTrainLength", "KVP", "XRayTubeCurrent", "ExposureTime",
    "FrameReferenceTime", "ActualFrameDuration", "DecayFactor", "NumberOfSlices", "Units", "SeriesType",
)  # fmt: skip
# Functional group that holds the attribute a dimension points at, FrameContentSequence where it is not listed.
_GROUP_OF = {0x00189082: 0x00189114, 0x00189087: 0x00189117}


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One frame to be written.

    Attributes:
        k: Where along the stack it lies.
        stored: Stored values ``[j, i]``.
        groups: Functional groups of its own besides its position: keyword to attributes.
        indices: DimensionIndexValues.
    """

    k: int
    stored: npt.NDArray[Any]
    groups: dict[str, dict[str, Any]] = field(default_factory=dict)
    indices: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Shape:
    """What a multi-frame file is besides its frames.

    Attributes:
        sop_class: SOPClassUID.
        pointers: Tag each dimension index counts.
        shared: Shared functional groups besides geometry and rescaling: keyword to attributes.
        without: Keywords of functional groups to leave out.
        not_shared: Keywords of shared functional groups that only the frames have.
        number: Tells several files of one series apart.
    """

    sop_class: str
    pointers: tuple[int, ...] = (0x00209057,)
    shared: dict[str, dict[str, Any]] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    not_shared: tuple[str, ...] = ()
    number: int = 1


def write_multiframe(path: Path, plan: SeriesPlan, frames: Sequence[Frame], shape: Shape) -> Dataset:
    """Write frames as one file.

    Args:
        path: Where.
        plan: Geometry, identity and rescaling; its values are not used.
        frames: In the order they are to be stored.
        shape: What kind of file.

    Returns:
        What was written.
    """
    image = _top(plan, shape, len(frames))
    image.SharedFunctionalGroupsSequence = Items(
        [_groups({**_geometry(plan), **shape.shared}, (*shape.without, *shape.not_shared))]
    )
    image.PerFrameFunctionalGroupsSequence = Items([_frame_groups(plan, frame, shape.without) for frame in frames])
    stored = np.stack([frame.stored for frame in frames])
    if stored.dtype.kind == "f":
        for keyword in ("BitsStored", "HighBit", "PixelRepresentation"):
            delattr(image, keyword)
        image.BitsAllocated = stored.dtype.itemsize * 8
        keyword = "FloatPixelData" if stored.dtype.itemsize == 4 else "DoubleFloatPixelData"
        setattr(image, keyword, stored.astype(stored.dtype.newbyteorder("<")).tobytes())
    else:
        image.PixelData = stored.astype("<i2").tobytes()
        image["PixelData"].VR = "OW"
    image.file_meta = file_meta(image)
    path.parent.mkdir(parents=True, exist_ok=True)
    save(image, path)
    return image


def _top(plan: SeriesPlan, shape: Shape, count: int) -> Dataset:
    image = deepcopy(series_header(plan))
    for keyword in _NOT_ON_TOP:
        if keyword in image:
            delattr(image, keyword)
    image.SOPClassUID = shape.sop_class
    image.SOPInstanceUID = made_uid(plan.series, "multiframe", shape.number)
    image.InstanceNumber = shape.number
    image.NumberOfFrames = count
    image.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    organization = made_uid(plan.series, "dimensions")
    image.DimensionOrganizationSequence = Items([_item({"DimensionOrganizationUID": organization})])
    image.DimensionIndexSequence = Items(_index(Tag(tag), organization) for tag in shape.pointers)
    return image


def _index(tag: BaseTag, organization: str) -> Dataset:
    item = _item({"DimensionIndexPointer": tag, "DimensionOrganizationUID": organization})
    item.FunctionalGroupPointer = Tag(_GROUP_OF.get(int(tag), 0x00209111))
    if tag.is_private:
        item.DimensionIndexPrivateCreator = "RACOON PHANTOM DIMENSION"
    return item


def _geometry(plan: SeriesPlan) -> dict[str, dict[str, Any]]:
    between_rows, between_columns, between_slices = plan.spacing_mm
    cosines = [round(float(value), 10) for value in plan.cosines]
    kind = "HU" if plan.modality == "CT" else "US"
    return {
        "PixelMeasuresSequence": {"PixelSpacing": [between_rows, between_columns], "SliceThickness": between_slices},
        "PlaneOrientationSequence": {"ImageOrientationPatient": cosines},
        "PixelValueTransformationSequence": {
            "RescaleSlope": plan.slope,
            "RescaleIntercept": plan.offset,
            "RescaleType": kind,
        },
    }


def _frame_groups(plan: SeriesPlan, frame: Frame, without: tuple[str, ...]) -> Dataset:
    position = [round(value, 6) for value in plan.geometry.position_lps((0, 0, frame.k))]
    content: dict[str, Any] = {"DimensionIndexValues": list(frame.indices or (frame.k + 1,)), "StackID": "1"}
    content["InStackPositionNumber"] = frame.k + 1
    groups = {
        "FrameContentSequence": {**content, **frame.groups.get("FrameContentSequence", {})},
        "PlanePositionSequence": {"ImagePositionPatient": position},
    }
    return _groups({**frame.groups, **groups}, without)


def _groups(groups: dict[str, dict[str, Any]], without: tuple[str, ...]) -> Dataset:
    made = Dataset()
    for keyword, attributes in groups.items():
        if keyword not in without:
            setattr(made, keyword, Items([_item(attributes)]))
    return made


def _item(attributes: dict[str, Any]) -> Dataset:
    item = Dataset()
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return item
