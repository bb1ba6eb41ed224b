"""Sources by kind of node: ask a PACS, a DICOMweb service or a folder in one way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from racoon_data.errors import SettingsError
from racoon_data.events import OnEvent, ignore
from racoon_data.outcomes import Outcome
from racoon_data.pacs.find import find, find_listed
from racoon_data.pacs.matching import wildcard
from racoon_data.pacs.peer import FolderNode, Node, PacsNode, WebNode
from racoon_data.pacs.push import push
from racoon_data.pacs.web import qido, stow
from racoon_data.refs import Match, Query

_DESCRIPTIONS = {"STUDY": "StudyDescription", "SERIES": "SeriesDescription"}


@dataclass(frozen=True, slots=True)
class Question:
    """What a person asks for.

    Attributes:
        query: Level and filters.
        keyword: What the list holds: ``PatientID`` or ``AccessionNumber``; empty without a list.
        identifiers: The list.
        description: Pattern that the study's (or series') description must fit, without regard to case; judged
            here, since peers differ in how they match text.
    """

    query: Query
    keyword: str = ""
    identifiers: Sequence[str] = ()
    description: str = ""


def asked_of(node: Node, question: Question, *, on_event: OnEvent = ignore) -> Iterator[Match]:
    """Stream the answer of any kind of node.

    Raises:
        SettingsError: A description pattern at a level without descriptions, or a kind of node that cannot be asked.
        PacsError: The node could not be asked, or not whole.
    """
    matches = _matches(node, question, on_event)
    if not question.description:
        yield from matches
        return
    level = question.query.level
    if level not in _DESCRIPTIONS:
        raise SettingsError("--description fits studies and series only", hint="use --level STUDY or SERIES")
    fits = wildcard(question.description)
    yield from (match for match in matches if fits(match.attributes.get(_DESCRIPTIONS[level], "")))


def _matches(node: Node, question: Question, on_event: OnEvent) -> Iterable[Match]:
    if isinstance(node, WebNode):
        if question.keyword:
            return qido.find_listed(node, question.query, question.keyword, question.identifiers, on_event=on_event)
        return qido.find(node, question.query, on_event=on_event)
    if isinstance(node, PacsNode):
        if question.keyword:
            return find_listed(node, question.query, question.keyword, question.identifiers, on_event=on_event)
        return find(node, question.query, on_event=on_event)
    raise SettingsError("this kind of node cannot be asked", ref=node, hint="name a node of a [nodes] table")


def push_to(node: Node, paths: Sequence[Path], *, on_event: OnEvent = ignore) -> tuple[Outcome, ...]:
    """Send files to a node: by C-STORE to a PACS, by STOW-RS to a service.

    Raises:
        SettingsError: The node is a folder.
        PacsError: Nothing could be sent; the message says why.
    """
    if isinstance(node, FolderNode):
        raise SettingsError("nothing is sent to a folder", ref=node, hint="copy the files")
    return (
        stow.push(node, paths, on_event=on_event) if isinstance(node, WebNode) else push(node, paths, on_event=on_event)
    )
