"""Other tools' exports on the walk: found, given to their study, taken through the door, written as label files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import partial
from pathlib import Path

import numpy as np

from racoon_data.annotations.tools.exports import ExportFile, LookedInto, as_file, is_copy, look_into, undescribed
from racoon_data.annotations.tools.labelled import LabelFileReader
from racoon_data.deid.door import DeidentifiedInstance
from racoon_data.deid.exports import ExportDoor, clean_export
from racoon_data.deid.identity import Identity, identity_of
from racoon_data.deid.logs import log_of
from racoon_data.deid.pseudonyms import Pseudonymizer
from racoon_data.dicom.headers import read_dataset, text_of
from racoon_data.dicom.sorting import files_under
from racoon_data.errors import (
    AmbiguousReferenceError,
    DanglingReferenceError,
    DicomError,
    WrongPatientError,
)
from racoon_data.files.atomic import sha256_of, write_json
from racoon_data.files.label_file import LabelFile, MaskFile, labelled, row_of, to_json
from racoon_data.files.nifti import write_nifti
from racoon_data.labels import ItemIssue
from racoon_data.outcomes import Outcome
from racoon_data.pipeline.plan import ExportFolder, Plan
from racoon_data.refs import FileRef
from racoon_data.runner.run import run_items
from racoon_data.site.ledger import InstanceState, Ledger
from racoon_data.tool_exports import ToolExport, content_uid

STEP = "deidentify"


@dataclass(frozen=True, slots=True)
class ArrivedExports:
    """Exports behind the door, and what of them did not pass.

    Attributes:
        files: Exports, under pseudonyms, as label files in the work folder.
        outcomes: One outcome for everything that was not read, or belongs to no study of this walk.
    """

    files: tuple[ExportFile, ...] = ()
    outcomes: tuple[Outcome, ...] = ()


@dataclass(frozen=True, slots=True)
class _Known:
    """A study of this walk as the hospital knows it; identified, held in memory alone."""

    study_uid: str
    patient_id: str
    accession: str
    day: date | None
    patient: str
    identity: Identity = field(repr=False)


def take_exports(
    plan: Plan, instances: Sequence[DeidentifiedInstance], ledger: Ledger, *, pseudonymizer: Pseudonymizer
) -> ArrivedExports:
    """Take the exports a study file names through the door.

    An export belongs to the study it names by StudyInstanceUID, by accession number, by a series or
    instance, or by patient and day, in this order; what belongs to none, to several or to another patient
    is set aside with a code. Files are named by the start of their hash: a file's name may be a patient's.

    Args:
        plan: The walk.
        instances: What passed the door.
        ledger: Where the originals lie.
        pseudonymizer: Names under the site's key.
    """
    if not plan.exports:
        return ArrivedExports()
    archive = _Archive(instances, tuple(_known(instances, ledger)), pseudonymizer)
    files: dict[str, ExportFile] = {}
    outcomes: list[Outcome] = []
    work = partial(_pass, archive=archive, out=plan.site.work / "exports")
    for source in plan.exports:
        for path, looked in _looks(source):
            name = f"export {sha256_of(path)[:12]}"
            outcomes += [_renamed(end, name) for end in looked.outcomes]
            found = [replace(one, resample=source.resample) for one in looked.files]
            items = [(FileRef(f"{name}#{place}"), one) for place, one in enumerate(found, start=1)]
            for (ref, _), result in zip(items, run_items(STEP, items, work), strict=True):
                if result.value is None:
                    outcomes.append(result.outcome)
                elif result.value.ref.sop_uid in files:
                    outcomes.append(is_copy(ref))
                else:
                    files[result.value.ref.sop_uid] = result.value
    kept_out = sum(1 for end in outcomes if end.step == STEP)
    log_of(plan.site).append("deidentify-exports", passed=len(files), kept_out=kept_out)
    return ArrivedExports(tuple(files[uid] for uid in sorted(files)), tuple(outcomes))


def _looks(source: ExportFolder) -> Iterator[tuple[Path, LookedInto]]:
    """Look into every file that a reader claims, one at a time."""
    for path in files_under(source.folder):
        looked = look_into([path], mapping=source.mapping, root=source.folder)
        if looked.paths:
            yield path, looked


def _renamed(end: Outcome, name: str) -> Outcome:
    place = str(end.ref).partition("#")[2]
    return replace(end, ref=FileRef(f"{name}#{place}" if place else name))


def _known(instances: Iterable[DeidentifiedInstance], ledger: Ledger) -> Iterator[_Known]:
    patients = {one.original.study_uid: one.patient for one in instances}
    for study_uid, patient in sorted(patients.items()):
        rows = ledger.instances(study_uid)
        paths = (row.path for row in rows if row.state is InstanceState.ARRIVED and row.path is not None)
        for path in paths:
            try:
                header = read_dataset(path)
            except DicomError:
                continue
            yield _Known(
                study_uid,
                text_of(header, "PatientID"),
                text_of(header, "AccessionNumber"),
                _day(text_of(header, "StudyDate")),
                patient,
                identity_of(header),
            )
            break


def _day(text: str) -> date | None:
    try:
        return datetime.strptime(text, "%Y%m%d").date()
    except ValueError:
        return None


class _Archive:
    """The studies of this walk and how their objects are named behind the door."""

    def __init__(
        self, instances: Sequence[DeidentifiedInstance], known: Sequence[_Known], pseudonymizer: Pseudonymizer
    ) -> None:
        self.known = known
        self.pseudonymizer = pseudonymizer
        self.uids: dict[str, str] = {}
        self._study_of: dict[str, str] = {}
        for one in instances:
            old, new = one.original, one.ref
            self.uids |= {old.study_uid: new.study_uid, old.series_uid: new.series_uid, old.sop_uid: new.sop_uid}
            self._study_of |= {old.series_uid: old.study_uid, old.sop_uid: old.study_uid}
        self._first_days: dict[str, date] = {}
        for study in known:
            if study.day is not None:
                self._first_days[study.patient] = min(study.day, self._first_days.get(study.patient, study.day))

    def study_of(self, export: ToolExport) -> _Known | None:
        """Find the study an export belongs to, ``None`` where it says nothing and may be found by its grid.

        Raises:
            DanglingReferenceError: Its study is not in this walk.
            AmbiguousReferenceError: Several studies fit.
            WrongPatientError: It names another patient than its study's.
        """
        found = self._candidates(export)
        if found is None:
            return None
        if not found:
            raise DanglingReferenceError("its study is not in this walk", hint="widen the query, or leave it")
        if len(found) > 1:
            names = ", ".join(self.uids[one.study_uid] for one in found[:5])
            message = f"it fits {len(found)} studies: {names}"
            raise AmbiguousReferenceError(message, hint="let the export name its StudyInstanceUID or accession number")
        if export.pointers.patient not in ("", found[0].patient_id):
            raise WrongPatientError(
                "it names another patient than its study's", hint="check where the export came from"
            )
        return found[0]

    def _candidates(self, export: ToolExport) -> list[_Known] | None:
        pointers = export.pointers
        named = {self._study_of[uid] for uid in (*pointers.series_uids, *pointers.sop_uids) if uid in self._study_of}
        if pointers.study_uid:
            return [one for one in self.known if one.study_uid == pointers.study_uid]
        if pointers.accession:
            return self._of_patient(
                pointers.patient, [one for one in self.known if one.accession == pointers.accession]
            )
        if pointers.series_uids or pointers.sop_uids:
            return [one for one in self.known if one.study_uid in named]
        if pointers.patient:
            own = [one for one in self.known if one.patient_id == pointers.patient]
            return [one for one in own if export.day is not None and one.day == export.day]
        return None if export.segments else []

    def _of_patient(self, patient: str, found: list[_Known]) -> list[_Known]:
        """Of accession numbers used twice take the patient's own study."""
        own = [one for one in found if one.patient_id == patient]
        return own if len(found) > 1 and own else found

    def door_of(self, study: _Known | None) -> ExportDoor:
        """Give the door for exports of a study."""
        has_new = any(old != new for old, new in self.uids.items())
        if study is None:
            everyone = frozenset(phrase for one in self.known for phrase in one.identity.phrases)
            return ExportDoor(self.pseudonymizer, Identity(everyone), "", self.uids, has_new_uids=has_new)
        first = self._first_days.get(study.patient)
        return ExportDoor(self.pseudonymizer, study.identity, study.patient, self.uids, first, has_new)


