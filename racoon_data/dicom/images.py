"""One image file on its way into a series: where it lies, and how it was made."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import isfinite, sqrt
from pathlib import Path

from racoon_data.cases import Acquisition
from racoon_data.dicom.diffusion import with_diffusion
from racoon_data.dicom.facts import Facts
from racoon_data.dicom.series import SliceHeader
from racoon_data.errors import NoGeometryError, UnsupportedObjectError, UnsupportedPixelsError
from racoon_data.geometry import Point, cross, dot
from racoon_data.refs import SeriesRef

_SKEW = 1e-3

MULTIFRAME_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.2.1": "enhanced CT",
    "1.2.840.10008.5.1.4.1.1.2.2": "legacy converted enhanced CT",
    "1.2.840.10008.5.1.4.1.1.4.1": "enhanced MR",
    "1.2.840.10008.5.1.4.1.1.4.3": "enhanced MR colour",
    "1.2.840.10008.5.1.4.1.1.4.4": "legacy converted enhanced MR",
    "1.2.840.10008.5.1.4.1.1.130": "enhanced PET",
    "1.2.840.10008.5.1.4.1.1.128.1": "legacy converted enhanced PET",
    "1.2.840.10008.5.1.4.1.1.30": "parametric map",
}


@dataclass(frozen=True, slots=True)
class Image:
    """One image on its way into a series."""

    header: SliceHeader
    ref: SeriesRef
    facts: Facts

    @property
    def along_normal(self) -> float:
        """Distance of the slice from the origin along its normal (mm)."""
        return dot(cross(self.header.row_direction, self.header.column_direction), self.header.position_lps)


def images_of(path: Path, facts: Facts) -> tuple[Image, ...]:
    """Describe every slice of one file: one, or one for each frame.

    Raises:
        UnsupportedObjectError: It claims several frames and is of a kind that has one.
        UnsupportedPixelsError: It has no pixel data.
        NoGeometryError: It does not say where it lies.
        FrameCountError: It describes another number of frames than it claims.
        DicomError: It cannot be read.
    """
    if facts.text("SOPClassUID") in MULTIFRAME_CLASSES:
        from racoon_data.dicom.multiframe import frames_of

        return frames_of(path, facts)
    if facts.private and facts.text("Modality") == "MR":
        facts = with_diffusion(facts)
    if "MOSAIC" in facts.texts("ImageType") and facts.has_pixels:
        from racoon_data.dicom.mosaic import slices_of_mosaic

        return slices_of_mosaic(path, facts)
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
        header=slice_header(path, facts),
        ref=SeriesRef(facts.text("StudyInstanceUID"), facts.text("SeriesInstanceUID")),
        facts=facts,
    )


def slice_header(path: Path, facts: Facts) -> SliceHeader:
    """Describe where a slice lies.

    Raises:
        NoGeometryError: It does not say, or what it says makes no sense.
    """
    position = facts.numbers("ImagePositionPatient", count=3)
    orientation = facts.numbers("ImageOrientationPatient", count=6)
    spacing = facts.numbers("PixelSpacing", count=2)
    if position is None or orientation is None or spacing is None:
        raise NoGeometryError("the image does not say where it lies", hint="nothing racoon could know")
    row, column = _unit(*orientation[:3]), _unit(*orientation[3:])
    is_sound = all(map(isfinite, (*position, *spacing))) and min(spacing) > 0
    if not is_sound or row is None or column is None or abs(dot(row, column)) > _SKEW:
        raise NoGeometryError("position, orientation or pixel spacing make no sense", hint="ask for a new export")
    return SliceHeader(
        path=path,
        sop_uid=facts.text("SOPInstanceUID"),
        rows=facts.whole("Rows"),
        columns=facts.whole("Columns"),
        position_lps=(position[0], position[1], position[2]),
        row_direction=row,
        column_direction=column,
        pixel_spacing_mm=(spacing[0], spacing[1]),
        instance_number=facts.whole("InstanceNumber"),
        facts=facts,
    )


def _unit(x: float, y: float, z: float) -> Point | None:
    """Make a direction exactly one long, ``None`` where it is not about one to begin with."""
    length = sqrt(x * x + y * y + z * z) if isfinite(x + y + z) else 0.0
    return (x / length, y / length, z / length) if abs(length - 1) <= _SKEW else None


def acquisition_of(facts: Facts) -> Acquisition:
    """Give what a rule may ask about how an image was made."""
    return Acquisition(
        modality=facts.text("Modality"),
        description=facts.text("SeriesDescription"),
        body_part=facts.text("BodyPartExamined"),
        has_face=facts.text("RecognizableVisualFeatures") == "YES",
        manufacturer=facts.text("Manufacturer"),
        model=facts.text("ManufacturerModelName"),
        image_type=facts.texts("ImageType"),
        kernel=facts.texts("ConvolutionKernel"),
        slice_thickness_mm=facts.number("SliceThickness"),
        kvp=facts.number("KVP"),
        contrast_agent=facts.text("ContrastBolusAgent"),
        contrast_delay_s=_delay_s(facts.text("ContrastBolusStartTime"), facts.text("AcquisitionTime")),
        patient_position=facts.text("PatientPosition"),
        sop_class_uid=facts.text("SOPClassUID"),
        transfer_syntax_uid=facts.transfer_syntax_uid,
    )


def _delay_s(start: str, acquired: str) -> float | None:
    """Give the seconds from the injection to the acquisition, ``None`` where a time is missing; past midnight too."""
    seconds = [_seconds(text) for text in (start, acquired)]
    if seconds[0] is None or seconds[1] is None:
        return None
    return (seconds[1] - seconds[0]) % 86_400.0


def _seconds(time: str) -> float | None:
    """Read a DICOM time (HHMMSS.ffffff, shorter ones too)."""
    found = re.fullmatch(r"(\d{2})(\d{2})?(\d{2}(?:\.\d{1,6})?)?", time.strip())
    if found is None:
        return None
    hours, minutes, rest = found.groups(default="0")
    return 3600.0 * int(hours) + 60.0 * int(minutes) + float(rest)
