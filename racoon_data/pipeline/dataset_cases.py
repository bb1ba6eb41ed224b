"""Cases of a finished dataset as values again: images, labels and unfused readers on their grid."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from racoon_data.cases import Acquisition, Case, Channel
from racoon_data.errors import NoAnnotationError, SuvError
from racoon_data.files.case_sidecar import AcquisitionPart, CaseSidecar, ReaderPart
from racoon_data.files.manifest import CaseRecord, Manifest
from racoon_data.files.nifti import read_nifti, read_nifti_grid
from racoon_data.geometry import Geometry
from racoon_data.harmonize.coverage import segment_of
from racoon_data.harmonize.fuse import SINGLE
from racoon_data.harmonize.label_mapping import map_annotations
from racoon_data.harmonize.recipe import Recipe, map_rules
from racoon_data.harmonize.steps import map_step, step
from racoon_data.labels import IGNORE, Annotation, LabelMap, SegmentMask
from racoon_data.refs import CaseRef, InstanceRef, SeriesRef
from racoon_data.volumes import Volume

# What the label map rests on: where a recipe says the same, the dataset's own map is taken.
_MAPPING = ("fuse", "undecided", "unmapped", "not_annotated")


def channel_grids(root: Path, record: CaseRecord, sidecar: CaseSidecar) -> list[tuple[str, SeriesRef, Geometry]]:
    """Give name, series and grid of each channel, from the headers of its images."""
    frame = sidecar.geometry.frame_of_reference_uid
    return [
        (channel.name, _series(channel.study_instance_uid, channel.series_instance_uid), _framed(grid, frame))
        for channel, grid in zip(
            sidecar.channels, (read_nifti_grid(root / path) for path in record.images), strict=True
        )
    ]


def check_readable(sidecar: CaseSidecar, recipe: Recipe) -> None:
    """Refuse a case that lacks what the recipe needs and only its DICOM has, or a reader it rests on.

    Raises:
        SuvError: PET is to become SUV; that needs the DICOM headers.
        NoAnnotationError: The single reader did not read this case.
    """
    for channel in sidecar.channels:
        if recipe.pet_values == "suv" and channel.acquisition.modality == "PT" and not channel.unit.startswith("SUV"):
            hint = 'build it from DICOM with pet_values = "suv"'
            raise SuvError(f"channel {channel.name} is in {channel.unit or 'no unit'}, not SUV", hint=hint)
    readers = {part.reader for part in sidecar.readers}
    if recipe.fuse.startswith(SINGLE) and readers and recipe.fuse.removeprefix(SINGLE) not in readers:
        message = f"reader {recipe.fuse.removeprefix(SINGLE)!r} did not annotate this case"
        raise NoAnnotationError(message, hint="choose another policy")


def case_of(root: Path, manifest: Manifest, record: CaseRecord, sidecar: CaseSidecar, *, recipe: Recipe) -> Case:
    """Read a case of a dataset.

    Where the recipe fuses readers in another way than the dataset's own, its labels are made anew of the unfused
    readers; else its label map is taken as it is.

    Args:
        root: The dataset.
        manifest: Its manifest.
        record: The case in it.
        sidecar: The case's sidecar.
        recipe: What it is read for.

    Raises:
        DamagedDatasetError: A file cannot be read.
    """
    frame = sidecar.geometry.frame_of_reference_uid
    channels = []
    for part, path in zip(sidecar.channels, record.images, strict=True):
        array, grid = read_nifti(root / path)
        ref = _series(part.study_instance_uid, part.series_instance_uid)
        volume = Volume(array, _framed(grid, frame), part.unit)
        channels.append(Channel(part.name, volume, ref, _acquisition(part.acquisition), part.sop_instance_uids))
    first = channels[0].series
    annotations = tuple(
        _annotation(root, part, first, number=number, frame=frame) for number, part in enumerate(sidecar.readers)
    )
    case = Case(
        ref=CaseRef(record.case_id),
        patient=record.patient,
        channels=tuple(channels),
        annotations=annotations,
        relative_day=record.relative_day,
        unmapped=record.unmapped,
        steps=(*sidecar.steps, step("harmonize_dataset", source_dataset=manifest.dataset_sha256)),
    )
    if annotations and _maps_otherwise(manifest, recipe):
        return _fused_anew(case, manifest, sidecar, recipe)
    return replace(case, label_map=_label_map(root, manifest, record, sidecar))


def _series(study: str, series: str) -> SeriesRef:
    return SeriesRef(study, series)


def _framed(grid: Geometry, frame: str | None) -> Geometry:
    """NIfTI knows no frame of reference; the sidecar does."""
    return replace(grid, frame_of_reference=frame)


def _maps_otherwise(manifest: Manifest, recipe: Recipe) -> bool:
    plain, wanted = Recipe().to_json(), recipe.to_json()
    return any(manifest.recipe.get(key, plain[key]) != wanted[key] for key in _MAPPING)


def _fused_anew(case: Case, manifest: Manifest, sidecar: CaseSidecar, recipe: Recipe) -> Case:
    by_reader = sidecar.label.annotated_by_reader if sidecar.label else {}
    rules = map_rules(recipe, annotated=manifest.annotated_labels, annotated_by=by_reader)
    grid = case.channels[0].volume.geometry
    schema = manifest.label_schema.to_schema()
    mapped = map_annotations(case.annotations, schema, geometry=grid, rules=rules)
    steps = (*case.steps, map_step(schema, rules))
    return replace(case, label_map=mapped.label_map, unmapped=mapped.unmapped, steps=steps)


def _label_map(root: Path, manifest: Manifest, record: CaseRecord, sidecar: CaseSidecar) -> LabelMap | None:
    if record.label is None:
        return None
    array, grid = read_nifti(root / record.label)
    values = array.astype(np.uint8)
    if manifest.ignore_value is not None:
        values = np.where(values == manifest.ignore_value, np.uint8(IGNORE), values)
    geometry = _framed(grid, sidecar.geometry.frame_of_reference_uid)
    own = sidecar.label
    return LabelMap(
        values,
        geometry,
        annotated=record.annotated,
        overwritten=tuple(sorted(own.overwritten_voxels.items())) if own else (),
        annotated_by=tuple(own.annotated_by_reader.items()) if own else (),
    )


def _annotation(root: Path, part: ReaderPart, series: SeriesRef, *, number: int, frame: str | None) -> Annotation:
    array, grid = read_nifti(root / part.path)
    masks = tuple(SegmentMask(segment_of(one), array == one.value) for one in part.segments)
    source = InstanceRef(series.study_uid, series.series_uid, f"{number:06d}")
    return Annotation(source, "seg", series, _framed(grid, frame), masks, reader=part.reader)


def _acquisition(part: AcquisitionPart) -> Acquisition:
    return Acquisition(
        modality=part.modality,
        description=part.series_description,
        body_part=part.body_part_examined,
        manufacturer=part.manufacturer,
        model=part.manufacturers_model_name,
        image_type=part.image_type,
        kernel=part.convolution_kernel,
        slice_thickness_mm=part.slice_thickness,
        kvp=part.kvp,
        contrast_agent=part.contrast_bolus_agent,
        contrast_delay_s=part.contrast_delay_s,
        patient_position=part.patient_position,
        sop_class_uid=part.sop_class_uid,
        transfer_syntax_uid=part.transfer_syntax_uid,
        has_face=part.recognizable_visual_features,
    )