def _pass(file: ExportFile, *, archive: _Archive, out: Path) -> ExportFile:
    """Clean one export and write it as a label file; the same export gives the same files."""
    study = archive.study_of(file.export)
    door = archive.door_of(study)
    cleaned = clean_export(file.export, door)
    pointers = cleaned.pointers
    if study is not None:
        pointers = replace(pointers, study_uid=archive.uids[study.study_uid])
    cleaned = replace(cleaned, pointers=pointers)
    document = _document(cleaned)
    name = archive.pseudonymizer.uid(content_uid(file.export.uid, document.model_dump_json(), str(file.resample)))
    folder = out / (door.patient or "unknown") / name
    path = folder / "export.labels.json"
    parts, strays = _written_masks(file, cleaned, folder)
    final = document.model_copy(update={"uid": name, "masks": parts})
    write_json(path, to_json(final))
    reader = LabelFileReader()
    [export] = reader.look(path).exports
    return replace(as_file(path, replace(export, issues=(*cleaned.issues, *strays)), reader), resample=file.resample)


def _document(export: ToolExport) -> LabelFile:
    pointers = export.pointers
    return LabelFile(
        format="racoon-labels",
        schema_version="1.0",
        patient=pointers.patient,
        study_uid=pointers.study_uid,
        series_uids=tuple(sorted(pointers.series_uids)),
        sop_uids=tuple(sorted(pointers.sop_uids)),
        frame_of_reference=pointers.frame_of_reference or "",
        kind=export.kind,
        reader=export.reader,
        findings=tuple(map(row_of, export.findings)),
        notes=export.notes,
    )


def _written_masks(
    file: ExportFile, cleaned: ToolExport, folder: Path
) -> tuple[tuple[MaskFile, ...], tuple[ItemIssue, ...]]:
    """Write one NIfTI per segment on the tool's own grid, whatever the header of its file said."""
    parts: list[MaskFile] = []
    strays: list[ItemIssue] = []
    by_number = {segment.number: segment for segment in cleaned.segments}
    masks = file.reader.masks(file.path, file.export) if cleaned.grid is not None else iter(())
    for drawn in masks:
        if drawn.number not in by_number or cleaned.grid is None:
            strays.append(undescribed(drawn))
            continue
        name = f"{drawn.number:03d}.nii.gz"
        write_nifti(folder / name, drawn.mask.astype(np.uint8), cleaned.grid)
        parts.append(MaskFile(file=name, labels=(labelled(by_number[drawn.number], value=1),)))
    return tuple(parts), tuple(strays)
