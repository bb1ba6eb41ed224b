"""Accounts of walks that stop before the dataset: after find, retrieve, the door or the selection of cases."""

from __future__ import annotations

from collections.abc import Mapping

from racoon_data.deid.pseudonyms import Pseudonymizer
from racoon_data.outcomes import Outcome
from racoon_data.pipeline.account import Stage
from racoon_data.pipeline.arrive import Arrived, Fetched, spooled_ends
from racoon_data.pipeline.propose import Proposal
from racoon_data.refs import CaseRef, InstanceRef, StudyRef
from racoon_data.site.ledger import Ledger


def after_find(found: Mapping[StudyRef, str], names: Pseudonymizer) -> tuple[Stage, ...]:
    """Account for the studies that match."""
    return (Stage("studies", tuple(Outcome(StudyRef(names.uid(study.study_uid)), "find") for study in found)),)


def after_retrieve(ledger: Ledger, fetched: Fetched) -> tuple[Stage, ...]:
    """Account for the instances that lie in the spool, and for whole studies."""
    studies, instances = spooled_ends(ledger, fetched)
    return Stage("instances", instances), Stage("studies", studies)


def after_door(arrived: Arrived) -> tuple[Stage, ...]:
    """Account for the instances that passed the door."""
    passed = tuple(Outcome(one.ref, "deidentify") for one in arrived.instances)
    return (Stage("instances", (*arrived.lost, *passed)),)


def after_select(arrived: Arrived, proposal: Proposal) -> tuple[Stage, ...]:
    """Account for the cases that would be built."""
    ready = tuple(Outcome(item.ref, "select") for item in proposal.items)
    kept_out = tuple(outcome for _, outcome in proposal.kept_out)
    return *after_door(arrived), Stage("cases", (*arrived.incomplete, *proposal.refused, *kept_out, *ready))


def of_cases(stages: tuple[Stage, ...], proposal: Proposal) -> tuple[Stage, ...]:
    """Keep of an account what belongs to the proposed cases alone."""
    items = [*proposal.items, *(item for item, _ in proposal.kept_out)]
    cases = {item.ref for item in items}
    uids = {uid for item in items for uid in item.sop_uids}

    def is_ours(outcome: Outcome) -> bool:
        match outcome.ref:
            case CaseRef():
                return outcome.ref in cases
            case InstanceRef(_, _, uid):
                return uid in uids
            case _:
                return False

    return tuple(Stage(stage.name, tuple(filter(is_ours, stage.outcomes))) for stage in stages)
