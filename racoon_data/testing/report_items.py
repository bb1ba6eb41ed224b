"""Structured reports built item by item: any tree, right or broken, beside a synthetic series."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from pydicom.dataset import Dataset

from racoon_data.labels import CodedConcept
from racoon_data.refs import InstanceRef
from racoon_data.testing.headers import SOP_CLASSES, add_patient_and_study
from racoon_data.testing.saving import save
from racoon_data.testing.series_plan import MadeSeries
from racoon_data.testing.uids import made_uid

BASIC_TEXT, ENHANCED, COMPREHENSIVE, COMPREHENSIVE_3D = (
    f"1.2.840.10008.5.1.4.1.1.88.{number}" for number in (11, 22, 33, 34)
)
GROUP = CodedConcept("125007", "DCM", "Measurement Group")
MEASUREMENTS = CodedConcept("126010", "DCM", "Imaging Measurements")
TITLE = CodedConcept("126000", "DCM", "Imaging Measurement Report")
TRACKING_ID = CodedConcept("112039", "DCM", "Tracking Identifier")
TRACKING_UID = CodedConcept("112040", "DCM", "Tracking Unique Identifier")
FINDING = CodedConcept("121071", "DCM", "Finding")
SITE = CodedConcept("363698007", "SCT", "Finding Site")
TIME_POINT = CodedConcept("C2348792", "UMLS", "Time Point")
IMAGE_REGION = CodedConcept("111030", "DCM", "Image Region")
VOLUME_SURFACE = CodedConcept("121231", "DCM", "Volume Surface")
PERSON = CodedConcept("121008", "DCM", "Person Observer Name")
DEVICE = CodedConcept("121013", "DCM", "Device Observer Name")
VOLUME = CodedConcept("118565006", "SCT", "Volume")
MILLIMETRE = CodedConcept("mm", "UCUM", "millimeter")


def code_item(concept: CodedConcept) -> Dataset:
    """Build the item of a code sequence."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = concept.value, concept.scheme, concept.meaning
    return item


def content_item(kind: str, name: CodedConcept | None = None, *below: Dataset, relation: str = "CONTAINS") -> Dataset:
    """Build a content item without value."""
    item = Dataset()
    item.RelationshipType, item.ValueType = relation, kind
    if name is not None:
        item.ConceptNameCodeSequence = [code_item(name)]
    if below:
        item.ContentSequence = list(below)
    return item


def container(name: CodedConcept, *below: Dataset, relation: str = "CONTAINS") -> Dataset:
    """Build a container."""
    item = content_item("CONTAINER", name, *below, relation=relation)
    item.ContinuityOfContent = "SEPARATE"
    return item


def text(name: CodedConcept, words: str, *, relation: str = "CONTAINS", kind: str = "TEXT") -> Dataset:
    """Build a text, person name or UID item."""
    item = content_item(kind, name, relation=relation)
    setattr(item, {"TEXT": "TextValue", "PNAME": "PersonName", "UIDREF": "UID"}[kind], words)
    return item


def coded(name: CodedConcept, value: CodedConcept, *below: Dataset, relation: str = "CONTAINS") -> Dataset:
    """Build a code item."""
    item = content_item("CODE", name, *below, relation=relation)
    item.ConceptCodeSequence = [code_item(value)]
    return item


def number(name: CodedConcept, value: str, unit: CodedConcept, *below: Dataset, relation: str = "CONTAINS") -> Dataset:
    """Build a measurement; an empty value leaves MeasuredValueSequence empty."""
    item = content_item("NUM", name, *below, relation=relation)
    measured = Dataset()
    measured.NumericValue, measured.MeasurementUnitsCodeSequence = value, [code_item(unit)]
    item.MeasuredValueSequence = [measured] if value else []
    return item


