"""One C-FIND over our own link: streamed, the peer held back where we are slow, cut off where it never ends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from io import BytesIO

from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pynetdicom.dsutils import encode as encode_dataset

from racoon_data.dicom.guard import walk_encoded
from racoon_data.errors import (
    DicomError,
    PacsEndlessError,
    PacsError,
    PacsLostError,
    PacsProtocolError,
    PacsRefusedError,
    PacsTimeoutError,
)
from racoon_data.pacs import commands
from racoon_data.pacs.asking import MOST_ANSWERS, failure
from racoon_data.pacs.associations import NOT_REGISTERED_HINT
from racoon_data.pacs.channel import Accepted, Channel
from racoon_data.pacs.commands import Command, Values
from racoon_data.pacs.link import ReleasedError
from racoon_data.pacs.negotiating import UNPARSABLE
from racoon_data.pacs.peer import PacsNode
from racoon_data.pacs.statuses import IS_PENDING, SUCCESS

_IMPLICIT = "1.2.840.10008.1.2"
_MOST_AFTER_CANCEL = 2_000
_PATIENCE_AFTER_CANCEL_S = 3.0


def encoded_for(context: Accepted, dataset: Dataset) -> bytes:
    """Encode an identifier as a context demands."""
    encoded = encode_dataset(dataset, context.transfer_syntax == _IMPLICIT, True)
    return bytes(encoded or b"")


class Asker:
    """Asks queries in turn on one channel; TCP makes the peer wait while we are busy, so memory stays flat."""

    def __init__(self, node: PacsNode, channel: Channel) -> None:
        """Begin on a channel nothing was asked on."""
        self._node = node
        self._channel = channel
        self._number = 0

    def answers(self, identifier: Dataset, model: str, *, most: int = MOST_ANSWERS) -> Iterator[Dataset]:
        """Send a C-FIND and stream the identifiers of its answers.

        Args:
            identifier: The query.
            model: SOP class of the query model.
            most: Answers after which the peer is taken to be endless.

        Raises:
            PacsRefusedError: The peer does not offer the model, or ended the association without a status.
            PacsCappedError: It ended with another status than success after some answers, or says that it is full.
            PacsEndlessError: It does not end; it was asked to cancel, and the association is to be aborted.
            PacsTimeoutError: It fell silent.
            PacsError: It failed at once; the message names the status.
        """
        context = self._channel.context_of(model)
        if context is None:
            hint = "ask at study level"
            raise PacsRefusedError("the peer does not offer this query model", ref=self._node, hint=hint)
        self._send(context, identifier, model)
        until, count = time.monotonic() + self._node.deadline_s, 0
        while True:
            status, answer = self._next()
            if status not in IS_PENDING:
                if status != SUCCESS:
                    raise failure(self._node, status, count)
                return
            count += 1
            is_late = time.monotonic() > until
            if count > most or is_late:
                self._cancel(context)
                what = f"within {self._node.deadline_s:g} s" if is_late else f"after {most} answers"
                hint = "narrow the query, or raise deadline_s of the node"
                raise PacsEndlessError(f"C-FIND: the peer did not end its answer {what}", ref=self._node, hint=hint)
            yield self._parsed(context, answer)

    def _send(self, context: Accepted, identifier: Dataset, model: str) -> None:
        self._number = self._number % 0xFFFF + 1
        request: Values = {
            commands.AFFECTED_CLASS: model,
            commands.FIELD: commands.C_FIND,
            commands.MESSAGE_ID: self._number,
            commands.PRIORITY: 0,
            commands.DATA_SET: commands.HAS_DATA_SET,
        }
        self._channel.send(context, request, encoded_for(context, identifier))

    def _next(self) -> tuple[int, bytes]:
        """Read the next answer to the last query; what one before it, left unfinished, still sends is let go."""
        while True:
            self._channel.link.note_progress()
            used, command = self._message()
            data = self._channel.small_data(used) if command.has_data_set else b""
            if command.field != commands.C_FIND | commands.RESPONSE:
                raise PacsProtocolError(f"the peer sent a command 0x{command.field:04X} during C-FIND")
            if command.number(commands.ANSWERED_ID) == self._number:
                return command.number(commands.STATUS), data

    def _message(self) -> tuple[Accepted, Command]:
        try:
            return self._channel.message()
        except ReleasedError:
            self._channel.consent_to_release()
            how = "released the association"
        except PacsTimeoutError as error:
            raise PacsTimeoutError(f"C-FIND: {error.message}", ref=self._node, hint=error.hint) from error
        except PacsLostError as error:
            how = error.message.removeprefix("the peer ")
        raise PacsRefusedError(f"C-FIND: the peer {how} without a status", ref=self._node, hint=NOT_REGISTERED_HINT)

    def _parsed(self, context: Accepted, answer: bytes) -> Dataset:
        try:
            walk_encoded(answer, context.transfer_syntax)
            return read_dataset(BytesIO(answer), context.transfer_syntax == _IMPLICIT, True)
        except (DicomError, *UNPARSABLE) as error:
            hint = "report it to the PACS's vendor"
            raise PacsError("C-FIND: an answer cannot be parsed", ref=self._node, hint=hint) from error

    def _cancel(self, context: Accepted) -> None:
        """Ask the peer to stop and give it a moment; many ignore the wish, then the association is aborted."""
        wish: Values = {
            commands.FIELD: commands.C_CANCEL,
            commands.ANSWERED_ID: self._number,
            commands.DATA_SET: commands.NO_DATA_SET,
        }
        try:
            self._channel.send(context, wish)
            until = time.monotonic() + _PATIENCE_AFTER_CANCEL_S
            for _ in range(_MOST_AFTER_CANCEL):
                if self._next()[0] not in IS_PENDING or time.monotonic() > until:
                    return
        except PacsError:
            return
