"""Find: ask a PACS at one level and stream what it answers, or say that the answer is not whole."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping

from pydicom.dataset import Dataset
from pynetdicom.association import Association
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import (
    PatientRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelFind,
)

from racoon_data.errors import PacsCappedError, PacsError, SettingsError
from racoon_data.events import Event, OnEvent, ignore
from racoon_data.pacs.associations import associated, lost
from racoon_data.pacs.attributes import flat_dataset, text_of
from racoon_data.pacs.matching import vr_of
from racoon_data.pacs.peer import PacsNode
from racoon_data.refs import InstanceRef, Match, Query, SeriesRef, StudyRef

logger = logging.getLogger(__name__)

PENDING = frozenset({0xFF00, 0xFF01})
CAPPED = frozenset({0xA700, 0xFE00})

RETURN_KEYS: dict[str, tuple[str, ...]] = {
    "PATIENT": ("PatientID", "PatientName", "PatientBirthDate", "PatientSex"),
    "STUDY": (
        "StudyInstanceUID", "PatientID", "PatientName", "StudyDate", "StudyTime", "AccessionNumber",
        "StudyDescription", "ModalitiesInStudy", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances",
    ),
    "SERIES": (
        "StudyInstanceUID", "SeriesInstanceUID", "Modality", "SeriesNumber", "SeriesDescription",
        "NumberOfSeriesRelatedInstances",
    ),
    "IMAGE": ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "InstanceNumber"),
}  # fmt: skip


def find(node: PacsNode, query: Query, *, on_event: OnEvent = ignore) -> Iterator[Match]:
    """Ask a PACS and stream its answers.

    Args:
        node: The peer.
        query: Level and filters. PATIENT asks in the Patient Root model, the others in Study Root.
        on_event: Listener; one ``find`` event per answer.

    Yields:
        One match per answer, with every filter and the usual attributes of the level.

    Raises:
        SettingsError: The level or a keyword does not exist.
        PacsUnreachableError: No connection could be opened.
        PacsRefusedError: The peer rejected us, closed without a status or does not offer queries.
        PacsTimeoutError: The peer fell silent.
        PacsCappedError: The peer cut its answer off.
        PacsError: The query ended with another status; the message names it.
    """
    identifier = query_dataset(query)
    is_patient = query.level == "PATIENT"
    model = PatientRootQueryRetrieveInformationModelFind if is_patient else StudyRootQueryRetrieveInformationModelFind
    with associated(node, [build_context(model)]) as association:
        for done, answer in enumerate(answers(node, association, identifier, model), start=1):
            on_event(Event("find", "", done))
            yield match_of(query, answer)


def query_dataset(query: Query) -> Dataset:
    """Build the identifier of a query: its level, its filters and the keys to return.

    Raises:
        SettingsError: The level or a keyword does not exist.
    """
    if query.level not in RETURN_KEYS:
        hint = f"one of {', '.join(RETURN_KEYS)}"
        raise SettingsError(f"there is no query level {query.level!r}", hint=hint)
    keys = {**dict.fromkeys(RETURN_KEYS[query.level], ""), **query.filters}
    try:
        return flat_dataset({"QueryRetrieveLevel": query.level, **keys})
    except KeyError as error:
        hint = "use DICOM keywords such as StudyDate or PatientID"
        raise SettingsError(f"DICOM has no attribute {error.args[0]!r}", hint=hint) from error


def answers(node: PacsNode, association: Association, identifier: Dataset, model: str) -> Iterator[Dataset]:
    """Send a C-FIND on an open association and stream the identifiers of its answers.

    Raises:
        PacsError: It did not end with success; see :func:`find`.
    """
    waiting_since = time.monotonic()
    for status, answer in association.send_c_find(identifier, model):
        code = status.get("Status")
        if code is None:
            raise lost(node, association, "C-FIND", time.monotonic() - waiting_since)
        if code in PENDING:
            if answer is None:
                raise PacsError("C-FIND: an answer cannot be parsed", ref=node, hint="report it to the PACS's vendor")
            yield answer
        elif code != 0x0000:
            raise _failure(node, code)
        waiting_since = time.monotonic()


def _failure(node: PacsNode, code: int) -> PacsError:
    if code in CAPPED:
        hint = "narrow the query, for instance to fewer days"
        return PacsCappedError(f"C-FIND: the peer cut its answer off with status 0x{code:04X}", ref=node, hint=hint)
    hint = "check the level and the filters; the peer's log says more"
    return PacsError(f"C-FIND: the peer answered status 0x{code:04X}", ref=node, hint=hint)


def match_of(query: Query, answer: Dataset) -> Match:
    """Turn an answer into a match; a PATIENT answer refers to no study."""
    keys = (*RETURN_KEYS[query.level], *query.filters)
    values = {keyword: text_of(answer, keyword) for keyword in dict.fromkeys(keys) if vr_of(keyword) != "SQ"}
    return Match(_ref(query.level, values, query.filters), values)


def _ref(level: str, values: Mapping[str, str], filters: Mapping[str, str]) -> StudyRef | SeriesRef | InstanceRef:
    study, series, sop = (
        values.get(keyword, "") or filters.get(keyword, "")
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    )
    if level == "IMAGE":
        return InstanceRef(study, series, sop)
    return SeriesRef(study, series) if level == "SERIES" else StudyRef(study)
