"""Case to sidecar: where it came from, how it was made and what was done to it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from racoon_data.cases import Acquisition, Case, Channel
from racoon_data.files.case_sidecar import (
    AcquisitionPart,
    AnnotationPart,
    CaseSidecar,
    ChannelPart,
    CodePart,
    GeometryPart,
    LabelPart,
    OutputPart,
    ReaderPart,
    SegmentPart,
)
from racoon_data.files.findings import finding_row
from racoon_data.files.sidecar import software
from racoon_data.geometry import Geometry
from racoon_data.grid.reorient import orientation_of
from racoon_data.labels import IGNORE, Annotation, CodedConcept, Segment


def sidecar_of(
    case: Case, *, outputs: Sequence[OutputPart], readers: Sequence[ReaderPart], label_ml: dict[str, float]
) -> CaseSidecar:
    """Tell how a case came to be.

    Args:
        case: The case as it is written.
        outputs: Its image and label files.
        readers: Its files of unfused masks.
        label_ml: Volume by label name in millilitres.
    """
    return CaseSidecar(
        case_id=case.ref.case_id,
        subject_pseudonym=case.patient,
        relative_day=case.relative_day,
        channels=tuple(map(_channel, case.channels)),
        geometry=_geometry(case.channels[0].volume.geometry),
        label=_label(case, label_ml),
        annotations=tuple(map(_annotation, case.annotations)),
        readers=tuple(readers),
        findings=tuple(finding_row(finding) for finding in case.findings),
        steps=case.steps,
        outputs=tuple(outputs),
        software=software(),
    )


def segment_part(segment: Segment, *, value: int | None = None) -> SegmentPart:
    """Describe a segment, with its voxel value where it stands in a reader file."""
    return SegmentPart(
        value=value,
        number=segment.number,
        name=segment.name,
        category=_code(segment.category),
        type=_code(segment.type),
        type_modifier=_code(segment.type_modifier),
        region=_code(segment.region),
        region_modifier=_code(segment.region_modifier),
        algorithm=segment.algorithm,
        tracking_uid=segment.tracking_uid,
    )


def _channel(channel: Channel) -> ChannelPart:
    return ChannelPart(
        name=channel.name,
        unit=channel.volume.unit,
        study_instance_uid=channel.series.study_uid,
        series_instance_uid=channel.series.series_uid,
        sop_instance_uids=channel.sop_uids,
        acquisition=_acquisition(channel.acquisition),
    )


def _acquisition(made: Acquisition) -> AcquisitionPart:
    return AcquisitionPart(
        modality=made.modality,
        series_description=made.description,
        body_part_examined=made.body_part,
        manufacturer=made.manufacturer,
        manufacturers_model_name=made.model,
        image_type=made.image_type,
        convolution_kernel=made.kernel,
        slice_thickness=made.slice_thickness_mm,
        kvp=made.kvp,
        contrast_bolus_agent=made.contrast_agent,
        contrast_delay_s=made.contrast_delay_s,
        patient_position=made.patient_position,
        sop_class_uid=made.sop_class_uid,
        transfer_syntax_uid=made.transfer_syntax_uid,
        recognizable_visual_features=made.has_face,
    )


def _geometry(grid: Geometry) -> GeometryPart:
    return GeometryPart(
        size=grid.shape,
        spacing_mm=grid.spacing_mm,
        orientation=orientation_of(grid),
        affine_lps=grid.affine_lps,
        frame_of_reference_uid=grid.frame_of_reference,
    )


def _label(case: Case, label_ml: dict[str, float]) -> LabelPart | None:
    if case.label_map is None:
        return None
    return LabelPart(
        annotated=case.label_map.annotated,
        annotated_by_reader=dict(case.label_map.annotated_by),
        volume_ml=label_ml,
        overwritten_voxels=dict(sorted(case.label_map.overwritten)),
        ignored_voxels=int(np.count_nonzero(case.label_map.array == IGNORE)),
        unmapped=case.unmapped,
    )


def _annotation(annotation: Annotation) -> AnnotationPart:
    return AnnotationPart(
        kind=annotation.kind,
        reader=annotation.reader,
        sop_instance_uid=annotation.source.sop_uid,
        segments=tuple(segment_part(mask.segment) for mask in annotation.masks),
        notes=annotation.remarks,
    )


def _code(concept: CodedConcept | None) -> CodePart | None:
    if concept is None:
        return None
    return CodePart(code_value=concept.value, coding_scheme_designator=concept.scheme, code_meaning=concept.meaning)
