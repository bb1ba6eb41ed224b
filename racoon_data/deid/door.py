"""The one door: identified files in, de-identified files or a reason out; nothing half-written, nothing let slip."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from pydicom.dataset import Dataset

from racoon_data import __version__
from racoon_data.deid.admission import kind_of, refuse_incomplete
from racoon_data.deid.engine import Engine
from racoon_data.deid.identity import Identity, identity_of
from racoon_data.deid.marks import mark, receipt_of
from racoon_data.deid.profile import EDITION, Profile
from racoon_data.deid.pseudonyms import Pseudonymizer
from racoon_data.deid.quarantine import set_aside
from racoon_data.deid.rules import Rulebook
from racoon_data.deid.selfcheck import check
from racoon_data.deid.writing import Encoded, encode
from racoon_data.dicom.headers import read_dataset, text_of
from racoon_data.errors import DicomError, NotDicomError, UnreadableError
from racoon_data.events import OnEvent, ignore
from racoon_data.files.atomic import sha256_of, whole_file
from racoon_data.refs import FileRef, InstanceRef
from racoon_data.runner.run import Result, run_items
from racoon_data.site.audit import AuditLog, entries

STEP = "deidentify"


@dataclass(frozen=True, slots=True)
class Door:
    """Where de-identified objects go and how they are treated.

    Attributes:
        out: Folder for ``<patient>/<study>/<series>/<instance>.dcm``, all under new names.
        quarantine: Folder for copies of what may not pass; ``None`` keeps no copies.
        profile: Options.
        pseudonymizer: Names under the site's key.
        audit: Log of who did what to which object hashes; ``None`` writes none.
    """

    out: Path
    quarantine: Path | None
    profile: Profile
    pseudonymizer: Pseudonymizer
    audit: AuditLog | None = None


@dataclass(frozen=True, slots=True)
class DeidentifiedInstance:
    """One object that passed.

    Attributes:
        path: The de-identified file.
        ref: Its reference, with new UIDs.
        original: The reference it came with; identified data, never to be written beside the dataset.
        patient: The patient's pseudonym.
        input_sha256: Hash of the original file.
        output_sha256: Hash of the de-identified file; empty where an earlier run had written it.
        is_resumed: True where an earlier run had written it from the same input.
    """

    path: Path
    ref: InstanceRef
    original: InstanceRef
    patient: str
    input_sha256: str
    output_sha256: str = ""
    is_resumed: bool = False


def deidentify_files(
    paths: Sequence[Path], door: Door, *, workers: int = 1, on_event: OnEvent = ignore
) -> tuple[Result[DeidentifiedInstance], ...]:
    """Take files through the door.

    What cannot pass, for whatever reason, is not published: its outcome says why, its original is
    copied to the quarantine (files that are no DICOM at all are only reported), and the batch goes on.
    Files that an earlier run wrote from the same input under the same options are not written again.
    Outcomes name objects that passed by their new UIDs and others by the start of their hash, which is
    also their name in the quarantine: a file's own name may be a patient's.

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
    items = [(FileRef(f"object {place}"), path) for place, path in enumerate(paths, start=1)]
    work = partial(pass_one, replace(door, audit=None))
    results = run_items(STEP, items, work, workers=workers, on_event=on_event)
    logged = _logged(door.audit)
    return tuple(_settle(result, path, door, logged) for result, path in zip(results, paths, strict=True))


