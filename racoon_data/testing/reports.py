"""Makers of TID 1500 reports with highdicom: measurements of each outlined lesion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import highdicom
import pydicom
from highdicom import sr
from pydicom.sr.codedict import codes

from racoon_data.labels import CodedConcept
from racoon_data.refs import InstanceRef
from racoon_data.testing.saving import save, settle
from racoon_data.testing.segmentations import LUNG, MadeSeg, hd_code
from racoon_data.testing.series_plan import MadeSeries
from racoon_data.testing.uids import made_uid

SEVERITY = CodedConcept("246112005", "SCT", "Severity")
MODERATE = CodedConcept("6736007", "SCT", "Moderate")
MILLILITRE = CodedConcept("ml", "UCUM", "milliliter")
MEAN = CodedConcept("373098007", "SCT", "Mean")


@dataclass(frozen=True, slots=True)
class Measured:
    """What a reader measured on one lesion.

    Attributes:
        name: Segment name; where a SEG is given the group points at that segment.
        finding: What it is.
        volume_ml: Volume in millilitres.
        mean_hu: Mean density in Hounsfield units, ``None`` where not measured.
        severity: Coded answer to "Severity", ``None`` where not judged.
        site: Anatomic site.
    """

    name: str
    finding: CodedConcept
    volume_ml: float
    mean_hu: float | None = None
    severity: CodedConcept | None = MODERATE
    site: CodedConcept = LUNG


def an_sr(
    folder: Path,
    series: MadeSeries,
    measurements: Sequence[Measured],
    *,
    segs: Sequence[MadeSeg] = (),
    observer: str = "Leser^Lena",
) -> tuple[Path, InstanceRef]:
    """Write a measurement report (Comprehensive 3D SR, TID 1500).

    Args:
        folder: Where the file goes.
        series: The image series, on disk.
        measurements: One group each: volume (ml), mean density (HU) and severity.
        segs: Segmentations the groups point at; a group whose name is in none of them points at
            the first image instead.
        observer: Name of the person who reported.

    Returns:
        The file and its reference.
    """
    series_uid = made_uid(series.ref.series_uid, "sr", observer, *(one.name for one in measurements))
    sop_uid = made_uid(series_uid, "instance")
    evidence = [pydicom.dcmread(path, stop_before_pixels=True) for path in series.paths]
    evidence += [pydicom.dcmread(seg.path, stop_before_pixels=True) for seg in segs]
    groups = [_group(one, series, segs, series_uid) for one in measurements]
    report = sr.MeasurementReport(
        observation_context=_context(observer),
        procedure_reported=hd_code(CodedConcept("169069000", "SCT", "CT of chest")),
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
    )
    document = sr.Comprehensive3DSR(
        evidence=evidence,
        content=report[0],
        series_instance_uid=series_uid,
        series_number=300,
        sop_instance_uid=sop_uid,
        instance_number=1,
        manufacturer="RACOON Phantoms",
        series_description="Measurements",
        is_complete=True,
    )
    settle(document)
    path = folder / "SR0001.dcm"
    save(document, path)
    return path, InstanceRef(series.ref.study_uid, series_uid, sop_uid)


def _context(observer: str) -> sr.ObservationContext:
    person = sr.PersonObserverIdentifyingAttributes(name=observer)
    return sr.ObservationContext(
        observer_person_context=sr.ObserverContext(
            observer_type=codes.DCM.Person, observer_identifying_attributes=person
        )
    )


def _group(one: Measured, series: MadeSeries, segs: Sequence[MadeSeg], series_uid: str) -> Any:
    shared: dict[str, Any] = {
        "finding_type": hd_code(one.finding),
        "finding_sites": [sr.FindingSite(hd_code(one.site))],
        "measurements": _measurements(one),
        "qualitative_evaluations": _evaluations(one),
    }
    seg = next((seg for seg in segs if one.name in seg.names), None)
    tracked = made_uid(seg.ref.series_uid if seg else series_uid, "tracking", one.name)
    shared["tracking_identifier"] = sr.TrackingIdentifier(uid=highdicom.UID(tracked), identifier=one.name)
    if seg is None:
        image = sr.SourceImageForMeasurementGroup(_sop_class(series), series.sop_uids[0])
        return sr.MeasurementsAndQualitativeEvaluations(source_images=[image], **shared)
    segment = sr.ReferencedSegment(
        sop_class_uid=pydicom.uid.SegmentationStorage,
        sop_instance_uid=seg.ref.sop_uid,
        segment_number=seg.names.index(one.name) + 1,
        source_series=sr.SourceSeriesForSegmentation(series.ref.series_uid),
    )
    return sr.VolumetricROIMeasurementsAndQualitativeEvaluations(referenced_segment=segment, **shared)


def _sop_class(series: MadeSeries) -> str:
    return str(pydicom.dcmread(series.paths[0], stop_before_pixels=True).SOPClassUID)


def _measurements(one: Measured) -> list[sr.Measurement]:
    volume = sr.Measurement(name=codes.SCT.Volume, value=round(one.volume_ml, 4), unit=hd_code(MILLILITRE))
    if one.mean_hu is None:
        return [volume]
    density = sr.Measurement(
        name=codes.DCM.AttenuationCoefficient,
        value=round(one.mean_hu, 2),
        unit=codes.UCUM.HounsfieldUnit,
        derivation=hd_code(MEAN),
    )
    return [volume, density]


def _evaluations(one: Measured) -> list[sr.QualitativeEvaluation]:
    if one.severity is None:
        return []
    return [sr.QualitativeEvaluation(name=hd_code(SEVERITY), value=hd_code(one.severity))]
