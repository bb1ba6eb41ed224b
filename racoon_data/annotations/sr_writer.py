"""Volumes and diameters of written segments as a TID 1500 report that points at the segmentation."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import pydicom

from racoon_data.annotations.seg_writer import MANUFACTURER, MODEL, Source, Stamp, hd_code
from racoon_data.annotations.settling import settle
from racoon_data.annotations.written_segments import LABEL_LENGTH, Written
from racoon_data.geometry import Geometry
from racoon_data.grid.diameters import diameters_of
from racoon_data.labels import CodedConcept
from racoon_data.refs import uid_of

VOLUME = CodedConcept("118565006", "SCT", "Volume")
LONG_AXIS = CodedConcept("103339001", "SCT", "Long Axis")
SHORT_AXIS = CodedConcept("103340004", "SCT", "Short Axis")
_MILLILITRE = CodedConcept("ml", "UCUM", "milliliter")
_MILLIMETRE = CodedConcept("mm", "UCUM", "millimeter")
_PROCEDURES = {
    "CT": CodedConcept("77477000", "SCT", "Computed tomography"),
    "MR": CodedConcept("113091000", "SCT", "Magnetic resonance imaging"),
    "PT": CodedConcept("82918005", "SCT", "Positron emission tomography"),
}
_IMAGING = CodedConcept("363679005", "SCT", "Imaging procedure")


def measurements_of(one: Written, geometry: Geometry) -> tuple[tuple[CodedConcept, float, CodedConcept], ...]:
    """Measure a segment: volume (ml), and long and short axis (mm) in the slice where it is longest."""
    mask = one.drawn.piece  # neither volume nor diameters depend on where it lies
    rows = [(VOLUME, round(float(mask.sum()) * geometry.voxel_ml, 4), _MILLILITRE)]
    found = diameters_of(mask, geometry)
    if found is not None:
        rows += [(LONG_AXIS, round(found.long_mm, 2), _MILLIMETRE), (SHORT_AXIS, round(found.short_mm, 2), _MILLIMETRE)]
    return tuple(rows)


def report_of(written: Sequence[Written], source: Source, stamp: Stamp, *, seg: pydicom.Dataset) -> pydicom.Dataset:
    """Build a Comprehensive 3D SR with one measurement group for each segment.

    Args:
        written: The segments, as in the segmentation.
        source: The images.
        stamp: What the export shares.
        seg: The segmentation the groups point at.
    """
    from highdicom import sr
    from pydicom.sr.codedict import codes

    procedure = _PROCEDURES.get(source.series.acquisition.modality, _IMAGING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # highdicom comments on pseudonyms, which are names of one part
        content = sr.MeasurementReport(
            observation_context=_context(stamp),
            procedure_reported=hd_code(procedure),
            imaging_measurements=[_group(one, source, stamp, seg) for one in written],
            title=codes.DCM.ImagingMeasurementReport,
        )
        report = sr.Comprehensive3DSR(
            evidence=[*source.images, seg],
            content=content[0],
            series_instance_uid=uid_of(stamp.seed, "sr", "series"),
            series_number=stamp.number + 1,
            sop_instance_uid=uid_of(stamp.seed, "sr", "instance"),
            instance_number=1,
            manufacturer=MANUFACTURER,
            manufacturer_model_name=MODEL,
            software_versions=stamp.version,
            device_serial_number="0",
            is_complete=True,
            series_description=f"Measurements by {stamp.author.name}"[:LABEL_LENGTH],
        )
    settle(report, stamp.moment)
    return report


def _context(stamp: Stamp) -> Any:
    from highdicom import sr
    from pydicom.sr.codedict import codes

    author = stamp.author
    person = device = None
    if author.reader:
        attributes = sr.PersonObserverIdentifyingAttributes(name=author.reader)
        person = sr.ObserverContext(codes.DCM.Person, attributes)
    if author.algorithm:
        attributes = sr.DeviceObserverIdentifyingAttributes(
            uid=uid_of("algorithm", author.algorithm, author.version),
            name=author.algorithm,
            model_name=author.algorithm,
            serial_number=author.version,
        )
        device = sr.ObserverContext(codes.DCM.Device, attributes)
    return sr.ObservationContext(observer_person_context=person, observer_device_context=device)


def _group(one: Written, source: Source, stamp: Stamp, seg: pydicom.Dataset) -> Any:
    from highdicom import sr

    segment = one.segment
    assert segment.type is not None
    site = (
        sr.FindingSite(
            hd_code(segment.region), laterality=hd_code(segment.region_modifier) if segment.region_modifier else None
        )
        if segment.region
        else None
    )
    return sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(segment.tracking_uid, f"{segment.name} {segment.number}"[:64]),
        referenced_segment=sr.ReferencedSegment(
            sop_class_uid=seg.SOPClassUID,
            sop_instance_uid=seg.SOPInstanceUID,
            segment_number=segment.number,
            source_series=sr.SourceSeriesForSegmentation(source.series.ref.series_uid),
        ),
        finding_type=hd_code(segment.type),
        finding_category=hd_code(segment.category) if segment.category else None,
        finding_sites=[site] if site else None,
        algorithm_id=_algorithm(stamp) if stamp.author.algorithm else None,
        measurements=[
            sr.Measurement(name=hd_code(name), value=value, unit=hd_code(unit))
            for name, value, unit in measurements_of(one, source.geometry)
        ],
    )


def _algorithm(stamp: Stamp) -> Any:
    from highdicom import sr

    return sr.AlgorithmIdentification(stamp.author.algorithm, stamp.author.version)
