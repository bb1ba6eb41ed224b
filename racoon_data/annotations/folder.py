"""A folder of images and annotations to masks, a table of findings and an account of everything read."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from racoon_data.annotations.linking import Link, link
from racoon_data.annotations.read import read_annotation
from racoon_data.annotations.tools.exports import ExportFile, first_days, look_into, with_relative_days
from racoon_data.dicom.series import Sorted
from racoon_data.dicom.sorting import files_under, sort_files
from racoon_data.dicom.stacking import geometry_of
from racoon_data.errors import DicomError
from racoon_data.events import OnEvent, ignore
from racoon_data.files.atomic import write_json
from racoon_data.files.findings import finding_row, write_findings, write_measurements
from racoon_data.files.nifti import write_mask
from racoon_data.geometry import Geometry
from racoon_data.labels import Annotation, CodedConcept, Finding, Segment
from racoon_data.outcomes import Outcome, tally
from racoon_data.policies import DEFAULT_POLICIES, ReadingPolicies
from racoon_data.refs import safe_name
from racoon_data.runner.run import run_items

if TYPE_CHECKING:
    from racoon_data.annotations.tools.mapping import ReportMapping

SCHEMA_VERSION = "1.0"
_CODES = ("category", "type", "type_modifier", "region", "region_modifier")


@dataclass(frozen=True, slots=True)
class Found:
    """What a folder holds.

    Attributes:
        folder: The folder.
        sorted: Series, annotations and files that are neither.
        links: Annotations with the series they lie on.
        outcomes: One outcome for each file or annotation that goes no further.
    """

    folder: Path
    sorted: Sorted
    links: tuple[Link, ...]
    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True, slots=True)
class ReadFolder:
    """What became of a folder's annotations.

    Attributes:
        annotations: One JSON-ready account per annotation and series that was read.
        findings: Rows of reports, in order of report.
        outcomes: One outcome for every annotation and every file that is no image.
    """

    annotations: tuple[dict[str, Any], ...]
    findings: tuple[Finding, ...]
    outcomes: tuple[Outcome, ...]

    def to_json(self) -> dict[str, Any]:
        """Give the account as a JSON document (``schemas/annotations``)."""
        counts = tally(self.outcomes)
        return {
            "schema_version": SCHEMA_VERSION,
            "counts": {"done": counts.done, "skipped": counts.skipped, "failed": counts.failed},
            "annotations": list(self.annotations),
            "findings": len(self.findings),
            "outcomes": [outcome.to_json() for outcome in self.outcomes],
        }


def find_annotations(folder: Path, *, mapping: ReportMapping | None = None, images: Path | None = None) -> Found:
    """Sort a folder and link its annotations, without reading masks.

    Args:
        folder: Annotations, those of other tools included, and images; or one file.
        mapping: Mapping file for vendor reports.
        images: Another folder with the images.

    Raises:
        NothingMatchedError: A folder does not exist.
    """
    paths = dict.fromkeys((*files_under(folder), *(files_under(images) if images else ())))
    looked = look_into(paths, mapping=mapping, root=folder)
    days = first_days(looked.files)
    exports = tuple(with_relative_days(one, days.get(one.patient)) for one in looked.files)
    found = sort_files([path for path in paths if path not in looked.paths], root=folder)
    files = (*found.annotations, *exports)
    links = link(found.series, files, is_on_each=True)
    outcomes = (*found.outcomes, *looked.outcomes, *links.outcomes)
    return Found(folder, replace(found, annotations=files), links.pairs, outcomes)


def read_found(
    found: Found,
    out: Path,
    *,
    resample: bool = False,
    policies: ReadingPolicies = DEFAULT_POLICIES,
    on_event: OnEvent = ignore,
) -> ReadFolder:
    """Read every linked annotation and write what it says.

    Writes ``masks/<annotation>/<series>/<number>-<name>.nii.gz`` (uint8, on the image grid, one file per
    segment), ``findings.csv``, the same rows as ``measurements.jsonl``, and ``annotations.json``.

    Args:
        found: What ``find_annotations`` found.
        out: Where to write; made if absent.
        resample: Sample masks of another grid onto the image's instead of refusing them.
        policies: What readers that have a choice are to do.
        on_event: Listener, one event of kind ``read`` per annotation.

    Raises:
        DiskFullError: No space is left; files that exist are whole.
    """
    items = [(one.file.ref, one) for one in found.links]
    work = partial(_read_and_write, folder=found.folder, out=out, resample=resample, policies=policies)
    results = list(run_items("read", items, work, on_event=on_event))
    values = [result.value for result in results if result.value is not None]
    findings = tuple(finding for _, rows in values for finding in rows)
    outcomes = (*found.outcomes, *(result.outcome for result in results))
    accounts = tuple(account for account, _ in values if account is not None)
    read = ReadFolder(accounts, findings, outcomes)
    rows = [finding_row(finding) for finding in findings]
    write_findings(out / "findings.csv", rows)
    write_measurements(out / "measurements.jsonl", rows)
    write_json(out / "annotations.json", read.to_json())
    return read


def _read_and_write(
    one: Link, *, folder: Path, out: Path, resample: bool, policies: ReadingPolicies
) -> tuple[dict[str, Any] | None, tuple[Finding, ...]]:
    annotation = read_annotation(one, _grid(one), resample=resample, policies=policies)
    if one.is_further and not annotation.masks and not annotation.issues:
        return None, ()  # a report that only mentions the series
    path = one.file.path
    account = {
        "file": path.relative_to(folder).as_posix() if path.is_relative_to(folder) and path != folder else path.name,
        "kind": annotation.kind,
        "study_uid": one.file.ref.study_uid,
        "sop_uid": one.file.ref.sop_uid,
        "image_series_uid": one.series.ref.series_uid if one.series is not None else None,
        "confidence": one.confidence,
        "reader": annotation.reader,
        "findings": len(annotation.findings),
        "masks": _write_masks(annotation, one, out),
        "notes": list(annotation.notes),
        "issues": [asdict(issue) for issue in annotation.issues],
    }
    return account, annotation.findings


def _grid(one: Link) -> Geometry | None:
    """Give the grid of the series; a report needs none, so a gap in its series does not cost its findings."""
    if one.series is None:
        return None
    try:
        return geometry_of(one.series)
    except DicomError:
        if one.file.modality != "SR":
            raise
        return None


def _write_masks(annotation: Annotation, one: Link, out: Path) -> list[dict[str, Any]]:
    masks = []
    for drawn in annotation.masks:
        if annotation.geometry is None or one.series is None:
            continue
        name = f"{drawn.segment.number:03d}-{_slug(drawn.segment.name) or 'segment'}.nii.gz"
        series = "-".join(filter(None, (safe_name(one.series.ref.series_uid), _slug(one.series.part))))
        path = Path("masks") / safe_name(one.file.ref.sop_uid) / series / name
        write_mask(out / path, drawn.drawn, annotation.geometry)
        voxels = drawn.voxels
        ml = round(voxels * annotation.geometry.voxel_ml, 6)
        masks.append({"file": path.as_posix(), **_described(drawn.segment), "voxels": voxels, "ml": ml})
    return masks


def _slug(text: str) -> str:
    """Make a name safe as part of a file name."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40]


def _described(segment: Segment) -> dict[str, Any]:
    codes = {name: _coded(getattr(segment, name)) for name in _CODES}
    return {
        "number": segment.number,
        "name": segment.name,
        **codes,
        "algorithm": segment.algorithm,
        "tracking_uid": segment.tracking_uid,
    }


def _coded(concept: CodedConcept | None) -> dict[str, str] | None:
    if concept is None:
        return None
    return {"value": concept.value, "scheme": concept.scheme, "meaning": concept.meaning}


def listed(found: Found) -> list[dict[str, Any]]:
    """List linked annotations as JSON-ready rows, in order of annotation."""
    return [
        {
            "sop_uid": one.file.ref.sop_uid,
            "kind": one.file.export.kind if isinstance(one.file, ExportFile) else one.file.modality,
            "image_series_uid": one.series.ref.series_uid if one.series is not None else None,
            "image_modality": one.series.acquisition.modality if one.series is not None else None,
            "confidence": one.confidence or None,
            "slices": len(one.series.slices) if one.series is not None else None,
        }
        for one in found.links
    ]
