"""Retrieve: every instance a PACS lists for a study, accounted for one by one, only what is missing."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind

from racoon_data.errors import PacsError, PacsRefusedError, about
from racoon_data.events import Event, OnEvent, ignore
from racoon_data.pacs.associations import associated, lost
from racoon_data.pacs.attributes import flat_dataset, text_of
from racoon_data.pacs.contexts import classes_for, retrieve_contexts, storage_roles
from racoon_data.pacs.find import answers, query_dataset
from racoon_data.pacs.peer import PacsNode
from racoon_data.pacs.receiving import GET_MESSAGE_ID, GET_MODEL, Receiver, adopt
from racoon_data.pacs.statuses import IS_PENDING, SUCCESS
from racoon_data.refs import InstanceRef, Query, StudyRef
from racoon_data.site.ledger import InstanceState, Ledger, StudyVerdict, Verdict

logger = logging.getLogger(__name__)

_FIND = StudyRootQueryRetrieveInformationModelFind
_UIDS_PER_REQUEST = 100
_DUE = frozenset({InstanceState.WANTED, InstanceState.FAILED})


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a PACS says a study holds.

    Attributes:
        node: Name of the PACS.
        ref: The study.
        instances: Every instance it lists, in order.
        sop_classes: Their SOP classes, as far as it tells.
        modalities: The modalities of the series.
    """

    node: str
    ref: StudyRef
    instances: tuple[InstanceRef, ...]
    sop_classes: tuple[str, ...]
    modalities: tuple[str, ...]


def retrieve(
    node: PacsNode,
    studies: Sequence[StudyRef],
    *,
    spool: Path,
    ledger: Ledger,
    on_event: OnEvent = ignore,
    attempts: int = 2,
) -> tuple[StudyVerdict, ...]:
    """Bring studies into the spool by C-GET; what lies there already is not fetched again.

    The PACS first lists its instances one by one; that list, not its counters, is what a study is
    measured against. A connection that dies leaves the study partial, and the next call asks only
    for what is missing.

    Args:
        node: The PACS.
        studies: What to fetch.
        spool: Folder for files, ``<study>/<series>/<sop>.dcm``.
        ledger: Remembers every instance and each study's verdict.
        on_event: Listener: ``retrieve`` per study, ``receive`` per instance.
        attempts: How often to ask for instances that did not come.

    Returns:
        One verdict per study, in order.

    Raises:
        PacsError: No association could be opened, or a query failed; what arrived before is kept.
        DiskFullError: The disk is full; the ledger agrees with the spool.
    """
    verdicts = []
    for done, study in enumerate(studies, start=1):
        with about(study):
            verdicts.append(_retrieve_study(node, study, spool, ledger, on_event, attempts))
        ledger.set_verdict(verdicts[-1])
        on_event(Event("retrieve", str(study), done, len(studies)))
    return tuple(verdicts)


def expectation(node: PacsNode, study: StudyRef) -> Expectation:
    """Ask a PACS for the list of a study's instances, series by series.

    Raises:
        PacsError: The query failed, see :func:`racoon_data.pacs.find.find`; or the study's UID is empty, a
            wildcard or a list, which would ask for other studies too.
    """
    if not study.study_uid or any(letter in study.study_uid for letter in "*?\\"):
        hint = "report the answer to the PACS's vendor"
        raise PacsError("a study without a StudyInstanceUID of its own cannot be retrieved", ref=node, hint=hint)
    with associated(node, [build_context(_FIND)]) as association:
        series = [
            (text_of(answer, "SeriesInstanceUID"), text_of(answer, "Modality"))
            for answer in _ask(node, association, "SERIES", StudyInstanceUID=study.study_uid)
        ]
        refs: dict[InstanceRef, str] = {}
        for uid in sorted({uid for uid, _ in series if uid}):
            keys = {"StudyInstanceUID": study.study_uid, "SeriesInstanceUID": uid}
            for answer in _ask(node, association, "IMAGE", **keys):
                sop_uid = text_of(answer, "SOPInstanceUID")
                if sop_uid:
                    refs[InstanceRef(study.study_uid, uid, sop_uid)] = text_of(answer, "SOPClassUID")
    classes = tuple(sorted(set(refs.values())))
    return Expectation(node.name, study, tuple(sorted(refs)), classes, tuple(sorted({word for _, word in series})))


def _ask(node: PacsNode, association: Association, level: str, **keys: str) -> Iterator[Dataset]:
    return answers(node, association, query_dataset(Query(level, keys)), _FIND)


