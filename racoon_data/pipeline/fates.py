"""The end of every instance that came in: used in a case, skipped or failed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from racoon_data.errors import NotSelectedError
from racoon_data.outcomes import Outcome, Status
from racoon_data.pipeline.arrive import Arrived
from racoon_data.pipeline.propose import CaseItem, Proposal
from racoon_data.refs import FileRef, InstanceRef, Ref, StudyRef


def instance_fates(
    arrived: Arrived, proposal: Proposal, cases: Iterable[tuple[CaseItem, Outcome]], *, work: Path
) -> tuple[Outcome, ...]:
    """Give one outcome for every instance the PACS listed.

    Args:
        arrived: What passed the door and what did not.
        proposal: Proposed cases and what was set aside.
        cases: Every proposed case and how it ended.
        work: Folder of the de-identified files.
    """
    by_sop = _cases_by_sop(cases)
    set_aside = {_key(outcome.ref): outcome for outcome in proposal.unused}
    refused = {outcome.ref.study_uid: outcome for outcome in proposal.refused if isinstance(outcome.ref, StudyRef)}
    fates = []
    for instance in arrived.instances:
        name = instance.path.relative_to(work).as_posix()
        reason = set_aside.get(name) or set_aside.get(instance.ref.sop_uid)
        reason = reason or by_sop.get(instance.ref.sop_uid) or refused.get(instance.ref.study_uid)
        fates.append(_fate(instance.ref, reason))
    return (*arrived.lost, *fates)


def _cases_by_sop(cases: Iterable[tuple[CaseItem, Outcome]]) -> Mapping[str, Outcome]:
    """Say which case used an instance; used in one case is used, whatever became of others."""
    ends: dict[str, Outcome] = {}
    for item, outcome in cases:
        for uid in item.sop_uids:
            if uid not in ends or outcome.status is Status.DONE:
                ends[uid] = outcome
    return ends


def _key(ref: Ref) -> str:
    match ref:
        case FileRef(name):
            return name
        case InstanceRef():
            return ref.sop_uid
        case _:
            return str(ref)


def _fate(ref: InstanceRef, reason: Outcome | None) -> Outcome:
    if reason is None:
        message = "its study became a case without it"
        return Outcome(ref, "select", Status.SKIPPED, NotSelectedError.code, message)
    return Outcome(ref, reason.step, reason.status, reason.code, reason.message, reason.hint)
