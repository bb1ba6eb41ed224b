"""One visit of one patient, ready for learning: Case, CaseRule and QC issues."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from racoon_data.labels import Annotation, Finding, LabelMap
from racoon_data.refs import CaseRef, InstanceRef, SeriesRef
from racoon_data.volumes import Volume


@dataclass(frozen=True, slots=True)
class Acquisition:
    """How a series was made: what a rule may ask about and a sidecar records.

    Empty text or ``None`` where the header does not say.
    """

    modality: str = ""
    description: str = ""
    body_part: str = ""
    manufacturer: str = ""
    model: str = ""
    image_type: tuple[str, ...] = ()
    kernel: tuple[str, ...] = ()
    slice_thickness_mm: float | None = None
    kvp: float | None = None
    contrast_agent: str = ""
    contrast_delay_s: float | None = None
    patient_position: str = ""
    sop_class_uid: str = ""
    transfer_syntax_uid: str = ""
    has_face: bool = False


@dataclass(frozen=True, slots=True)
class ChannelRule:
    """Which series may become one channel.

    Attributes:
        name: Channel name as nnU-Net reads it (``CT`` selects CT normalisation).
        modality: Required Modality, empty for any.
        description: Regular expression the SeriesDescription must contain, empty for any.
        kernel: Regular expression one ConvolutionKernel value must contain, empty for any.
        min_slices: Fewer slices are a localizer or a fragment.
        max_thickness_mm: Thicker slices are refused; ``None`` for any.
        contrast: True or False to require or forbid contrast; ``None`` for any.
        prefer: Ranked preferences among the series that fit: ``thinnest``, ``thickest``, ``most_slices``,
            ``annotated``, ``thickness:1.0`` (the nearest to it), ``kernel:Br4``, ``description:...``,
            ``body_part:...`` and ``contrast_phase:venous``. One that no series meets decides nothing. A tie after all
            of them is ambiguous, and the case is skipped.
        exclude: Regular expression the SeriesDescription must not contain, empty for none.
        body_part: Regular expression the BodyPartExamined must contain, empty for any.
        contrast_phase: ``native``, ``arterial``, ``venous`` or ``delayed``; empty for any.
        min_thickness_mm: Thinner slices are refused; ``None`` for any.
    """

    name: str
    modality: str = ""
    description: str = ""
    kernel: str = ""
    min_slices: int = 3
    max_thickness_mm: float | None = None
    contrast: bool | None = None
    prefer: tuple[str, ...] = ("annotated",)
    exclude: str = ""
    body_part: str = ""
    contrast_phase: str = ""
    min_thickness_mm: float | None = None


@dataclass(frozen=True, slots=True)
class CaseRule:
    """How studies become cases.

    Attributes:
        channels: One rule per channel, in channel order.
        per: ``study`` (one case a study) or ``annotated-series`` (one case for every series that
            carries a mask; ``channels`` then has one rule).
        labels_required: Skip a case that has no usable mask.
        faces: ``allow``, or ``refuse`` to skip a case one of whose series is marked as showing a face.
    """

    channels: tuple[ChannelRule, ...]
    per: str = "study"
    labels_required: bool = True
    faces: str = "allow"


@dataclass(frozen=True, slots=True, eq=False)
class Channel:
    """One image of a case and where it came from."""

    name: str
    volume: Volume
    series: SeriesRef
    acquisition: Acquisition
    sop_uids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """Images, label map and findings of one visit.

    Attributes:
        ref: The case.
        patient: Pseudonym.
        channels: Images, all on one grid after harmonizing.
        label_map: Fused labels, or ``None`` where none were required and none exist.
        annotations: Unfused readers, on the grid of ``label_map``.
        findings: Rows of reports.
        relative_day: Days since the patient's first study.
        sources: Annotation instances that were used.
        unmapped: Segment names and codes that the label schema does not know.
        steps: What was done so far, one JSON-ready mapping a step.
    """

    ref: CaseRef
    patient: str
    channels: tuple[Channel, ...]
    label_map: LabelMap | None = None
    annotations: tuple[Annotation, ...] = ()
    findings: tuple[Finding, ...] = ()
    relative_day: int | None = None
    sources: tuple[InstanceRef, ...] = ()
    unmapped: tuple[str, ...] = ()
    steps: tuple[dict[str, object], ...] = ()


class Severity(StrEnum):
    """How bad a QC issue is."""

    FAIL = "fail"
    WARN = "warn"


@dataclass(frozen=True, slots=True)
class QcIssue:
    """Something a check saw: one line of ``qc/findings.jsonl``.

    Attributes:
        code: Stable name such as ``label.empty``.
        severity: ``fail`` keeps the case out, ``warn`` lets it in with a note.
        case: The case.
        message: What was measured and what was expected.
        fix: What helps.
    """

    code: str
    severity: Severity
    case: CaseRef
    message: str
    fix: str = ""

    def to_json(self) -> dict[str, str]:
        """Give the issue as a JSON document (``schemas/qc-finding``)."""
        return {
            "code": self.code,
            "severity": str(self.severity),
            "case": self.case.case_id,
            "message": self.message,
            "fix": self.fix,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read an issue back.

        Raises:
            KeyError: A key is missing.
            ValueError: The severity is unknown.
        """
        severity, case = Severity(document["severity"]), CaseRef(document["case"])
        return cls(document["code"], severity, case, document["message"], document["fix"])