def rehearse_files(
    paths: Sequence[Path], door: Door, *, workers: int = 1, on_event: OnEvent = ignore
) -> tuple[Result[DeidentifiedInstance], ...]:
    """Clean and check files in memory and write nothing: the dry run of ``deidentify_files``."""
    items = [(FileRef(f"object {place}"), path) for place, path in enumerate(paths, start=1)]
    work = partial(pass_one, replace(door, audit=None), is_rehearsal=True)
    results = run_items(STEP, items, work, workers=workers, on_event=on_event)
    return tuple(_named(result, _digest(path)) for result, path in zip(results, paths, strict=True))


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
    digest = _digest(path)
    if not digest:
        raise UnreadableError("the file cannot be opened", hint="check that it exists and that you may read it")
    dataset = read_dataset(path, pixels=True)
    planned = _planned(dataset, door, digest=digest)
    receipt = door.pseudonymizer.receipt(digest, door.profile.sha256, EDITION, __version__)
    if _is_done(planned.path, receipt):
        return replace(planned, is_resumed=True)
    encoded = clean_dataset(dataset, door, patient=planned.patient, receipt=receipt)
    return planned if is_rehearsal else replace(planned, output_sha256=_publish(encoded, planned.path))


def clean_dataset(dataset: Dataset, door: Door, *, patient: str, receipt: str) -> Encoded:
    """De-identify one data set in memory and check the result.

    Args:
        dataset: Read with its pixels; changed in place.
        door: Profile and pseudonyms.
        patient: The patient's pseudonym.
        receipt: Mark of this input.

    Raises:
        QuarantineError: It may not pass, or the self-check found something.
    """
    kind = kind_of(dataset, door.profile)
    identity = _identity(dataset, door.profile)
    offset = door.pseudonymizer.day_offset(text_of(dataset, "PatientID"))
    rules = Rulebook(door.profile, kind)
    Engine(rules, door.pseudonymizer, identity, patient, offset).clean(dataset)
    mark(dataset, door.profile, receipt)
    encoded = encode(dataset)
    check(encoded, identity, door.profile)
    return encoded


def _identity(dataset: Dataset, profile: Profile) -> Identity:
    identity = identity_of(dataset)
    return replace(identity, uids=frozenset()) if profile.retain_uids else identity


def _planned(dataset: Dataset, door: Door, *, digest: str) -> DeidentifiedInstance:
    refuse_incomplete(dataset, kind_of(dataset, door.profile))
    original = InstanceRef(
        text_of(dataset, "StudyInstanceUID"), text_of(dataset, "SeriesInstanceUID"), text_of(dataset, "SOPInstanceUID")
    )
    names = door.pseudonymizer
    uid = str if door.profile.retain_uids else names.uid
    ref = InstanceRef(uid(original.study_uid), uid(original.series_uid), uid(original.sop_uid))
    patient = names.patient(text_of(dataset, "PatientID"))
    place = door.out / patient / ref.study_uid / ref.series_uid / f"{ref.sop_uid}.dcm"
    return DeidentifiedInstance(place, ref, original, patient, digest)


def _is_done(path: Path, receipt: str) -> bool:
    if not path.is_file():
        return False
    try:
        return receipt_of(read_dataset(path, tags=["DeidentificationMethod"])) == receipt
    except DicomError:
        return False


def _publish(encoded: Encoded, path: Path) -> str:
    digest = hashlib.sha256()
    with whole_file(path) as partial, partial.open("wb") as stream:
        for part in encoded.parts():
            digest.update(part)
            stream.write(part)
    return digest.hexdigest()


def _settle(
    result: Result[DeidentifiedInstance], path: Path, door: Door, logged: frozenset[str]
) -> Result[DeidentifiedInstance]:
    value = result.value
    if value is not None:
        is_new = not value.is_resumed or value.input_sha256 not in logged
        if door.audit is not None and is_new:
            output = value.output_sha256 or sha256_of(value.path)
            door.audit.append(STEP, input=value.input_sha256, output=output, **_how(door))
        return _named(result, value.input_sha256)
    digest = _digest(path)
    named = _named(result, digest)
    is_dicom = named.outcome.code != NotDicomError.code
    if door.quarantine is not None and is_dicom and digest:
        set_aside(path, door.quarantine, sha256=digest, outcome=named.outcome)
    if door.audit is not None:
        door.audit.append("quarantine" if is_dicom else "refuse", input=digest, code=named.outcome.code, **_how(door))
    return named


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
