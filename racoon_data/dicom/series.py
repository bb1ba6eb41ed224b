"""Series as values: sorted slice headers of one stackable acquisition, and annotation files beside them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from racoon_data.cases import Acquisition
from racoon_data.dicom.facts import Facts
from racoon_data.geometry import Point
from racoon_data.outcomes import Outcome
from racoon_data.refs import InstanceRef, SeriesRef

SeriesKey = tuple[SeriesRef, str]
Splits = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class SliceHeader:
    """Where one slice lies and which file holds it.

    Attributes:
        path: The file.
        sop_uid: Its SOPInstanceUID.
        rows: Rows.
        columns: Columns.
        position_lps: ImagePositionPatient: centre of the first voxel (mm, LPS).
        row_direction: First half of ImageOrientationPatient (direction of growing column index).
        column_direction: Second half (direction of growing row index).
        pixel_spacing_mm: PixelSpacing: between rows, between columns.
        instance_number: InstanceNumber, 0 where absent; of a frame its number, from 1.
        frame: Index from 0 of the frame in a file of many, ``None`` in a file of one.
        tiles: Tiles along a side of a mosaic that holds the slice, 0 where it is no mosaic.
        facts: What the one pass over the file kept, ``None`` where the header was made by hand.
    """

    path: Path
    sop_uid: str
    rows: int
    columns: int
    position_lps: Point
    row_direction: Point
    column_direction: Point
    pixel_spacing_mm: tuple[float, float]
    instance_number: int = 0
    frame: int | None = None
    tiles: int = 0
    facts: Facts | None = field(default=None, compare=False, repr=False)
    suv_factor: float | None = None


@dataclass(frozen=True, slots=True)
class Series:
    """Slices of one acquisition that belong in one volume, in order along the slice normal.

    Attributes:
        ref: The series.
        patient: PatientID (a pseudonym once de-identified).
        study_date: StudyDate as written (shifted once de-identified), empty where absent.
        frame_of_reference: FrameOfReferenceUID, ``None`` where absent.
        slices: Headers, ascending along the slice normal (row direction x column direction).
        acquisition: How it was made.
        part: What set it apart where one series UID held several volumes (``EchoNumbers=2``), else empty.
        splits: The same as pairs of attribute and value, in the order they decided.
    """

    ref: SeriesRef
    patient: str
    study_date: str
    frame_of_reference: str | None
    slices: tuple[SliceHeader, ...]
    acquisition: Acquisition
    part: str = ""
    splits: Splits = ()

    @property
    def key(self) -> SeriesKey:
        """Series and part: what tells volumes apart, for one series UID may hold several."""
        return (self.ref, self.part)

    @property
    def sop_uids(self) -> tuple[str, ...]:
        """SOPInstanceUID of every slice, in stack order."""
        return tuple(header.sop_uid for header in self.slices)


@dataclass(frozen=True, slots=True)
class AnnotationFile:
    """An annotation object on disk and what it points at.

    Attributes:
        path: The file.
        ref: Its reference.
        sop_class_uid: SOPClassUID.
        modality: ``SEG``, ``RTSTRUCT`` or ``SR``.
        patient: PatientID.
        referenced_sops: Image instances it references, at any depth.
        referenced_series: Series it references by SeriesInstanceUID, at any depth.
        frame_of_reference: FrameOfReferenceUID it names, ``None`` where absent.
    """

    path: Path
    ref: InstanceRef
    sop_class_uid: str
    modality: str
    patient: str
    referenced_sops: frozenset[str] = frozenset()
    referenced_series: frozenset[str] = frozenset()
    frame_of_reference: str | None = None


@dataclass(frozen=True, slots=True)
class Sorted:
    """A folder, sorted: every file is in exactly one place.

    Attributes:
        series: Image series, in order of study UID, series UID, part.
        annotations: Annotation files, in order of SOPInstanceUID.
        outcomes: One outcome for each file that is in neither.
    """

    series: tuple[Series, ...] = ()
    annotations: tuple[AnnotationFile, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
