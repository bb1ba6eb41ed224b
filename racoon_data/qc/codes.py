"""Every defect the checks know: its code, how bad it is, what it means and what helps."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass

import racoon_data.annotation_errors
import racoon_data.errors
import racoon_data.pacs_errors  # noqa: F401 - their codes are explained too
from racoon_data.cases import QcIssue, Severity
from racoon_data.error_base import RacoonError
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
    "A label lies in air: most of its voxels hold no tissue, not even emphysema.",
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

MISSING = Defect(
    "file.missing",
    Severity.FAIL,
    "A file that the manifest names is not there.",
    "build or import the dataset again; what is whole is kept",
)
CHANGED = Defect(
    "file.changed",
    Severity.FAIL,
    "A file differs from its checksum in the manifest: somebody edited or damaged it after the dataset was written.",
    "build or import the dataset again, so that the manifest tells what is there",
)
UNREADABLE = Defect(
    "file.unreadable",
    Severity.FAIL,
    "A file is cut short, damaged or no volume: its voxels cannot be read.",
    "copy or write the file again; look for a full disk or a broken transfer",
)
BAD_SIDECAR = Defect(
    "file.bad_sidecar",
    Severity.FAIL,
    "The sidecar of a case is no JSON or not of its kind, so nothing tells how the case came to be.",
    "build or import the case again; some converters write JSON that is none",
)
TRUNCATED = Defect(
    "image.truncated",
    Severity.FAIL,
    "The volume lost slices: it is shorter than it was written.",
    "retrieve the series again and compare the number of its images",
)
BLANK_ENDS = Defect(
    "image.blank_ends",
    Severity.WARN,
    "Slices at an end of the volume hold one value throughout: a scanner's padding, or a transfer that ended early.",
    "look whether anatomy is missing; if so, retrieve the series again",
)
MOVED = Defect(
    "image.moved",
    Severity.FAIL,
    "The image lies elsewhere in the patient than when the case was written: origin, spacing or axes changed.",
    "write the image again with the affine of its sidecar",
)
MIXED_ORIENTATION = Defect(
    "image.mixed_orientation",
    Severity.FAIL,
    "Axes point elsewhere than in most cases; a network sees arrays only, and this patient upside down or mirrored.",
    "harmonize the dataset with one recipe.orientation",
)
SPACING_OUTLIER = Defect(
    "image.spacing_outlier",
    Severity.WARN,
    "The voxel spacing stands apart from all other cases.",
    "look at the acquisition; exclude it by max_thickness_mm or choose a recipe.spacing_mm",
)
EXTENT_OUTLIER = Defect(
    "image.extent_outlier",
    Severity.WARN,
    "The scan is much shorter or longer than all other cases: a part of the body, or a volume that lost slices.",
    "compare with the series in the PACS; exclude localizers and partial scans by min_slices",
)
INTENSITY_OUTLIER = Defect(
    "image.intensity_outlier",
    Severity.WARN,
    "The values of the image lie on another scale than those of all other cases.",
    "look for a missing rescale, another unit or a foreign reconstruction",
)
KERNEL_OUTLIER = Defect(
    "acquisition.kernel_outlier",
    Severity.WARN,
    "Nearly all cases share one reconstruction kernel and this one has another.",
    "choose the kernel in the case rule, or keep the case knowingly",
)
THICKNESS_OUTLIER = Defect(
    "acquisition.thickness_outlier",
    Severity.WARN,
    "The slices are much thinner or thicker than in all other cases.",
    "set max_thickness_mm in the case rule, or keep the case knowingly",
)
OUTSIDE_BODY = Defect(
    "label.outside_body",
    Severity.FAIL,
    "More than half of a label lies outside the body, as a shifted or mirrored mask does.",
    "look at the case in the report; compare with the source segmentation",
)
MIRRORED = Defect(
    "label.mirrored",
    Severity.FAIL,
    "A label lies at the mirror image of the place where it was outlined: an axis was flipped without its header.",
    "build the case again; find the tool that flipped the array",
)
LABEL_MOVED = Defect(
    "label.moved",
    Severity.FAIL,
    "A label lies elsewhere in the patient than it was outlined.",
    "build the case again; compare with the source segmentation",
)
WRONG_SIDE = Defect(
    "label.wrong_side",
    Severity.FAIL,
    "A label whose name or code says left lies in the patient's right, or the other way round.",
    "look for a mirrored mask or image, or for two label values that were swapped",
)
FITS_MIRRORED = Defect(
    "label.fits_mirrored",
    Severity.WARN,
    "The image does not change at a label's boundary, and it does at the boundary of its mirror image.",
    "look at the case in the report: the mask may be mirrored",
)
LABEL_INTENSITY = Defect(
    "label.intensity_outlier",
    Severity.WARN,
    "The image inside a label differs from that of all other cases with this label.",
    "look at the case: another finding may have been outlined under this name",
)
LABEL_VOLUME = Defect(
    "label.volume_outlier",
    Severity.WARN,
    "The volume of a label is far from that of all other cases with this label.",
    "look for a stray click, an organ outlined as a lesion, or a wrong unit of spacing",
)
LABEL_COMPONENTS = Defect(
    "label.components_outlier",
    Severity.WARN,
    "A label falls into many more pieces than in all other cases.",
    "look for specks; set min_lesion_ml or smooth the source segmentation",
)
LABEL_ROUGHNESS = Defect(
    "label.roughness_outlier",
    Severity.WARN,
    "The boundary of a label is much rougher than in all other cases: a threshold's noise or a torn mask.",
    "look at the case; smooth or outline it again",
)
LEAK = Defect(
    "split.leak",
    Severity.FAIL,
    "A patient, a series or an image stands on both sides of a split or in two folds: what is tested was learnt.",
    "split by patient again; give one person one pseudonym",
)
LABEL_HABIT = Defect(
    "site.label_habit",
    Severity.WARN,
    "Nearly all outlines of a label at this site differ from those of the other sites: readers follow different rules.",
    "agree on a rule of outlining with the sites, or weigh this label knowingly",
)

DEFECTS: dict[str, Defect] = {
    defect.code: defect
    for defect in (
        *(MISSING, CHANGED, UNREADABLE, BAD_SIDECAR),
        *(NON_FINITE, CONSTANT, NO_RESCALE, IMAGE_GRID, DUPLICATE, TRUNCATED, BLANK_ENDS, MOVED, MIXED_ORIENTATION),
        *(SPACING_OUTLIER, EXTENT_OUTLIER, INTENSITY_OUTLIER, KERNEL_OUTLIER, THICKNESS_OUTLIER),
        *(LABEL_GRID, UNEXPECTED_VALUE, EMPTY, OUTSIDE_BODY, IN_AIR, MIRRORED, LABEL_MOVED, WRONG_SIDE, FITS_MIRRORED),
        *(NOT_DECLARED, UNMAPPED, UNKNOWN_COVERAGE, DRIFT, LESION_LOST),
        *(LABEL_INTENSITY, LABEL_VOLUME, LABEL_COMPONENTS, LABEL_ROUGHNESS),
        *(LEAK, LABEL_HABIT),
    )
}


def explained(code: str) -> dict[str, str] | None:
    """Say what a code means: a finding's, or that of an error a case was left out for.

    Returns:
        ``code``, ``severity``, ``meaning`` and ``fix``; ``None`` where no such code exists.
    """
    if code in DEFECTS:
        one = DEFECTS[code]
        return {"code": code, "severity": str(one.severity), "meaning": one.meaning, "fix": one.fix}
    for kind in _errors(RacoonError):
        if kind.code == code:
            meaning = inspect.cleandoc(kind.__doc__ or "").split("\n\n")[0].replace("\n", " ")
            severity = "skipped" if kind.is_skip else "failed"
            return {"code": code, "severity": severity, "meaning": meaning, "fix": "the hint beside the message says"}
    return None


def _errors(root: type[RacoonError]) -> Iterator[type[RacoonError]]:
    yield root
    for child in root.__subclasses__():
        yield from _errors(child)
