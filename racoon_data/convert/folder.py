"""A folder of DICOM to a folder of NIfTI: every file accounted for, one bad series stops nothing."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from racoon_data.convert.choices import DEFAULT, Choices
from racoon_data.convert.promises import Terms
from racoon_data.convert.publish import publish
from racoon_data.convert.suv import suv_of, with_suv
from racoon_data.dicom.series import Series, Sorted
from racoon_data.dicom.sorting import files_under, sort_files
from racoon_data.dicom.stacking import geometry_of, stack_stored
from racoon_data.errors import NothingMatchedError
from racoon_data.events import OnEvent, ignore
from racoon_data.files.sidecar import write_sidecar
from racoon_data.outcomes import Outcome, tally
from racoon_data.refs import FileRef
from racoon_data.runner.run import Result, run_items

MANIFEST = "conversion.json"
Facts = dict[str, object]


@dataclass(frozen=True, slots=True)
class ConvertReport:
    """What became of a folder.

    Attributes:
        files_in: Files found.
        volumes: One JSON-ready row per volume: ``file``, ``series``, ``part``, ``instances`` ...
        annotations: Annotation files, left for ``racoon annotations``.
        outcomes: One outcome per file that is in no volume and is no annotation.
        is_plan: Nothing was written (``--dry-run``).
    """

    files_in: int
    volumes: tuple[Facts, ...]
    annotations: tuple[str, ...]
    outcomes: tuple[Outcome, ...]
    is_plan: bool = False

    @property
    def counts(self) -> dict[str, int]:
        """Files in, and where each of them went; the rest sums to ``files_in``."""
        counted = tally(self.outcomes)
        return {
            "files_in": self.files_in,
            "converted": self.files_in - len(self.annotations) - counted.total,
            "annotations": len(self.annotations),
            "skipped": counted.skipped,
            "failed": counted.failed,
        }

    def to_json(self) -> Facts:
        """Give the report as a JSON document (``schemas/conversion``, less version and software)."""
        return {
            "counts": self.counts,
            "volumes": list(self.volumes),
            "annotations": list(self.annotations),
            "refused": [outcome.to_json() for outcome in self.outcomes],
        }


def convert_folder(
    source: Path,
    out: Path,
    *,
    choices: Choices = DEFAULT,
    workers: int = 1,
    is_plan: bool = False,
    on_event: OnEvent = ignore,
) -> ConvertReport:
    """Convert every image series below a folder.

    Each volume gives ``NAME.nii.gz`` and ``NAME.json``; ``conversion.json`` lists every volume and
    every refused file. The same input gives the same bytes, whatever the number of workers.

    Args:
        source: Folder of DICOM files, sorted or not.
        out: Folder to write into; files already there are not read as input.
        choices: What to write of each volume.
        workers: Local worker processes.
        is_plan: Sort and check geometry, decode and write nothing.
        on_event: Listener.

    Raises:
        NothingMatchedError: The folder does not exist or holds no DICOM file.
        SettingsError: Both folders are the same.
        StorageError: The disk is full.
    """
    paths = files_under(source, without=[out])
    found = sort_files(paths, root=source)
    if not found.series and not found.annotations and _holds_no_dicom(found):
        raise NothingMatchedError(f"no DICOM file below {source}", hint="name another folder")
    work = _plan if is_plan else partial(_convert, out, choices)
    items = [(series.ref, series) for series in found.series]
    results = list(run_items("convert", items, work, workers=workers, on_event=on_event))
    report = _report(found, results, source, len(paths), is_plan)
    if not is_plan:
        write_sidecar(out / MANIFEST, report.to_json(), schema="conversion")
    return report


def _holds_no_dicom(found: Sorted) -> bool:
    return all(outcome.code == "dicom.not_dicom" for outcome in found.outcomes)


def _report(
    found: Sorted, results: Sequence[Result[Facts]], source: Path, files_in: int, is_plan: bool
) -> ConvertReport:
    pairs = list(zip(found.series, results, strict=True))
    refused = [
        outcome for series, result in pairs if result.value is None for outcome in _each_file(series, result, source)
    ]
    by_file = {str(outcome.ref): outcome for outcome in (*found.outcomes, *refused)}
    outcomes = [by_file[name] for name in sorted(by_file)]
    return ConvertReport(
        files_in=files_in,
        volumes=tuple(result.value for _, result in pairs if result.value is not None),
        annotations=tuple(sorted(_name(file.path, source) for file in found.annotations)),
        outcomes=tuple(outcomes),
        is_plan=is_plan,
    )


def _each_file(series: Series, result: Result[Facts], source: Path) -> list[Outcome]:
    """Spread the end of a series over its files, so that sums of files agree."""
    end = result.outcome
    return [
        Outcome(FileRef(_name(path, source)), end.step, end.status, end.code, end.message, end.hint)
        for path in dict.fromkeys(header.path for header in series.slices)
    ]


def _name(path: Path, source: Path) -> str:
    return path.relative_to(source).as_posix() if path.is_relative_to(source) else path.name


def _plan(series: Series) -> Facts:
    geometry = geometry_of(series)
    spacing_mm = [round(size, 6) for size in geometry.spacing_mm]
    return {**_row(series), "geometry": {"shape": list(geometry.shape), "spacing_mm": spacing_mm}}


def _convert(out: Path, choices: Choices, series: Series) -> Facts:
    row = _row(series)
    suv_facts: Facts = {}
    if choices.is_suv and series.acquisition.modality == "PT":
        suv = suv_of(series)
        series, suv_facts = with_suv(series, suv), {"SUV": suv.facts}
    stacked = stack_stored(series, choices.wanted)
    terms = Terms(choices.wanted)
    published = publish(stacked, series, out / str(row["file"]), terms=terms)
    decided = {"Decisions": list(stacked.decisions)} if stacked.decisions else {}
    facts = {
        **_sidecar(series),
        **decided,
        **suv_facts,
        **{key: value for key, value in published.items() if key != "file"},
    }
    write_sidecar(out / f"{volume_name(series)}.json", {"file": published["file"], **facts}, schema="volume-sidecar")
    return {**row, **{key: published[key] for key in ("sha256", "bytes", "unit", "certificate")}}


def _row(series: Series) -> Facts:
    return {
        "file": f"{volume_name(series)}.nii.gz",
        "study": series.ref.study_uid,
        "series": series.ref.series_uid,
        "part": series.part,
        "modality": series.acquisition.modality,
        "instances": len(set(series.sop_uids)),
    }


def volume_name(series: Series) -> str:
    """Name a volume: modality, description, and a short hash of series and part, which keeps names apart."""
    words = re.sub(r"[^A-Za-z0-9]+", "-", series.acquisition.description).strip("-")[:40]
    key = "\n".join((series.ref.study_uid, series.ref.series_uid, series.part))
    short = hashlib.sha256(key.encode()).hexdigest()[:10]
    modality = re.sub(r"[^A-Za-z0-9]+", "", series.acquisition.modality)
    return "_".join(part for part in (modality, words, short) if part)


def _sidecar(series: Series) -> Facts:
    """Facts of a series under BIDS names where they exist, DICOM keywords elsewhere."""
    made = series.acquisition
    facts: Facts = {
        "Modality": made.modality,
        "Manufacturer": made.manufacturer,
        "ManufacturersModelName": made.model,
        "SeriesDescription": made.description,
        "BodyPart": made.body_part,
        "ImageType": list(made.image_type),
        "ConvolutionKernel": list(made.kernel),
        "SliceThickness": made.slice_thickness_mm,
        "KVP": made.kvp,
        "ContrastBolusAgent": made.contrast_agent,
        "PatientPosition": made.patient_position,
        "StudyInstanceUID": series.ref.study_uid,
        "SeriesInstanceUID": series.ref.series_uid,
        "FrameOfReferenceUID": series.frame_of_reference,
        "Part": series.part,
    }
    known = {key: value for key, value in facts.items() if value not in ("", [], None)}
    frames = [header.frame + 1 for header in series.slices if header.frame is not None]
    numbers = {"FrameNumbers": frames} if frames else {}
    return {**known, "SOPInstanceUIDs": list(series.sop_uids), **numbers}
