"""Sources by kind of node: ask a PACS, a DICOMweb service or a folder in one way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from racoon_data.errors import SettingsError
from racoon_data.events import Event, OnEvent, ignore
from racoon_data.outcomes import Outcome
from racoon_data.pacs.find import find, find_listed
from racoon_data.pacs.folder import FolderSource
from racoon_data.pacs.matching import wildcard
from racoon_data.pacs.node import DimseSource, WebSource
from racoon_data.pacs.peer import FolderNode, Node, PacsNode, WebNode
from racoon_data.pacs.push import push
from racoon_data.pacs.web import qido, stow
from racoon_data.ports import Source
from racoon_data.refs import Match, Query
from racoon_data.site.ledger import Ledger

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
    rounds: list[Mapping[str, str]] = [
        {**question.query.filters, question.keyword: one} for one in question.identifiers
    ] or [question.query.filters]
    ask = source_of(node).find
    found = chain.from_iterable(ask(Query(question.query.level, filters)) for filters in rounds)
    return noticed(found, on_event)


def source_of(node: Node) -> Source:
    """Open a node as a source of studies.

    Raises:
        SettingsError: There is no such folder.
    """
    if isinstance(node, PacsNode):
        return DimseSource(node)
    if isinstance(node, FolderNode):
        return FolderSource(node)
    return WebSource(node)


def noticed(matches: Iterable[Match], on_event: OnEvent) -> Iterator[Match]:
    """Pass matches on, each with its event."""
    for done, match in enumerate(matches, start=1):
        on_event(Event("find", "", done))
        yield match


def push_to(
    node: Node, paths: Sequence[Path], *, on_event: OnEvent = ignore, ledger: Ledger | None = None
) -> tuple[Outcome, ...]:
    """Send files to a node: by C-STORE to a PACS, by STOW-RS to a service.

    Args:
        node: Where to.
        paths: DICOM files.
        on_event: Listener; one ``push`` event per file.
        ledger: Remembers what a PACS stored; the same bytes are then not sent there again.

    Raises:
        SettingsError: The node is a folder.
        PacsError: Nothing could be sent; the message says why.
    """
    if isinstance(node, FolderNode):
        raise SettingsError("nothing is sent to a folder", ref=node, hint="copy the files")
    if isinstance(node, WebNode):
        return stow.push(node, paths, on_event=on_event)
    return push(node, paths, on_event=on_event, ledger=ledger)
