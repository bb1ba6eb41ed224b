"""A folder of DICOM to a folder of NIfTI: every file accounted for, one bad series stops nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from racoon_data.convert.choices import DEFAULT, Choices
from racoon_data.convert.gradients import gradients_of, write_gradients
from racoon_data.convert.joining import Stacks, as_one, joined
from racoon_data.convert.memory import available_bytes, workers_that_fit
from racoon_data.convert.promises import Terms
from racoon_data.convert.publish import How, publish
from racoon_data.convert.regular import regular_copy, regular_geometry
from racoon_data.convert.sidecar import sidecar_facts, step_s, volume_name
from racoon_data.convert.stacked import stacked_in_time
from racoon_data.dicom.directory import missing_files
from racoon_data.dicom.filling import Stacked
from racoon_data.dicom.series import Sorted
from racoon_data.dicom.sorting import files_under, sort_files
from racoon_data.dicom.stacking import geometry_of
from racoon_data.errors import (
    ListedFileMissingError,
    MissingSlicesError,
    NothingMatchedError,
    RacoonError,
    UnevenSpacingError,
)
from racoon_data.events import OnEvent, ignore
from racoon_data.files.nifti import is_sheared
from racoon_data.files.sidecar import write_sidecar
from racoon_data.outcomes import Outcome, Status, outcome_of
from racoon_data.refs import FileRef, Ref
from racoon_data.runner.crew import Crew
from racoon_data.runner.run import Result, run_items

MANIFEST = "conversion.json"
_MISSING = ListedFileMissingError("the DICOMDIR lists it, and it is not there", hint="copy the whole medium again")
Facts = dict[str, object]
Rows = tuple[Facts, ...]


@dataclass(frozen=True, slots=True)
class ConvertReport:
    """What became of a folder.

    Attributes:
        files_in: Files found, and files that a DICOMDIR lists and that are not there.
        written: Files of which slices are in a volume.
        volumes: One JSON-ready row per volume: ``file``, ``series``, ``part``, ``instances`` ...
        annotations: Annotation files, left for ``racoon annotations``.
        outcomes: One outcome per file that is in no volume and is no annotation.
        is_plan: Nothing was written (``--dry-run``).
    """

    files_in: int
    written: frozenset[Ref]
    volumes: tuple[Facts, ...]
    annotations: tuple[str, ...]
    outcomes: tuple[Outcome, ...]
    is_plan: bool = False

    @property
    def counts(self) -> dict[str, int]:
        """Files in, and where each of them went; the rest sums to ``files_in``.

        A file of many frames of which some were converted counts as converted; what was refused of it is an outcome.
        """
        lost = {outcome.ref: Status.SKIPPED for outcome in self.outcomes if outcome.ref not in self.written}
        lost |= {outcome.ref: outcome.status for outcome in self.outcomes if _is_lost(outcome, self.written)}
        ends = list(lost.values())
        return {
            "files_in": self.files_in,
            "converted": len(self.written),
            "annotations": len(self.annotations),
            "skipped": ends.count(Status.SKIPPED),
            "failed": ends.count(Status.FAILED),
        }

    @property
    def is_whole(self) -> bool:
        """Every file that came in is accounted for."""
        return self.files_in == sum(self.counts.values()) - self.files_in

    def to_json(self) -> Facts:
        """Give the report as a JSON document (``schemas/conversion``, less version and software)."""
        return {
            "counts": self.counts,
            "volumes": list(self.volumes),
            "annotations": list(self.annotations),
            "refused": [outcome.to_json() for outcome in self.outcomes],
        }


@dataclass(frozen=True, slots=True)
class Run:
    """Where volumes are converted; each worker holds one volume at a time.

    Attributes:
        workers: Local worker processes at most; fewer run where the largest volumes would not fit into memory.
        scheduler: Address of a Dask scheduler to use instead.
    """

    workers: int = 1
    scheduler: str | None = None


ALONE = Run()


def convert_folder(
    source: Path,
    out: Path,
    *,
    choices: Choices = DEFAULT,
    run: Run = ALONE,
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
        run: Where the work is done.
        is_plan: Sort and check geometry, decode and write nothing.
        on_event: Listener.

    Raises:
        NothingMatchedError: The folder does not exist or holds no DICOM file.
        SettingsError: Both folders are the same.
        StorageError: The disk is full.
    """
    paths = files_under(source, without=[out])
    missing = [outcome_of(_MISSING, ref=FileRef(name), step="sort") for name in missing_files(source, paths)]
    source = source.parent if source.is_file() else source
    found = sort_files(paths, root=source)
    if not found.series and not found.annotations and _holds_no_dicom(found):
        raise NothingMatchedError(f"no DICOM file below {source}", hint="name another folder")
    stacks: tuple[Stacks, ...] = tuple((one,) for one in found.series)
    if choices.is_time_joined:
        stacks = joined(found.series, is_regular=choices.is_regular)
    work = partial(_plan, choices) if is_plan else partial(_convert, out, choices)
    items = [(one[0].ref, one) for one in stacks]
    workers = workers_that_fit(stacks, run.workers, available_bytes()) if run.workers > 1 else 1
    results = list(run_items("convert", items, work, crew=Crew(workers, run.scheduler), on_event=on_event))
    found = replace(found, outcomes=(*found.outcomes, *missing))
    report = _report(found, list(zip(stacks, results, strict=True)), source, len(paths) + len(missing))
    if not report.is_whole:
        raise RacoonError(f"files do not add up: {report.counts}", hint="report it with the list of files")
    report = replace(report, is_plan=is_plan)
    if not is_plan:
        write_sidecar(out / MANIFEST, report.to_json(), schema="conversion")
    return report


