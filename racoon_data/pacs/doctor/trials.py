"""Retrieval on trial: one small study fetched each way the peer offers, into a folder that is thrown away."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from racoon_data.errors import PacsError
from racoon_data.pacs.doctor.chart import Chart
from racoon_data.pacs.expecting import expectation
from racoon_data.pacs.peer import PacsNode, WebNode
from racoon_data.pacs.profile import Speed
from racoon_data.pacs.retrieve import retrieve
from racoon_data.refs import StudyRef
from racoon_data.site.ledger import Ledger, StudyVerdict, Verdict

_MOST_FETCHED = 60
_MOST_LISTED = 5
_COUNT = "NumberOfStudyRelatedInstances"


def try_get(node: PacsNode, chart: Chart) -> None:
    """Fetch a small study by C-GET."""
    if "get" in chart.methods:
        _try(replace(node, retrieve="get"), chart, "get", "C-GET")


def try_move(node: PacsNode, chart: Chart) -> None:
    """Have a small study sent to us by C-MOVE, where the node says on which port we listen."""
    if "move" not in chart.methods:
        return
    if not node.receive_port:
        title = node.move_to or node.calling_ae_title
        remedy = f"have {title!r} registered there with our address and a port, and set receive_port of the node to it"
        chart.unknown("C-MOVE", "C-MOVE is accepted; without receive_port it was not tried", remedy)
        return
    _try(replace(node, retrieve="move"), chart, "move", "C-MOVE")


def try_wado(node: WebNode, chart: Chart) -> None:
    """Fetch a small study by WADO-RS."""
    _try(node, chart, "wado", "WADO-RS")


def _try(node: PacsNode | WebNode, chart: Chart, method: str, check: str) -> None:
    study = _small_study(node, chart)
    if study is None:
        hint = f"none needed: a study of at most {_MOST_FETCHED} instances was looked for"
        chart.unknown(check, "not tried: the peer shows no small study", hint)
        return
    try:
        trial = _fetched(node, study)
    except PacsError:
        chart.withdraw(method)
        raise
    verdict = trial.verdict
    if verdict.verdict is not Verdict.COMPLETE:
        message = f"of a study of {verdict.expected} instances {verdict.arrived} arrived by {check}: {trial.reason}"
        if verdict.arrived:
            chart.limited(
                check, message, "racoon pacs pull asks again for what is missing, and says why it did not come"
            )
        else:
            chart.withdraw(method)
            chart.bad(check, message, "ask the PACS's administrator for retrieve rights of our AE title")
        return
    chart.offer(method)
    chart.good(check, f"{trial.speed.instances_per_s:.0f} instances a second, {trial.speed.mb_per_s:.1f} MB/s")
    if method == chart.methods[0]:
        chart.values["speed"] = trial.speed


@dataclass(frozen=True, slots=True)
class _Trial:
    verdict: StudyVerdict
    speed: Speed
    reason: str


def _fetched(node: PacsNode | WebNode, study: StudyRef) -> _Trial:
    with TemporaryDirectory(prefix="racoon-doctor-") as folder, Ledger(Path(folder) / "ledger.sqlite") as ledger:
        started = time.monotonic()
        (verdict,) = retrieve(node, [study], spool=Path(folder), ledger=ledger, attempts=1)
        seconds = max(time.monotonic() - started, 1e-3)
        rows = ledger.instances(study.study_uid)
    size = sum(row.size for row in rows)
    speed = Speed(
        instances_per_s=round(verdict.arrived / seconds, 1),
        mb_per_s=round(size / seconds / 1e6, 2),
        bytes_per_instance=size // max(verdict.arrived, 1),
    )
    return _Trial(verdict, speed, "; ".join(sorted({row.reason for row in rows if row.reason})) or "no reason given")


def _small_study(node: PacsNode | WebNode, chart: Chart) -> StudyRef | None:
    """Choose the smallest study by its announced count; where none is announced, the first whose list is short."""
    counted = [
        (int(study[_COUNT]), study["StudyInstanceUID"]) for study in chart.studies if study.get(_COUNT, "").isdigit()
    ]
    fitting = [one for one in counted if 0 < one[0] <= _MOST_FETCHED]
    if counted:
        return StudyRef(min(fitting)[1]) if fitting else None
    for study in chart.studies[:_MOST_LISTED]:
        ref = StudyRef(study["StudyInstanceUID"])
        if 0 < len(expectation(node, ref).instances) <= _MOST_FETCHED:
            return ref
    return None
