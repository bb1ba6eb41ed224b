"""QIDO-RS: the queries of C-FIND over HTTP, page by page until there is nothing more (PS3.18 10.6)."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import islice, product
from typing import Any
from urllib.parse import quote, urlencode

from racoon_data.documents import parse_json
from racoon_data.errors import PacsEndlessError, PacsProtocolError, SettingsError, about
from racoon_data.events import OnEvent, ignore
from racoon_data.pacs.complete import Completer
from racoon_data.pacs.filters import RETURN_KEYS
from racoon_data.pacs.find import query_dataset, whole
from racoon_data.pacs.matching import Matcher, matcher, vr_of, wildcard
from racoon_data.pacs.peer import WebNode
from racoon_data.pacs.web.model import text_in
from racoon_data.pacs.web.session import Session, capped
from racoon_data.refs import InstanceRef, Match, Query, SeriesRef, StudyRef

PAGE = 500
_MAX_PAGE_BYTES = 32 << 20
_MOST_QUERIES = 200


def find(node: WebNode, query: Query, *, on_event: OnEvent = ignore) -> Iterator[Match]:
    """Ask a DICOMweb service and stream everything it holds that fits, each thing once.

    The same queries as C-FIND, whole by the same rules (:func:`racoon_data.pacs.find.find`). A list of values becomes
    one query per value. Pages are asked for until one brings nothing, so that a service which cuts pages shorter than
    asked hides nothing.

    Args:
        node: The service.
        query: Level and filters. QIDO-RS knows no patients: PATIENT merges studies.
        on_event: Listener; one ``find`` event per answer.

    Yields:
        One match per answer, with every filter and the usual attributes of the level.

    Raises:
        SettingsError: The level or a keyword does not exist.
        PacsCappedError: The service cut its answer off, and nothing proves that all of it is here.
        PacsEndlessError: It hands out the same page again and again, or page after page until the deadline.
        PacsError: It cannot be asked; the message says why.
    """
    yield from _found(node, query, [query.filters], on_event)


def find_listed(
    node: WebNode, query: Query, keyword: str, identifiers: Sequence[str], *, on_event: OnEvent = ignore
) -> Iterator[Match]:
    """Ask for each identifier of a list; see :func:`racoon_data.pacs.find.find_listed`."""
    yield from _found(node, query, [{**query.filters, keyword: one} for one in identifiers], on_event)


def _found(node: WebNode, query: Query, rounds: Sequence[Mapping[str, str]], on_event: OnEvent) -> Iterator[Match]:
    query_dataset(query)
    with about(node), Session(node, on_event=on_event) as session:
        yield from whole(Completer(partial(ask_once, session), on_event=on_event), query, rounds)


def echo(node: WebNode) -> float:
    """Ask a service whether it answers: one study, whichever.

    Returns:
        Seconds from the request to its answer.

    Raises:
        PacsError: It cannot be asked; the message says why.
    """
    with about(node), Session(node) as session:
        started = time.monotonic()
        _page(session, f"{node.qido_url}/studies?limit=1")
        return time.monotonic() - started


def ask_once(session: Session, query: Query) -> Iterator[Match]:
    """Ask one query, as often as its lists of values and its pages need.

    Raises:
        PacsError: It could not be asked, or was cut off; see :func:`find`.
    """
    for filters in _single_queries(query):
        fits = _local_tests(filters)
        for row in _pages(session, query.level, {**filters, **{name: _widened(filters[name]) for name in fits}}, query):
            match = _match(query, row, filters)
            if all(test(match.attributes.get(name, "") or filters[name]) for name, test in fits.items()):
                yield match


def _local_tests(filters: Mapping[str, str]) -> dict[str, Matcher]:
    """Make tests of text with letters beyond ASCII: services differ in how they match them, Orthanc finds none."""
    tests: dict[str, Matcher] = {}
    for name, value in filters.items():
        if not value.isascii():
            tests[name] = (matcher(name, value) if vr_of(name) == "PN" else None) or wildcard(value)
    return tests


def _widened(value: str) -> str:
    return re.sub(r"[^\x00-\x7F]+", "*", value)


def _single_queries(query: Query) -> Iterator[dict[str, str]]:
    """Turn lists of values into one query per combination; UIDs travel as lists."""
    choices = {
        keyword: [value] if vr_of(keyword) == "UI" else list(dict.fromkeys(value.split("\\")))
        for keyword, value in query.filters.items()
    }
    combined = list(islice(product(*choices.values()), _MOST_QUERIES + 1))
    if len(combined) > _MOST_QUERIES:
        raise SettingsError(f"more than {_MOST_QUERIES} combinations of values", hint="split the lists")
    for values in combined:
        yield dict(zip(choices, values, strict=True))


def _pages(session: Session, level: str, filters: Mapping[str, str], query: Query) -> Iterator[Mapping[str, Any]]:
    """Ask for page after page until one brings nothing new."""
    node, until = session.node, time.monotonic() + session.node.deadline_s
    offset, before = 0, ""
    url = _url(node, level, filters, query)
    while True:
        rows, text = _page(session, f"{url}&limit={PAGE}&offset={offset}")
        if rows and text == before:
            if len(rows) < PAGE:
                return  # a service without pages gives everything each time; a round number is looked into further up
            hint = "the service does not page: narrow the query, for instance to fewer days"
            raise PacsEndlessError("the service hands out the same page again and again", ref=node, hint=hint)
        yield from rows
        if not rows:
            return
        before, offset = text, offset + len(rows)
        if time.monotonic() > until:
            hint = "narrow the query, or raise deadline_s of the node"
            message = f"QIDO-RS: the service did not end its answer within {node.deadline_s:g} s"
            raise PacsEndlessError(message, ref=node, hint=hint)


def _page(session: Session, url: str) -> tuple[list[Mapping[str, Any]], str]:
    answer = session.get(url, "application/dicom+json, application/json;q=0.9")
    if answer.status == 413:
        raise capped(session.node, answer.status)
    if answer.status == 404:
        answer.read(_MAX_PAGE_BYTES)
        return [], ""
    raw = answer.read(_MAX_PAGE_BYTES)
    if answer.status == 204 or not raw.strip():
        return [], ""
    try:
        # Letters that are no UTF-8 must not lose an answer: they come as the standard's replacement sign.
        text = raw.decode("utf-8", "replace")
        rows = parse_json(text)
    except (ValueError, RecursionError) as error:
        hint = "check the base URL: something else than DICOMweb may listen there"
        raise PacsProtocolError("the answer is no JSON", ref=session.node, hint=hint) from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise PacsProtocolError("the answer is no list of data sets", ref=session.node, hint="report it to the vendor")
    return rows, text


def _url(node: WebNode, level: str, filters: Mapping[str, str], query: Query) -> str:
    """Write the address of a search; single UIDs of the levels above go into its path."""
    left = dict(filters)
    path = node.qido_url
    if level in ("SERIES", "IMAGE") and _is_single(left.get("StudyInstanceUID", "")):
        path += f"/studies/{quote(left.pop('StudyInstanceUID').strip(), safe='')}"
        if level == "IMAGE" and _is_single(left.get("SeriesInstanceUID", "")):
            path += f"/series/{quote(left.pop('SeriesInstanceUID').strip(), safe='')}"
    path += {"PATIENT": "/studies", "STUDY": "/studies", "SERIES": "/series", "IMAGE": "/instances"}[level]
    asked = [(keyword, _value(keyword, value)) for keyword, value in left.items() if value.strip()]
    fields = [("includefield", name) for name in dict.fromkeys((*RETURN_KEYS[level], *query.filters))]
    return f"{path}?{urlencode([*asked, *fields], quote_via=quote, safe='*,-')}"


def _is_single(uid: str) -> bool:
    return bool(uid.strip()) and not any(letter in uid for letter in "*?\\,")


def _value(keyword: str, value: str) -> str:
    return value.replace("\\", ",") if vr_of(keyword) == "UI" else value


def _match(query: Query, row: Mapping[str, Any], filters: Mapping[str, str]) -> Match:
    names = dict.fromkeys((*RETURN_KEYS[query.level], *query.filters))
    values = {name: text_in(row, name) for name in names if vr_of(name) != "SQ"}
    for name in ("StudyInstanceUID", "SeriesInstanceUID"):
        if not values.get(name) and _is_single(filters.get(name, "")):
            values[name] = filters[name].strip()
    study, series, sop = (values.get(f"{name}InstanceUID", "") for name in ("Study", "Series", "SOP"))
    if query.level == "IMAGE":
        return Match(InstanceRef(study, series, sop), values)
    return Match(SeriesRef(study, series) if query.level == "SERIES" else StudyRef(study), values)
