"""Nodes: name a PACS, ask whether it answers, and use it as a source of studies."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

from pynetdicom.presentation import build_context
from pynetdicom.sop_class import Verification

from racoon_data.errors import PacsError
from racoon_data.pacs.associations import associated, lost
from racoon_data.pacs.find import find
from racoon_data.pacs.folder import look_into
from racoon_data.pacs.peer import FolderNode, Node, PacsNode, WebNode
from racoon_data.pacs.statuses import SUCCESS
from racoon_data.pacs.web import qido
from racoon_data.refs import Match, Query

__all__ = ["DimseSource", "PacsNode", "WebSource", "echo", "echo_any"]


def echo(node: PacsNode) -> float:
    """Ask a PACS whether it is there (C-ECHO).

    Returns:
        Seconds from the request to its answer, association included.

    Raises:
        PacsUnreachableError: No connection could be opened.
        PacsRefusedError: The peer rejected us or does not answer echoes.
        PacsTimeoutError: The peer fell silent.
        PacsError: It answered another status than success.
    """
    started = time.monotonic()
    with associated(node, [build_context(Verification)]) as association:
        waiting_since = time.monotonic()
        status = association.send_c_echo().get("Status")
        if status is None:
            raise lost(node, association, "C-ECHO", time.monotonic() - waiting_since)
        if status != SUCCESS:
            raise PacsError(f"C-ECHO: the peer answered status 0x{status:04X}", ref=node, hint="see the peer's log")
    return time.monotonic() - started


def echo_any(node: Node) -> float:
    """Ask a node of any kind whether it answers: C-ECHO, a small QIDO-RS query, or a look into the folder.

    Returns:
        Seconds it took.

    Raises:
        SettingsError: There is no such folder, or a secret is missing.
        PacsError: It does not answer; the message says why.
    """
    if isinstance(node, FolderNode):
        started = time.monotonic()
        look_into(node)
        return time.monotonic() - started
    return qido.echo(node) if isinstance(node, WebNode) else echo(node)


@dataclass(frozen=True, slots=True)
class DimseSource:
    """A PACS as a source of studies (plug-in ``dimse``).

    Attributes:
        node: The peer.
    """

    node: PacsNode

    def find(self, query: Query) -> Iterable[Match]:
        """Answer a query."""
        return find(self.node, query)


@dataclass(frozen=True, slots=True)
class WebSource:
    """A DICOMweb service as a source of studies (plug-in ``dicomweb``).

    Attributes:
        node: The service.
    """

    node: WebNode

    def find(self, query: Query) -> Iterable[Match]:
        """Answer a query."""
        return qido.find(self.node, query)
