"""Find: ask a PACS at one level and stream what it holds, whole or with an error."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial

from pydicom.charset import convert_encodings
from pydicom.dataset import Dataset
from pynetdicom.association import Association
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import (
    PatientRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelFind,
)

from racoon_data.errors import PacsCappedError, PacsRefusedError, SettingsError, about
from racoon_data.events import OnEvent, ignore
from racoon_data.pacs.asking import Valve, answers
from racoon_data.pacs.associations import associated
from racoon_data.pacs.attributes import flat_dataset, text_of
from racoon_data.pacs.complete import Completer, unique
from racoon_data.pacs.filters import RETURN_KEYS, at, down_to, is_exact
from racoon_data.pacs.matching import vr_of
from racoon_data.pacs.peer import PacsNode
from racoon_data.refs import InstanceRef, Match, Query, SeriesRef, StudyRef

__all__ = [
    "RETURN_KEYS",
    "ask_once",
    "find",
    "find_listed",
    "levels_below",
    "match_from",
    "match_of",
    "query_dataset",
    "whole",
]

PATIENT_ROOT = PatientRootQueryRetrieveInformationModelFind
STUDY_ROOT = StudyRootQueryRetrieveInformationModelFind
_COUNT = {"SERIES": "NumberOfStudyRelatedSeries", "IMAGE": "NumberOfSeriesRelatedInstances"}


def find(node: PacsNode, query: Query, *, on_event: OnEvent = ignore) -> Iterator[Match]:
    """Ask a PACS and stream everything it holds that fits, each thing once.

    The answer is whole or ends in an error. Where the peer cuts an answer off, or may have done so without saying,
    the query is split by day, by time of day and by the letters of an identifier until every part is small enough.
    Series and instances are asked for study by study and series by series, as hierarchical peers want it.

    Args:
        node: The peer.
        query: Level and filters.
        on_event: Listener; one ``find`` event per match.

    Yields:
        One match per thing, with every filter and the usual attributes of the level.

    Raises:
        SettingsError: The level or a keyword does not exist.
        PacsUnreachableError: No connection could be opened.
        PacsRefusedError: The peer rejected us, closed without a status or does not offer queries.
        PacsTimeoutError: The peer fell silent.
        PacsCappedError: The peer cuts its answers off, and nothing proves that all of them are here.
        PacsEndlessError: The answer does not end.
        PacsError: The query ended with another status; the message names it.
    """
    yield from _found(node, query, [query.filters], on_event)


def find_listed(
    node: PacsNode, query: Query, keyword: str, identifiers: Sequence[str], *, on_event: OnEvent = ignore
) -> Iterator[Match]:
    """Ask for each identifier of a list, and stream what the peer holds under exactly these.

    Args:
        node: The peer.
        query: Level and further filters.
        keyword: ``PatientID`` or ``AccessionNumber``.
        identifiers: The list; see :func:`racoon_data.pacs.lists.read_list`.
        on_event: Listener; one ``find`` event per match.

    Raises:
        PacsError: As for :func:`find`.
    """
    yield from _found(node, query, [{**query.filters, keyword: one} for one in identifiers], on_event)


def _found(node: PacsNode, query: Query, rounds: Sequence[Mapping[str, str]], on_event: OnEvent) -> Iterator[Match]:
    query_dataset(query)
    valve = Valve()
    contexts = [build_context(model) for model in _models(query.level)]
    with about(node), associated(node, contexts, handlers=[valve.handler], on_event=on_event) as association:
        try:
            ask = partial(ask_once, node, association)
            first = Completer(ask, node.answer_cap, dict(node.largest_answer), on_event)
            yield from whole(first, query, rounds)
        finally:
            valve.open()


def whole(first: Completer, query: Query, rounds: Sequence[Mapping[str, str]]) -> Iterator[Match]:
    """Ask for several sets of filters in turn, by whatever way ``first`` asks, and stream each thing once."""
    seen: set[int] = set()
    for filters in rounds:
        completer = Completer(first.ask, first.answer_cap, first.largest, first.on_event)
        matches = _at_level(completer, Query(query.level, filters))
        yield from matches if len(rounds) == 1 or query.level != "STUDY" else unique(matches, seen)


def _models(level: str) -> tuple[str, ...]:
    return (PATIENT_ROOT, STUDY_ROOT) if level == "PATIENT" else (STUDY_ROOT,)


def _at_level(completer: Completer, query: Query) -> Iterator[Match]:
    if query.level == "PATIENT":
        yield from _patients(completer, query)
    elif query.level == "STUDY":
        yield from completer.studies(query.filters)
    else:
        yield from levels_below(completer, query)


def _patients(completer: Completer, query: Query) -> Iterator[Match]:
    """Ask for patients; where that answer is cut or not offered, list the patients of all studies instead."""
    try:
        yield from completer.patients(query.filters)
        return
    except (PacsCappedError, PacsRefusedError):
        studies = {**dict.fromkeys(RETURN_KEYS["PATIENT"], ""), **query.filters}
    keys = tuple(dict.fromkeys((*RETURN_KEYS["PATIENT"], *query.filters)))
    for match in completer.studies(studies):
        if completer.is_new_patient(match):
            yield Match(match.ref, {key: match.attributes.get(key, "") for key in keys})


def levels_below(completer: Completer, query: Query) -> Iterator[Match]:
    """Ask for series study by study, and for instances series by series."""
    for study in _parents(completer, query, "STUDY"):
        uid = study.attributes["StudyInstanceUID"]
        above = {"StudyInstanceUID": uid}
        if query.level == "SERIES":
            filters = {**above, **at("SERIES", query.filters, asked=query.level)}
            yield from _carrying(study, query, completer.members("SERIES", filters, announced=_count(study, query)))
            continue
        for series in _parents(completer, query, "SERIES", study=study):
            keys = {**above, "SeriesInstanceUID": series.attributes["SeriesInstanceUID"]}
            filters = {**keys, **at("IMAGE", query.filters, asked=query.level)}
            images = completer.members("IMAGE", filters, announced=_count(series, query))
            yield from _carrying(study, query, _carrying(series, query, images))


def _parents(completer: Completer, query: Query, level: str, *, study: Match | None = None) -> list[Match]:
    """List the studies, or the series of one, that the query reaches into; one that is named is not searched for."""
    above = {"StudyInstanceUID": study.attributes["StudyInstanceUID"]} if study else None
    unique_key = {"STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID"}[level]
    filters = at(level, query.filters, asked=query.level) if above else down_to(level, query.filters, asked=query.level)
    if set(filters) == {unique_key} and is_exact(filters[unique_key]):
        uids = {**(above or {}), **filters}
        return [Match(StudyRef(uids["StudyInstanceUID"]), uids)]
    if above is None:
        return sorted(completer.studies(filters), key=lambda match: str(match.ref))
    announced = None if any(value.strip() for value in filters.values()) else _said_or_asked(completer, study, above)
    series = completer.members("SERIES", {**above, **filters}, announced=announced)
    return sorted(series, key=lambda match: str(match.ref))


def _said_or_asked(completer: Completer, study: Match | None, above: Mapping[str, str]) -> int | None:
    """Give the number of a study's series: as its answer said, or asked for where the study was only named."""
    said = study.attributes.get(_COUNT["SERIES"], "") if study else ""
    return int(said) if said.isdigit() else completer.announced("SERIES", above)


