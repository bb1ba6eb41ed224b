"""Every defect the checks know: its code, how bad it is, what it means and what helps."""

from __future__ import annotations

from dataclasses import dataclass

from racoon_data.cases import QcIssue, Severity
from racoon_data.refs import CaseRef


@dataclass(frozen=True, slots=True)
class Defect:
    """One kind of defect.

    Attributes:
        code: Stable name.
        severity: ``fail`` keeps the case out, ``warn`` lets it in with a note.
        meaning: What was seen and why it matters.
        fix: What helps.
    """

    code: str
    severity: Severity
    meaning: str
    fix: str

    def of(self, case: CaseRef, measured: str) -> QcIssue:
        """Report it for a case.

        Args:
            case: The case.
            measured: What was measured and what was expected.
        """
        return QcIssue(self.code, self.severity, case, measured, self.fix)


NON_FINITE = Defect(
    "image.non_finite",
    Severity.FAIL,
    "Voxels are not numbers; training on them gives no numbers either.",
    "convert the series again; look for a rescale by zero or a broken transfer",
)
CONSTANT = Defect(
    "image.constant",
    Severity.FAIL,
    "Every voxel has the same value: there is no image.",
    "retrieve the series again and look at it in a viewer",
)
NO_RESCALE = Defect(
    "image.no_rescale",
    Severity.FAIL,
    "A CT in HU has no air near -1000 and tissue near +1024: rescale slope and intercept were not applied.",
    "check RescaleIntercept of the source series and convert it again",
)
IMAGE_GRID = Defect(
    "image.grid_mismatch",
    Severity.FAIL,
    "The channels of a case do not lie on one grid.",
    "harmonize the case, or choose series of one frame of reference",
)
LABEL_GRID = Defect(
    "label.grid_mismatch",
    Severity.FAIL,
    "The label map does not lie on the image grid, so it marks other tissue.",
    "read the annotation again onto the series it references",
)
UNEXPECTED_VALUE = Defect(
    "label.unexpected_value",
    Severity.FAIL,
    "The label map holds a value that the label schema does not know.",
    "map the labels again with the dataset's label schema",
)
EMPTY = Defect(
    "label.empty",
    Severity.FAIL,
    "A reader outlined something, and nothing of it is in the label map.",
    "see what could not be mapped with racoon labels check, or lower min_lesion_ml",
)
IN_AIR = Defect(
    "label.in_air",
    Severity.WARN,
    "A label lies in air outside tissue, as a shifted or mirrored mask does.",
    "look at the case in the report; compare with the source segmentation",
)
NOT_DECLARED = Defect(
    "label.not_declared",
    Severity.WARN,
    "A label is present although this site is said not to annotate it.",
    "add the label to labels.annotated of the study file",
)
UNMAPPED = Defect(
    "label.unmapped",
    Severity.WARN,
    "Segments have codes or names that the label schema does not know; they are in no label.",
    "add the code or name to the label schema",
)
UNKNOWN_COVERAGE = Defect(
    "label.coverage_unknown",
    Severity.WARN,
    "Nobody says which labels were looked for, so absent and not annotated cannot be told apart.",
    "name the labels in labels.annotated of the study file",
)
DRIFT = Defect(
    "label.volume_drift",
    Severity.WARN,
    "Harmonizing changed the volume of a label by more than a tenth.",
    "choose a finer spacing or spacing_mm = native",
)
LESION_LOST = Defect(
    "label.lesion_lost",
    Severity.WARN,
    "Harmonizing made whole lesions vanish.",
    "choose a finer spacing or linear label interpolation",
)
DUPLICATE = Defect(
    "image.duplicate",
    Severity.FAIL,
    "Two cases hold the same voxels: one examination counted twice, perhaps on both sides of a split.",
    "keep one of them; look for a series stored under two study UIDs",
)

DEFECTS: dict[str, Defect] = {
    defect.code: defect
    for defect in (
        *(NON_FINITE, CONSTANT, NO_RESCALE, IMAGE_GRID, DUPLICATE),
        *(LABEL_GRID, UNEXPECTED_VALUE, EMPTY, IN_AIR, NOT_DECLARED),
        *(UNMAPPED, UNKNOWN_COVERAGE, DRIFT, LESION_LOST),
    )
}
