"""Retrieve: every instance a PACS lists for a study, accounted for one by one, only what is missing."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from racoon_data.errors import PacsPausedError, about
from racoon_data.events import Event, OnEvent, ignore
from racoon_data.pacs.expecting import Expectation, expectation, verdict_of
from racoon_data.pacs.getting import Missing, get
from racoon_data.pacs.kindness import backoff_s
from racoon_data.pacs.landing import Landed
from racoon_data.pacs.peer import PacsNode, WebNode
from racoon_data.pacs.receiving import Receiver, adopt
from racoon_data.pacs.web import wado
from racoon_data.refs import InstanceRef, StudyRef
from racoon_data.site.ledger import InstanceState, Ledger, StudyVerdict

_DUE = frozenset({InstanceState.WANTED, InstanceState.FAILED})


def retrieve(
    node: PacsNode | WebNode,
    studies: Sequence[StudyRef],
    *,
    spool: Path,
    ledger: Ledger,
    on_event: OnEvent = ignore,
    attempts: int = 2,
) -> tuple[StudyVerdict, ...]:
    """Bring studies into the spool by C-GET or WADO-RS; what lies there already is not fetched again.

    The PACS first lists its instances one by one; that list, not its counters, is what a study is
    measured against. A connection that dies leaves the study partial, and the next call asks only
    for what is missing.

    Args:
        node: The PACS.
        studies: What to fetch.
        spool: Folder for files, ``<study>/<series>/<sop>.dcm``.
        ledger: Remembers every instance and each study's verdict.
        on_event: Listener: ``retrieve`` per study, ``receive`` per instance.
        attempts: How often to ask for instances that did not come.

    Returns:
        One verdict per study, in order.

    Raises:
        PacsError: No association could be opened, or a query failed; what arrived before is kept.
        DiskFullError: The disk is full; the ledger agrees with the spool.
    """
    verdicts = []
    for done, study in enumerate(studies, start=1):
        with about(study):
            verdicts.append(_retrieve_study(node, study, spool, ledger, on_event, attempts))
        ledger.set_verdict(verdicts[-1])
        on_event(Event("retrieve", str(study), done, len(studies)))
    return tuple(verdicts)


def _retrieve_study(
    node: PacsNode | WebNode, study: StudyRef, spool: Path, ledger: Ledger, on_event: OnEvent, attempts: int
) -> StudyVerdict:
    expected = expectation(node, study)
    ledger.expect(node.name, expected.instances)
    if expected.instances:
        ledger.withdraw(node.name, study.study_uid, listed=expected.instances)
    adopt(spool, ledger, expected.instances)
    ledger.set_verdict(verdict_of(ledger, expected))  # a kill from here on leaves no stale "complete"
    wanted = {ref.sop_uid: ref for ref in expected.instances}
    done = len(wanted) - len(_missing(ledger, expected))
    size = 0

    def on_arrival(landed: Landed) -> None:
        nonlocal done, size
        done += 1
        size += landed.size
        on_event(Event("receive", str(landed.ref), done, max(len(wanted), done), size))

    receiver = Receiver(study.study_uid, wanted, spool=spool, ledger=ledger, on_arrival=on_arrival)
    attempt = 0
    while attempt < attempts and (not wanted or _missing(ledger, expected)):
        if attempt:
            time.sleep(backoff_s(node.manners, attempt))
        try:
            reason = _fetch(node, expected, lambda: _missing(ledger, expected), receiver)
        except PacsPausedError:
            continue  # no attempt: the next association waits until the window opens
        attempt += 1
        _note_absent(ledger, _missing(ledger, expected), reason)
        if not wanted:
            break
    return verdict_of(ledger, expected)


def _fetch(node: PacsNode | WebNode, expected: Expectation, missing: Missing, receiver: Receiver) -> str:
    """Fetch what is missing the way the node is fetched from, and say why what still is did not come."""
    if isinstance(node, WebNode):
        return wado.fetch(node, expected, missing, receiver)
    if node.retrieve == "wado" and node.web is not None:
        return wado.fetch(node.web, expected, missing, receiver)
    return get(node, expected, missing, receiver)


def _missing(ledger: Ledger, expected: Expectation) -> tuple[InstanceRef, ...]:
    listed = frozenset(expected.instances)
    return tuple(ref for ref in ledger.missing(expected.ref.study_uid) if ref in listed)


def _note_absent(ledger: Ledger, refs: Sequence[InstanceRef], reason: str) -> None:
    """Note why instances did not come; those that came and were refused have their reason."""
    wanted = {row.ref for row in ledger.instances(refs[0].study_uid) if row.state in _DUE} if refs else set()
    for ref in refs:
        if ref in wanted:
            ledger.failed(ref, InstanceState.FAILED, reason)