def _count(parent: Match, query: Query) -> int | None:
    """Read how many children a parent announces; further filters make the number meaningless."""
    if any(value.strip() for value in at(query.level, query.filters, asked=query.level).values()):
        return None
    text = parent.attributes.get(_COUNT[query.level], "")
    return int(text) if text.isdigit() else None


def _carrying(parent: Match, query: Query, children: Iterable[Match]) -> Iterator[Match]:
    """Give children the attributes that were asked for and live at their parent."""
    for child in children:
        values = dict(child.attributes)
        for keyword in query.filters:
            if not values.get(keyword):
                values[keyword] = parent.attributes.get(keyword, "")
        yield Match(child.ref, values)


def ask_once(node: PacsNode, association: Association, query: Query) -> Iterator[Match]:
    """Ask one query on an open association; what the peer cut off is an error at its end.

    Raises:
        PacsError: It did not end with success; see :func:`find`.
    """
    model = PATIENT_ROOT if query.level == "PATIENT" else STUDY_ROOT
    if not any(context.abstract_syntax == model for context in association.accepted_contexts):
        hint = "ask at study level"
        raise PacsRefusedError("the peer does not offer this query model", ref=node, hint=hint)
    fallback = codec_of(node.character_set)
    for answer in answers(node, association, query_dataset(query), model):
        yield match_of(query, answer, fallback=fallback)


def query_dataset(query: Query) -> Dataset:
    """Build the identifier of a query: its level, its filters and the keys to return.

    Raises:
        SettingsError: The level or a keyword does not exist.
    """
    if query.level not in RETURN_KEYS:
        hint = f"one of {', '.join(RETURN_KEYS)}"
        raise SettingsError(f"there is no query level {query.level!r}", hint=hint)
    keys = {**dict.fromkeys(RETURN_KEYS[query.level], ""), **query.filters}
    try:
        return flat_dataset({"QueryRetrieveLevel": query.level, **keys})
    except KeyError as error:
        hint = "use DICOM keywords such as StudyDate or PatientID"
        raise SettingsError(f"DICOM has no attribute {error.args[0]!r}", hint=hint) from error


def codec_of(character_set: str) -> str:
    """Give the codec of a node's fallback character set.

    Raises:
        SettingsError: DICOM has no such term.
    """
    if not character_set:
        return "latin-1"
    try:
        return str(codecs.lookup(convert_encodings([character_set])[0]).name)
    except (LookupError, ValueError, UserWarning) as error:
        hint = "character_set is a DICOM term such as ISO_IR 100 or ISO_IR 192"
        raise SettingsError(f"{character_set!r} is no character set of DICOM", hint=hint) from error


def match_of(query: Query, answer: Dataset, *, fallback: str = "latin-1") -> Match:
    """Turn an answer into a match; a PATIENT answer refers to no study."""
    keys = (*RETURN_KEYS[query.level], *query.filters)
    values = {
        keyword: text_of(answer, keyword, fallback=fallback)
        for keyword in dict.fromkeys(keys)
        if vr_of(keyword) != "SQ"
    }
    return match_from(query, values)


def match_from(query: Query, values: Mapping[str, str]) -> Match:
    """Turn the values of an answer into a match; a filter stands in for a UID the answer lacks."""
    return Match(_ref(query.level, values, query.filters), values)


def _ref(level: str, values: Mapping[str, str], filters: Mapping[str, str]) -> StudyRef | SeriesRef | InstanceRef:
    study, series, sop = (
        values.get(keyword, "") or filters.get(keyword, "")
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    )
    if level == "IMAGE":
        return InstanceRef(study, series, sop)
    return SeriesRef(study, series) if level == "SERIES" else StudyRef(study)
