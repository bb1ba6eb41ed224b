"""WADO-RS: what is missing of one study, streamed part by part through the same door as C-GET (PS3.18 10.4)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from urllib.parse import quote

from racoon_data.errors import PacsError, PacsPausedError, PacsProtocolError
from racoon_data.pacs.expecting import Expectation
from racoon_data.pacs.landing import Announced, Landing, Refusal
from racoon_data.pacs.part10 import FileHead
from racoon_data.pacs.peer import WebNode
from racoon_data.pacs.receiving import End, Receiver
from racoon_data.pacs.web.multipart import Multipart, boundary_of
from racoon_data.pacs.web.part10_stream import Part10Stream
from racoon_data.pacs.web.session import Answer, Session
from racoon_data.refs import InstanceRef

logger = logging.getLogger(__name__)

# An asterisk keeps the stored encoding; without it the standard has the service convert (PS3.18 8.7.3.5.2).
_ACCEPT = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_ABSENT = "the service did not send it"
_MOST_UNWANTED = 1000

Scope = tuple[InstanceRef, ...]
Pour = Callable[[Callable[[memoryview], object]], int]


def fetch(
    node: WebNode, expected: Expectation, missing: Callable[[], Sequence[InstanceRef]], receiver: Receiver
) -> str:
    """Fetch what is missing and say why what still is did not come.

    The whole study is asked for while nothing of it is here, a series while nothing of that is, else each instance by
    name. A study or series the service does not hand out is asked for by its parts. A broken answer ends the attempt,
    a full disk the retrieval.

    Args:
        node: The service.
        expected: What it lists.
        missing: Tells what is still missing.
        receiver: Takes what arrives.

    Raises:
        PacsError: Nothing could be asked for; the message says why.
        StorageError: The disk is full; what arrived before is in the ledger.
    """
    reason = ""
    before = receiver.arrivals
    try:
        with Session(node) as session:
            for path in _paths(expected, missing()):
                reason = _one(session, f"{node.wado_url}/studies/{path}", receiver) or reason
            for path in _finer(missing(), reason):
                reason = _one(session, f"{node.wado_url}/studies/{path}", receiver) or reason
    except PacsPausedError:
        raise
    except PacsError as error:
        if receiver.arrivals == before:
            raise
        logger.warning("retrieval of %s was cut short: %s", expected.ref, error.message)
        reason = error.message
    finally:
        receiver.journal.flush()
    return reason or _ABSENT


def _paths(expected: Expectation, due: Sequence[InstanceRef]) -> Iterator[str]:
    """Say what to ask for: as little as possible in as few requests as possible."""
    study = _quoted(expected.ref.study_uid)
    if len(due) == len(expected.instances):
        yield study
        return
    whole = {uid: len(list(refs)) for uid, refs in groupby(expected.instances, key=lambda ref: ref.series_uid)}
    for uid, group in groupby(due, key=lambda ref: ref.series_uid):
        refs = list(group)
        if len(refs) == whole[uid] and len(refs) > 1:
            yield f"{study}/series/{_quoted(uid)}"
        else:
            yield from (_path(ref) for ref in refs)


def _finer(due: Sequence[InstanceRef], reason: str) -> Iterator[str]:
    """Ask one by one for what a service would not hand out as a whole."""
    if reason.startswith(_REFUSED):
        yield from (_path(ref) for ref in due)


_REFUSED = "the service answered status"


def _path(ref: InstanceRef) -> str:
    study, series, sop = _quoted(ref.study_uid), _quoted(ref.series_uid), _quoted(ref.sop_uid)
    return f"{study}/series/{series}/instances/{sop}"


def _quoted(uid: str) -> str:
    """Keep a UID one segment of a path, whatever a peer wrote into it."""
    return quote(uid, safe="").replace(".." if uid in ("..", ".") else "\0", "%2E%2E")


def _one(session: Session, url: str, receiver: Receiver) -> str:
    """Make one request and take what it brings; give the reason where it brings nothing."""
    answer = session.get(url, _ACCEPT)
    try:
        if answer.status != 200:
            return f"{_REFUSED} {answer.status}"
        boundary = boundary_of(answer.content_type)
        if boundary is not None:
            _take_parts(session, answer, boundary, receiver)
        elif answer.content_type.partition(";")[0].strip().lower() == "application/dicom":
            _take(lambda sink: _pour_all(answer, sink), receiver)
        else:
            kind = answer.content_type.partition(";")[0][:60] or "nothing"
            hint = "check the base URL of the node"
            raise PacsProtocolError(f"the service sent {kind!r} in place of instances", ref=session.node, hint=hint)
    finally:
        answer.close()
        if not answer.is_drained:
            session.close()
    return ""


def _take_parts(session: Session, answer: Answer, boundary: bytes, receiver: Receiver) -> None:
    multipart = Multipart(answer.read_into, boundary)
    unwanted = 0
    while multipart.next_part() is not None:
        unwanted += not _take(multipart.pour, receiver)
        if unwanted > _MOST_UNWANTED:
            hint = "report it to the service's vendor"
            raise PacsProtocolError(f"the service sent {unwanted} parts nobody asked for", ref=session.node, hint=hint)
        answer.note_progress()
        session.pace.step()


def _pour_all(answer: Answer, sink: Callable[[memoryview], object]) -> int:
    size, view = 0, memoryview(bytearray(256 * 1024))
    while count := answer.read_into(view):
        sink(view[:count])
        size += count
    return size


def _take(pour: Pour, receiver: Receiver) -> bool:
    """Take one file through rule, landing and journal; tell whether it is one that was asked for."""
    landings: list[tuple[Announced, Landing]] = []

    def on_head(head: FileHead) -> Callable[[memoryview], object]:
        announced = Announced(head.sop_class_uid, head.sop_uid, head.transfer_syntax)
        landing = Landing(announced, spool=str(receiver.spool), admit=receiver.rule.admit)
        landing.refusal = receiver.rule.before(announced)
        landings.append((announced, landing))
        return landing.write

    stream = Part10Stream(on_head)
    try:
        pour(stream.write)
        stream.end()
        if stream.problem:
            logger.warning("a part was left out: %s", stream.problem)
            return False
        announced, landing = landings[0]
        end = landing.finish()
    finally:
        for _, begun in landings:
            begun.abandon()
    receiver.note(End(announced, end))
    if landing.error is not None:
        raise landing.error
    return not isinstance(end, Refusal)
