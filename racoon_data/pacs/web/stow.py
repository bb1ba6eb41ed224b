"""STOW-RS: send files over HTTP, many in one request, one outcome each (PS3.18 10.5)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from racoon_data.documents import parse_json
from racoon_data.errors import (
    DicomError,
    PacsError,
    PacsProtocolError,
    PacsRefusedError,
    PacsUnreachableError,
    RacoonError,
)
from racoon_data.events import Event, OnEvent, ignore
from racoon_data.files.atomic import sha256_of
from racoon_data.outcomes import Outcome, outcome_of
from racoon_data.pacs.part10 import FileHead, read_file_head
from racoon_data.pacs.peer import WebNode
from racoon_data.pacs.web.model import text_in
from racoon_data.pacs.web.session import Answer, Session
from racoon_data.refs import FileRef
from racoon_data.site.ledger import Ledger

STEP = "push"
_BATCH_FILES = 100
_BATCH_BYTES = 256 << 20
_CHUNK = 1 << 18
_MAX_ANSWER = 16 << 20
_FAILED, _REASON = "00081198", "FailureReason"
_STORED, _WARNING = "00081199", "WarningReason"
_CONTENT_TYPE = 'multipart/related; type="application/dicom"; boundary={}'


@dataclass(frozen=True, slots=True)
class _Item:
    position: int
    path: Path
    size: int
    head: FileHead


def push(
    node: WebNode, paths: Sequence[Path], *, on_event: OnEvent = ignore, ledger: Ledger | None = None
) -> tuple[Outcome, ...]:
    """Send files as they are, without re-encoding.

    Args:
        node: The service.
        paths: DICOM files.
        on_event: Listener; one ``push`` event per file.
        ledger: Remembers what each service stored; a file of the same bytes is then not sent there again.

    Returns:
        One outcome per file, in order: done where the service names it as stored, now or before; skipped where it
        is not DICOM.

    Raises:
        PacsError: The service cannot be reached, or lets us not in.
    """
    outcomes: dict[int, Outcome] = {}

    def settle(position: int, error: RacoonError | None) -> None:
        ref = FileRef(paths[position].name)
        outcomes[position] = Outcome(ref, STEP) if error is None else outcome_of(error, ref=ref, step=STEP)
        on_event(Event(STEP, str(ref), len(outcomes), len(paths)))

    items = []
    for position, path in enumerate(paths):
        try:
            item = _Item(position, path, path.stat().st_size, read_file_head(path))
        except DicomError as error:
            settle(position, error)
            continue
        if _is_stored(node, item, ledger):
            settle(position, None)
        else:
            items.append(item)
    for item, failure in _sent(node, items, on_event):
        if failure is None and ledger is not None:
            ledger.remember(STEP, _key(node, item), sha256_of(item.path), {"status": 0})
        settle(item.position, failure)
    return tuple(outcomes[position] for position in range(len(paths)))


def _sent(node: WebNode, items: Sequence[_Item], on_event: OnEvent) -> Iterator[tuple[_Item, RacoonError | None]]:
    """Send what is due; where nothing is, the service is left alone."""
    if not items:
        return
    with Session(node, on_event=on_event) as session:
        for number, batch in enumerate(_batches(items)):
            yield from _send(session, batch, is_first=number == 0)
            session.pace.step()


def _key(node: WebNode, item: _Item) -> str:
    return f"{node.name}/{item.head.sop_uid}"


def _is_stored(node: WebNode, item: _Item, ledger: Ledger | None) -> bool:
    return ledger is not None and ledger.recall(STEP, _key(node, item), sha256_of(item.path)) is not None


def is_offered(session: Session) -> bool:
    """Tell whether a service takes requests to store, by a request that holds no instance.

    Raises:
        PacsRefusedError: It lets us not in.
        PacsError: No answer came, or one of a service in trouble.
    """
    boundary = f"racoon-{uuid4().hex}"
    headers = {"Content-Type": _CONTENT_TYPE.format(boundary), "Accept": "application/dicom+json"}
    status = session.status_of_post(f"{session.node.stow_url}/studies", headers, f"\r\n--{boundary}--\r\n".encode())
    if status in (401, 403):
        hint = "check the node's bearer or password, and its right to store"
        raise PacsRefusedError(f"the service lets us not store: status {status}", ref=session.node, hint=hint)
    if status in (404, 405, 501):
        return False
    if status >= 500 or status == 429:
        raise _status(session.node, status)
    return True


def _batches(items: Sequence[_Item]) -> Iterator[list[_Item]]:
    """Group files into requests: bounded in number and bytes, no SOPInstanceUID twice in one."""
    batch: list[_Item] = []
    size = 0
    for item in items:
        is_twice = any(item.head.sop_uid == other.head.sop_uid for other in batch)
        if batch and (is_twice or len(batch) >= _BATCH_FILES or size + item.size > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += item.size
    if batch:
        yield batch


def _send(session: Session, batch: list[_Item], *, is_first: bool) -> Iterator[tuple[_Item, RacoonError | None]]:
    """Send a batch; where the service finds it too large, send its halves.

    Raises:
        PacsError: Nobody answers the first request, or it is refused: then nothing can be sent at all.
    """
    try:
        answer = _request(session, batch)
        if answer.status == 413 and len(batch) > 1:
            answer.read(_MAX_ANSWER)
            half = len(batch) // 2
            yield from _send(session, batch[:half], is_first=is_first)
            yield from _send(session, batch[half:], is_first=False)
            return
        document = _document(session.node, answer)
    except PacsError as error:
        if is_first and isinstance(error, PacsRefusedError | PacsUnreachableError):
            raise
        yield from ((item, error) for item in batch)
        return
    stored, failed = _by_uid(document, _STORED, _WARNING), _by_uid(document, _FAILED, _REASON)
    for item in batch:
        uid = item.head.sop_uid
        if uid in failed:
            yield item, _failure(session.node, failed[uid])
        elif uid in stored:
            yield item, None
        else:
            hint = "ask the service for the instance before sending it again"
            yield item, PacsError("the service does not say that it stored it", ref=session.node, hint=hint)


def _request(session: Session, batch: Sequence[_Item]) -> Answer:
    boundary = f"racoon-{uuid4().hex}"
    heads = [_part_head(boundary, item) for item in batch]
    closing = f"\r\n--{boundary}--\r\n".encode()
    length = sum(len(head) + item.size for head, item in zip(heads, batch, strict=True)) + len(closing)
    headers = {
        "Content-Type": _CONTENT_TYPE.format(boundary),
        "Content-Length": str(length),
        "Accept": "application/dicom+json",
    }
    return session.post(f"{session.node.stow_url}/studies", headers, partial(_body, heads, batch, closing))


def _part_head(boundary: str, item: _Item) -> bytes:
    return f"\r\n--{boundary}\r\nContent-Type: application/dicom\r\nContent-Length: {item.size}\r\n\r\n".encode()


def _body(heads: Sequence[bytes], batch: Sequence[_Item], closing: bytes) -> Iterator[bytes]:
    """Give the body piece by piece; a file that shrank meanwhile breaks the request, not the instance."""
    for head, item in zip(heads, batch, strict=True):
        yield head
        left = item.size
        with item.path.open("rb") as stream:
            while left and (chunk := stream.read(min(_CHUNK, left))):
                left -= len(chunk)
                yield chunk
    yield closing


def _document(node: WebNode, answer: Answer) -> Mapping[str, Any]:
    raw = answer.read(_MAX_ANSWER)
    try:
        document = parse_json(raw.decode("utf-8", "replace")) if raw.strip() else {}
    except (ValueError, RecursionError) as error:
        if answer.status >= 400:
            raise _status(node, answer.status) from error
        hint = "ask the service which instances it holds"
        raise PacsProtocolError("the answer to the storage is no JSON", ref=node, hint=hint) from error
    document = document[0] if isinstance(document, list) and document else document
    if not isinstance(document, dict) or (answer.status >= 400 and not {_FAILED, _STORED}.intersection(document)):
        raise _status(node, answer.status)
    return document


def _status(node: WebNode, status: int) -> PacsError:
    return PacsError(
        f"the service answered status {status} to the storage", ref=node, hint="the service's log says more"
    )


def _by_uid(document: Mapping[str, Any], tag: str, reason: str) -> dict[str, int]:
    """Read a sequence of the answer: SOPInstanceUID to reason, 0 where there is none."""
    element = document.get(tag)
    items = element.get("Value") if isinstance(element, dict) else None
    found = {}
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict) and (uid := text_in(item, "ReferencedSOPInstanceUID")):
            code = text_in(item, reason)
            found[uid] = int(code) if code.isdecimal() else 0
    return found


def _failure(node: WebNode, reason: int) -> PacsError:
    words = {
        0x0110: "processing failed", 0x0111: "other bytes than an instance it holds", 0x0122: "SOP class not supported",
        0x0124: "not authorised", 0xA700: "out of resources", 0xA900: "data set and request disagree",
        0xC000: "it cannot be understood", 0xC122: "transfer syntax not supported",
    }  # fmt: skip
    said = words.get(reason, "the service's log says more")
    return PacsError(f"not stored: reason 0x{reason:04X}, {said}", ref=node, hint="the service's log says more")
