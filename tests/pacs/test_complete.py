"""Whole answers: a peer that cuts, cuts in silence, repeats or ignores a filter never makes a list shorter unseen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from racoon_data.errors import PacsCappedError, PacsEndlessError
from racoon_data.pacs.complete import Completer, is_round
from racoon_data.pacs.matching import matcher
from racoon_data.pacs.spans import Part, batches_of
from racoon_data.refs import InstanceRef, Match, Query, SeriesRef, StudyRef

TIMES = ("", "000000", "00", "1200", "115959.999", "120000", "235959.5", "235959.999999", "2400", "235960", "07")
ODD_IDS = ("P1", "P11", "p1", "0", "ÄZ", "Z Z", "P")


@dataclass
class Paper:
    """A PACS on paper: matches as the embedded one does, and cuts its answers at a number."""

    rows: list[dict[str, str]]
    cap: int = 0
    is_silent: bool = True
    ignores: frozenset[str] = frozenset()
    asked: list[Query] = field(default_factory=list)

    def __call__(self, query: Query) -> Iterator[Match]:
        """Answer a query."""
        self.asked.append(query)
        fitting = [row for row in self.rows if self._fits(row, query.filters)]
        for row in fitting[: self.cap or None]:
            yield Match(_ref(query.level, row), row)
        if self.cap and len(fitting) > self.cap and not self.is_silent:
            raise PacsCappedError("cut")

    def _fits(self, row: Mapping[str, str], filters: Mapping[str, str]) -> bool:
        tests = ((row.get(key, ""), matcher(key, value)) for key, value in filters.items() if key not in self.ignores)
        return all(test is None or test(value) for value, test in tests)


def _ref(level: str, row: Mapping[str, str]) -> StudyRef | SeriesRef | InstanceRef:
    study, series = row["StudyInstanceUID"], row.get("SeriesInstanceUID", "")
    if level == "IMAGE":
        return InstanceRef(study, series, row["SOPInstanceUID"])
    return SeriesRef(study, series) if level == "SERIES" else StudyRef(study)


def studies_of(*stamps: tuple[str, str, str]) -> list[dict[str, str]]:
    """Studies by date, time and patient."""
    return [
        {"StudyInstanceUID": f"1.2.{n}", "StudyDate": date, "StudyTime": time, "PatientID": patient}
        for n, (date, time, patient) in enumerate(stamps)
    ]


STAMP = st.tuples(
    st.sampled_from(("20240101", "20240102", "20240229", "19991231", "")),
    st.sampled_from(TIMES),
    st.sampled_from(ODD_IDS[:4] + ODD_IDS[5:]),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@example([("20240101", "120000", "P1")] * 4, 4, True, "")
@example([("20240101", "120000", "P1")] * 4, 4, False, "")
@given(st.lists(STAMP, max_size=40), st.integers(3, 9), st.booleans(), st.sampled_from(("", "20240101-20240229")))
def test_the_union_of_all_parts_is_the_whole_or_an_error(stamps, cap, is_silent, dates):
    """Whatever dates, times and identifiers studies have, each fitting one comes once, or an error says no."""
    peer = Paper(studies_of(*stamps), cap, is_silent)
    filters = {"StudyDate": dates, "ModalitiesInStudy": ""}
    wanted = {row["StudyInstanceUID"] for row in peer.rows if not dates or "20240101" <= row["StudyDate"] <= dates[9:]}
    found: list[str] = []
    try:
        found.extend(match.ref.study_uid for match in Completer(peer, cap if is_silent else 0).studies(filters))
    except PacsCappedError:
        # Whoever cuts in silence cannot be told from one who holds exactly as many.
        assert len(wanted) > cap or (is_silent and len(wanted) == cap)
    else:
        assert set(found) == wanted
    assert len(found) == len(set(found))


def test_a_silent_cap_at_a_round_number_is_seen_without_any_knowledge():
    """Exactly 100 answers are not believed: a month of 350 studies comes whole from a peer that cuts at 100."""
    rows = studies_of(*((f"202401{1 + n % 31:02}", f"{n % 24:02}0000", f"P{n}") for n in range(350)))
    peer = Paper(rows, 100)

    assert len(list(Completer(peer).studies({"StudyDate": "20240101-20240131"}))) == 350
    assert len(peer.asked) < 20


def test_studies_without_date_or_time_are_swept_for():
    """A day of 30 studies, half of them without a time, comes whole from a peer that cuts at 10."""
    rows = studies_of(*(("20240101", "" if n % 2 else f"{n % 24:02}1500", f"P{n:02}") for n in range(30)))

    found = list(Completer(Paper(rows, 10), 10).studies({"StudyDate": "20240101"}))

    assert len(found) == 30


def test_what_cannot_be_split_is_an_error():
    """Twelve studies of one patient in one second, capped at ten: nobody can ask for fewer."""
    rows = studies_of(*(("20240101", "101500", "P1") for _ in range(12)))

    with pytest.raises(PacsCappedError, match="nothing is left to split by"):
        list(Completer(Paper(rows, 10, is_silent=False)).studies({"StudyDate": "20240101", "PatientID": "P1"}))


def test_a_larger_answer_clears_a_round_number():
    """Whoever once gave 137 answers does not cut at 100: no second query is asked."""
    peer = Paper(studies_of(*(("20240101", "10", f"P{n}") for n in range(100))))

    assert len(list(Completer(peer, largest={"STUDY": 137}).studies({}))) == 100
    assert len(peer.asked) == 1


def test_answers_that_ignore_a_filter_are_dropped():
    """A peer that ignores PatientID does not hand over other patients; a generous match of names is kept."""
    peer = Paper(studies_of(("20240101", "", "P1"), ("20240101", "", "P2")), ignores=frozenset({"PatientID"}))

    assert [match.attributes["PatientID"] for match in Completer(peer).studies({"PatientID": "P1"})] == ["P1"]


def test_a_garbled_name_is_no_new_patient():
    """One patient whose name comes in three encodings, right and wrong, is one patient; another issuer's is another."""
    names = ("Müller^Jörg", "MÃ¼ller^JÃ¶rg", "M?ller^J?rg", "Müller^Jörg")
    rows = [
        {"StudyInstanceUID": f"1.2.{n}", "PatientID": "P1", "PatientName": name, "IssuerOfPatientID": "B" * (n == 3)}
        for n, name in enumerate(names)
    ]

    found = list(Completer(Paper(rows)).patients({"PatientID": "P1"}))

    assert [match.attributes["StudyInstanceUID"] for match in found] == ["1.2.0", "1.2.3"]


