"""Identified files stay in the spool as long as the settings say; what passed the door is known without them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from racoon_data.deid.door import DeidentifiedInstance, Door, passed_before
from racoon_data.refs import InstanceRef, StudyRef
from racoon_data.site.ledger import InstanceState, Ledger

_DAY_S = 86_400.0


def recall_passed(ledger: Ledger, studies: Iterable[StudyRef], door: Door) -> dict[InstanceRef, DeidentifiedInstance]:
    """Give what passed the door earlier and whose identified file is gone.

    What is not there any more, or passed under another profile, edition or version, is due again: it is
    fetched and cleaned anew.

    Args:
        ledger: Where its state is kept.
        studies: Studies to look at.
        door: The door it would pass today.

    Returns:
        De-identified instances by the reference they came with.
    """
    known = {}
    for study in studies:
        for row in ledger.instances(study.study_uid):
            if row.state is not InstanceState.PASSED:
                continue
            if (found := passed_before(door, row.ref, row.sha256)) is not None:
                known[row.ref] = found
            else:
                ledger.failed(row.ref, InstanceState.WANTED, "it must pass the door again")
    return known


def expire(ledger: Ledger, passed: Sequence[tuple[InstanceRef, Path]], *, days: int) -> int:
    """Remove identified files that passed the door and are older than the settings allow.

    What was stopped at the door stays, so that a person can still decide.

    Args:
        ledger: Remembers that they came.
        passed: Reference and spool file of what passed.
        days: Days a file may stay; 0 keeps it.

    Returns:
        How many files went.
    """
    if not days:
        return 0
    latest = time.time() - days * _DAY_S
    old = [(ref, path) for ref, path in passed if path.stat().st_mtime < latest]
    for _, path in old:
        path.unlink()
    ledger.passed(ref for ref, _ in old)
    for folder in {path.parent for _, path in old}:
        for empty in (folder, folder.parent):
            if empty.is_dir() and not any(empty.iterdir()):
                empty.rmdir()
    return len(old)
