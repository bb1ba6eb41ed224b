"""Whole answers from peers that cut them: suspicion, splitting, merging, or an error where nothing proves the whole."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from racoon_data.errors import PacsCappedError, PacsEndlessError
from racoon_data.events import Event, OnEvent, ignore
from racoon_data.pacs.filters import contradicts
from racoon_data.pacs.numbering import Numbers
from racoon_data.pacs.spans import Part, batches_of
from racoon_data.refs import Match, Query, StudyRef

logger = logging.getLogger(__name__)

MOST_QUERIES = 3_000
_MOST_REPEATS = 10_000
# Numbers asked for where a list is shorter than announced: SeriesNumber 60101 alone is no reason for 60,000 queries.
_MOST_UNSEEN = 200
_PARENTS = {
    "SERIES": ("STUDY", "NumberOfStudyRelatedSeries", ("StudyInstanceUID",)),
    "IMAGE": ("SERIES", "NumberOfSeriesRelatedInstances", ("StudyInstanceUID", "SeriesInstanceUID")),
}
_NUMBER = {"SERIES": "SeriesNumber", "IMAGE": "InstanceNumber"}

Ask = Callable[[Query], Iterator[Match]]


@dataclass(frozen=True, slots=True)
class Answer:
    """How one query ended.

    Attributes:
        count: Answers it had.
        is_cut: The peer said that there is more.
        keys: What fitted, by name.
    """

    count: int
    is_cut: bool
    keys: frozenset[int] | set[int] = frozenset()


@dataclass
class Completer:
    """Asks until the answer is whole.

    Attributes:
        ask: Asks one query and streams its matches; raises ``PacsCappedError`` at the end of an answer that was cut.
        answer_cap: Answers at which the peer is known to cut; 0 where nobody knows.
        largest: Answers of the largest answer so far, by level: a peer cannot cut at fewer.
        on_event: Listener, one ``find`` event per match.
    """

    ask: Ask
    answer_cap: int = 0
    largest: dict[str, int] = field(default_factory=dict)
    on_event: OnEvent = ignore
    _seen: set[int] = field(default_factory=set)
    _asked: int = 0
    _dropped: int = 0

    def studies(self, filters: Mapping[str, str]) -> Iterator[Match]:
        """Stream every study that fits, each once.

        Raises:
            PacsCappedError: The peer cuts its answers, and nothing is left to split the query by.
            PacsEndlessError: The peer repeats itself without end.
        """
        yield from self._cover(Part(dict(filters)), set())

    def patients(self, filters: Mapping[str, str]) -> Iterator[Match]:
        """Stream the patients that fit, each once, in one query.

        Raises:
            PacsCappedError: The answer may lack something; the patients of all studies are a way out.
        """
        answer = yield from self._asked_once(Query("PATIENT", filters))
        if self.is_suspect("PATIENT", answer):
            raise _unprovable(answer, "list the patients of all studies")

    def is_new_patient(self, match: Match) -> bool:
        """Tell whether a study's patient was not streamed yet, and note it."""
        return self._is_new(_key("PATIENT", match))

    def _cover(self, part: Part, covered: set[int]) -> Iterator[Match]:
        """Stream a part; where its answer may be cut, stream the parts it splits into.

        The parts must answer again whatever the cut answer had: a split that leaks is no proof.
        """
        answer = yield from self._asked_once(Query("STUDY", part.filters))
        if not self.is_suspect("STUDY", answer):
            covered |= answer.keys
            return
        for batch in batches_of(part):
            logger.info("an answer of %d may be cut off: asking %d parts", answer.count, len(batch))
            for one in batch:
                yield from self._cover(one, covered)
            if answer.keys <= covered:
                return
        raise _unprovable(answer, "name fewer studies, for instance one patient or a shorter time")

    def members(self, level: str, filters: Mapping[str, str], *, announced: int | None) -> Iterator[Match]:
        """Stream every series of a study, or every instance of a series, each once.

        An answer that may be cut, or is shorter than the peer announced, is proved whole by that count, or by asking
        for the numbers (SeriesNumber, InstanceNumber) it lacks. Where these bring nothing the count was wrong.

        Args:
            level: ``SERIES`` or ``IMAGE``.
            filters: The UIDs of what it belongs to, and further filters.
            announced: How many the peer says there are; ``None`` where it does not, or further filters are set.

        Raises:
            PacsCappedError: The answer may lack something, and nothing proves that it does not.
        """
        numbers = Numbers(_NUMBER[level], announced)
        query = Query(level, {_NUMBER[level]: "", **filters})
        answer = yield from _noted(self._asked_once(query), numbers)
        is_short = announced is not None and not numbers.is_all_here
        if numbers.is_all_here or not (is_short or self.is_suspect(level, answer)):
            return
        if is_short and not self.is_suspect(level, answer) and numbers.unseen > _MOST_UNSEEN:
            hint = "its counts are wrong or its answers cut: racoon pacs doctor tells; the administrator can correct it"
            raise PacsCappedError(f"the peer announces {announced} and lists {answer.count}", hint=hint)
        numbers.announced = announced if announced is not None else self.announced(level, filters)
        for number in numbers.to_ask(can_prove_by_gaps=not answer.is_cut):
            dropped = self._dropped
            found = Query(level, {**query.filters, _NUMBER[level]: str(number)})
            ended = yield from _noted(self._asked_once(found), numbers)
            if self._dropped > dropped or ended.is_cut:
                raise _unprovable(answer, f"the peer cannot be asked by {_NUMBER[level]}; raise its cap")
        if answer.is_cut and not numbers.is_all_here:
            raise _unprovable(answer, "the PACS's administrator can raise its cap")

    def announced(self, level: str, filters: Mapping[str, str]) -> int | None:
        """Ask how many series or instances there are, where nothing but their parents was asked for.

        Returns:
            What the peer says; ``None`` where it does not.
        """
        parent, keyword, uids = _PARENTS[level]
        if any(value.strip() for name, value in filters.items() if name not in uids):
            return None
        query = Query(parent, {**{uid: filters.get(uid, "") for uid in uids}, keyword: ""})
        texts = []
        with suppress(PacsCappedError):
            texts = [match.attributes.get(keyword, "") for match in self.ask(query)]
        return int(texts[0]) if len(texts) == 1 and texts[0].isdigit() else None

    def is_suspect(self, level: str, answer: Answer) -> bool:
        """Tell whether an answer may lack something.

        It may where the peer says so, at the number the peer is known to cut at, and, where no such number is known,
        at a round number that no larger answer of the peer has shown to be chance.
        """
        if answer.is_cut:
            return True
        if self.answer_cap:
            return answer.count >= self.answer_cap
        return is_round(answer.count) and answer.count >= self.largest.get(level, 0)

    def _asked_once(self, query: Query) -> Generator[Match, None, Answer]:
        """Ask, stream what is new and fits, and say how it ended."""
        self._asked += 1
        if self._asked > MOST_QUERIES:
            hint = (
                "give a StudyDate range, so that studies without a date need not be searched for; or narrow the query"
            )
            raise PacsCappedError(f"the answer is not whole after {MOST_QUERIES} queries", hint=hint)
        count = repeats = 0
        is_cut = False
        keys: set[int] = set()
        try:
            for match in self.ask(query):
                count += 1
                if contradicts(query.filters, match.attributes):
                    self._dropped += 1
                    continue
                key = _key(query.level, match)
                repeats = 0 if key not in keys else repeats + 1
                if repeats > _MOST_REPEATS:
                    raise PacsEndlessError("C-FIND: the peer repeats its answers without end", hint="narrow the query")
                keys.add(key)
                if self._is_new(key):
                    self.on_event(Event("find", "", len(self._seen)))
                    yield match
        except PacsCappedError:
            is_cut = True
        self.largest[query.level] = max(count, self.largest.get(query.level, 0))
        return Answer(count, is_cut, keys)

    def _is_new(self, key: int) -> bool:
        is_new = key not in self._seen
        self._seen.add(key)
        return is_new


