"""Makers of RTSTRUCT: closed planar contours beside a synthetic series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import RTStructureSetStorage

from racoon_data.refs import InstanceRef
from racoon_data.testing.headers import SOP_CLASSES, add_patient_and_study
from racoon_data.testing.saving import save
from racoon_data.testing.series_plan import MadeSeries
from racoon_data.testing.uids import made_uid

_DETACHED_STUDY_MANAGEMENT = "1.2.840.10008.3.1.2.3.1"


@dataclass(frozen=True, slots=True)
class Contour:
    """One drawn line on one slice.

    Attributes:
        k: Slice index on the series' grid.
        points_ij: Corners as (i, j) voxel indices; whole numbers are voxel centres.
        kind: ContourGeometricType.
    """

    k: float
    points_ij: tuple[tuple[float, float], ...]
    kind: str = "CLOSED_PLANAR"


def rectangle(k: int, *, columns: tuple[float, float], rows: tuple[float, float]) -> Contour:
    """Draw a rectangle from (first, last) column and row index."""
    (left, right), (top, bottom) = columns, rows
    return Contour(k, ((left, top), (right, top), (right, bottom), (left, bottom)))


def an_rtstruct(
    folder: Path, series: MadeSeries, contours: Mapping[str, Sequence[Contour]]
) -> tuple[Path, InstanceRef]:
    """Write contours as an RT Structure Set that references every slice of a series.

    Args:
        folder: Where the file goes.
        series: The image series.
        contours: ROI name to its contours; a name with none gives an empty ROI.

    Returns:
        The file and its reference.
    """
    series_uid = made_uid(series.ref.series_uid, "rtstruct", *contours)
    sop_uid = made_uid(series_uid, "instance")
    dataset = _header(series, series_uid, sop_uid)
    dataset.ReferencedFrameOfReferenceSequence = [_referenced_frame(series)]
    numbered = list(enumerate(contours.items(), start=1))
    dataset.StructureSetROISequence = [_roi(series, number, name) for number, (name, _) in numbered]
    dataset.ROIContourSequence = [_contours(series, number, lines) for number, (_, lines) in numbered]
    dataset.RTROIObservationsSequence = [_observation(number) for number, _ in numbered]
    path = folder / "RS0001.dcm"
    save(dataset, path)
    return path, InstanceRef(series.ref.study_uid, series_uid, sop_uid)


def _header(series: MadeSeries, series_uid: str, sop_uid: str) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = RTStructureSetStorage, sop_uid
    add_patient_and_study(dataset, series.plan)
    dataset.Modality = "RTSTRUCT"
    dataset.SeriesInstanceUID, dataset.SeriesNumber = series_uid, 200
    dataset.OperatorsName = "Leser^Lena"
    dataset.Manufacturer = "RACOON Phantoms"
    dataset.InstanceNumber = 1
    dataset.StructureSetLabel = "Contours"
    dataset.StructureSetDate, dataset.StructureSetTime = "20200318", "090000"
    dataset.ApprovalStatus = "UNAPPROVED"
    return dataset


def _image_item(series: MadeSeries, sop_uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = SOP_CLASSES[series.plan.modality]
    item.ReferencedSOPInstanceUID = sop_uid
    return item


def _referenced_frame(series: MadeSeries) -> Dataset:
    in_series = Dataset()
    in_series.SeriesInstanceUID = series.ref.series_uid
    in_series.ContourImageSequence = [_image_item(series, uid) for uid in series.sop_uids]
    study = Dataset()
    study.ReferencedSOPClassUID = _DETACHED_STUDY_MANAGEMENT
    study.ReferencedSOPInstanceUID = series.ref.study_uid
    study.RTReferencedSeriesSequence = [in_series]
    frame = Dataset()
    frame.FrameOfReferenceUID = series.geometry.frame_of_reference
    frame.RTReferencedStudySequence = [study]
    return frame


def _roi(series: MadeSeries, number: int, name: str) -> Dataset:
    item = Dataset()
    item.ROINumber, item.ROIName = number, name
    item.ReferencedFrameOfReferenceUID = series.geometry.frame_of_reference
    item.ROIGenerationAlgorithm = "MANUAL"
    return item


def _contours(series: MadeSeries, number: int, lines: Sequence[Contour]) -> Dataset:
    item = Dataset()
    item.ReferencedROINumber = number
    item.ROIDisplayColor = [255, (60 * number) % 256, 0]
    if lines:
        item.ContourSequence = [_contour(series, line) for line in lines]
    return item


def _contour(series: MadeSeries, line: Contour) -> Dataset:
    item = Dataset()
    by_slice = dict(zip(series.kept, series.sop_uids, strict=True))
    if line.k in by_slice:
        item.ContourImageSequence = [_image_item(series, by_slice[int(line.k)])]
    item.ContourGeometricType = line.kind
    item.NumberOfContourPoints = len(line.points_ij)
    points = [series.geometry.position_lps((i, j, line.k)) for i, j in line.points_ij]
    item.ContourData = [round(value, 6) for point in points for value in point]
    return item


def _observation(number: int) -> Dataset:
    item = Dataset()
    item.ObservationNumber = item.ReferencedROINumber = number
    item.RTROIInterpretedType, item.ROIInterpreter = "", ""
    return item