def image(series: MadeSeries, k: int, *, relation: str = "SELECTED FROM") -> Dataset:
    """Build a reference to a slice of a series."""
    item = content_item("IMAGE", relation=relation)
    target = Dataset()
    target.ReferencedSOPClassUID = SOP_CLASSES[series.plan.modality]
    target.ReferencedSOPInstanceUID = series.sop_uids[k]
    item.ReferencedSOPSequence = [target]
    return item


def on_image(series: MadeSeries, k: int, graphic: str, points_ij: Sequence[Sequence[float]]) -> Dataset:
    """Build a region on a slice: points (i, j) in voxel indices, written in pixels from the corner."""
    item = content_item("SCOORD", IMAGE_REGION, image(series, k))
    item.GraphicType = graphic
    item.GraphicData = [value + 0.5 for point in points_ij for value in point]
    return item


def in_space(
    series: MadeSeries, graphic: str, points_ijk: Iterable[Sequence[float]], *, name: CodedConcept = IMAGE_REGION
) -> Dataset:
    """Build a region in the frame of reference of a series: points (i, j, k) in voxel indices, written in mm."""
    item = content_item("SCOORD3D", name)
    item.GraphicType = graphic
    item.GraphicData = [value for point in points_ijk for value in series.geometry.position_lps(point)]
    item.ReferencedFrameOfReferenceUID = series.geometry.frame_of_reference
    return item


def tracked_group(name: str, *below: Dataset, uid: str = "") -> Dataset:
    """Build a measurement group of a tracked lesion."""
    identity = [text(TRACKING_ID, name, relation="HAS OBS CONTEXT")]
    identity.append(text(TRACKING_UID, uid or made_uid("lesion", name), relation="HAS OBS CONTEXT", kind="UIDREF"))
    return container(GROUP, *identity, *below)


def a_report(
    folder: Path,
    series: MadeSeries,
    content: Sequence[Dataset],
    *,
    sop_class: str = COMPREHENSIVE_3D,
    name: str = "SR0001",
    **attributes: object,
) -> tuple[Path, InstanceRef]:
    """Write a report.

    Args:
        folder: Where the file goes.
        series: The image series it belongs to.
        content: Items below the root, in order.
        sop_class: SOP class UID.
        name: File name; another name gives another instance.
        attributes: Further attributes of the report by keyword, which win.

    Returns:
        The file and its reference.
    """
    series_uid = made_uid(series.ref.series_uid, "report", name)
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, made_uid(series_uid, "instance")
    add_patient_and_study(dataset, series.plan)
    dataset.Modality, dataset.SeriesInstanceUID, dataset.SeriesNumber = "SR", series_uid, 301
    dataset.Manufacturer, dataset.InstanceNumber = "RACOON Phantoms", 1
    dataset.ContentDate, dataset.ContentTime = "20200318", "090000"
    dataset.CompletionFlag, dataset.VerificationFlag = "COMPLETE", "UNVERIFIED"
    dataset.ReferencedPerformedProcedureStepSequence, dataset.PerformedProcedureCodeSequence = [], []
    dataset.CurrentRequestedProcedureEvidenceSequence = [_evidence(series)]
    dataset.ValueType, dataset.ContinuityOfContent = "CONTAINER", "SEPARATE"
    dataset.ConceptNameCodeSequence = [code_item(TITLE)]
    dataset.ContentSequence = list(content)
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    path = folder / f"{name}.dcm"
    save(dataset, path)
    return path, InstanceRef(series.ref.study_uid, series_uid, dataset.SOPInstanceUID)


def _evidence(series: MadeSeries) -> Dataset:
    in_series = Dataset()
    in_series.SeriesInstanceUID = series.ref.series_uid
    in_series.ReferencedSOPSequence = [image(series, k).ReferencedSOPSequence[0] for k in range(len(series.sop_uids))]
    study = Dataset()
    study.StudyInstanceUID, study.ReferencedSeriesSequence = series.ref.study_uid, [in_series]
    return study
