"""Masks back to DICOM SEG: binary, label map or fractional, on the images they were drawn on, with their codes."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom

from racoon_data.annotations.settling import Moment, settle
from racoon_data.annotations.written_segments import LABEL_LENGTH, Author, Written
from racoon_data.dicom.headers import read_dataset
from racoon_data.dicom.series import Series
from racoon_data.errors import AnnotationError, SettingsError
from racoon_data.geometry import Geometry
from racoon_data.labels import CodedConcept, Segment
from racoon_data.refs import uid_of

KINDS = ("binary", "labelmap", "fractional")
MANUFACTURER, MODEL = "racoon", "racoon annotations export"
_MOST_FRACTION = 255
_LEFT_OUT = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """The images an object is written for.

    Attributes:
        series: The series.
        geometry: Its grid.
        images: Headers in order of k; one for all where they are frames of one file.
    """

    series: Series
    geometry: Geometry
    images: tuple[pydicom.Dataset, ...]


@dataclass(frozen=True, slots=True)
class Stamp:
    """What all objects of one export share.

    Attributes:
        author: Who outlined.
        moment: Date and time written.
        version: Version of the software that writes.
        seed: Tells exports of different content apart; UIDs are made from it.
        number: SeriesNumber.
    """

    author: Author
    moment: Moment
    version: str
    seed: str
    number: int = 900


def source_of(series: Series, geometry: Geometry) -> Source:
    """Read the headers of a series, each file once.

    Raises:
        DicomError: A file cannot be read.
    """
    paths = dict.fromkeys(header.path for header in series.slices)
    return Source(series, geometry, tuple(read_dataset(path) for path in paths))


def seg_of(written: Sequence[Written], source: Source, stamp: Stamp, *, kind: str) -> pydicom.Dataset:
    """Build a SEG of every segment.

    highdicom writes it; plane positions are those of the images, so tilted and oblique stacks keep theirs.
    A label map holds one segment a voxel: overlap is refused, not resolved.

    Args:
        written: Segments numbered 1, 2, 3 and so on, on the source grid.
        source: The images.
        stamp: What the export shares.
        kind: ``binary``, ``labelmap`` or ``fractional``.

    Raises:
        SettingsError: There is no such kind.
        AnnotationError: Segments of a label map overlap.
    """
    import highdicom

    if kind not in KINDS:
        raise SettingsError(f"no kind of segmentation {kind!r}", hint=f"one of: {', '.join(KINDS)}")
    uids = {name: uid_of(stamp.seed, "seg", name) for name in ("series", "instance", "dimensions")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # highdicom comments on absent optional attributes of the images
        seg = highdicom.seg.Segmentation(
            source_images=list(source.images),
            pixel_array=_pixels(written, kind),
            segmentation_type=kind.upper(),
            segment_descriptions=[_description(one.segment, stamp) for one in written],
            series_instance_uid=uids["series"],
            series_number=stamp.number,
            sop_instance_uid=uids["instance"],
            instance_number=1,
            manufacturer=MANUFACTURER,
            manufacturer_model_name=MODEL,
            software_versions=stamp.version,
            device_serial_number="0",
            max_fractional_value=_MOST_FRACTION,
            content_creator_name=stamp.author.reader or None,
            content_label="SEGMENTATION",
            series_description=f"Segmentation by {stamp.author.name}"[:LABEL_LENGTH],
            **_planes(source),
        )
    for index, one in enumerate(written):
        _add_modifiers(seg.SegmentSequence[index - len(written)], one.segment)
    close_index(seg)
    _complete(seg, source)
    settle(seg, stamp.moment, {str(seg.DimensionOrganizationSequence[0].DimensionOrganizationUID): uids["dimensions"]})
    return seg


def close_index(seg: pydicom.Dataset) -> None:
    """Close the database in memory by which highdicom finds frames and which it leaves open; writing needs none.

    Python 3.13 warns of a connection that was not closed, whenever the garbage is collected.
    """
    if (index := getattr(seg, "_db_con", None)) is not None:
        index.close()


def _planes(source: Source) -> dict[str, Any]:
    """Say where each slice lies where the images are frames of one file, of which some may not be meant."""
    import highdicom

    if source.series.slices[0].frame is None:
        return {}
    headers = source.series.slices
    spacing = (source.geometry.spacing_mm[1], source.geometry.spacing_mm[0])
    step = source.geometry.spacing_mm[2]
    return {
        "plane_positions": [highdicom.PlanePositionSequence("PATIENT", header.position_lps) for header in headers],
        "plane_orientation": highdicom.PlaneOrientationSequence(
            "PATIENT", (*headers[0].row_direction, *headers[0].column_direction)
        ),
        "pixel_measures": highdicom.PixelMeasuresSequence(spacing, step, step),
    }


def _pixels(written: Sequence[Written], kind: str) -> npt.NDArray[Any]:
    """Give the pixel array highdicom takes: one label map where no segments overlap, else a channel a segment."""
    if kind == "fractional":
        return np.stack([_fractions(one) for one in written], axis=-1)
    label_map = np.zeros(written[0].drawn.shape, dtype=np.uint8 if len(written) < 256 else np.uint16)
    has_overlap = False
    for one in written:
        place, piece = label_map[one.drawn.window], one.drawn.piece
        has_overlap = has_overlap or bool((place[piece] != 0).any())
        place[piece] = one.segment.number
    if not has_overlap:
        return label_map
    if kind == "labelmap":
        raise AnnotationError("segments overlap and a label map holds one a voxel", hint="write it --as binary")
    channels = np.zeros((*label_map.shape, len(written)), dtype=np.uint8)
    for channel, one in enumerate(written):
        channels[(*one.drawn.window, channel)] = one.drawn.piece
    return channels


def _fractions(one: Written) -> npt.NDArray[np.float32]:
    return one.drawn.whole().astype(np.float32) if one.fractions is None else one.fractions


def _description(segment: Segment, stamp: Stamp) -> Any:
    import highdicom
    from pydicom.sr.codedict import codes

    author = stamp.author
    algorithm = None
    if author.algorithm:
        family = codes.DCM.ArtificialIntelligence
        algorithm = highdicom.AlgorithmIdentificationSequence(author.algorithm, family, author.version)
    assert segment.category is not None
    assert segment.type is not None
    return highdicom.seg.SegmentDescription(
        segment_number=segment.number,
        segment_label=segment.name[:LABEL_LENGTH],
        segmented_property_category=hd_code(segment.category),
        segmented_property_type=hd_code(segment.type),
        algorithm_type=author.kind,
        algorithm_identification=algorithm,
        tracking_uid=segment.tracking_uid,
        tracking_id=f"{segment.name} {segment.number}"[:LABEL_LENGTH],
        anatomic_regions=[hd_code(segment.region)] if segment.region else None,
    )


def _add_modifiers(item: pydicom.Dataset, segment: Segment) -> None:
    if segment.type_modifier is not None:
        kind = item.SegmentedPropertyTypeCodeSequence[0]
        kind.SegmentedPropertyTypeModifierCodeSequence = [hd_code(segment.type_modifier)]
    if segment.region_modifier is not None:
        item.AnatomicRegionSequence[0].AnatomicRegionModifierSequence = [hd_code(segment.region_modifier)]


def _complete(seg: pydicom.Dataset, source: Source) -> None:
    """Add what the standard asks for and highdicom leaves to its caller."""
    if "ContentCreatorName" not in seg:
        seg.ContentCreatorName = ""
    for keyword in ("PatientAge", "PatientSize", "PatientWeight"):
        if keyword in source.images[0]:
            seg[keyword] = source.images[0][keyword]


def hd_code(concept: CodedConcept) -> Any:
    """Turn our concept into highdicom's; a value over 16 letters becomes a LongCodeValue there."""
    import highdicom

    return highdicom.sr.CodedConcept(concept.value, concept.scheme, (concept.meaning or concept.value)[:64])