def is_round(count: int) -> bool:
    """Tell whether people would choose this number as a limit: 50, hundreds, 250s, powers of two, 999, 32767."""
    if count < 50:
        return False
    is_power = count & (count - 1) == 0 or count & (count + 1) == 0
    return count == 50 or count % 100 == 0 or count % 250 == 0 or is_power or set(str(count)) == {"9"}


def _noted(stream: Generator[Match, None, Answer], numbers: Numbers) -> Generator[Match, None, Answer]:
    """Pass matches on and note their numbers."""
    while True:
        try:
            match = next(stream)
        except StopIteration as end:
            answer: Answer = end.value
            return answer
        numbers.note(match.attributes)
        yield match


def _key(level: str, match: Match) -> int:
    """Name an answer in eight bytes: fifty thousand of them stay small."""
    values = match.attributes
    text = values.get("PatientID", "") + "\\" + values.get("IssuerOfPatientID", "") if level == "PATIENT" else ""
    if not text.strip("\\"):
        name = match.ref.study_uid if isinstance(match.ref, StudyRef) else str(match.ref)
        text = name or repr(sorted(values.items()))
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "big")


def _unprovable(answer: Answer, hint: str) -> PacsCappedError:
    how = "said that it cut off" if answer.is_cut else "may have cut off"
    return PacsCappedError(f"the peer {how} its answer at {answer.count}, and nothing is left to split by", hint=hint)


def unique(matches: Iterable[Match], seen: set[int]) -> Iterator[Match]:
    """Pass on matches that were not seen before (the same study found by two identifiers)."""
    for match in matches:
        key = _key("STUDY", match)
        if key not in seen:
            seen.add(key)
            yield match
