"""The one way back: a result made from de-identified images gets its patient, study and dates again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from racoon_data.deid.pseudonyms import Pseudonymizer, is_public_uid
from racoon_data.deid.register import Register
from racoon_data.deid.table import object_kinds
from racoon_data.deid.values import shifted
from racoon_data.dicom.headers import read_dataset, text_of
from racoon_data.errors import DicomError, RestoreError, about
from racoon_data.events import OnEvent, ignore
from racoon_data.files.atomic import make_folder, sha256_of, whole_file
from racoon_data.refs import FileRef, InstanceRef, safe_name
from racoon_data.runner.run import Result, run_items
from racoon_data.site.audit import AuditLog

STEP = "restore"
RESTORABLE = frozenset(("SEG", "SR", "RTSTRUCT"))
# What a new object calls itself and what it brings along; everything else it names must be known to the vault.
_ITS_OWN = frozenset(
    (
        *("SOPInstanceUID", "SeriesInstanceUID", "MediaStorageSOPInstanceUID", "TrackingUID", "UID"),
        *("DimensionOrganizationUID", "DeviceUID", "InstanceCreatorUID", "ConcatenationUID", "ObservationUID"),
    )
)


@dataclass(frozen=True, slots=True)
class WayBack:
    """Where restored objects go and what opens the way.

    Attributes:
        out: Folder for identified objects on their way to one node; closed to others.
        node: Name of the node they are meant for.
        register: The re-identification table.
        names: Pseudonyms under the site's key.
        audit: Log that receives one line an object.
    """

    out: Path
    node: str
    register: Register
    names: Pseudonymizer
    audit: AuditLog


@dataclass(frozen=True, slots=True)
class RestoredInstance:
    """One object with its original identity.

    Attributes:
        path: The identified file.
        ref: Its original study, and its own series and instance.
        patient: The patient's pseudonym, for logs.
    """

    path: Path
    ref: InstanceRef
    patient: str


def restore_files(
    paths: Sequence[Path], way: WayBack, *, is_rehearsal: bool = False, on_event: OnEvent = ignore
) -> tuple[Result[RestoredInstance], ...]:
    """Give segmentations, reports and structure sets back their patient, study, references and dates.

    Objects of one call may refer to each other: a report to the segmentation it measures.

    Args:
        paths: Files made from de-identified images.
        way: Where to and with what.
        is_rehearsal: Restore in memory, write and log nothing.
        on_event: Listener.

    Returns:
        One result per path, in order; each restored object is in the audit log.

    Raises:
        StorageError: The disk is full; what was written is whole.
    """
    own = frozenset(uid for path in paths for uid in _names_of(path))
    items = [(FileRef(path.name), path) for path in paths]
    work = partial(_restored, way, own, is_rehearsal=is_rehearsal)
    return tuple(run_items(STEP, items, work, on_event=on_event))


def _names_of(path: Path) -> tuple[str, str]:
    """Give the names of an object; a file that is none, such as the account of an export, has none."""
    try:
        head = read_dataset(path, tags=["SOPInstanceUID", "SeriesInstanceUID"])
    except DicomError:
        return "", ""
    return text_of(head, "SOPInstanceUID"), text_of(head, "SeriesInstanceUID")


def _restored(way: WayBack, own: frozenset[str], path: Path, *, is_rehearsal: bool) -> RestoredInstance:
    dataset = read_dataset(path, pixels=True)
    patient = restore_dataset(dataset, way.register, way.names, own=own)
    ref = InstanceRef(dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID)
    restored = RestoredInstance(way.out / f"{safe_name(ref.sop_uid)}.dcm", ref, patient)
    if is_rehearsal:
        return restored
    make_folder(way.out)
    way.out.chmod(0o700)
    with about(ref), whole_file(restored.path) as half:
        half.touch(0o600)
        dataset.save_as(half, enforce_file_format=True)
    digests = {"input": sha256_of(path), "output": sha256_of(restored.path)}
    way.audit.append(STEP, patient=patient, node=way.node, **digests)
    return restored


def restore_dataset(
    dataset: Dataset, register: Register, names: Pseudonymizer, *, own: frozenset[str] = frozenset()
) -> str:
    """Restore one object in place.

    Args:
        dataset: A segmentation, report or structure set made from de-identified images.
        register: The re-identification table.
        names: Pseudonyms under the site's key.
        own: UIDs of other new objects it may refer to.

    Returns:
        The patient's pseudonym.

    Raises:
        RestoreError: It is of another kind, of an unknown study or of another patient, it is the
            original itself, or it refers to something the vault does not know.
    """
    patient = _admitted(dataset, register)
    person, examination = register.person(patient), register.examination(text_of(dataset, "StudyInstanceUID"))
    if person is None or examination is None:
        raise RestoreError("the patient is not in the re-identification table", hint="consent may have been withdrawn")
    offset = -names.day_offset(person["PatientID"])
    for item in _every_item(dataset):
        _restore_item(item, register, own, offset)
    for keyword, value in {**person, **examination}.items():
        if value or keyword in dataset:
            setattr(dataset, keyword, value)
    dataset.SpecificCharacterSet = "ISO_IR 192"
    _unmark(dataset)
    return patient


def _admitted(dataset: Dataset, register: Register) -> str:
    kind = object_kinds().sop_classes.get(text_of(dataset, "SOPClassUID"), "")
    if kind not in RESTORABLE:
        raise RestoreError(
            "only segmentations, reports and structure sets go back", hint="images are in the PACS already"
        )
    patient = register.patient_of(text_of(dataset, "StudyInstanceUID"))
    if patient is None:
        hint = "it was made from images of another site, or before this vault kept a table: run racoon deid run again"
        raise RestoreError("its study is not in the re-identification table", hint=hint)
    if text_of(dataset, "PatientID") != patient:
        raise RestoreError("its patient is not the patient of its study", hint="export it again from its images")
    if register.uid(text_of(dataset, "SOPInstanceUID")) is not None:
        raise RestoreError("this object came from the PACS itself", hint="send only what was made here")
    return patient


def _every_item(dataset: Dataset) -> Iterator[Dataset]:
    yield dataset
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from _every_item(item)


def _restore_item(item: Dataset, register: Register, own: frozenset[str], offset: int) -> None:
    for element in item:
        if element.VR == "UI" and element.value:
            element.value = [_original(str(uid), element.keyword, register, own) for uid in _all(element.value)]
        elif element.VR in ("DA", "DT") and element.value:
            element.value = [shifted(str(one), element.VR, offset) or "" for one in _all(element.value)]


def _all(value: object) -> list[object]:
    return [value] if isinstance(value, str) or not hasattr(value, "__iter__") else list(value)


def _original(uid: str, keyword: str, register: Register, own: frozenset[str]) -> UID:
    if is_public_uid(uid):
        return UID(uid)
    if (original := register.uid(uid)) is not None:
        return UID(original)
    if keyword in _ITS_OWN or uid in own:
        return UID(uid)
    raise RestoreError(
        f"{keyword} names something the re-identification table does not know",
        hint="restore together the objects that refer to each other",
    )


def _unmark(dataset: Dataset) -> None:
    dataset.PatientIdentityRemoved = "NO"
    for keyword in ("DeidentificationMethod", "DeidentificationMethodCodeSequence"):
        if keyword in dataset:
            delattr(dataset, keyword)
    if "LongitudinalTemporalInformationModified" in dataset:
        dataset.LongitudinalTemporalInformationModified = "UNMODIFIED"
    dataset.file_meta.TransferSyntaxUID = dataset.file_meta.get("TransferSyntaxUID", ExplicitVRLittleEndian)
