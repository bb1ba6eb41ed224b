"""Associations with a peer: opened with the right socket options, refused with a sentence that helps."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pydicom.uid import UID
from pynetdicom import AE, _config, evt
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext

from racoon_data.errors import PacsBusyError, PacsError, PacsRefusedError, PacsTimeoutError, PacsUnreachableError
from racoon_data.events import OnEvent, ignore
from racoon_data.pacs.checkpoint import Checkpoint
from racoon_data.pacs.kindness import admitted, knocked
from racoon_data.pacs.peer import PacsNode
from racoon_data.pacs.tls import client_context

# Query keys and answers carry patient values; they stay out of every log.
_config.LOG_REQUEST_IDENTIFIERS = False
_config.LOG_RESPONSE_IDENTIFIERS = False
# Files go out as they lie on disk, in PDU-sized pieces, neither decoded nor held in memory.
_config.STORE_SEND_CHUNKED_DATASET = True

MAX_PDU = 128 * 1024
TRANSIENT = 2
NOT_REGISTERED_HINT = "our AE title is probably not registered there: ask for it to be added as a query/retrieve peer"

Handler = tuple[Any, Callable[..., Any]]


@contextmanager
def associated(
    node: PacsNode,
    contexts: Sequence[PresentationContext],
    *,
    roles: Sequence[SCP_SCU_RoleSelectionNegotiation] = (),
    handlers: Sequence[Handler] = (),
    on_event: OnEvent = ignore,
) -> Iterator[Association]:
    """Hold an association while the block runs, then release it; abort it where the block fails.

    It waits for the node's window and for one of its slots, see :func:`racoon_data.pacs.kindness.admitted`, and
    knocks again, later each time, where the peer says that it is busy for now.

    Args:
        node: The peer.
        contexts: Presentation contexts to propose, at most 128.
        roles: Role selections, needed where the peer is to send (C-GET).
        handlers: Events of pynetdicom and what answers them.
        on_event: Listener; ``wait`` says what we wait for.

    Raises:
        PacsUnreachableError: The host's name is unknown, or no connection could be opened.
        PacsRefusedError: The peer rejected the association or closed it at once.
        PacsBusyError: It still was busy after the last knock.
        PacsTimeoutError: The peer did not answer in time.
    """
    with admitted(node, on_event=on_event):
        association = knocked(node, lambda: _opened(node, contexts, roles, handlers), on_event=on_event)
        try:
            yield association
        except BaseException:
            association.abort()
            raise
        if association.is_established:
            association.release()


def _opened(
    node: PacsNode,
    contexts: Sequence[PresentationContext],
    roles: Sequence[SCP_SCU_RoleSelectionNegotiation],
    handlers: Sequence[Handler],
) -> Association:
    opened = threading.Event()
    bound = [(evt.EVT_CONN_OPEN, _opener(node, opened)), (evt.EVT_DATA_RECV, acknowledge_at_once), *handlers]
    started = time.monotonic()
    try:
        association = _entity(node).associate(
            node.host, node.port, contexts=list(contexts), ae_title=node.ae_title, max_pdu=MAX_PDU,
            ext_neg=list(roles), evt_handlers=bound, tls_args=_tls_arguments(node),
        )  # fmt: skip
    except (socket.gaierror, UnicodeError) as error:
        hint = "check host of the node for a typing error, or give its address in numbers"
        raise PacsUnreachableError(f"the host name {node.host!r} is not known here", ref=node, hint=hint) from error
    if not association.is_established:
        raise _refusal(node, association, opened.is_set(), time.monotonic() - started)
    association._reactor_checkpoint = Checkpoint(association)
    return association


def _tls_arguments(node: PacsNode) -> tuple[ssl.SSLContext, str] | None:
    return (client_context(node.tls), node.host) if node.tls is not None else None


def _entity(node: PacsNode) -> AE:
    entity = AE(ae_title=node.calling_ae_title)
    entity.connection_timeout = node.connect_timeout_s or node.timeout_s
    entity.acse_timeout = node.timeout_s
    entity.dimse_timeout = node.timeout_s
    entity.network_timeout = None
    return entity


def _opener(node: PacsNode, opened: threading.Event) -> Callable[[Any], None]:
    def on_open(event: Any) -> None:
        opened.set()
        prompt_socket(event)
        # pynetdicom waits for the rest of a PDU without end; a peer that falls silent within one must not hold us.
        event.assoc.dul.socket.socket.settimeout(node.timeout_s)

    return on_open


def prompt_socket(event: Any) -> None:
    """Switch off Nagle's algorithm on an association's socket: small messages leave at once."""
    event.assoc.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def acknowledge_at_once(event: Any) -> None:
    """Acknowledge what was just received without the kernel's 40 ms wait; Linux forgets this after each read."""
    wrapped = event.assoc.dul.socket
    if hasattr(socket, "TCP_QUICKACK") and wrapped is not None and wrapped.socket is not None:
        try:
            wrapped.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        except OSError:
            return  # closed meanwhile by the other thread


