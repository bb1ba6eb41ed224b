"""The one door: identified files in, de-identified files or a reason out; nothing half-written, nothing let slip."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path

from racoon_data import __version__
from racoon_data.deid.admission import admitted, refuse_incomplete
from racoon_data.deid.cleaning import clean
from racoon_data.deid.faces import is_marked
from racoon_data.deid.identity import identity_in
from racoon_data.deid.naming import PseudonymService, known_names, named, patients_in
from racoon_data.deid.origin import original_of
from racoon_data.deid.profile import EDITION, Profile
from racoon_data.deid.pseudonyms import Given, Pseudonymizer
from racoon_data.deid.publishing import publish
from racoon_data.deid.quarantine import released_in, set_aside
from racoon_data.deid.receipts import is_done, receipt_at, receipt_for, withdraw
from racoon_data.deid.register import Original, Register
from racoon_data.deid.second_look import Look, second_look
from racoon_data.dicom.opened import OpenedFile, bytes_of, open_bytes, sha256_of_bytes
from racoon_data.errors import ForgottenPatientError, NotDicomError, PseudonymServiceError, QuarantineError
from racoon_data.events import Event as Progress
from racoon_data.events import OnEvent, ignore
from racoon_data.files.atomic import sha256_of, sweep_partials
from racoon_data.refs import FileRef, InstanceRef, safe_name
from racoon_data.runner.run import Result, run_items
from racoon_data.site.audit import AuditLog, Event, entries

STEP = "deidentify"
_BATCH = 64
_PARSER_ERRORS = (ValueError, TypeError, LookupError, AttributeError, OverflowError, RuntimeError, struct.error)


@dataclass(frozen=True, slots=True)
class Door:
    """Where de-identified objects go and how they are treated.

    Attributes:
        out: Folder for ``<patient>/<study>/<series>/<instance>.dcm``, all under new names.
        quarantine: Folder for copies of what may not pass; ``None`` keeps no copies.
        profile: Options.
        pseudonymizer: Names under the site's key.
        audit: Log of who did what to which object hashes; ``None`` writes none.
        vault: Folder of the re-identification table; ``None`` keeps none, and there is no way back.
        released: Hashes of originals a person looked at and released from the quarantine.
        forgotten: Pseudonyms of patients whose objects are not taken in.
        is_logged: Hash what is written, for the audit log.
        service: Who names patients; ``None`` leaves it to the site's key. It needs a vault.
    """

    out: Path
    quarantine: Path | None
    profile: Profile
    pseudonymizer: Pseudonymizer
    audit: AuditLog | None = None
    vault: Path | None = None
    released: frozenset[str] = frozenset()
    forgotten: frozenset[str] = frozenset()
    is_logged: bool = False
    service: PseudonymService | None = None


@dataclass(frozen=True, slots=True)
class DeidentifiedInstance:
    """One object that passed.

    Attributes:
        path: The de-identified file.
        ref: Its reference, with new UIDs.
        original: The reference it came with; identified data, never to be written beside the dataset.
        patient: The patient's pseudonym.
        input_sha256: Hash of the original file.
        output_sha256: Hash of the de-identified file; empty where no log asks for it or an earlier run had written it.
        is_resumed: True where an earlier run had written it from the same input.
        exempt: How many of the patient's identifiers are so short or common that the self-check counts them as
            whole values only.
        origin: What the re-identification table is to know of it, where there is one.
        has_face: It is a CT or MR image of a head; the object is marked so (RecognizableVisualFeatures).
        look: What came of the second look at its picture.
    """

    path: Path
    ref: InstanceRef
    original: InstanceRef
    patient: str
    input_sha256: str
    output_sha256: str = ""
    is_resumed: bool = False
    exempt: int = 0
    origin: Original | None = field(default=None, repr=False)
    look: Look = Look.NOT_ASKED
    has_face: bool = False


def deidentify_files(
    paths: Sequence[Path], door: Door, *, workers: int = 1, on_event: OnEvent = ignore
) -> tuple[Result[DeidentifiedInstance], ...]:
    """Take files through the door.

    What cannot pass, for whatever reason, is not published: its outcome says why, its original is
    copied to the quarantine (files that are no DICOM at all are only reported), and the batch goes on.
    What an earlier run published from it, under a profile that let it pass, is taken back.
    Files that an earlier run wrote from the same input under the same options are not written again.
    Outcomes name objects that passed by their new UIDs and others by the start of their hash, which is
    also their name in the quarantine: a file's own name may be a patient's.
    Where a service names patients, it is asked once, before anything passes, about those it has not named yet.
    Files of patients whom it does not name wait where they are (``deid.pseudonym_service``): neither published,
    nor put aside.

    Args:
        paths: Files.
        door: Where to and how.
        workers: Local worker processes.
        on_event: Listener.

    Returns:
        One result per path, in order.

    Raises:
        StorageError: The disk is full; what was written is whole.
        AuditError: The audit log is broken; nothing goes on without it.
    """
    for folder in (door.out, door.quarantine):
        if folder is not None:
            sweep_partials(folder, ending=".dcm")  # a killed run may have left half-written ones
    with ExitStack() as stack:
        register = stack.enter_context(Register(door.vault, door.pseudonymizer.key)) if door.vault else None
        door = _named_by_service(_informed(door, register), register, paths, on_event)
        results = _through(paths, partial(pass_one, replace(door, audit=None)), workers, on_event)
        logged = _logged(door.audit)
        ends: list[Result[DeidentifiedInstance]] = []
        for batch in _batches(zip(results, paths, strict=True)):
            _note(batch, register)
            settled = [_settle(result, path, door, logged) for result, path in batch]
            if door.audit is not None:
                door.audit.append_all([event for _, event in settled if event is not None])
            ends += [result for result, _ in settled]
        return tuple(ends)


def refuse_unnamed(results: Sequence[Result[DeidentifiedInstance]]) -> None:
    """Stop where a patient has no pseudonym yet.

    Raises:
        PseudonymServiceError: Some objects wait for the service.
    """
    waiting = [one.outcome for one in results if one.outcome.code == PseudonymServiceError.code]
    if waiting:
        message = f"{len(waiting)} of {len(results)} objects wait for the pseudonym service"
        raise PseudonymServiceError(message, hint=waiting[0].hint)


def rehearse_files(
    paths: Sequence[Path], door: Door, *, workers: int = 1, on_event: OnEvent = ignore
) -> tuple[Result[DeidentifiedInstance], ...]:
    """Clean and check files in memory and write nothing: the dry run of ``deidentify_files``."""
    with ExitStack() as stack:
        register = stack.enter_context(Register(door.vault, door.pseudonymizer.key)) if door.vault else None
        rehearsed = replace(_rehearsing(_informed(door, register), register, paths), audit=None)
    results = _through(paths, partial(pass_one, rehearsed, is_rehearsal=True), workers, on_event)
    return tuple(_named(result, _digest(path)) for result, path in zip(results, paths, strict=True))


def forgotten_at(door: Door) -> frozenset[str]:
    """Give the pseudonyms of patients that a door does not take in."""
    if door.vault is None:
        return frozenset()
    with Register(door.vault, door.pseudonymizer.key) as register:
        return register.forgotten()


def _informed(door: Door, register: Register | None) -> Door:
    """Tell the door what persons decided: whom to forget, and what was released from the quarantine."""
    forgotten = register.forgotten() if register is not None else frozenset[str]()
    released, is_logged = released_in(door.quarantine), door.audit is not None
    return replace(door, forgotten=forgotten, released=released, is_logged=is_logged)


def _named_by_service(door: Door, register: Register | None, paths: Sequence[Path], on_event: OnEvent) -> Door:
    """Learn the pseudonyms of everybody whose files are there, so that no worker has to ask."""
    if register is None:
        return door
    register.bind(door.service.source if door.service is not None else "")
    if door.service is None:
        return door
    known, unknown = known_names(door.pseudonymizer, door.service, register, patients_in(paths))
    if unknown:
        on_event(Progress("ask", f"{door.service.source} names {len(unknown)} patients"))
    everybody, problem = named(known, door.service, register, unknown)
    if problem is not None:
        on_event(Progress("wait", f"{problem.message}; {problem.hint}"))
    return replace(door, pseudonymizer=everybody)


def _rehearsing(door: Door, register: Register | None, paths: Sequence[Path]) -> Door:
    """Ask nobody: patients whom the service has not named yet rehearse under their keyed names."""
    if register is None or door.service is None:
        return door
    known, unknown = known_names(door.pseudonymizer, door.service, register, patients_in(paths))
    standing_in = {name: name for name in map(known.keyed, unknown)}
    given = {**(known.given.by_key if known.given is not None else {}), **standing_in}
    return replace(door, pseudonymizer=replace(known, given=Given(door.service.source, given)))


def _through(
    paths: Sequence[Path], work: Callable[[Path], DeidentifiedInstance], workers: int, on_event: OnEvent
) -> Iterator[Result[DeidentifiedInstance]]:
    items = [(FileRef(f"object {place}"), path) for place, path in enumerate(paths, start=1)]
    return run_items(STEP, items, work, workers=workers, on_event=on_event)


_Pair = tuple[Result[DeidentifiedInstance], Path]


def _batches(pairs: Iterator[_Pair]) -> Iterator[list[_Pair]]:
    while batch := list(islice(pairs, _BATCH)):
        yield batch


def _note(batch: list[_Pair], register: Register | None) -> None:
    """Let the vault know what passed, before the log does."""
    if register is not None:
        values = (result.value for result, _ in batch)
        register.note([value.origin for value in values if value is not None and value.origin is not None])


def pass_one(door: Door, path: Path, *, is_rehearsal: bool = False) -> DeidentifiedInstance:
    """Take one file through the door, without audit and quarantine copies.

    Args:
        door: Where to and how.
        path: The file.
        is_rehearsal: Write nothing.

    Raises:
        NotDicomError: The file is no DICOM object.
        DicomError: It cannot be read.
        QuarantineError: It may not pass.
        StorageError: The disk is full.
    """
    data = bytes_of(path)
    with _discreet():
        return _passed(door, open_bytes(data), sha256_of_bytes(data), is_rehearsal=is_rehearsal)


def _passed(door: Door, opened: OpenedFile, digest: str, *, is_rehearsal: bool) -> DeidentifiedInstance:
    planned, receipt = _planned(opened, door, digest=digest), receipt_for(digest, door.profile, door.pseudonymizer)
    try:
        if _is_forgotten(door, opened, planned):
            raise ForgottenPatientError("the patient withdrew consent", hint="nothing of the object was kept")
        admission = admitted(opened, door.profile, is_released=digest in door.released)
        refuse_incomplete(opened, admission.kind)
        planned = replace(planned, has_face=admission.has_face)
        if is_done(planned.path, receipt):
            return replace(planned, is_resumed=True)
        planned = replace(planned, look=second_look(opened, admission, door.profile))
        encoded = clean(opened, door.profile, door.pseudonymizer, admission=admission, receipt=receipt)
    except (QuarantineError, ForgottenPatientError, *_PARSER_ERRORS):
        if not is_rehearsal:
            withdraw(planned.path, receipt)
        raise
    if is_rehearsal:
        return planned
    output = publish(encoded, planned.path, receipt=receipt, is_hashed=door.is_logged)
    return replace(planned, is_resumed=True) if output is None else replace(planned, output_sha256=output)


def _is_forgotten(door: Door, opened: OpenedFile, planned: DeidentifiedInstance) -> bool:
    """Tell whether consent was withdrawn for the patient, also where the object knows him or her by another number."""
    others = map(door.pseudonymizer.keyed, opened.texts("OtherPatientIDs")) if door.forgotten else ()
    return planned.patient in door.forgotten or any(one in door.forgotten for one in others)


@contextmanager
def _discreet() -> Iterator[None]:
    """Keep the parser's warnings and errors to ourselves: they quote values of the patient."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except _PARSER_ERRORS as error:
        kind = type(error).__name__
        raise QuarantineError(
            f"the object holds values that cannot be cleaned ({kind})", hint="ask the sender for a new export"
        ) from None