def _is_lost(outcome: Outcome, written: frozenset[Ref]) -> bool:
    return outcome.status is Status.FAILED and outcome.ref not in written


def _holds_no_dicom(found: Sorted) -> bool:
    return all(outcome.code == "dicom.not_dicom" for outcome in found.outcomes)


def _report(found: Sorted, pairs: Sequence[tuple[Stacks, Result[Rows]]], source: Path, files_in: int) -> ConvertReport:
    used = {header.path for stacks, result in pairs if result.value for one in stacks for header in one.slices}
    refused = [
        outcome for stacks, result in pairs if result.value is None for outcome in _each_file(stacks, result, source)
    ]
    return ConvertReport(
        files_in=files_in,
        written=frozenset(FileRef(_name(path, source)) for path in used),
        volumes=tuple(row for _, result in pairs for row in result.value or ()),
        annotations=tuple(sorted(_name(file.path, source) for file in found.annotations)),
        outcomes=tuple(sorted([*found.outcomes, *refused], key=lambda outcome: str(outcome.ref))),
    )


def _each_file(stacks: Stacks, result: Result[Rows], source: Path) -> list[Outcome]:
    """Spread the end of a volume over its files, so that sums of files agree."""
    end = result.outcome
    paths = dict.fromkeys(header.path for one in stacks for header in one.slices)
    return [
        Outcome(FileRef(_name(path, source)), end.step, end.status, end.code, end.message, end.hint) for path in paths
    ]


def _name(path: Path, source: Path) -> str:
    return path.relative_to(source).as_posix() if path.is_relative_to(source) else path.name


def _plan(choices: Choices, stacks: Stacks) -> tuple[Facts, ...]:
    try:
        geometry = geometry_of(stacks[0])
    except (MissingSlicesError, UnevenSpacingError):
        if not choices.is_regular or len(stacks) > 1:
            raise
        geometry = regular_geometry(stacks[0])
    spacing_mm = [round(size, 6) for size in geometry.spacing_mm]
    shape = [*geometry.shape, *([len(stacks)] if len(stacks) > 1 else [])]
    return ({**_row(stacks), "geometry": {"shape": shape, "spacing_mm": spacing_mm}},)


def _convert(out: Path, choices: Choices, stacks: Stacks) -> tuple[Facts, ...]:
    suv_facts: Facts = {}
    if choices.is_suv and stacks[0].acquisition.modality == "PT":
        from racoon_data.convert.suv import suv_of, with_suv  # reads with pydicom, which takes half a second to load

        suv = suv_of(stacks[0])
        stacks, suv_facts = tuple(with_suv(one, suv_of(one)) for one in stacks), {"SUV": suv.facts}
    how = How(Terms(choices.wanted), step_s(stacks))
    try:
        stacked = stacked_in_time(stacks, choices.wanted)
    except (MissingSlicesError, UnevenSpacingError):
        if not choices.is_regular or len(stacks) > 1:
            raise
        return (_copy(out, stacks, how, suv_facts),)
    row = _write(out / volume_name(as_one(stacks)), stacked, stacks, how, suv_facts)
    if choices.is_regular and is_sheared(stacked.geometry) and len(stacks) == 1:
        return (row, _copy(out, stacks, how, suv_facts))
    return (row,)


def _copy(out: Path, stacks: Stacks, how: How, known: Facts) -> Facts:
    """Write the copy on a right-angled grid."""
    stem = out / f"{volume_name(stacks[0])}_regular"
    return _write(stem, regular_copy(stacks[0], how.terms.wanted), stacks, replace(how, is_resampled=True), known)


def _write(stem: Path, stacked: Stacked, stacks: Stacks, how: How, known: Facts) -> Facts:
    """Publish one file, its sidecar and, for diffusion, its gradients; give its row."""
    published = publish(stacked, stacks, stem.with_name(f"{stem.name}.nii.gz"), how=how)
    gradients = gradients_of(stacks, stacked.geometry)
    if gradients is not None:
        write_gradients(stem, gradients)
    decided = {"Decisions": list(stacked.decisions)} if stacked.decisions else {}
    facts = {**sidecar_facts(stacks), **decided, **known, **published}
    write_sidecar(stem.with_name(f"{stem.name}.json"), facts, schema="volume-sidecar")
    row = {**_row(stacks), "file": published["file"]}
    return {**row, **{key: published[key] for key in ("sha256", "bytes", "unit", "certificate")}}


def _row(stacks: Stacks) -> Facts:
    series = as_one(stacks)
    return {
        "file": f"{volume_name(series)}.nii.gz",
        "study": series.ref.study_uid,
        "series": series.ref.series_uid,
        "part": series.part,
        "modality": series.acquisition.modality,
        "instances": len(set(series.sop_uids)),
        "volumes": len(stacks),
    }
