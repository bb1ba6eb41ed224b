"""One image file on its way into a series: where it lies, and how it was made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from racoon_data.cases import Acquisition
from racoon_data.dicom.facts import Facts
from racoon_data.dicom.series import SliceHeader
from racoon_data.errors import NoGeometryError, UnsupportedObjectError, UnsupportedPixelsError
from racoon_data.geometry import Point
from racoon_data.refs import SeriesRef

KEYWORDS = (
    "MediaStorageSOPClassUID", "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID",
    "PatientID", "StudyDate", "FrameOfReferenceUID", "Modality", "SeriesDescription", "BodyPartExamined",
    "Manufacturer", "ManufacturerModelName", "ImageType", "ConvolutionKernel", "SliceThickness", "KVP",
    "ContrastBolusAgent", "PatientPosition", "Rows", "Columns", "NumberOfFrames", "ImagePositionPatient",
    "ImageOrientationPatient", "PixelSpacing", "InstanceNumber", "EchoNumbers", "EchoTime", "DiffusionBValue",
    "ComplexImageComponent", "TemporalPositionIdentifier", "AcquisitionNumber", "TriggerTime", "AcquisitionTime",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Image:
    """One image on its way into a series."""

    header: SliceHeader
    ref: SeriesRef
    facts: Facts

    @property
    def along_normal(self) -> float:
        """Distance of the slice from the origin along its normal (mm)."""
        normal = np.cross(self.header.row_direction, self.header.column_direction)
        return float(normal @ np.array(self.header.position_lps))


def images_of(path: Path, facts: Facts) -> tuple[Image, ...]:
    """Describe every slice of one file: one, or one for each frame.

    Raises:
        UnsupportedObjectError: It claims several frames and is of a kind that has one.
        UnsupportedPixelsError: It has no pixel data.
        NoGeometryError: It does not say where it lies.
    """
    return (image_of(path, facts),)


def image_of(path: Path, facts: Facts) -> Image:
    """Describe a single-frame image.

    Raises:
        UnsupportedObjectError: It claims several frames.
        UnsupportedPixelsError: It has no pixel data.
        NoGeometryError: It does not say where it lies.
    """
    if facts.whole("NumberOfFrames") > 1:
        raise UnsupportedObjectError("several frames in a single-frame image", hint="ask the sender for a new export")
    if not facts.has_pixels:
        raise UnsupportedPixelsError("the image has no pixel data", hint="retrieve it again")
    return Image(
        header=_slice_header(path, facts),
        ref=SeriesRef(facts.text("StudyInstanceUID"), facts.text("SeriesInstanceUID")),
        facts=facts,
    )


def _slice_header(path: Path, facts: Facts) -> SliceHeader:
    position = facts.numbers("ImagePositionPatient", count=3)
    orientation = facts.numbers("ImageOrientationPatient", count=6)
    spacing = facts.numbers("PixelSpacing", count=2)
    if position is None or orientation is None or spacing is None:
        raise NoGeometryError("the image does not say where it lies", hint="nothing racoon could know")
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    is_sound = np.isfinite([*position, *orientation, *spacing]).all() and min(spacing) > 0
    if not is_sound or not np.allclose(lengths, 1, atol=1e-3) or abs(row @ column) > 1e-3:
        raise NoGeometryError("position, orientation or pixel spacing make no sense", hint="ask for a new export")
    return SliceHeader(
        path=path,
        sop_uid=facts.text("SOPInstanceUID"),
        rows=facts.whole("Rows"),
        columns=facts.whole("Columns"),
        position_lps=(position[0], position[1], position[2]),
        row_direction=_point(row / lengths[0]),
        column_direction=_point(column / lengths[1]),
        pixel_spacing_mm=(spacing[0], spacing[1]),
        instance_number=facts.whole("InstanceNumber"),
    )


def _point(vector: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Point:
    x, y, z = (float(value) for value in vector)
    return (x, y, z)


def acquisition_of(facts: Facts) -> Acquisition:
    """Give what a rule may ask about how an image was made."""
    return Acquisition(
        modality=facts.text("Modality"),
        description=facts.text("SeriesDescription"),
        body_part=facts.text("BodyPartExamined"),
        manufacturer=facts.text("Manufacturer"),
        model=facts.text("ManufacturerModelName"),
        image_type=facts.texts("ImageType"),
        kernel=facts.texts("ConvolutionKernel"),
        slice_thickness_mm=facts.number("SliceThickness"),
        kvp=facts.number("KVP"),
        contrast_agent=facts.text("ContrastBolusAgent"),
        patient_position=facts.text("PatientPosition"),
        sop_class_uid=facts.text("SOPClassUID"),
        transfer_syntax_uid=facts.transfer_syntax_uid,
    )