def _mapped(door: Door) -> Callable[[str], str]:
    return str if door.profile.retain_uids else door.pseudonymizer.uid


def _planned(opened: OpenedFile, door: Door, *, digest: str) -> DeidentifiedInstance:
    original = InstanceRef(
        opened.text("StudyInstanceUID"), opened.text("SeriesInstanceUID"), opened.text("SOPInstanceUID")
    )
    names, uid = door.pseudonymizer, _mapped(door)
    ref = InstanceRef(uid(original.study_uid), uid(original.series_uid), uid(original.sop_uid))
    patient = names.patient(opened.text("PatientID"))
    place = door.out / patient / safe_name(ref.study_uid) / safe_name(ref.series_uid) / f"{safe_name(ref.sop_uid)}.dcm"
    origin = original_of(opened, names) if door.vault is not None else None
    exempt = len(identity_in(opened).weak)
    return DeidentifiedInstance(place, ref, original, patient, digest, exempt=exempt, origin=origin)


def passed_before(door: Door, original: InstanceRef, input_sha256: str) -> DeidentifiedInstance | None:
    """Find what an earlier run wrote from an object whose original is gone.

    Args:
        door: The door it would pass today.
        original: The reference it came with.
        input_sha256: Hash of the original.

    Returns:
        The instance, ``None`` where it is not there or passed under another profile, edition or version.
    """
    uid = _mapped(door)
    ref = InstanceRef(uid(original.study_uid), uid(original.series_uid), uid(original.sop_uid))
    for path in door.out.glob(f"*/{ref.study_uid}/{ref.series_uid}/{ref.sop_uid}.dcm"):
        if receipt_at(path) == receipt_for(input_sha256, door.profile, door.pseudonymizer):
            patient = path.relative_to(door.out).parts[0]
            shows = is_marked(path)
            return DeidentifiedInstance(path, ref, original, patient, input_sha256, is_resumed=True, has_face=shows)
    return None


