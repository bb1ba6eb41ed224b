"""From the PACS through the one door: find, retrieve, deidentify, and the end of every instance so far."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from racoon_data.deid.door import DeidentifiedInstance, Door, deidentify_files, forgotten_at, refuse_unnamed
from racoon_data.deid.logs import log_of
from racoon_data.deid.naming import service_of
from racoon_data.deid.profile import load_profile
from racoon_data.deid.pseudonyms import Pseudonymizer
from racoon_data.dicom.references import ANNOTATION_CLASSES, MASKS
from racoon_data.errors import (
    DicomError,
    ForgottenPatientError,
    IncompleteStudyError,
    NothingMatchedError,
    PacsPartialError,
)
from racoon_data.events import Event, OnEvent
from racoon_data.outcomes import Outcome, Status
from racoon_data.pacs.part10 import read_file_head
from racoon_data.pacs.retrieve import retrieve
from racoon_data.pacs.sources import Question, asked_of
from racoon_data.pipeline.expiry import expire, recall_passed
from racoon_data.pipeline.plan import Plan
from racoon_data.refs import FileRef, InstanceRef, Ref, SeriesRef, StudyRef
from racoon_data.site.ledger import CAME, InstanceState, Ledger, StudyVerdict, Verdict

RETRIEVE = "retrieve"


@dataclass(frozen=True, slots=True)
class Arrived:
    """What passed the door, and what did not.

    Attributes:
        instances: De-identified instances.
        lost: One outcome (pseudonymous reference) for every expected instance that is not among them.
        incomplete: One outcome for every study kept out because it did not arrive whole.
        broken_series: Series (pseudonymous) that lost an instance at the door, each with the reason.
        stopped_masks: Those of ``lost`` that the door stopped and that are, or may be, masks.
    """

    instances: tuple[DeidentifiedInstance, ...]
    lost: tuple[Outcome, ...]
    incomplete: tuple[Outcome, ...]
    broken_series: Mapping[SeriesRef, Outcome]
    stopped_masks: tuple[Outcome, ...]

    @property
    def studies(self) -> tuple[StudyRef, ...]:
        """Whole studies (pseudonymous) that came to the door, also those of which nothing passed."""
        stopped = {end.ref.study_uid for end in self.lost if isinstance(end.ref, InstanceRef) and end.step != RETRIEVE}
        return tuple(sorted(StudyRef(uid) for uid in stopped | {one.ref.study_uid for one in self.instances}))


def find_studies(plan: Plan, on_event: OnEvent) -> dict[StudyRef, str]:
    """Ask the PACS for the studies of a plan, sorted, each with its PatientID.

    Raises:
        NothingMatchedError: The PACS holds no such study.
        PacsError: The PACS could not be asked.
    """
    matches = asked_of(plan.node, Question(plan.query), on_event=on_event)
    patients = {StudyRef(match.ref.study_uid): match.attributes.get("PatientID", "") for match in matches}
    studies = dict(sorted(patients.items()))
    if not studies:
        raise NothingMatchedError("no study matches the query", hint="widen query.filters in the study file")
    on_event(Event("find", plan.node.name, len(studies), len(studies)))
    return studies


@dataclass(frozen=True, slots=True)
class Fetched:
    """What lies in the spool, and how each study stands; identified, so it is never shown.

    Attributes:
        door: The door it is to pass.
        verdicts: How the retrieval of each study ended.
        known: What passed the door on an earlier walk and whose identified file is gone.
        withdrawn: One outcome for every study of a patient who withdrew consent.
        patients: Keyed pseudonym of the patient by pseudonymous study UID.
    """

    door: Door = field(repr=False)
    verdicts: tuple[StudyVerdict, ...] = field(repr=False)
    known: Mapping[InstanceRef, DeidentifiedInstance] = field(repr=False)
    withdrawn: tuple[Outcome, ...]
    patients: Mapping[str, str]


def fetch(
    plan: Plan, ledger: Ledger, found: Mapping[StudyRef, str], *, pseudonymizer: Pseudonymizer, on_event: OnEvent
) -> Fetched:
    """Bring the studies of a plan into the spool; what lies there is not fetched again.

    Raises:
        PacsError: The PACS could not be asked.
        StorageError: The disk is full.
    """
    door = Door(
        out=plan.site.work,
        quarantine=plan.site.quarantine,
        profile=load_profile(plan.site.profile),
        pseudonymizer=pseudonymizer,
        audit=log_of(plan.site),
        vault=plan.site.vault,
        service=service_of(plan.site),
    )
    gone = forgotten_at(door)
    studies = [study for study, patient in found.items() if pseudonymizer.keyed(patient) not in gone]
    known = recall_passed(ledger, studies, door)
    verdicts = retrieve(plan.node, studies, spool=plan.site.spool, ledger=ledger, on_event=on_event)
    withdrawn = tuple(_withdrawn(study, pseudonymizer) for study in found if study not in studies)
    patients = {pseudonymizer.uid(study.study_uid): pseudonymizer.keyed(patient) for study, patient in found.items()}
    return Fetched(door, tuple(verdicts), known, withdrawn, patients)


def pass_door(plan: Plan, ledger: Ledger, fetched: Fetched, *, on_event: OnEvent) -> Arrived:
    """Take what was fetched through the door; only whole studies pass.

    Raises:
        PseudonymServiceError: It has not named every patient; what it named has passed, the rest waits in the spool.
        StorageError: The disk is full.
    """
    through = _through(plan, ledger, fetched.door, fetched.verdicts, on_event)
    complete = {verdict.ref.study_uid for verdict in fetched.verdicts if verdict.verdict is Verdict.COMPLETE}
    earlier = tuple(one for ref, one in fetched.known.items() if ref.study_uid in complete)
    incomplete = (*fetched.withdrawn, *through.incomplete)
    return replace(through, instances=(*earlier, *through.instances), incomplete=incomplete)


def spooled_ends(ledger: Ledger, fetched: Fetched) -> tuple[tuple[Outcome, ...], tuple[Outcome, ...]]:
    """Say how retrieval ended for every study and every instance, by pseudonymous reference."""
    names = fetched.door.pseudonymizer
    torn = [verdict for verdict in fetched.verdicts if verdict.verdict is not Verdict.COMPLETE]
    whole = [verdict for verdict in fetched.verdicts if verdict.verdict is Verdict.COMPLETE]
    studies = [Outcome(_behind_the_door(verdict.ref, names), RETRIEVE) for verdict in whole]
    rows = (row for verdict in whole for row in ledger.instances(verdict.ref.study_uid) if row.state in CAME)
    arrived = [Outcome(_behind_the_door(row.ref, names), RETRIEVE) for row in rows]
    left_out = (*fetched.withdrawn, *(_kept_out(verdict, names) for verdict in torn))
    return (*studies, *left_out), (*arrived, *_never_arrived(ledger, torn, names))


def _through(plan: Plan, ledger: Ledger, door: Door, verdicts: Sequence[StudyVerdict], on_event: OnEvent) -> Arrived:
    """Take the files of whole studies through the door, and say what became of all that was expected."""
    names = door.pseudonymizer
    torn = [verdict for verdict in verdicts if verdict.verdict is not Verdict.COMPLETE]
    whole = [verdict for verdict in verdicts if verdict.verdict is Verdict.COMPLETE]
    sources = {path: ref for verdict in whole for ref, path in _spooled(ledger, verdict.ref)}
    workers = plan.site.settings.site.workers
    results = deidentify_files(tuple(sources), door, workers=workers, on_event=on_event)
    refuse_unnamed(results)
    ends = dict(zip(sources, results, strict=True))
    passed = {path: end.value for path, end in ends.items() if end.value is not None}
    stopped = {
        path: replace(end.outcome, ref=_behind_the_door(sources[path], names))
        for path, end in ends.items()
        if end.value is None
    }
    stopped_masks = tuple(end for path, end in stopped.items() if _may_be_mask(path))
    # Exports of other tools find their patients by the identified files, so these stay where there are exports.
    days = 0 if plan.exports else plan.site.settings.deid.spool_days
    expire(ledger, [(sources[path], path) for path in passed], days=days)
    return Arrived(
        instances=tuple(passed.values()),
        lost=(*stopped.values(), *_never_arrived(ledger, torn, names)),
        incomplete=tuple(_kept_out(verdict, names) for verdict in torn),
        broken_series={end.ref.series: end for end in stopped.values() if isinstance(end.ref, InstanceRef)},
        stopped_masks=stopped_masks,
    )


def _spooled(ledger: Ledger, study: StudyRef) -> Iterable[tuple[InstanceRef, Path]]:
    rows = ledger.instances(study.study_uid)
    return ((row.ref, row.path) for row in rows if row.state is InstanceState.ARRIVED and row.path is not None)


def _may_be_mask(path: Path) -> bool:
    try:
        return ANNOTATION_CLASSES.get(read_file_head(path).sop_class_uid) in MASKS
    except DicomError:
        return True


def _behind_the_door(ref: Ref, pseudonymizer: Pseudonymizer) -> Ref:
    """Name an object by the UIDs it has, or would have, behind the door."""
    uid = pseudonymizer.uid
    match ref:
        case InstanceRef(study, series, sop):
            return InstanceRef(uid(study), uid(series), uid(sop))
        case SeriesRef(study, series):
            return SeriesRef(uid(study), uid(series))
        case StudyRef(study):
            return StudyRef(uid(study))
        case FileRef(name):
            return FileRef(uid(name))
        case _:
            return ref


def _withdrawn(study: StudyRef, pseudonymizer: Pseudonymizer) -> Outcome:
    message = "the patient withdrew consent"
    return Outcome(_behind_the_door(study, pseudonymizer), "find", Status.SKIPPED, ForgottenPatientError.code, message)


def _kept_out(verdict: StudyVerdict, pseudonymizer: Pseudonymizer) -> Outcome:
    message = f"study is {verdict.verdict}: {verdict.arrived} of {verdict.expected} instances arrived"
    ref = _behind_the_door(verdict.ref, pseudonymizer)
    return Outcome(ref, RETRIEVE, Status.SKIPPED, IncompleteStudyError.code, message, "run again to fetch the rest")


def _never_arrived(ledger: Ledger, torn: Iterable[StudyVerdict], pseudonymizer: Pseudonymizer) -> Iterable[Outcome]:
    """Every instance of an incomplete study: missing ones failed, arrived ones wait in the spool."""
    for verdict in torn:
        for row in ledger.instances(verdict.ref.study_uid):
            ref = _behind_the_door(row.ref, pseudonymizer)
            if row.state in CAME:
                message = "waits in the spool for the rest of its study"
                yield Outcome(ref, RETRIEVE, Status.SKIPPED, IncompleteStudyError.code, message)
            elif row.state is not InstanceState.WITHDRAWN:
                message = f"expected and not received: {row.state}"
                yield Outcome(ref, RETRIEVE, Status.FAILED, PacsPartialError.code, message)