def _refusal(node: PacsNode, association: Association, was_opened: bool, waited_s: float) -> PacsError:
    if not was_opened:
        hint = "check host, port, firewall, and that the PACS is running"
        return PacsUnreachableError(f"no connection to {node.host}:{node.port}", ref=node, hint=hint)
    if association.is_rejected:
        return rejection(node, association.acceptor.primitive)
    if association.rejected_contexts:
        names = ", ".join(dict.fromkeys(UID(context.abstract_syntax).name for context in association.rejected_contexts))
        hint = "the PACS does not support it, or our AE title has no right to it"
        return PacsRefusedError(f"the peer offers none of what was asked for: {names[:300]}", ref=node, hint=hint)
    if waited_s >= node.timeout_s:
        hint = "something listens there that does not speak DICOM, or it is overloaded"
        return PacsTimeoutError(
            f"no answer to the association request within {node.timeout_s:g} s", ref=node, hint=hint
        )
    hint = f"{NOT_REGISTERED_HINT}; or the port speaks TLS or another protocol"
    return PacsRefusedError("the peer closed the connection during negotiation", ref=node, hint=hint)


def rejection(node: PacsNode, answer: Any) -> PacsRefusedError:
    """Say who rejected whom and why, with the remedy.

    Args:
        node: The peer.
        answer: The ``A_ASSOCIATE`` primitive of its rejection.
    """
    message = (
        f"association rejected: called AE title {node.ae_title!r}, calling AE title {node.calling_ae_title!r},"
        f" result {answer.result_str!r}, source {answer.source_str!r}, reason {answer.reason_str!r}"
    )
    reason = answer.reason_str.lower()
    hint = "ask the administrator of the PACS why"
    if "called" in reason:
        hint = "set ae_title of the node to the title the PACS listens to"
    elif "calling" in reason:
        hint = f"register AE title {node.calling_ae_title!r} at the PACS, or set calling_ae_title to one it knows"
    elif answer.result == TRANSIENT:
        return PacsBusyError(message, ref=node, hint="the PACS is busy for now: try again later")
    return PacsRefusedError(message, ref=node, hint=hint)


def lost(node: PacsNode, association: Association, what: str, waited_s: float) -> PacsError:
    """Say why a request got no status.

    Args:
        node: The peer.
        association: The association it was asked on.
        what: The request, such as ``C-FIND``.
        waited_s: Seconds since the last message.
    """
    if waited_s >= node.timeout_s * 0.95:
        hint = "the PACS may be overloaded: try again, or raise timeout_s of the node"
        return PacsTimeoutError(f"{what}: the peer was silent for {node.timeout_s:g} s", ref=node, hint=hint)
    how = "aborted the association" if association.acse.is_aborted("a-abort") else "closed the connection"
    return PacsRefusedError(f"{what}: the peer {how} without a status", ref=node, hint=NOT_REGISTERED_HINT)
