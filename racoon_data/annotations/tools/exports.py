"""Files of other tools in a folder: found, looked into, and read onto an image grid like any annotation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from racoon_data import plugins
from racoon_data.annotations.tools.aim import AimReader
from racoon_data.annotations.tools.dcmqi import DcmqiReader
from racoon_data.annotations.tools.fhir import FhirReader
from racoon_data.annotations.tools.labelled import LabelFileReader
from racoon_data.annotations.tools.mitk import MitkReader
from racoon_data.annotations.tools.slicer import SlicerReader
from racoon_data.dicom.series import AnnotationFile, Series
from racoon_data.errors import (
    AnnotationError,
    BrokenItemError,
    DanglingReferenceError,
    DuplicateInstanceError,
    EmptyItemError,
    OutsideImageError,
)
from racoon_data.geometry import Geometry
from racoon_data.grid.place import NEAREST, RESAMPLED, Placed, boxed, place
from racoon_data.labels import Annotation, ItemIssue, SegmentMask
from racoon_data.outcomes import Outcome, outcome_of
from racoon_data.ports import ToolReader
from racoon_data.refs import FileRef, InstanceRef
from racoon_data.runner.run import run_items
from racoon_data.tool_exports import Look, OwnMask, ToolExport

if TYPE_CHECKING:
    from racoon_data.annotations.tools.mapping import ReportMapping

STEP = "read"
_MASKS, _REPORT = "SEG", "SR"
BUILT_IN = (MitkReader, SlicerReader, LabelFileReader, DcmqiReader, FhirReader, AimReader)


@dataclass(frozen=True, slots=True)
class ExportFile(AnnotationFile):
    """An annotation of another tool, in the place of a DICOM one.

    ``modality`` is ``SEG`` where it has masks, else ``SR``: the same rules hold for it from here on.

    Attributes:
        export: What it holds.
        reader: Who reads its masks.
        resample: Sample its masks where they were made on another grid.
    """

    export: ToolExport = field(kw_only=True)
    reader: ToolReader = field(kw_only=True)
    resample: bool = field(default=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class LookedInto:
    """Files of other tools among many.

    Attributes:
        files: Their annotations.
        outcomes: What in them was not read, or read in part.
        paths: Every file they consist of.
    """

    files: tuple[ExportFile, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    paths: frozenset[Path] = frozenset()


@lru_cache(maxsize=1)
def tool_readers() -> tuple[ToolReader, ...]:
    """Give every reader of files that are no DICOM: installed plug-ins in order of name, then our own.

    A plug-in has the first claim, so a site can read a tool's files in its own way.
    """
    names = plugins.found(plugins.ANNOTATION_READERS)
    loaded = (plugins.load(plugins.ANNOTATION_READERS, name)() for name in names)
    return (*(one for one in loaded if isinstance(one, ToolReader)), *(kind() for kind in BUILT_IN))


def look_into(paths: Iterable[Path], *, mapping: ReportMapping | None = None, root: Path | None = None) -> LookedInto:
    """Find the files of other tools among many and read all of them but the masks.

    Args:
        paths: Files, DICOM ones included: those nobody claims are passed over.
        mapping: Mapping file for vendor reports; it has the first claim.
        root: Folder that file names in outcomes start from.
    """
    readers = _mapped(mapping) + tool_readers()
    claimed = [(path, reader) for path in paths if (reader := _claimant(path, readers)) is not None]
    items = [(FileRef(_name(path, root)), (path, reader)) for path, reader in claimed]
    files: dict[str, ExportFile] = {}
    outcomes: list[Outcome] = []
    taken = {path for path, _ in claimed}
    for (ref, (path, reader)), result in zip(items, run_items(STEP, items, _look), strict=True):
        if result.value is None:
            outcomes.append(result.outcome)
            continue
        taken.update(result.value.companions)
        outcomes += result.value.outcomes
        for export in result.value.exports:
            if export.uid in files:
                outcomes.append(is_copy(ref))
            else:
                files[export.uid] = as_file(path, export, reader)
    return LookedInto(tuple(files.values()), tuple(outcomes), frozenset(taken))


def _mapped(mapping: ReportMapping | None) -> tuple[ToolReader, ...]:
    if mapping is None:
        return ()
    from racoon_data.annotations.tools.mapper import MappedReader

    return (MappedReader(mapping),)


def _claimant(path: Path, readers: Iterable[ToolReader]) -> ToolReader | None:
    return next((one for one in readers if one.claims(path)), None)


def _name(path: Path, root: Path | None) -> str:
    return path.relative_to(root).as_posix() if root and path.is_relative_to(root) and path != root else path.name


def _look(item: tuple[Path, ToolReader]) -> Look:
    path, reader = item
    return reader.look(path)


def is_copy(ref: FileRef) -> Outcome:
    """Say that an annotation is there twice."""
    copy = DuplicateInstanceError("the same annotation is there twice", hint="one copy is used")
    return outcome_of(copy, ref=ref, step=STEP)


def as_file(path: Path, export: ToolExport, reader: ToolReader) -> ExportFile:
    """Put an export in the place of a DICOM annotation."""
    pointers = export.pointers
    return ExportFile(
        path,
        InstanceRef(pointers.study_uid, "", export.uid),
        "",
        _MASKS if export.segments else _REPORT,
        pointers.patient,
        pointers.sop_uids,
        pointers.series_uids,
        pointers.frame_of_reference,
        export=export,
        reader=reader,
    )


def first_days(files: Sequence[ExportFile]) -> dict[str, date]:
    """Give the first day each patient was annotated on."""
    days: dict[str, date] = {}
    for one in files:
        if one.export.day is not None:
            days[one.patient] = min(one.export.day, days.get(one.patient, one.export.day))
    return days


def with_relative_days(file: ExportFile, first: date | None) -> ExportFile:
    """Replace the day of an export by days since a patient's first one: dates go no further.

    Findings that name no time point get ``day N``.
    """
    export = file.export
    if export.day is None or first is None:
        return replace(file, export=replace(export, day=None))
    label = f"day {(export.day - first).days}"
    findings = tuple(replace(one, time_point=one.time_point or label) for one in export.findings)
    return replace(file, export=replace(export, day=None, findings=findings))


def read_export(file: ExportFile, series: Series | None, geometry: Geometry | None, *, resample: bool) -> Annotation:
    """Read the masks of an export onto an image grid, and its findings.

    Args:
        file: The export.
        series: The series it lies on.
        geometry: That series' grid.
        resample: Sample masks of another grid instead of refusing them.

    Raises:
        DanglingReferenceError: It has masks and there is no image.
        GridMismatchError: It lies on another grid and resampling was not asked for, or in another frame of reference.
        AnnotationError: No segment covers a voxel of the image, or its masks cannot be read.
    """
    export = file.export
    image = series.ref if series is not None else None
    findings = tuple(replace(finding, source=file.ref) for finding in export.findings)
    masks: list[SegmentMask] = []
    notes, issues = list(export.notes), list(export.issues)
    if export.segments and export.grid is not None:
        if geometry is None:
            raise DanglingReferenceError("the masks have no image here", hint="retrieve their series")
        own = replace(export.grid, frame_of_reference=export.pointers.frame_of_reference)
        by_number = {segment.number: segment for segment in export.segments}
        for drawn in file.reader.masks(file.path, export):
            if drawn.number not in by_number:
                issues.append(undescribed(drawn))
                continue
            placed = place(drawn.mask, own, geometry, resample=resample or file.resample)
            notes += placing_notes(drawn.number, placed)
            issues += placing_issues(drawn.number, placed)
            if placed.mask.any():
                masks.append(SegmentMask(by_number[drawn.number], boxed(placed.mask)))
        if not masks:
            hint = "check that it was exported with its content and from this series"
            raise AnnotationError(f"no segment covers a voxel of the image: {'; '.join(map(str, issues))}", hint=hint)
    grid = geometry if masks else None
    found = Annotation(file.ref, export.kind, image, grid, tuple(masks), findings, export.reader)
    return replace(found, notes=tuple(notes), issues=tuple(issues))


def undescribed(drawn: OwnMask) -> ItemIssue:
    """Say that a stored value means nothing."""
    message = f"{int(drawn.mask.sum())} voxel(s) are described by no segment and were left out"
    return ItemIssue(f"label value {-drawn.number}", BrokenItemError.code, message, is_left_out=True)


def placing_notes(number: int, placed: Placed) -> list[str]:
    """Say how a segment came onto the image grid, where that was not voxel for voxel."""
    if placed.how == NEAREST:
        return [f"segment {number}: its grid nearly agrees with the image's and was placed by nearest voxel"]
    if placed.how == RESAMPLED:
        change = f"{placed.drift_ml:+.3f} ml"
        return [f"segment {number}: was resampled onto the image grid; its volume changed by {change}"]
    return []


def placing_issues(number: int, placed: Placed) -> list[ItemIssue]:
    """Name what of a segment is not on the image."""
    name, issues = f"segment {number}", []
    if placed.outside:
        message = f"{placed.outside} voxel(s) lie outside the image and were left out"
        issues.append(ItemIssue(name, OutsideImageError.code, message))
    if not placed.mask.any():
        issues.append(ItemIssue(name, EmptyItemError.code, "covers no voxel of the image"))
    return issues
