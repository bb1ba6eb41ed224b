"""Sources by kind of node: ask a PACS, a DICOMweb service or a folder in one way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from racoon_data.errors import SettingsError
from racoon_data.events import OnEvent, ignore
from racoon_data.pacs.find import find, find_listed
from racoon_data.pacs.matching import wildcard
from racoon_data.pacs.peer import FolderNode, Node, WebNode
from racoon_data.pacs.web import qido
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
    matches = matches_of(node, question, on_event=on_event)
    if not question.description:
        yield from matches
        return
    level = question.query.level
    if level not in _DESCRIPTIONS:
        raise SettingsError("--description fits studies and series only", hint="use --level STUDY or SERIES")
    fits = wildcard(question.description)
    yield from (match for match in matches if fits(match.attributes.get(_DESCRIPTIONS[level], "")))


def matches_of(node: Node, question: Question, *, on_event: OnEvent = ignore) -> Iterator[Match]:
    """Stream what a node of any kind answers, its description not looked at.

    Raises:
        SettingsError: This kind of node cannot be asked.
        PacsError: The node could not be asked, or not whole.
    """
    if isinstance(node, FolderNode):
        raise SettingsError(
            "this kind of node cannot be asked", ref=node, hint="name a node of a [nodes] or [web] table"
        )
    if not question.keyword:
        if isinstance(node, WebNode):
            return qido.find(node, question.query, on_event=on_event)
        return find(node, question.query, on_event=on_event)
    listed = (question.query, question.keyword, question.identifiers)
    if isinstance(node, WebNode):
        return qido.find_listed(node, *listed, on_event=on_event)
    return find_listed(node, *listed, on_event=on_event)
