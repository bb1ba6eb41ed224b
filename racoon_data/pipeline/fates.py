"""The end of every instance that came in: used in a case, skipped or failed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from racoon_data.errors import NotSelectedError
from racoon_data.outcomes import Outcome, Status
from racoon_data.pipeline.arrive import Arrived
from racoon_data.pipeline.exports import ArrivedExports
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
    ends = _Ends(proposal, cases)
    fates = (ends.of(one.ref, one.path.relative_to(work).as_posix()) for one in arrived.instances)
    return (*arrived.lost, *fates)


def export_fates(
    exports: ArrivedExports, proposal: Proposal, cases: Iterable[tuple[CaseItem, Outcome]]
) -> tuple[Outcome, ...]:
    """Give one outcome for every annotation of another tool, and for everything in their files that was not read."""
    ends = _Ends(proposal, cases)
    return (*exports.outcomes, *(ends.of(one.ref) for one in exports.files))


class _Ends:
    """How things ended: set aside on the way, in a case, or with their study."""

    def __init__(self, proposal: Proposal, cases: Iterable[tuple[CaseItem, Outcome]]) -> None:
        self._by_sop = _cases_by_sop(cases)
        self._set_aside = {_key(outcome.ref): outcome for outcome in proposal.unused}
        refused = (outcome for outcome in proposal.refused)
        self._refused = {outcome.ref.study_uid: outcome for outcome in refused if isinstance(outcome.ref, StudyRef)}

    def of(self, ref: InstanceRef, name: str = "") -> Outcome:
        """Give the end of one instance, by its file name behind the door or its UID."""
        reason = self._set_aside.get(name) or self._set_aside.get(ref.sop_uid)
        reason = reason or self._by_sop.get(ref.sop_uid) or self._refused.get(ref.study_uid)
        return _fate(ref, reason)


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
