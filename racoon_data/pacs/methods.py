"""Ways to retrieve: which one a node and its profile allow, and what each needs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from racoon_data.errors import PacsRefusedError, SettingsError
from racoon_data.pacs.expecting import Expectation, expectation
from racoon_data.pacs.folder import FolderSource
from racoon_data.pacs.getting import get
from racoon_data.pacs.moving import move
from racoon_data.pacs.peer import FolderNode, Manners, Node, PacsNode, WebNode
from racoon_data.pacs.receiving import Receiver
from racoon_data.pacs.web import wado
from racoon_data.refs import InstanceRef, StudyRef

logger = logging.getLogger(__name__)

METHODS = ("auto", "get", "move", "wado")
NO_LIMITS = Manners()

Missing = Callable[[], Sequence[InstanceRef]]
Fetch = Callable[[Expectation, Missing, Receiver], str]


@dataclass(frozen=True, slots=True)
class Method:
    """One way to retrieve.

    Attributes:
        name: ``get``, ``move``, ``wado`` or ``copy``.
        expect: Lists what a study holds.
        fetch: Brings what is missing and says why what still is did not come.
        manners: How the node is treated.
    """

    name: str
    expect: Callable[[StudyRef], Expectation]
    fetch: Fetch
    manners: Manners = NO_LIMITS


def by_method(node: Node, named: str) -> Node:
    """Take another method than the node's settings and profile say; ``auto`` keeps theirs.

    Raises:
        SettingsError: There is no such method, or this kind of node does not have it.
    """
    if named not in METHODS:
        raise SettingsError(f"there is no method {named!r}", hint=f"one of {', '.join(METHODS)}")
    if isinstance(node, PacsNode):
        return replace(node, retrieve=named) if named != "auto" else node
    if named not in ("auto", "wado" if isinstance(node, WebNode) else "auto"):
        raise SettingsError(f"retrieval by {named} is not available", ref=node, hint="leave out --method")
    return node


def method_for(node: Node) -> Method:
    """Choose how to retrieve from a node.

    Args:
        node: Any kind of node; ``retrieve`` of a PACS names the way, ``auto`` takes C-GET, and C-MOVE where there is
            none and ``receive_port`` is set.

    Raises:
        SettingsError: The node cannot be asked in this way.
    """
    if isinstance(node, FolderNode):
        source = FolderSource(node)
        return Method("copy", source.expectation, source.fetch)
    expect = partial(expectation, node)
    if isinstance(node, WebNode):
        return Method("wado", expect, partial(wado.fetch, node), node.manners)
    if node.retrieve == "wado" and node.web is not None:
        return Method("wado", expect, partial(wado.fetch, node.web), node.web.manners)
    if node.retrieve == "auto" and node.receive_port:
        return Method("get", expect, partial(_get_or_move, node), node.manners)
    if node.retrieve in ("auto", "get"):
        return Method("get", expect, partial(get, node), node.manners)
    if node.retrieve == "move":
        return Method("move", expect, partial(move, node), node.manners)
    hint = 'name the [web] table of the same PACS as web of the node, or set retrieve = "get"'
    raise SettingsError(f"retrieval by {node.retrieve} is not available", ref=node, hint=hint)


def _get_or_move(node: PacsNode, expected: Expectation, missing: Missing, receiver: Receiver) -> str:
    """Retrieve by C-GET; where the peer offers none and we have a port to listen on, by C-MOVE."""
    try:
        return get(node, expected, missing, receiver)
    except PacsRefusedError as error:
        logger.info("%s: trying C-MOVE", error.message)
        return move(node, expected, missing, receiver)
