"""Associations that others ask for: who may come in, which objects and encodings are taken."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RJ, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE, SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext

from racoon_data.errors import PacsProtocolError
from racoon_data.pacs.channel import Accepted, Channel
from racoon_data.pacs.contexts import STORAGE_CLASSES, SYNTAXES
from racoon_data.pacs.link import ASSOCIATE_RQ, Link
from racoon_data.pacs.negotiating import UNPARSABLE, longest_of, primitive_of, user_information

logger = logging.getLogger(__name__)

VERIFICATION = "1.2.840.10008.1.1"
COMMITMENT = "1.2.840.10008.1.20.1"
_IMPLICIT = "1.2.840.10008.1.2"
_STORAGE = frozenset(STORAGE_CLASSES)

# Result, source and reason of a rejection (PS3.8 9.3.4).
CALLED_UNKNOWN = (1, 1, 7)
CALLING_UNKNOWN = (1, 1, 3)
TOO_MANY = (2, 3, 2)
_ACCEPTED, _NO_CLASS, _NO_SYNTAX = 0, 3, 4


@dataclass(frozen=True, slots=True)
class Guest:
    """Who asks for an association.

    Attributes:
        calling: Its AE title.
        called: The AE title it wants.
        host: Its address.
    """

    calling: str
    called: str
    host: str


@dataclass(frozen=True, slots=True)
class Welcome:
    """Who may come in and what is taken.

    Attributes:
        ae_title: The title we answer to.
        callers: Titles that may call; none means any.
        hosts: Addresses or networks (``10.1.0.0/16``) that may connect; none means any.
        is_either_enough: Whether a known title from elsewhere, or a known address under another title, will do.
        private_classes: Private SOP classes that are taken.
    """

    ae_title: str
    callers: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    is_either_enough: bool = False
    private_classes: tuple[str, ...] = ()

    def refusal(self, guest: Guest) -> tuple[int, int, int] | None:
        """Say why a guest may not come in, or nothing."""
        if guest.called != self.ae_title:
            return CALLED_UNKNOWN
        tests = []
        if self.callers:
            tests.append(guest.calling in self.callers)
        if self.hosts:
            tests.append(is_within(guest.host, self.hosts))
        is_known = any(tests) if self.is_either_enough and tests else all(tests)
        return None if is_known else CALLING_UNKNOWN

    def takes(self, abstract_syntax: str) -> bool:
        """Tell whether objects of a class are taken."""
        return (
            abstract_syntax in _STORAGE
            or abstract_syntax in (VERIFICATION, COMMITMENT)
            or abstract_syntax in self.private_classes
        )


def is_within(host: str, networks: Iterable[str]) -> bool:
    """Tell whether an address lies in one of some networks."""
    address = ipaddress.ip_address(host.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None) or address
    return any(mapped in ipaddress.ip_network(network, strict=False) for network in networks)


def accept(link: Link, host: str, welcome: Welcome, *, is_full: Callable[[], bool]) -> Channel | None:
    """Answer a request for an association.

    Args:
        link: A connection that was just accepted.
        host: Where it comes from.
        welcome: Who may come in.
        is_full: Tells whether there are too many associations already.

    Returns:
        The association, or ``None`` where it was rejected; the connection is then closed.

    Raises:
        PacsError: The connection is gone, silent or no DICOM.
    """
    kind, length = link.pdu()
    if kind != ASSOCIATE_RQ:
        raise PacsProtocolError(f"the caller opened with a PDU of type {kind}", hint="something else than DICOM")
    request = primitive_of(A_ASSOCIATE_RQ(), kind, length, bytes(link.take(length)))
    guest = Guest(str(request.calling_ae_title).strip(), str(request.called_ae_title).strip(), host)
    refusal = TOO_MANY if is_full() else welcome.refusal(guest)
    if refusal is not None:
        logger.warning("rejected %r from %s, who called %r: %s", guest.calling, host, guest.called, refusal)
        _reject(link, refusal)
        return None
    answers = [_answer(context, welcome) for context in request.presentation_context_definition_list]
    pdu = A_ASSOCIATE_AC()
    pdu.from_primitive(_acceptance(request, answers))
    link.send(pdu.encode())
    contexts = {
        one.context_id: Accepted(one.context_id, str(one.abstract_syntax), str(one.transfer_syntax[0]))
        for one in answers
        if one.result == _ACCEPTED
    }
    return Channel(link, contexts, peer_title=guest.calling, peer_max=longest_of(request))


def _answer(proposed: Any, welcome: Welcome) -> PresentationContext:
    """Take the first encoding that was proposed and that we know: the sender names what it has first."""
    answer = PresentationContext()
    answer.context_id = proposed.context_id
    answer.abstract_syntax = proposed.abstract_syntax
    is_storage = str(proposed.abstract_syntax) not in (VERIFICATION, COMMITMENT)
    known = [uid for uid in proposed.transfer_syntax if uid in SYNTAXES and (is_storage or uid == _IMPLICIT)]
    known = known or [uid for uid in proposed.transfer_syntax if uid in SYNTAXES]
    answer.transfer_syntax = known[:1] or proposed.transfer_syntax[:1] or [_IMPLICIT]
    answer.result = _ACCEPTED if known else _NO_SYNTAX
    if not welcome.takes(str(proposed.abstract_syntax)):
        answer.result = _NO_CLASS
    return answer


def _acceptance(request: Any, answers: list[PresentationContext]) -> A_ASSOCIATE:
    primitive = A_ASSOCIATE()
    primitive.application_context_name = request.application_context_name
    primitive.calling_ae_title, primitive.called_ae_title = request.calling_ae_title, request.called_ae_title
    primitive.result, primitive.result_source = 0, 1
    primitive.presentation_context_definition_results_list = answers
    asked = [item for item in request.user_information if isinstance(item, SCP_SCU_RoleSelectionNegotiation)]
    # Storage commitment reports come from an SCP that calls us (PS3.4 J.3.3).
    roles = [item for item in asked if item.sop_class_uid == COMMITMENT]
    primitive.user_information = [*user_information(), *roles]
    return primitive


def _reject(link: Link, refusal: tuple[int, int, int]) -> None:
    primitive = A_ASSOCIATE()
    primitive.result, primitive.result_source, primitive.diagnostic = refusal
    pdu = A_ASSOCIATE_RJ()
    try:
        pdu.from_primitive(primitive)
        link.send(pdu.encode())
    except UNPARSABLE:
        return
    finally:
        link.linger()
