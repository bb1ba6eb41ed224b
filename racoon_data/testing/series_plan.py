"""What a synthetic series is to be: its grid, its look and whose it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

from racoon_data.geometry import Geometry, Point, as_affine
from racoon_data.refs import SeriesRef
from racoon_data.testing.uids import made_uid
from racoon_data.volumes import Volume

Cosines = tuple[float, float, float, float, float, float]
Values = Callable[[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]], npt.NDArray[Any]] | npt.NDArray[Any]

ORIENTATIONS: dict[str, Cosines] = {
    "axial": (1, 0, 0, 0, 1, 0),
    "coronal": (1, 0, 0, 0, 0, -1),
    "sagittal": (0, 1, 0, 0, 0, -1),
    # 10 degrees about x after 7 degrees about z, to ten places
    "oblique": (0.9925461516, 0.1200178742, 0.0211623894, -0.1218693434, 0.9774671454, 0.1723538305),
}
UNITS = {"CT": "HU", "PT": "Bq/ml", "MR": "1"}


@dataclass(frozen=True, slots=True)
class Person:
    """Identity written into headers, so that de-identification has work to do. All invented."""

    name: str = "Muster^Erika"
    birth_date: str = "19561104"
    sex: str = "F"
    age: str = "063Y"
    institution: str = "Klinikum Musterstadt"
    address: str = "Hauptstrasse 1, 12345 Musterstadt"
    referring_physician: str = "Hausarzt^Hans"
    operator: str = "Rad^Rita"
    accession_number: str = "A20200317"
    study_date: str = "20200317"


class SeriesOptions(TypedDict, total=False):
    """Keywords of ``a_series``; see ``SeriesPlan`` for their meaning."""

    slices: int
    missing: Sequence[int]
    rows: int
    columns: int
    spacing_mm: Point
    orientation: str | Cosines
    origin_lps: Point
    value_of: Values | None
    slope: float
    intercept: float | None
    modality: str
    description: str
    kernel: str
    manufacturer: str
    image_type: tuple[str, ...]
    patient_id: str
    person: Person
    position: str
    study_uid: str
    series_uid: str
    frame_of_reference: str
    series_number: int
    is_numbered_backwards: bool
    has_private_tags: bool
    seed: object


@dataclass(frozen=True, slots=True, eq=False)
class SeriesPlan:
    """Everything about a series to be made.

    Attributes:
        slices: Slices on the regular grid, the missing ones included.
        missing: Zero-based indices along k that are not written.
        rows: Rows of a slice (voxels along j).
        columns: Columns of a slice (voxels along i).
        spacing_mm: Between rows, between columns, between slices.
        orientation: A name of ``ORIENTATIONS`` or six direction cosines.
        origin_lps: Centre of the first voxel of the first slice (mm, LPS).
        value_of: Function of (k, j, i) or array ``[k, j, i]`` giving values in the unit of the
            modality; ``None`` draws a slope that differs along every axis. Values are rounded to
            what the stored integers can hold.
        slope: RescaleSlope (written for CT and PT).
        intercept: RescaleIntercept; ``None`` means -1024 for CT and 0 else.
        modality: ``CT``, ``MR`` or ``PT``.
        description: SeriesDescription.
        kernel: ConvolutionKernel (CT).
        manufacturer: Manufacturer.
        image_type: ImageType.
        patient_id: PatientID.
        person: Identity in the headers.
        position: PatientPosition (not written for PT).
        study_uid: StudyInstanceUID; empty derives it from seed and patient.
        series_uid: SeriesInstanceUID; empty derives it.
        frame_of_reference: FrameOfReferenceUID; empty derives one per study.
        series_number: SeriesNumber.
        is_numbered_backwards: InstanceNumber falls while k grows, as feet-first or caudal stacks do.
        has_private_tags: Write a private block that names the patient again.
        seed: Anything; another seed gives other UIDs.
    """

    slices: int = 20
    missing: Sequence[int] = ()
    rows: int = 32
    columns: int = 40
    spacing_mm: Point = (0.8, 0.7, 2.5)
    orientation: str | Cosines = "axial"
    origin_lps: Point = (-20.0, -15.0, 100.0)
    value_of: Values | None = None
    slope: float = 1.0
    intercept: float | None = None
    modality: str = "CT"
    description: str = "Thorax"
    kernel: str = "B31f"
    manufacturer: str = "RACOON Phantoms"
    image_type: tuple[str, ...] = ("ORIGINAL", "PRIMARY", "AXIAL")
    patient_id: str = "MUSTER-0001"
    person: Person = Person()
    position: str = "HFS"
    study_uid: str = ""
    series_uid: str = ""
    frame_of_reference: str = ""
    series_number: int = 2
    is_numbered_backwards: bool = False
    has_private_tags: bool = False
    seed: object = 0

    @property
    def cosines(self) -> Cosines:
        """ImageOrientationPatient."""
        return ORIENTATIONS[self.orientation] if isinstance(self.orientation, str) else self.orientation

    @property
    def study(self) -> str:
        """StudyInstanceUID."""
        return self.study_uid or made_uid(self.seed, "study", self.patient_id, self.person.study_date)

    @property
    def series(self) -> str:
        """SeriesInstanceUID."""
        look = (self.modality, self.description, self.kernel, self.series_number, self.orientation)
        return self.series_uid or made_uid(self.seed, "series", self.study, *look)

    @property
    def frame(self) -> str:
        """FrameOfReferenceUID."""
        return self.frame_of_reference or made_uid(self.seed, "frame", self.study)

    @property
    def offset(self) -> float:
        """RescaleIntercept."""
        if self.intercept is not None:
            return self.intercept
        return -1024.0 if self.modality == "CT" else 0.0

    @property
    def geometry(self) -> Geometry:
        """The grid in the house convention: k ascends along row direction x column direction."""
        row, column = np.array(self.cosines[:3]), np.array(self.cosines[3:])
        between_rows, between_columns, between_slices = self.spacing_mm
        matrix = np.eye(4)
        matrix[:3, 0] = row * between_columns
        matrix[:3, 1] = column * between_rows
        matrix[:3, 2] = np.cross(row, column) * between_slices
        matrix[:3, 3] = self.origin_lps
        return Geometry((self.columns, self.rows, self.slices), as_affine(matrix), self.frame)

    def stored(self) -> npt.NDArray[np.int16]:
        """Compute the stored integers ``[k, j, i]``."""
        wanted = self.value_of
        if wanted is None:
            wanted = _slope
        values = wanted(*np.indices(self.geometry.array_shape)) if callable(wanted) else np.asarray(wanted)
        if values.shape != self.geometry.array_shape:
            raise ValueError(f"values {values.shape} are not on grid {self.geometry.array_shape}")
        lowest, highest = (0, 32767) if self.modality == "MR" else (-32768, 32767)
        return np.clip(np.rint((values - self.offset) / self.slope), lowest, highest).astype(np.int16)

    def truth_of(self, stored: npt.NDArray[np.int16]) -> Volume:
        """Give the values that a right reader gets (float32)."""
        values = (stored * np.float64(self.slope) + self.offset).astype(np.float32)
        return Volume(values, self.geometry, UNITS.get(self.modality, "1"))


def _slope(k: npt.NDArray[Any], j: npt.NDArray[Any], i: npt.NDArray[Any]) -> npt.NDArray[Any]:
    values: npt.NDArray[Any] = 37 * k + 5 * j + 2 * i - (k * j) // 3
    return values


@dataclass(frozen=True, slots=True, eq=False)
class MadeSeries:
    """A series on disk and what is true about it.

    Attributes:
        ref: Its reference.
        paths: Files in ascending k; missing slices have none.
        sop_uids: SOPInstanceUID of each file.
        kept: Index k of each file.
        truth: Values and grid of the whole stack, missing slices included.
        plan: What it was made from.
    """

    ref: SeriesRef
    paths: tuple[Path, ...]
    sop_uids: tuple[str, ...]
    kept: tuple[int, ...]
    truth: Volume
    plan: SeriesPlan

    @property
    def geometry(self) -> Geometry:
        """The grid of the truth."""
        return self.truth.geometry
