"""Who reported, on whom, in which version: the head of a structured report."""

from __future__ import annotations

from dataclasses import dataclass

import pydicom

from racoon_data.annotations import content
from racoon_data.annotations.codes import items
from racoon_data.annotations.content import Item
from racoon_data.dicom.headers import text_of
from racoon_data.errors import WrongPatientError
from racoon_data.refs import SeriesRef

_PATIENT = frozenset({("DCM", "121025")})


@dataclass(frozen=True, slots=True)
class Observers:
    """Who observed.

    Attributes:
        names: Persons, or devices where no person is named.
        kinds: ``person``, ``device``, both or empty.
    """

    names: str = ""
    kinds: str = ""


@dataclass(frozen=True, slots=True)
class Header:
    """The head of a report.

    Attributes:
        observers: Who observed.
        status: Completion and verification, such as ``COMPLETE VERIFIED``.
        predecessors: Reports this one replaces.
    """

    observers: Observers
    status: str
    predecessors: tuple[str, ...]


def header_of(report: pydicom.Dataset) -> Header:
    """Read observers, state and predecessors of a report."""
    predecessors = (
        text_of(sop, "ReferencedSOPInstanceUID")
        for study in items(report, "PredecessorDocumentsSequence")
        for series in items(study, "ReferencedSeriesSequence")
        for sop in items(series, "ReferencedSOPSequence")
    )
    status = " ".join(filter(None, (text_of(report, "CompletionFlag"), text_of(report, "VerificationFlag"))))
    return Header(observers_of(report), status, tuple(filter(None, predecessors)))


def observers_of(item: Item) -> Observers:
    """Read the observers an item names: persons first, devices (name, else UID) where there is none."""
    persons = content.texts_under(item, content.PERSON)
    devices = content.texts_under(item, content.DEVICE) or content.texts_under(item, content.DEVICE_UID)
    kinds = " ".join(filter(None, ("person" if persons else "", "device" if devices else "")))
    return Observers("; ".join(dict.fromkeys(persons or devices)), kinds)


def require_same_subject(report: pydicom.Dataset, image: SeriesRef | None) -> None:
    """Refuse a report about somebody or something else than the images it was linked with.

    Raises:
        WrongPatientError: Its subject is another patient than its header names, or the study of its
            images is neither its own nor among its evidence.
    """
    subject = content.text_under(report, content.SUBJECT_ID)
    kind = content.code_under(report, content.SUBJECT_CLASS)
    is_patient = kind is None or kind.key in _PATIENT
    if subject and is_patient and text_of(report, "PatientID") and subject != text_of(report, "PatientID"):
        raise WrongPatientError(
            "the report's subject is another patient than its header names", hint="ask the sender which one is meant"
        )
    if image is None:
        return
    evidence = {
        text_of(study, "StudyInstanceUID")
        for keyword in ("CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence")
        for study in items(report, keyword)
    }
    if image.study_uid not in evidence | {text_of(report, "StudyInstanceUID")}:
        raise WrongPatientError(
            "the report belongs to another study than the images and does not list theirs as evidence",
            hint="check where the file came from; it is kept out",
        )