def _settle(
    result: Result[DeidentifiedInstance], path: Path, door: Door, logged: frozenset[str]
) -> tuple[Result[DeidentifiedInstance], Event | None]:
    """Give an object its name for the outside, put it aside where it may not pass, and say what to log."""
    value = result.value
    if value is not None:
        if door.quarantine is not None and value.input_sha256 in door.released:
            (door.quarantine / f"{value.input_sha256}.dcm").unlink(missing_ok=True)  # it waits no longer
        return _named(result, value.input_sha256), _passing(value, door, logged)
    digest = _digest(path)
    named = _named(result, digest)
    if named.outcome.code == PseudonymServiceError.code:
        return named, None  # it waits where it is
    is_dicom = named.outcome.code != NotDicomError.code
    may_keep = is_dicom and named.outcome.code != ForgottenPatientError.code
    if door.quarantine is not None and may_keep and digest:
        set_aside(path, door.quarantine, sha256=digest, outcome=named.outcome)
    verb = "quarantine" if may_keep else "refuse"
    return named, (verb, {"input": digest, "code": named.outcome.code, **_how(door)})


def _passing(value: DeidentifiedInstance, door: Door, logged: frozenset[str]) -> Event | None:
    if not door.is_logged or (value.is_resumed and value.input_sha256 in logged):
        return None
    output = value.output_sha256 or sha256_of(value.path)
    return STEP, {"input": value.input_sha256, "output": output, **_how(door)}


def _logged(log: AuditLog | None) -> frozenset[str]:
    # A process may be killed between publishing an object and logging it; the next run makes up for it.
    if log is None:
        return frozenset()
    return frozenset(str(entry.get("input")) for entry in entries(log.path) if entry.get("action") == STEP)


def _named(result: Result[DeidentifiedInstance], digest: str) -> Result[DeidentifiedInstance]:
    ref = FileRef(digest[:16] or "unreadable") if result.value is None else result.value.ref
    return replace(result, outcome=replace(result.outcome, ref=ref))


def _digest(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError:
        return ""


def _how(door: Door) -> dict[str, str]:
    return {"edition": EDITION, "profile": door.profile.sha256, "software": f"racoon {__version__}"}
