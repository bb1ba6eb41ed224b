"""Makers of DICOM SEG with highdicom: masks beside a synthetic series."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import highdicom
import numpy as np
import pydicom
from highdicom.seg import Segmentation, SegmentDescription

from racoon_data.annotations.seg_writer import close_index
from racoon_data.labels import CodedConcept, Mask
from racoon_data.refs import InstanceRef
from racoon_data.testing.saving import save, settle
from racoon_data.testing.series_plan import MadeSeries
from racoon_data.testing.uids import made_uid

ABNORMAL = CodedConcept("49755003", "SCT", "Morphologically abnormal structure")
LESION = CodedConcept("52988006", "SCT", "Lesion")
LUNG = CodedConcept("39607008", "SCT", "Lung")
_NO_CODES: Mapping[str, CodedConcept] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class SegStyle:
    """How a tool writes its segmentations.

    Attributes:
        codes: Property type by segment name; a name without one gets ``LESION``.
        category: Property category of every segment.
        region: Anatomic region of every segment.
        is_one_per_file: Write one file a segment instead of one file in all.
        labels: SegmentLabel by segment name, where the tool writes another one.
        creator: ContentCreatorName.
        tool: Manufacturer of the tool.
        description: SeriesDescription.
        series_number: SeriesNumber of the first file.
    """

    codes: Mapping[str, CodedConcept] = field(default_factory=lambda: _NO_CODES)
    category: CodedConcept = ABNORMAL
    region: CodedConcept | None = LUNG
    is_one_per_file: bool = False
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    creator: str = "Leser^Lena"
    tool: str = "RACOON Phantoms"
    description: str = "Segmentation"
    series_number: int = 100


@dataclass(frozen=True, slots=True)
class MadeSeg:
    """A SEG file and what it holds.

    Attributes:
        path: The file.
        ref: Its reference.
        names: Segment names in order of segment number.
    """

    path: Path
    ref: InstanceRef
    names: tuple[str, ...]


def hd_code(concept: CodedConcept) -> highdicom.sr.CodedConcept:
    """Turn our concept into highdicom's."""
    return highdicom.sr.CodedConcept(concept.value, concept.scheme, concept.meaning or concept.value)


def a_seg(
    folder: Path, series: MadeSeries, masks: Mapping[str, Mask], *, style: SegStyle | None = None
) -> tuple[MadeSeg, ...]:
    """Write masks as DICOM SEG (BINARY) that reference every slice of a series.

    Args:
        folder: Where files go.
        series: The image series, on disk.
        masks: Segment name to mask ``[k, j, i]`` on the whole grid of the series. A mask that is
            empty still gives a segment, without frames.
        style: How to write them.

    Returns:
        The files written: one, or one per mask.
    """
    style = style or SegStyle()
    groups = [(name,) for name in masks] if style.is_one_per_file else [tuple(masks)]
    images = [pydicom.dcmread(path) for path in series.paths]
    return tuple(
        _write(folder, series, images, {name: masks[name] for name in names}, (style, number))
        for number, names in enumerate(groups)
    )


def _write(
    folder: Path,
    series: MadeSeries,
    images: list[pydicom.Dataset],
    masks: Mapping[str, Mask],
    styled: tuple[SegStyle, int],
) -> MadeSeg:
    style, number = styled
    names = tuple(masks)
    series_uid = made_uid(series.ref.series_uid, "seg", style.description, *names)
    sop_uid = made_uid(series_uid, "instance")
    pixels = np.stack([masks[name][list(series.kept)] for name in names], axis=-1).astype(np.uint8)
    seg = Segmentation(
        source_images=images,
        pixel_array=pixels,
        segmentation_type="BINARY",
        segment_descriptions=[_describe(place, name, series_uid, style) for place, name in enumerate(names, 1)],
        series_instance_uid=series_uid,
        series_number=style.series_number + number,
        sop_instance_uid=sop_uid,
        instance_number=1,
        manufacturer=style.tool,
        manufacturer_model_name="Phantom annotator",
        software_versions="1.0",
        device_serial_number="1",
        content_creator_name=style.creator,
        series_description=style.description,
    )
    close_index(seg)
    organization = str(seg.DimensionOrganizationSequence[0].DimensionOrganizationUID)
    settle(seg, {organization: made_uid(series_uid, "dimensions")})
    path = folder / f"SEG{style.series_number + number:04d}.dcm"
    save(seg, path)
    return MadeSeg(path, InstanceRef(series.ref.study_uid, series_uid, sop_uid), names)


def _describe(place: int, name: str, series_uid: str, style: SegStyle) -> SegmentDescription:
    return SegmentDescription(
        segment_number=place,
        segment_label=style.labels.get(name, name)[:64],
        segmented_property_category=hd_code(style.category),
        segmented_property_type=hd_code(style.codes.get(name, LESION)),
        algorithm_type="MANUAL",
        tracking_uid=made_uid(series_uid, "tracking", name),
        tracking_id=f"{name} {place}",
        anatomic_regions=[hd_code(style.region)] if style.region else None,
    )
