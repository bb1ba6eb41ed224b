"""Retrieve: every instance a PACS lists for a study, accounted for one by one, only what is missing."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from racoon_data.errors import PacsPausedError, about
from racoon_data.events import Event, OnEvent, ignore
from racoon_data.files.atomic import sweep_partials
from racoon_data.pacs.expecting import Expectation, verdict_of
from racoon_data.pacs.kindness import backoff_s
from racoon_data.pacs.landing import Landed
from racoon_data.pacs.methods import Method, method_for
from racoon_data.pacs.peer import Node
from racoon_data.pacs.receiving import Receiver, adopt
from racoon_data.refs import InstanceRef, StudyRef
from racoon_data.site.ledger import InstanceState, Ledger, StudyVerdict

_DUE = frozenset({InstanceState.WANTED, InstanceState.FAILED})


@dataclass(frozen=True, slots=True)
class Place:
    """Where a retrieval ends.

    Attributes:
        spool: Folder for files.
        ledger: Remembers every instance and each study's verdict.
    """

    spool: Path
    ledger: Ledger


def retrieve(
    node: Node,
    studies: Sequence[StudyRef],
    *,
    spool: Path,
    ledger: Ledger,
    on_event: OnEvent = ignore,
    attempts: int = 2,
) -> tuple[StudyVerdict, ...]:
    """Bring studies into the spool; what lies there already is not fetched again.

    The PACS first lists its instances one by one; that list, not its counters, is what a study is
    measured against. A connection that dies leaves the study partial, and the next call asks only
    for what is missing.

    Args:
        node: The PACS, service or folder.
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
    method = method_for(node)
    sweep_partials(spool)
    verdicts = []
    for done, study in enumerate(studies, start=1):
        with about(study):
            verdicts.append(_retrieve_study(method, study, Place(spool, ledger), on_event, attempts))
        ledger.set_verdict(verdicts[-1])
        on_event(Event("retrieve", str(study), done, len(studies)))
    return tuple(verdicts)


def _retrieve_study(method: Method, study: StudyRef, place: Place, on_event: OnEvent, attempts: int) -> StudyVerdict:
    spool, ledger = place.spool, place.ledger
    expected = method.expect(study)
    ledger.expect(expected.node, expected.instances)
    if expected.instances:
        ledger.withdraw(expected.node, study.study_uid, listed=expected.instances)
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
            time.sleep(backoff_s(method.manners, attempt))
        try:
            reason = method.fetch(expected, lambda: _missing(ledger, expected), receiver)
        except PacsPausedError:
            continue  # no attempt: the next association waits until the window opens
        attempt += 1
        _note_absent(ledger, _missing(ledger, expected), reason)
        if not wanted:
            break
    return verdict_of(ledger, expected)


def _missing(ledger: Ledger, expected: Expectation) -> tuple[InstanceRef, ...]:
    listed = frozenset(expected.instances)
    return tuple(ref for ref in ledger.missing(expected.ref.study_uid) if ref in listed)


def _note_absent(ledger: Ledger, refs: Sequence[InstanceRef], reason: str) -> None:
    """Note why instances did not come; those that came and were refused have their reason."""
    wanted = {ref for ref, _, state in ledger.standings(refs[0].study_uid) if state in _DUE} if refs else set()
    for ref in refs:
        if ref in wanted:
            ledger.failed(ref, InstanceState.FAILED, reason)