def _retrieve_study(
    node: PacsNode, study: StudyRef, spool: Path, ledger: Ledger, on_event: OnEvent, attempts: int
) -> StudyVerdict:
    expected = expectation(node, study)
    ledger.expect(node.name, expected.instances)
    if expected.instances:
        ledger.withdraw(node.name, study.study_uid, listed=expected.instances)
    adopt(spool, ledger, expected.instances)
    ledger.set_verdict(_verdict(ledger, expected))  # a kill from here on leaves no stale "complete"
    wanted = {ref.sop_uid: ref for ref in expected.instances}
    done = len(wanted) - len(_missing(ledger, expected))

    def on_arrival(ref: InstanceRef) -> None:
        nonlocal done
        done += 1
        on_event(Event("receive", str(ref), done, max(len(wanted), done)))

    receiver = Receiver(study.study_uid, wanted, spool=spool, ledger=ledger, on_arrival=on_arrival)
    for _ in range(attempts):
        missing = _missing(ledger, expected)
        if wanted and not missing:
            break
        reason = _get(node, expected, missing, receiver)
        _note_absent(ledger, _missing(ledger, expected), reason)
        if not wanted:
            break
    return _verdict(ledger, expected)


def _missing(ledger: Ledger, expected: Expectation) -> tuple[InstanceRef, ...]:
    listed = frozenset(expected.instances)
    return tuple(ref for ref in ledger.missing(expected.ref.study_uid) if ref in listed)


def _note_absent(ledger: Ledger, refs: Sequence[InstanceRef], reason: str) -> None:
    """Note why instances did not come; those that came and were refused have their reason."""
    wanted = {row.ref for row in ledger.instances(refs[0].study_uid) if row.state in _DUE} if refs else set()
    for ref in refs:
        if ref in wanted:
            ledger.failed(ref, InstanceState.FAILED, reason)


def _verdict(ledger: Ledger, expected: Expectation) -> StudyVerdict:
    """Measure a study against what this PACS lists and what another one listed and still owes."""
    rows = ledger.instances(expected.ref.study_uid)
    here = {row.ref for row in rows if row.state is InstanceState.ARRIVED}
    if not expected.instances:
        return StudyVerdict(expected.ref, Verdict.UNKNOWN_EXPECTED if here else Verdict.EMPTY, 0, len(here))
    due = {row.ref for row in rows if row.state not in (InstanceState.ARRIVED, InstanceState.WITHDRAWN)}
    owed_elsewhere = {row.ref for row in rows if row.node not in ("", expected.node)} & due
    count = len(owed_elsewhere.union(expected.instances))
    arrived = len(here.intersection(expected.instances))
    verdict = Verdict.COMPLETE if arrived == count else Verdict.PARTIAL if arrived else Verdict.EMPTY
    return StudyVerdict(expected.ref, verdict, count, arrived)


def _get(node: PacsNode, expected: Expectation, missing: Sequence[InstanceRef], receiver: Receiver) -> str:
    """Fetch on one association and say why what is still missing did not come.

    A lost connection ends the attempt, a full disk ends the retrieval.
    """
    classes = classes_for(expected.sop_classes, expected.modalities)
    contexts, roles = retrieve_contexts(GET_MODEL, classes), storage_roles(classes)
    handlers = [(evt.EVT_C_STORE, receiver.on_store)]
    reason = "the PACS did not send it"
    with associated(node, contexts, roles=roles, handlers=handlers) as association:
        if not any(context.abstract_syntax == GET_MODEL for context in association.accepted_contexts):
            hint = "the PACS allows only C-MOVE, or our AE title has no retrieve rights"
            raise PacsRefusedError("the peer offers no retrieval by C-GET", ref=node, hint=hint)
        try:
            for identifier in _requests(expected, missing):
                reason = _get_one(node, association, identifier, receiver) or reason
        except PacsError as error:
            logger.warning("retrieval of %s was cut short: %s", expected.ref, error.message)
            reason = error.message
        if receiver.error is not None:
            raise receiver.error
    return reason


def _requests(expected: Expectation, missing: Sequence[InstanceRef]) -> Iterator[Dataset]:
    """Ask for the whole study while nothing of it is here, else for the missing instances by name."""
    study_uid = expected.ref.study_uid
    if len(missing) == len(expected.instances):
        yield flat_dataset({"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": study_uid})
        return
    for series_uid, refs in groupby(missing, key=lambda ref: ref.series_uid):
        uids = [ref.sop_uid for ref in refs]
        for start in range(0, len(uids), _UIDS_PER_REQUEST):
            yield flat_dataset(
                {
                    "QueryRetrieveLevel": "IMAGE",
                    "StudyInstanceUID": study_uid,
                    "SeriesInstanceUID": series_uid,
                    "SOPInstanceUID": "\\".join(uids[start : start + _UIDS_PER_REQUEST]),
                }
            )


def _get_one(node: PacsNode, association: Association, identifier: Dataset, receiver: Receiver) -> str:
    """Send one C-GET and wait for its end; give the status as a reason where it is no success."""
    receiver.heard_at = time.monotonic()
    for status, _ in association.send_c_get(identifier, GET_MODEL, msg_id=GET_MESSAGE_ID):
        code = status.get("Status")
        if code is None:
            raise lost(node, association, "C-GET", time.monotonic() - receiver.heard_at)
        receiver.heard_at = time.monotonic()
        if code not in IS_PENDING and code != SUCCESS:
            return f"the PACS ended the retrieval with status 0x{code:04X}"
    return ""
