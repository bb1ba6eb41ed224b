"""Annotations to the image series they lie on: by referenced images, then series, then frame of reference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from racoon_data.annotations.own_grid import seg_grid
from racoon_data.annotations.tools.exports import ExportFile
from racoon_data.dicom.series import AnnotationFile, Series
from racoon_data.dicom.stacking import geometry_of
from racoon_data.errors import (
    AmbiguousReferenceError,
    AnnotationError,
    DanglingReferenceError,
    RacoonError,
    WrongPatientError,
)
from racoon_data.geometry import Geometry
from racoon_data.grid.place import fit
from racoon_data.outcomes import Outcome, outcome_of

STEP = "link"
REFERENCE, GEOMETRY = "reference", "geometry"
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Link:
    """An annotation and the series it lies on.

    Attributes:
        file: The annotation.
        series: The series, ``None`` for a report whose images are not here or in several series alike.
        confidence: ``reference`` where the annotation names the series or its images, ``geometry`` where only its
            frame of reference and grid fit, empty without a series.
        further: Other series a report is linked with, for the regions drawn on them.
        is_further: This is such a link: findings come with the first.
    """

    file: AnnotationFile
    series: Series | None
    confidence: str = REFERENCE
    further: tuple[Series, ...] = ()
    is_further: bool = False


@dataclass(frozen=True, slots=True)
class Links:
    """Every annotation, linked or with the reason it is not.

    Attributes:
        pairs: Links; an annotation over several series has one for each.
        outcomes: One outcome for each annotation without a link.
    """

    pairs: tuple[Link, ...] = ()
    outcomes: tuple[Outcome, ...] = ()


def link(series: Sequence[Series], files: Sequence[AnnotationFile], *, is_on_each: bool = False) -> Links:
    """Find the series every annotation lies on.

    Referenced images decide first, then referenced series; only an annotation that references nothing
    is linked by patient, study, frame of reference and grid, where one series fits. A reference to images
    that are not here is a coded skip and never replaced by a guess. References to another annotation (a
    report on a segmentation) are followed to that annotation's images. A structure set over several series
    is linked with each; a segmentation and a report with the one series they reference most (a report with
    none where two share the lead: its rows name their images).

    Args:
        series: Image series.
        files: Annotations.
        is_on_each: Link a DICOM report with every other series it references too, for its regions.

    Returns:
        Links and outcomes; each file is in exactly one of them.
    """
    pairs: list[Link] = []
    outcomes: list[Outcome] = []
    by_sop = {file.ref.sop_uid: file for file in files}
    for file in files:
        try:
            found = _links_of(file, series, by_sop)
            pairs += found if is_on_each else [replace(one, further=()) for one in found if not one.is_further]
        except AnnotationError as error:
            outcomes.append(_outcome(error, file))
    return Links(tuple(pairs), tuple(outcomes))


def _outcome(error: RacoonError, file: AnnotationFile) -> Outcome:
    return outcome_of(error, ref=file.ref, step=STEP)


def _links_of(file: AnnotationFile, series: Sequence[Series], by_sop: dict[str, AnnotationFile]) -> list[Link]:
    sops, uids = _references(file, by_sop)
    found, confidence = _by_images(series, sops) or _by_series(series, uids), REFERENCE
    is_report = file.modality == "SR"
    _require_same_patient(file, found or _of_study(file, series))
    if not found and not sops and not uids and not is_report:
        found, confidence = _by_place(file, series), GEOMETRY
    if not found and is_report:
        return [Link(file, None, "")]
    if not found:
        raise DanglingReferenceError(
            "the annotation references images that are not here", hint="retrieve its source series too"
        )
    if file.modality == "RTSTRUCT":
        return [Link(file, one, confidence) for one in found]
    best = _the_one(found, sops)
    if best is None and not is_report:
        raise AmbiguousReferenceError(
            f"the segmentation references {len(found)} series equally: {_names(found)}",
            hint="export one segmentation per series",
        )
    others = tuple(one for one in found if one is not best) if is_report and not isinstance(file, ExportFile) else ()
    first = Link(file, best, confidence if best is not None else "", others)
    return [first, *(Link(file, one, confidence, is_further=True) for one in others)]


def _of_study(file: AnnotationFile, series: Sequence[Series]) -> list[Series]:
    return [one for one in series if file.ref.study_uid and one.ref.study_uid == file.ref.study_uid]


def _names(series: Sequence[Series]) -> str:
    """Name candidates by their series UIDs, and the part where one UID holds several volumes."""
    names = [" ".join(filter(None, (one.ref.series_uid, one.part))) for one in series]
    return ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")


def _references(file: AnnotationFile, by_sop: dict[str, AnnotationFile]) -> tuple[frozenset[str], frozenset[str]]:
    """Collect references, those of referenced annotations included (one step).

    A structure set names its study where others name an instance; that is no reference to an image.
    """
    through = [by_sop[sop] for sop in sorted(file.referenced_sops) if sop in by_sop and sop != file.ref.sop_uid]
    sops = file.referenced_sops.union(*(other.referenced_sops for other in through))
    return sops - {file.ref.study_uid}, file.referenced_series.union(*(other.referenced_series for other in through))


def _by_images(series: Sequence[Series], sops: frozenset[str]) -> list[Series]:
    return [one for one in series if not sops.isdisjoint(one.sop_uids)]


def _by_series(series: Sequence[Series], uids: frozenset[str]) -> list[Series]:
    return [one for one in series if one.ref.series_uid in uids]


def _by_place(file: AnnotationFile, series: Sequence[Series]) -> list[Series]:
    """Find the one series an annotation without references fits, by patient, study, frame of reference and grid.

    Raises:
        AmbiguousReferenceError: Several fit; they are named.
        DanglingReferenceError: It says nothing to go by, or none fits.
    """
    grid = _grid_of(file)
    if not file.frame_of_reference and grid is None:
        return []
    near = [one for one in series if _may_be(file, one)]
    found = near if grid is None else _best_fits(grid, near)
    if len(found) > 1:
        raise AmbiguousReferenceError(
            f"the annotation references no image and fits {len(found)} series: {_names(found)}",
            hint="export it with references to its images",
        )
    if near and not found and grid is not None and len(near) == 1 and file.frame_of_reference:
        return near  # its frame of reference names one series; reading says how the grids differ
    if not found:
        raise DanglingReferenceError(
            f"the annotation references no image and lies on the grid of none of {len(near)} series",
            hint="export it with references, or from the series as it is in the archive",
        )
    return found


def _may_be(file: AnnotationFile, one: Series) -> bool:
    """Tell whether nothing an annotation says speaks against a series."""
    is_other_patient = file.patient and one.patient and file.patient != one.patient
    is_other_frame = file.frame_of_reference and file.frame_of_reference != one.frame_of_reference
    is_other_study = isinstance(file, ExportFile) and file.ref.study_uid not in ("", one.ref.study_uid)
    return not (is_other_patient or is_other_frame or is_other_study)


def _grid_of(file: AnnotationFile) -> Geometry | None:
    if isinstance(file, ExportFile):
        return file.export.grid
    try:
        return seg_grid(file.path) if file.modality == "SEG" else None
    except RacoonError:
        return None


def _best_fits(grid: Geometry, series: Sequence[Series]) -> list[Series]:
    """Give the series of this very grid; where there is none, those it is a part of voxel for voxel."""
    same: list[Series] = []
    parts: list[Series] = []
    for one in series:
        try:
            target = geometry_of(one)
        except RacoonError:
            continue
        found = fit(grid, target)
        if found is not None and found.covers(target):
            same.append(one)
        elif found is not None and found.meets(target):
            parts.append(one)
    return same or parts


def _require_same_patient(file: AnnotationFile, found: Sequence[Series]) -> None:
    if any(file.patient and one.patient and one.patient != file.patient for one in found):
        raise WrongPatientError(
            "the annotation and the images it names belong to different patients",
            hint="check where the file came from; it is kept out",
        )


def _the_one(found: Sequence[Series], sops: frozenset[str]) -> Series | None:
    """Choose the series most of whose images are referenced, ``None`` where two share the lead."""
    hits = Counter({place: len(sops.intersection(one.sop_uids)) for place, one in enumerate(found)})
    (best, most), *others = hits.most_common()
    return None if others and others[0][1] == most else found[best]