def test_an_endless_peer_is_cut_off():
    """The same answer for ever is noticed, and memory does not grow with it."""

    def endless(query: Query) -> Iterator[Match]:
        while True:
            yield Match(StudyRef("1.2"), {"StudyInstanceUID": "1.2"})

    with pytest.raises(PacsEndlessError):
        list(Completer(endless).studies({}))


def images_of(count: int) -> list[dict[str, str]]:
    """Instances of one series, numbered from 1."""
    return [
        {
            "StudyInstanceUID": "1.2",
            "SeriesInstanceUID": "1.2.3",
            "SOPInstanceUID": f"1.2.3.{n}",
            "InstanceNumber": str(n),
        }
        for n in range(1, count + 1)
    ]


SERIES = {"StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.2.3"}


@pytest.mark.parametrize(("announced", "is_silent"), [(130, True), (None, True), (130, False)])
def test_instances_beyond_a_cap_are_asked_for_by_number(announced, is_silent):
    """A series of 130 from a peer that cuts at 100 comes whole, proved by the count or by the gap after the last."""
    found = list(Completer(Paper(images_of(130), 100, is_silent)).members("IMAGE", SERIES, announced=announced))

    assert len({match.ref for match in found}) == 130


def test_a_series_of_exactly_100_needs_its_count_or_four_questions():
    """The announced count proves it at once; without one, nothing lies beyond the last number."""
    counted, uncounted = Paper(images_of(100)), Paper(images_of(100))

    assert len(list(Completer(counted).members("IMAGE", SERIES, announced=100))) == 100
    assert len(list(Completer(uncounted).members("IMAGE", SERIES, announced=None))) == 100
    assert (len(counted.asked), len(uncounted.asked)) == (1, 6)


@pytest.mark.parametrize(("cap", "announced"), [(1, 30), (7, 30), (29, 30), (0, 37)])
def test_a_list_shorter_than_announced_is_asked_on(cap, announced):
    """A silent cap at no round number is seen by the count; a count that is too high costs a few questions."""
    peer = Paper(images_of(30), cap)

    assert len({match.ref for match in Completer(peer).members("IMAGE", SERIES, announced=announced)}) == 30
    assert len(peer.asked) <= 1 + (30 - cap if cap else 0) + 5


def test_numbers_too_far_apart_to_ask_for_are_an_error():
    """A list that is short of its count, with numbers in the thousands, is no list."""
    rows = [{**row, "InstanceNumber": str(4000 * n)} for n, row in enumerate(images_of(9), start=1)]

    with pytest.raises(PacsCappedError, match="announces 12 and lists 9"):
        list(Completer(Paper(rows)).members("IMAGE", SERIES, announced=12))


def test_a_cut_series_nobody_counts_is_an_error():
    """A peer that cuts, announces nothing and cannot be asked by number gives no list."""
    peer = Paper(images_of(130), 100, is_silent=False, ignores=frozenset({"InstanceNumber"}))

    with pytest.raises(PacsCappedError):
        list(Completer(peer).members("IMAGE", SERIES, announced=None))


def test_a_sweep_that_leaks_proves_nothing():
    """Studies without time or any identifier are in no part: their day is an error, not a short list."""
    rows = studies_of(*(("20240101", "", "") for _ in range(12)))

    with pytest.raises(PacsCappedError):
        list(Completer(Paper(rows, 10), 10).studies({"StudyDate": "20240101"}))
    assert len(list(Completer(Paper(rows)).studies({"StudyDate": "20240101"}))) == 12


@pytest.mark.parametrize("text", ["120000", "1200", "115959.5", "12", "235959.5", "000000", "00"])
def test_a_time_on_a_boundary_is_in_a_half(text):
    """However short or fractional a time is written, one half of the day holds it."""
    halves = [part.filters["StudyTime"] for part in next(batches_of(Part({"StudyDate": "20240101"}))) if not part.swept]
    tests = [matcher("StudyTime", half) for half in halves]

    assert len(halves) == 2
    assert any(test is not None and test(text) for test in tests) or text == "00"


@pytest.mark.parametrize("count", [50, 64, 100, 128, 200, 250, 500, 511, 512, 750, 999, 1000, 1024, 2000, 5000, 32767])
def test_numbers_people_choose_are_round(count):
    """Limits seen in the field are recognised, and most other numbers are not."""
    assert is_round(count)
    assert not any(is_round(odd) for odd in (1, 32, 49, 51, 101, 137, 499, 501, 1001, 4711))
