"""QIDO-RS: the queries of C-FIND over HTTP, page by page until there is nothing more (PS3.18 10.6)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from itertools import islice, product
from typing import Any
from urllib.parse import quote, urlencode

from racoon_data.errors import PacsCappedError, PacsProtocolError, PacsTimeoutError, SettingsError
from racoon_data.events import Event, OnEvent, ignore
from racoon_data.pacs.catalog import UNIQUE_KEY
from racoon_data.pacs.find import RETURN_KEYS
from racoon_data.pacs.matching import matcher, vr_of
from racoon_data.pacs.peer import WebNode
from racoon_data.pacs.web.model import tag_of, text_in
from racoon_data.pacs.web.session import Session, capped
from racoon_data.refs import InstanceRef, Match, Query, SeriesRef, StudyRef

PAGE = 500
_MAX_PAGE_BYTES = 32 << 20
_MOST_QUERIES = 200
_SURE = frozenset({"UI", "DA", "TM", "CS", "IS"})
_EXACT = frozenset({"PatientID", "AccessionNumber", "StudyID"})


def find(node: WebNode, query: Query, *, on_event: OnEvent = ignore, session: Session | None = None) -> Iterator[Match]:
    """Ask a DICOMweb service and stream its answers.

    The same queries as C-FIND: wildcards, ranges and lists. A list of values becomes one query per value. Pages are
    asked for until one brings nothing, so that a service which cuts pages shorter than asked hides nothing; answers
    that come twice are given once, and answers that do not fit the filters are left out.

    Args:
        node: The service.
        query: Level and filters. QIDO-RS knows no patients: PATIENT merges studies.
        on_event: Listener; one ``find`` event per answer.
        session: An open session to use.

    Yields:
        One match per answer, with every filter and the usual attributes of the level.

    Raises:
        SettingsError: The level or a keyword does not exist.
        PacsCappedError: The service cut its answer off, or hands out the same page again.
        PacsError: It cannot be asked; the message says why.
    """
    _check(query)
    if session is None:
        with Session(node, on_event=on_event) as own:
            yield from find(node, query, on_event=on_event, session=own)
        return
    seen: set[tuple[str, ...]] = set()
    for filters in _single_queries(query):
        for row in _pages(session, query.level, filters, query):
            match = _match(query, row, filters)
            key = _key(query.level, match)
            if key in seen or _contradicts(filters, match.attributes):
                continue
            seen.add(key)
            on_event(Event("find", "", len(seen)))
            yield match


def _check(query: Query) -> None:
    if query.level not in RETURN_KEYS:
        raise SettingsError(f"there is no query level {query.level!r}", hint=f"one of {', '.join(RETURN_KEYS)}")
    for keyword in query.filters:
        if not tag_of(keyword):
            hint = "use DICOM keywords such as StudyDate or PatientID"
            raise SettingsError(f"DICOM has no attribute {keyword!r}", hint=hint)


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
            if len(rows) >= PAGE or len(rows) % 50 == 0:
                hint = "the service does not page: narrow the query, for instance to fewer days"
                raise PacsCappedError("the service hands out the same page again", ref=node, hint=hint)
            return
        yield from rows
        if not rows:
            return
        before, offset = text, offset + len(rows)
        if time.monotonic() > until:
            hint = "raise deadline_s of the node, or narrow the query"
            raise PacsTimeoutError(f"the query did not end within {node.deadline_s:g} s", ref=node, hint=hint)


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
        rows = json.loads(text)
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


def _key(level: str, match: Match) -> tuple[str, ...]:
    names = ("PatientID",) if level == "PATIENT" else ("StudyInstanceUID", "SeriesInstanceUID", UNIQUE_KEY[level])
    return tuple(match.attributes.get(name, "") for name in names)


def _contradicts(filters: Mapping[str, str], values: Mapping[str, str]) -> bool:
    """Tell whether an answer is not what was asked for: some services ignore a filter they do not support.

    Only kinds whose rules leave no room are judged; what the answer does not tell is not.
    """
    for keyword, wanted in filters.items():
        value = values.get(keyword, "").strip()
        if not wanted.strip() or not value:
            continue
        if keyword in _EXACT:
            if not any(letter in wanted for letter in "*?") and wanted.strip() != value:
                return True
        elif vr_of(keyword) in _SURE and (fits := matcher(keyword, wanted)) is not None and not fits(value):
            return True
    return False
