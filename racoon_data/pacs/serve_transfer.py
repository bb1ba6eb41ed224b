"""C-GET and C-MOVE of the embedded PACS: stored bytes go out untouched, and the counts are ours to answer for."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING, Any

from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_GET, C_MOVE
from pynetdicom.dsutils import encode
from pynetdicom.presentation import build_context
from pynetdicom.transport import RequestHandler

from racoon_data.pacs.associations import MAX_PDU
from racoon_data.pacs.attributes import flat_dataset
from racoon_data.pacs.catalog import UNIQUE_KEY
from racoon_data.pacs.checkpoint import Checkpoint
from racoon_data.pacs.contexts import LIMIT
from racoon_data.pacs.index import Stored
from racoon_data.pacs.outgoing import send_stored
from racoon_data.pacs.requests import break_off, identifier_in, request_of
from racoon_data.pacs.serve_faults import Deed, chosen, deeds
from racoon_data.pacs.statuses import (
    ALL_FAILED,
    CANCELLED,
    DOES_NOT_MATCH,
    IS_STORE_WARNING,
    PENDING,
    SOME_FAILED,
    SUCCESS,
    UNKNOWN_DESTINATION,
)

if TYPE_CHECKING:
    from racoon_data.pacs.serve import EmbeddedPacs

logger = logging.getLogger(__name__)


# Pending responses are optional (PS3.7 C.4.3): enough of them to show that we live.
_REPORT_EVERY_S = 1.0


def request_handler(pacs: EmbeddedPacs) -> type[RequestHandler]:
    """Make the connection handler of pynetdicom's server that answers C-GET and C-MOVE itself.

    pynetdicom's own service decodes each instance and encodes it again; here the file's bytes
    are sent. Everything else stays with pynetdicom.
    """

    class Handler(RequestHandler):  # type: ignore[misc]
        def _create_association(self) -> Association:
            association = super()._create_association()
            association._serve_request = partial(_serve, pacs, association, association._serve_request)
            return association

    return Handler


def _serve(
    pacs: EmbeddedPacs, association: Association, otherwise: Callable[[Any, int], None], message: Any, context_id: int
) -> None:
    contexts = {context.context_id: context for context in association.accepted_contexts}
    if not isinstance(message, C_GET | C_MOVE) or not message.is_valid_request or context_id not in contexts:
        otherwise(message, context_id)
        return
    association.dimse.cancel_req = {}
    association._is_paused = True
    pacs.transfers.add(association)
    try:
        _Transfer(pacs, association, message, contexts[context_id]).run()
    finally:
        association._is_paused = False
        association.dimse.cancel_req = {}
        pacs.transfers.discard(association)


@dataclass
class _Counts:
    remaining: int = 0
    completed: int = 0
    warned: int = 0
    failed: list[str] = field(default_factory=list)

    def add(self, status: int, sop_uid: str) -> None:
        self.remaining -= 1
        if status == SUCCESS:
            self.completed += 1
        elif status in IS_STORE_WARNING:
            self.warned += 1
        else:
            self.failed.append(sop_uid)

    def final_status(self) -> int:
        if not self.failed and not self.warned:
            return SUCCESS
        return SOME_FAILED if self.completed or self.warned else ALL_FAILED


class _Transfer:
    """One C-GET or C-MOVE request, from its identifier to its final response."""

    def __init__(self, pacs: EmbeddedPacs, association: Association, message: Any, context: Any) -> None:
        self._pacs = pacs
        self._association = association
        self._message = message
        self._context = context
        self._counts = _Counts()

    def run(self) -> None:
        """Answer the request."""
        if self._pacs.faults.close_queries:
            break_off(self._association)
            return
        syntax = self._context.transfer_syntax[0]
        identifier = identifier_in(self._message.Identifier, syntax)
        request = request_of(identifier, str(self._message.AffectedSOPClassUID))
        if request is None or not request[1].get(UNIQUE_KEY[request[0]]):
            self._respond(DOES_NOT_MATCH)
            return
        stored = chosen(self._pacs, *request)
        self._counts.remaining = len(stored)
        if isinstance(self._message, C_GET):
            self._send(self._association, stored)
        else:
            self._move(stored)

    def _move(self, stored: list[Stored]) -> None:
        title = str(self._message.MoveDestination or "").strip()
        address = self._pacs.destinations.get(title)
        if address is None:
            self._respond(UNKNOWN_DESTINATION)
            return
        kinds = sorted({(item.sop_class_uid, item.transfer_syntax) for item in stored})[:LIMIT]
        if not kinds:
            self._respond(SUCCESS)
            return
        contexts = [build_context(sop_class, syntax) for sop_class, syntax in kinds]
        receiver = self._association.ae.associate(*address, contexts=contexts, ae_title=title, max_pdu=MAX_PDU)
        if not receiver.is_established:
            self._respond(UNKNOWN_DESTINATION)
            return
        receiver._reactor_checkpoint = Checkpoint(receiver)
        try:
            self._send(receiver, stored)
        finally:
            receiver.release()

    def _send(self, receiver: Association, stored: list[Stored]) -> None:
        reported = time.monotonic()
        for position, (deed, item) in enumerate(deeds(self._pacs, stored)):
            if self._is_cancelled():
                self._respond(CANCELLED)
                return
            if self._pacs.stopping.is_set():
                return
            if deed is not Deed.SEND:
                break_off(self._association, claim_giant=deed is Deed.GIANT)
                return
            status = send_stored(receiver, item, (self._message.MessageID + position) % 65535 + 1)
            if not self._association.is_established:
                return
            self._counts.add(status, item.ref.sop_uid)
            if self._counts.remaining > 0 and time.monotonic() - reported >= _REPORT_EVERY_S:
                self._respond(PENDING)
                reported = time.monotonic()
        self._respond(self._counts.final_status())

    def _is_cancelled(self) -> bool:
        asked = self._message.MessageID in self._association.dimse.cancel_req
        return asked and not self._pacs.faults.ignore_cancel

    def _respond(self, status: int) -> None:
        response = type(self._message)()
        response.MessageID = self._message.MessageID
        response.MessageIDBeingRespondedTo = self._message.MessageID
        response.AffectedSOPClassUID = self._message.AffectedSOPClassUID
        response.Status = status
        if status in (PENDING, CANCELLED):
            response.NumberOfRemainingSuboperations = max(self._counts.remaining, 0)
        response.NumberOfCompletedSuboperations = max(self._counts.completed + self._pacs.faults.lie_about_counts, 0)
        response.NumberOfWarningSuboperations = self._counts.warned
        response.NumberOfFailedSuboperations = len(self._counts.failed)
        if status not in (PENDING, SUCCESS):
            response.Identifier = self._failed_list()
        self._association.dimse.send_msg(response, self._context.context_id)

    def _failed_list(self) -> BytesIO:
        syntax = self._context.transfer_syntax[0]
        listed = flat_dataset({"FailedSOPInstanceUIDList": "\\".join(self._counts.failed)})
        return BytesIO(encode(listed, syntax.is_implicit_VR, syntax.is_little_endian) or b"")
