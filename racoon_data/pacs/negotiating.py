"""Associations over our own link: asked for and answered with pynetdicom's PDUs."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pydicom.uid import UID
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RJ, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
    SCP_SCU_RoleSelectionNegotiation,
)
from pynetdicom.presentation import PresentationContext

from racoon_data.errors import (
    PacsLostError,
    PacsProtocolError,
    PacsRefusedError,
    PacsTimeoutError,
    PacsUnreachableError,
    about,
)
from racoon_data.events import OnEvent, ignore
from racoon_data.pacs.associations import NOT_REGISTERED_HINT, rejection
from racoon_data.pacs.channel import Accepted, Channel
from racoon_data.pacs.kindness import admitted, knocked
from racoon_data.pacs.link import ABORT, ASSOCIATE_AC, ASSOCIATE_RJ, MAX_PDU, Link
from racoon_data.pacs.part10 import IMPLEMENTATION_NAME, IMPLEMENTATION_UID
from racoon_data.pacs.peer import PacsNode
from racoon_data.pacs.tls import client_context

_APPLICATION_CONTEXT = UID("1.2.840.10008.3.1.1.1")
UNPARSABLE = (ValueError, TypeError, KeyError, IndexError, AttributeError, NotImplementedError, EOFError)


@contextmanager
def channel_to(
    node: PacsNode,
    contexts: Sequence[PresentationContext],
    *,
    roles: Sequence[SCP_SCU_RoleSelectionNegotiation] = (),
    on_event: OnEvent = ignore,
) -> Iterator[Channel]:
    """Hold an association while the block runs, then release it; abort it where the block fails.

    It waits for the node's window and for one of its slots, and knocks again where the peer is busy, as
    :func:`racoon_data.pacs.associations.associated` does.

    Args:
        node: The peer.
        contexts: Presentation contexts to propose, at most 128.
        roles: Role selections, needed where the peer is to send (C-GET).
        on_event: Listener; ``wait`` says what we wait for.

    Raises:
        PacsUnreachableError: The host's name is unknown, or no connection could be opened.
        PacsRefusedError: The peer rejected the association, closed it at once or offers nothing of it.
        PacsBusyError: It still was busy after the last knock.
        PacsTimeoutError: The peer did not answer in time.
        PacsProtocolError: It answered something else than DICOM.
    """
    with about(node), admitted(node, on_event=on_event) as pace:
        channel = knocked(node, lambda: _opened(node, contexts, roles), on_event=on_event)
        channel.pace = pace
        try:
            yield channel
        except BaseException:
            channel.abort()
            raise
        channel.release()


def _opened(
    node: PacsNode, contexts: Sequence[PresentationContext], roles: Sequence[SCP_SCU_RoleSelectionNegotiation]
) -> Channel:
    proposed = _numbered(contexts)
    link = connect(node)
    try:
        accepted, peer_max = _ask(link, node, proposed, roles)
    except BaseException:
        link.close()
        raise
    channel = Channel(link, accepted, peer_title=node.ae_title, peer_max=peer_max)
    if not accepted:
        channel.abort()
        names = ", ".join(dict.fromkeys(UID(context.abstract_syntax).name for context in proposed))
        hint = "the PACS does not support it, or our AE title has no right to it"
        raise PacsRefusedError(f"the peer offers none of what was asked for: {names[:300]}", ref=node, hint=hint)
    return channel


def _numbered(contexts: Sequence[PresentationContext]) -> list[PresentationContext]:
    for number, context in enumerate(contexts):
        context.context_id = 2 * number + 1
    return list(contexts)


def connect(node: PacsNode) -> Link:
    """Open a connection, encrypted where the node says so.

    Raises:
        PacsUnreachableError: The host's name is unknown, or nobody answers there.
        PacsRefusedError: The encryption could not be agreed on.
        SettingsError: A certificate file cannot be used.
    """
    try:
        connection = socket.create_connection((node.host, node.port), node.connect_timeout_s or node.timeout_s)
    except (socket.gaierror, UnicodeError) as error:
        hint = "check host of the node for a typing error, or give its address in numbers"
        raise PacsUnreachableError(f"the host name {node.host!r} is not known here", ref=node, hint=hint) from error
    except OSError as error:
        hint = "check host, port, firewall, and that the PACS is running"
        raise PacsUnreachableError(f"no connection to {node.host}:{node.port}", ref=node, hint=hint) from error
    if node.tls is None:
        return Link(connection, silence_s=node.timeout_s)
    try:
        connection.settimeout(node.timeout_s)
        wrapped = client_context(node.tls).wrap_socket(connection, server_hostname=node.host)
    except (OSError, ValueError) as error:
        connection.close()
        reason = getattr(error, "verify_message", "") or getattr(error, "reason", "") or type(error).__name__
        hint = "check ca, certificate and key of the node, and that the port speaks TLS"
        raise PacsRefusedError(f"no encrypted connection: {reason}", ref=node, hint=hint) from error
    except BaseException:
        connection.close()
        raise
    return Link(wrapped, silence_s=node.timeout_s)


def _ask(
    link: Link,
    node: PacsNode,
    contexts: list[PresentationContext],
    roles: Sequence[SCP_SCU_RoleSelectionNegotiation],
) -> tuple[dict[int, Accepted], int]:
    request = A_ASSOCIATE()
    request.application_context_name = _APPLICATION_CONTEXT
    request.calling_ae_title, request.called_ae_title = node.calling_ae_title, node.ae_title
    request.presentation_context_definition_list = contexts
    request.user_information = [*user_information(), *roles]
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(request)
    try:
        link.send(pdu.encode())
        kind, length = link.pdu()
        body = bytes(link.take(length))
    except PacsTimeoutError:
        message = f"no answer to the association request within {node.timeout_s:g} s"
        hint = "something listens there that does not speak DICOM, or it is overloaded"
        raise PacsTimeoutError(message, ref=node, hint=hint) from None
    except PacsLostError as error:
        raise _hung_up(node) from error
    answer = _primitive(kind, length, body)
    if kind == ASSOCIATE_RJ:
        raise rejection(node, answer)
    return _accepted(contexts, answer)


def _hung_up(node: PacsNode) -> PacsRefusedError:
    hint = f"{NOT_REGISTERED_HINT}; or the port speaks TLS or another protocol"
    return PacsRefusedError("the peer closed the connection during negotiation", ref=node, hint=hint)


def _primitive(kind: int, length: int, body: bytes) -> Any:
    if kind == ABORT:
        hint = f"{NOT_REGISTERED_HINT}; the peer's log says more"
        raise PacsRefusedError("the peer aborted the association during negotiation", hint=hint)
    if kind not in (ASSOCIATE_AC, ASSOCIATE_RJ):
        raise PacsProtocolError(f"the peer answered with a PDU of type {kind}", hint="something else than DICOM")
    pdu = A_ASSOCIATE_AC() if kind == ASSOCIATE_AC else A_ASSOCIATE_RJ()
    return primitive_of(pdu, kind, length, body)


def primitive_of(pdu: Any, kind: int, length: int, body: bytes) -> Any:
    """Decode an association PDU with pynetdicom.

    Raises:
        PacsProtocolError: It cannot be decoded.
    """
    try:
        pdu.decode(bytes([kind, 0]) + length.to_bytes(4, "big") + body)
        return pdu.to_primitive()
    except UNPARSABLE as error:
        hint = "something else than DICOM, or a damaged stream"
        raise PacsProtocolError("the association's PDU cannot be read", hint=hint) from error


def user_information() -> list[Any]:
    """Say how long PDUs may be that we take, and who we are."""
    longest, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    longest.maximum_length_received = MAX_PDU
    implementation.implementation_class_uid = IMPLEMENTATION_UID
    version = ImplementationVersionNameNotification()
    version.implementation_version_name = IMPLEMENTATION_NAME
    return [longest, implementation, version]


def longest_of(primitive: Any) -> int:
    """Give the longest P-DATA body the other side takes; 0 means any."""
    for item in primitive.user_information:
        if isinstance(item, MaximumLengthNotification):
            return int(item.maximum_length_received)
    return 0


def _accepted(contexts: Sequence[PresentationContext], answer: Any) -> tuple[dict[int, Accepted], int]:
    asked = {context.context_id: context for context in contexts}
    accepted = {}
    for item in answer.presentation_context_definition_results_list:
        if item.result == 0 and item.context_id in asked and item.transfer_syntax:
            abstract = str(asked[item.context_id].abstract_syntax)
            accepted[item.context_id] = Accepted(item.context_id, abstract, str(item.transfer_syntax[0]))
    return accepted, longest_of(answer)
