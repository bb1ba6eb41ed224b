"""Every key of the fault plan, each way it shows: what must become of a retrieval or a query, and what does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from racoon_data.errors import RacoonError
from racoon_data.faults import FaultPlan
from racoon_data.outcomes import Outcome, Status
from racoon_data.pacs.find import find
from racoon_data.pacs.peer import Manners, PacsNode, WebNode
from racoon_data.pacs.push import push
from racoon_data.pacs.retrieve import retrieve
from racoon_data.pacs.serve import EmbeddedPacs
from racoon_data.pacs.serve_web import WebService
from racoon_data.pacs.web import qido, stow
from racoon_data.refs import Query, StudyRef
from racoon_data.site.ledger import InstanceState, Ledger
from racoon_data.testing.makers import a_series
from tests.pacs.raw import free_port

STUDY, OTHER = "1.2.826.0.78", "1.2.826.0.79"
HASTY = Manners(retries=1, backoff_s=0.01)


@dataclass(frozen=True)
class Place:
    """One run: the peer both ways, and where a retrieval ends."""

    pacs: EmbeddedPacs
    dicom: PacsNode
    web: WebNode
    folder: Path


@dataclass(frozen=True)
class PlanCase:
    """A fault plan, what it makes the peer do, and the end it must have each way."""

    what: str
    plan: FaultPlan
    expected: dict[str, str]

    @property
    def keys(self) -> str:
        """The keys of the plan."""
        return ", ".join(f"`{key}`" for key in sorted(self.plan.model_fields_set)) or "none"


def _by_get(place: Place) -> str:
    return _retrieved(replace(place.dicom, retrieve="get"), place)


def _by_move(place: Place) -> str:
    return _retrieved(replace(place.dicom, retrieve="move"), place)


def _by_wado(place: Place) -> str:
    return _retrieved(place.web, place)


def _by_find(place: Place) -> str:
    return f"{len(list(find(place.dicom, Query())))} studies"


def _by_qido(place: Place) -> str:
    return f"{len(list(qido.find(place.web, Query())))} studies"


def _by_store(place: Place) -> str:
    return _stored(push(place.dicom, sorted((place.folder / "more").iterdir())))


def _by_stow(place: Place) -> str:
    return _stored(stow.push(place.web, sorted((place.folder / "more").iterdir())))


def _stored(outcomes: tuple[Outcome, ...]) -> str:
    counts = Counter(one.status for one in outcomes)
    return f"{counts[Status.DONE]} stored, {counts[Status.FAILED]} failed"


WAYS: dict[str, Callable[[Place], str]] = {
    "C-FIND": _by_find, "C-GET": _by_get, "C-MOVE": _by_move, "C-STORE": _by_store,
    "QIDO-RS": _by_qido, "WADO-RS": _by_wado, "STOW-RS": _by_stow,
}  # fmt: skip


def _retrieved(node: PacsNode | WebNode, place: Place) -> str:
    """Retrieve the study of four once; tell verdict, arrived of expected, and what became of the others."""
    spool = place.folder / "site" / "spool"
    with Ledger(place.folder / "site" / "ledger.sqlite") as ledger:
        (verdict,) = retrieve(node, [StudyRef(STUDY)], spool=spool, ledger=ledger, attempts=1)
        rows = ledger.instances(STUDY)
    others = Counter(row.state for row in rows if row.state is not InstanceState.ARRIVED)
    assert all(row.reason for row in rows if row.state is not InstanceState.ARRIVED)
    assert not list(place.folder.rglob("*.partial"))
    assert not [path for path in place.folder.rglob("*racoon-escape*")]
    said = [f"{count} {state}" for state, count in sorted(others.items())]
    return ", ".join((f"{verdict.verdict} {verdict.arrived}/{verdict.expected}", *said))


@contextmanager
def placed(plan: FaultPlan, folder: Path) -> Iterator[Place]:
    """Serve a study of four and one of two under a plan; three more instances lie ready to be stored."""
    a_series(folder / "archive" / "one", patient_id="P1", study_uid=STUDY, series_uid=f"{STUDY}.1", slices=4)
    a_series(folder / "archive" / "two", patient_id="P2", study_uid=OTHER, series_uid=f"{OTHER}.1", slices=2)
    a_series(folder / "more", patient_id="P3", study_uid="1.2.826.0.80", series_uid="1.2.826.0.80.1", slices=3)
    port = free_port()
    known = {"RACOON": ("127.0.0.1", port)}
    with EmbeddedPacs(folder / "archive", destinations=known, faults=plan) as pacs, WebService(pacs) as web:
        patience: dict[str, Any] = {
            "timeout_s": 20.0 if plan.hang_after is None else 0.6, "deadline_s": 1.0 if plan.endless_answers else 60.0,
            "manners": HASTY,
        }  # fmt: skip
        dicom = replace(pacs.node(), receive_port=port, **patience)
        yield Place(pacs, dicom, web.node(**patience), folder)


def run(case: PlanCase, way: str, folder: Path) -> str:
    """Let a plan happen one way, and say how it ended: the end, or the code of the error."""
    with placed(case.plan, folder) as place:
        try:
            return WAYS[way](place)
        except RacoonError as error:
            return f"error {error.code}"


def _each(*ways: str, end: str) -> dict[str, str]:
    return dict.fromkeys(ways, end)


_RETRIEVE, _QUERY = ("C-GET", "C-MOVE", "WADO-RS"), ("C-FIND", "QIDO-RS")
_WHOLE = _each(*_RETRIEVE, end="complete 4/4")
_BOTH = _each(*_QUERY, end="2 studies")
_REFUSED = "error pacs.refused"

CASES = (
    PlanCase("behaves", FaultPlan(), {**_WHOLE, **_BOTH, **_each("C-STORE", "STOW-RS", end="3 stored, 0 failed")}),
    PlanCase("cuts the connection after 2", FaultPlan(die_after=2), _each(*_RETRIEVE, end="partial 2/4, 2 failed")),
    PlanCase("falls silent after 2", FaultPlan(hang_after=2, hang_s=3),
             _each(*_RETRIEVE, end="partial 2/4, 2 failed")),
    PlanCase("is slow", FaultPlan(slow_s=0.05), {**_WHOLE, **_BOTH}),
    PlanCase("leaves one out and reports success", FaultPlan(drop_last=1),
             _each(*_RETRIEVE, end="partial 3/4, 1 failed")),
    PlanCase("sends one whose data set has another UID", FaultPlan(wrong_uid_at=1),
             _each(*_RETRIEVE, end="partial 3/4, 1 refused")),
    PlanCase("sends one under a UID it did not list", FaultPlan(renamed_at=1),
             _each(*_RETRIEVE, end="partial 3/4, 1 failed")),
    PlanCase("lists and sends `../../../racoon-escape`", FaultPlan(traversal_uid_at=1), {**_WHOLE, **_BOTH}),
    PlanCase("sends other bytes under a UID", FaultPlan(other_bytes_at=1),
             _each(*_RETRIEVE, end="partial 3/4, 1 conflicting")),
    PlanCase("sends one twice", FaultPlan(repeat_at=1), _WHOLE),
    PlanCase("sends two of another study first", FaultPlan(unrequested=2), _WHOLE),
    PlanCase("announces seven too many", FaultPlan(lie_about_counts=7), {**_WHOLE, **_BOTH}),
    PlanCase("announces no counts", FaultPlan(no_counts=True), {**_WHOLE, **_BOTH}),
    PlanCase("cuts answers off at 1 and says so", FaultPlan(cap_answers=1), {**_WHOLE, "QIDO-RS": "2 studies"}),
    PlanCase("cuts answers off at 1 in silence", FaultPlan(silent_cap=1), _WHOLE),
    PlanCase("repeats its answers for ever", FaultPlan(endless_answers=True), _each(*_QUERY, end="error pacs.endless")),
    PlanCase("and ignores C-CANCEL", FaultPlan(endless_answers=True, ignore_cancel=True),
             {"C-FIND": "error pacs.endless"}),
    PlanCase("claims Latin-1 for UTF-8", FaultPlan(character_set="ISO_IR 100"),
             {"C-FIND": "2 studies", "C-GET": "complete 4/4"}),
    PlanCase("closes the connection", FaultPlan(close_queries=True), _each(*_QUERY, *_RETRIEVE, end=_REFUSED)),
    PlanCase("offers no C-GET", FaultPlan(no_get=True), {**_WHOLE, "C-GET": _REFUSED}),
    PlanCase("rejects us", FaultPlan(refuse_associations=True), _each(*WAYS, end=_REFUSED)),
    PlanCase("is full after 1", FaultPlan(full_after=1), _each("C-STORE", "STOW-RS", end="1 stored, 2 failed")),
    PlanCase("claims 4 GiB", FaultPlan(giant_pdu_at=2), _each(*_RETRIEVE, end="partial 2/4, 2 failed")),
    PlanCase("ends within the third", FaultPlan(truncate_at=2), {"WADO-RS": "partial 2/4, 2 failed"}),
    PlanCase("names a Content-Length too long", FaultPlan(wrong_length=100), {"WADO-RS": "complete 4/4"}),
    PlanCase("names one too short", FaultPlan(wrong_length=-100), {"WADO-RS": "partial 3/4, 1 failed"}),
    PlanCase("redirects to another host", FaultPlan(redirect_to="http://example.org"), {"WADO-RS": _REFUSED}),
    PlanCase("is busy once", FaultPlan(busy=1, retry_after_s=0.0),
             {"QIDO-RS": "2 studies", "WADO-RS": "complete 4/4", "STOW-RS": "3 stored, 0 failed"}),
    PlanCase("is busy for ever", FaultPlan(busy=99, busy_status=429, retry_after_s=0.0),
             _each("QIDO-RS", "WADO-RS", "STOW-RS", end="error pacs.busy")),
)  # fmt: skip
