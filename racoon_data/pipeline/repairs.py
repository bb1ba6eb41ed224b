"""What was used only after something about it was repaired, as the sidecars tell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from racoon_data.files.case_sidecar import load_sidecar
from racoon_data.outcomes import Outcome, Status
from racoon_data.pipeline.build import Built
from racoon_data.refs import CaseRef, InstanceRef

SAID = "used after a repair; the sidecar of its case says which"
# A decision about stored values that mends an attribute; the others merely say which of two true ways was taken.
_MENDED = " read as "


def repaired_uids(root: Path, built: Iterable[Built]) -> frozenset[str]:
    """List the UIDs of annotations and series, and the ids of cases, that were repaired while they were read."""
    found: set[str] = set()
    for one in built:
        sidecar = load_sidecar(root / one.record.sidecar)
        mended = {step["source"] for step in sidecar.steps if _is_repair(step)}
        if mended:
            found |= {*mended, sidecar.case_id}
    return frozenset(found)


def _is_repair(step: Mapping[str, object]) -> bool:
    note = str(step.get("note", ""))
    return bool(note) and "source" in step and (step["step"] == "read" or _MENDED in note)


def with_repairs(outcomes: Iterable[Outcome], repaired: frozenset[str]) -> tuple[Outcome, ...]:
    """Mark what was used after a repair."""
    return tuple(replace(one, message=SAID) if _is_among(one, repaired) else one for one in outcomes)


def _is_among(outcome: Outcome, repaired: frozenset[str]) -> bool:
    match outcome.ref:
        case _ if outcome.status is not Status.DONE:
            return False
        case InstanceRef(_, series, sop):
            return series in repaired or sop in repaired
        case CaseRef(name):
            return name in repaired
        case _:
            return False
