"""C-MOVE of what is missing of one study: we ask on one association and receive on others, by our own clocks."""

from __future__ import annotations

import logging
import queue
import select
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelMove

from racoon_data.errors import PacsError, PacsLostError, PacsPausedError, PacsRefusedError
from racoon_data.pacs import commands
from racoon_data.pacs.accepting import Welcome
from racoon_data.pacs.associations import NOT_REGISTERED_HINT
from racoon_data.pacs.channel import Accepted, Channel
from racoon_data.pacs.commands import Command
from racoon_data.pacs.expecting import Expectation
from racoon_data.pacs.getting import Missing, refuse_private, requests
from racoon_data.pacs.link import ReleasedError
from racoon_data.pacs.negotiating import channel_to
from racoon_data.pacs.peer import PacsNode
from racoon_data.pacs.querying import encoded_for
from racoon_data.pacs.receiving import End, Intake, Receiver
from racoon_data.pacs.statuses import IS_PENDING, SUCCESS, UNKNOWN_DESTINATION
from racoon_data.pacs.storage_scp import Limits, StorageScp

logger = logging.getLogger(__name__)

MOVE_MODEL = StudyRootQueryRetrieveInformationModelMove
_MESSAGE_ID = 1
_LOOK_S = 0.05
_SETTLE_S = 1.0
# Ends that wait to be journalled; a full queue slows the senders down.
_BACKLOG = 256


@dataclass(frozen=True, slots=True)
class _Final:
    """How the peer says that a C-MOVE ended: its status and the sub-operations it counts as sent."""

    status: int
    sent: int


def move(node: PacsNode, expected: Expectation, missing: Missing, receiver: Receiver) -> str:
    """Have the peer send what is missing to our own receiver, and say why what still is did not come.

    The receiver listens on ``receive_port`` of the node while this runs. It takes the instances that were asked for
    from the peer's title or address, and nothing else. A peer that answers first and sends later, as a
    background job does, is waited for as long as instances keep coming.

    Args:
        node: The peer.
        expected: What it lists.
        missing: Tells what is still missing.
        receiver: Takes what arrives.

    Raises:
        PacsRefusedError: The peer offers no C-MOVE, or does not know our title as a destination.
        PacsError: No association could be opened.
        StorageError: The port is taken or the disk is full; what arrived before is in the ledger.
    """
    refuse_private(node, expected, missing(), receiver)
    ends: queue.Queue[End] = queue.Queue(_BACKLOG)
    intake = Intake(receiver.spool, receiver.rule, on_end=ends.put)
    welcome = Welcome(
        node.move_to or node.calling_ae_title,
        callers=(node.ae_title,),
        hosts=addresses_of(node.host),
        is_either_enough=True,
        private_classes=node.private_classes,
    )
    limits = Limits(max_associations=8, silence_s=node.timeout_s)
    address = (listening_address(node.host), node.receive_port)
    scp = StorageScp(welcome, intake, address=address, limits=limits, tls=node.tls)
    mover = _Mover(node, receiver, intake, ends, scp)
    try:
        with scp:
            return mover.run(requests(expected, missing()), missing)
    finally:
        mover.drain()
        receiver.journal.flush()


