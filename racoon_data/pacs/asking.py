"""One C-FIND on an open association: streamed, cut off where it never ends."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom.association import Association

from racoon_data.errors import PacsCappedError, PacsEndlessError, PacsError
from racoon_data.pacs.associations import lost
from racoon_data.pacs.peer import PacsNode
from racoon_data.pacs.statuses import CANCELLED, IS_CAPPED, IS_PENDING, SUCCESS

logger = logging.getLogger(__name__)

MOST_ANSWERS = 2_000_000
_MESSAGE_ID = 1
_MOST_AFTER_CANCEL = 2_000
_PATIENCE_AFTER_CANCEL_S = 3.0
_UNABLE = range(0xC000, 0xD000)


def answers(
    node: PacsNode, association: Association, identifier: Dataset, model: str, *, most: int = MOST_ANSWERS
) -> Iterator[Dataset]:
    """Send a C-FIND and stream the identifiers of its answers.

    Args:
        node: The peer.
        association: Where to ask.
        identifier: The query.
        model: SOP class of the query model.
        most: Answers after which the peer is taken to be endless.

    Raises:
        PacsCappedError: It ended with another status than success after some answers, or says that it is full.
        PacsEndlessError: It does not end; it was asked to cancel, and the association is to be aborted.
        PacsError: It failed at once; the message names the status.
    """
    started = waiting_since = time.monotonic()
    stream = association.send_c_find(identifier, model, msg_id=_MESSAGE_ID)
    for before, (status, answer) in enumerate(stream):
        count = before + 1
        code = status.get("Status")
        if code is None:
            raise lost(node, association, "C-FIND", time.monotonic() - waiting_since)
        if code not in IS_PENDING:
            if code != SUCCESS:
                raise failure(node, code, before)
            return
        if answer is None:
            raise PacsError("C-FIND: an answer cannot be parsed", ref=node, hint="report it to the PACS's vendor")
        is_late = time.monotonic() - started > node.deadline_s
        if count > most or is_late:
            _cancel(association, model, stream)
            what = f"within {node.deadline_s:g} s" if is_late else f"after {most} answers"
            hint = "narrow the query, or raise deadline_s of the node"
            raise PacsEndlessError(f"C-FIND: the peer did not end its answer {what}", ref=node, hint=hint)
        yield answer
        waiting_since = time.monotonic()


def _cancel(association: Association, model: str, stream: Iterator[Any]) -> None:
    """Ask the peer to stop and give it a moment; many ignore the wish, then the association is aborted."""
    association.send_c_cancel(_MESSAGE_ID, query_model=model)
    until = time.monotonic() + _PATIENCE_AFTER_CANCEL_S
    for count, (status, _) in enumerate(stream):
        if status.get("Status") not in IS_PENDING or count > _MOST_AFTER_CANCEL or time.monotonic() > until:
            return


def failure(node: PacsNode, code: int, count: int) -> PacsError:
    """Say how a query ended that did not end with success.

    Args:
        node: The peer.
        code: The status.
        count: Answers before it.
    """
    if code in IS_CAPPED or (count and code in _UNABLE):
        hint = "narrow the query, for instance to fewer days"
        kind = "cancelled" if code == CANCELLED else "cut off"
        return PacsCappedError(f"C-FIND: the peer {kind} its answer with status 0x{code:04X}", ref=node, hint=hint)
    hint = "check the level and the filters; the peer's log says more"
    return PacsError(f"C-FIND: the peer answered status 0x{code:04X}", ref=node, hint=hint)
