"""Ways to retrieve: which one a node and its profile allow, and what each needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from racoon_data.errors import SettingsError
from racoon_data.pacs.expecting import Expectation, expectation
from racoon_data.pacs.folder import FolderSource
from racoon_data.pacs.getting import get
from racoon_data.pacs.moving import move
from racoon_data.pacs.peer import FolderNode, Manners, Node, PacsNode, WebNode
from racoon_data.pacs.receiving import Receiver
from racoon_data.pacs.web import wado
from racoon_data.refs import InstanceRef, StudyRef

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
        SettingsError: There is no such method.
    """
    if named not in METHODS:
        raise SettingsError(f"there is no method {named!r}", hint=f"one of {', '.join(METHODS)}")
    return replace(node, retrieve=named) if isinstance(node, PacsNode) and named != "auto" else node


def method_for(node: Node) -> Method:
    """Choose how to retrieve from a node.

    Args:
        node: Any kind of node; ``retrieve`` of a PACS names the way, ``auto`` takes C-GET.

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
    if node.retrieve in ("auto", "get"):
        return Method("get", expect, partial(get, node), node.manners)
    if node.retrieve == "move":
        return Method("move", expect, partial(move, node), node.manners)
    hint = 'name the [web] table of the same PACS as web of the node, or set retrieve = "get"'
    raise SettingsError(f"retrieval by {node.retrieve} is not available", ref=node, hint=hint)