def addresses_of(host: str) -> tuple[str, ...]:
    """Give every address of a host; none where its name is not known."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError):
        return ()
    return tuple(sorted({str(entry[4][0]).partition("%")[0] for entry in found}))


def listening_address(host: str) -> str:
    """Say where to listen so that a host can call back: on this machine alone where it is this machine."""
    known = addresses_of(host)
    is_here = bool(known) and all(address.startswith("127.") or address == "::1" for address in known)
    return "127.0.0.1" if is_here else "0.0.0.0"


class _Mover:
    """One C-MOVE after another on one association, while ends come in from the receiver's threads."""

    def __init__(
        self, node: PacsNode, receiver: Receiver, intake: Intake, ends: queue.Queue[End], scp: StorageScp
    ) -> None:
        self._node = node
        self._receiver = receiver
        self._intake = intake
        self._ends = ends
        self._scp = scp
        self._heard = time.monotonic()

    def run(self, identifiers: Iterator[Dataset], missing: Missing) -> str:
        reason = "the PACS did not send it"
        with channel_to(self._node, [build_context(MOVE_MODEL)]) as channel:
            context = channel.context_of(MOVE_MODEL)
            if context is None:
                hint = "our AE title may have no retrieve rights there"
                raise PacsRefusedError("the peer offers no retrieval by C-MOVE", ref=self._node, hint=hint)
            try:
                for identifier in identifiers:
                    reason = self._move_one(channel, context, identifier, missing) or reason
            except (PacsPausedError, PacsRefusedError):
                raise
            except PacsError as error:
                logger.warning("retrieval was cut short: %s", error.message)
                reason = error.message
                channel.abort()
        return reason

    def _move_one(self, channel: Channel, context: Accepted, identifier: Dataset, missing: Missing) -> str:
        request = {
            commands.AFFECTED_CLASS: MOVE_MODEL,
            commands.FIELD: commands.C_MOVE,
            commands.MESSAGE_ID: _MESSAGE_ID,
            commands.PRIORITY: 0,
            commands.DATA_SET: commands.HAS_DATA_SET,
            commands.DESTINATION: self._node.move_to or self._node.calling_ae_title,
        }
        began = self._receiver.arrivals
        self._heard = time.monotonic()
        channel.send(context, request, encoded_for(context, identifier))
        final = self._final(channel)
        if final.status == UNKNOWN_DESTINATION:
            hint = (
                f"register AE title {request[commands.DESTINATION]!r} with this machine's address and port"
                f" {self._scp.port} at the PACS, and set receive_port of the node to that port"
            )
            raise PacsRefusedError("the PACS does not know us as a destination of C-MOVE", ref=self._node, hint=hint)
        self._settle(final, began, missing)
        return "" if final.status == SUCCESS else f"the PACS ended the retrieval with status 0x{final.status:04X}"

    def _final(self, channel: Channel) -> _Final:
        """Wait for the end the peer tells, taking what arrives meanwhile."""
        while True:
            self._take()
            if not channel.link.has_unread() and not select.select([channel.link], [], [], _LOOK_S)[0]:
                if time.monotonic() - self._heard > self._node.timeout_s:
                    raise channel.link.silent()
                continue
            command = self._command(channel)
            self._heard = time.monotonic()
            channel.link.note_progress()
            status = command.number(commands.STATUS)
            if status not in IS_PENDING:
                counts = (commands.COMPLETED, commands.WARNED)
                return _Final(status, sum(command.number(element) for element in counts))

    def _command(self, channel: Channel) -> Command:
        try:
            context, command = channel.message()
            if command.has_data_set:
                channel.small_data(context)
        except ReleasedError:
            channel.consent_to_release()
            raise PacsLostError("C-MOVE: the peer released the association without a status") from None
        except PacsLostError as error:
            message = f"C-MOVE: {error.message} without a status"
            raise PacsLostError(message, hint=NOT_REGISTERED_HINT) from error
        return command

    def _settle(self, final: _Final, began: int, missing: Missing) -> None:
        """Wait for instances that the peer counts, or may still send; silence ends the wait."""
        while True:
            self._take()
            came = self._receiver.arrivals - began
            is_counted = final.sent and came >= final.sent
            patience_s = _SETTLE_S if is_counted or final.status != SUCCESS else self._node.timeout_s
            quiet_s = time.monotonic() - self._heard
            if quiet_s > patience_s and not (self._scp.associations and quiet_s <= self._node.timeout_s):
                return
            if quiet_s > _LOOK_S and is_counted:
                return
            if came and quiet_s > _LOOK_S and not self._scp.associations and self._is_all_here(missing):
                return
            time.sleep(_LOOK_S)

    def _is_all_here(self, missing: Missing) -> bool:
        self._receiver.journal.flush()
        return not missing()

    def _take(self) -> None:
        """Note what arrived; a full disk ends the retrieval."""
        for end in self._waiting():
            self._heard = time.monotonic()
            self._receiver.note(end)
        if self._intake.error is not None:
            raise self._intake.error

    def _waiting(self) -> Sequence[End]:
        waiting = []
        while not self._ends.empty():
            waiting.append(self._ends.get_nowait())
        return waiting

    def drain(self) -> None:
        """Note what arrived while the receiver stopped."""
        for end in self._waiting():
            self._receiver.note(end)
