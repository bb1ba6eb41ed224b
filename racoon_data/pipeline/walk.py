"""The whole walk: from a query to a dataset that is there whole, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from racoon_data.deid.naming import names_of
from racoon_data.events import OnEvent, ignore
from racoon_data.pipeline.account import Account
from racoon_data.pipeline.arrive import fetch, find_studies, pass_door
from racoon_data.pipeline.assemble import Assembly, Came, order_of
from racoon_data.pipeline.exports import take_exports
from racoon_data.pipeline.partway import after_door, after_find, after_retrieve, after_select, of_cases
from racoon_data.pipeline.plan import Plan
from racoon_data.pipeline.propose import Proposal, propose
from racoon_data.pipeline.reviewed import without_rejected
from racoon_data.pipeline.scope import WHOLE, Scope
from racoon_data.pipeline.settle import settle
from racoon_data.pipeline.staging import Staging
from racoon_data.site.ledger import Ledger
from racoon_data.site.lock import site_lock
from racoon_data.site.reviews import latest_reviews


def walk(plan: Plan, *, scope: Scope = WHOLE, on_event: OnEvent = ignore) -> Account:
    """Walk from the query of a plan to its dataset.

    What is already there is not done again: instances in the spool, files behind the door and
    cases whose sources, recipe and software did not change.

    Args:
        plan: What to do; see ``plan_study``.
        scope: How much of it, and by whose hands.
        on_event: Listener.

    Returns:
        The account: what came in equals what was used, skipped and failed. It also lies in ``runs/``.

    Raises:
        NothingMatchedError: The PACS holds no such study, or no case is among those wanted.
        PacsError: The PACS could not be asked.
        StorageError: The disk is full, or another process works on this site.
    """
    site = plan.site
    who = site.settings.site.operator or ""
    what = scope.job or f"run {plan.name}"
    with site_lock(site.root, what=what, who=who, wait_s=scope.wait_s), Ledger(site.ledger) as ledger:
        account = replace(_walked(plan, ledger, scope, on_event), site=site.settings.site.name)
        account.write(account_path(plan, scope))
    return account


def account_path(plan: Plan, scope: Scope = WHOLE) -> Path:
    """Name the account of a walk; one that stops early, or is about few cases, leaves the whole one as it is."""
    is_whole = scope.reaches("build") and not scope.only
    return plan.site.runs / (f"{plan.name}.json" if is_whole else f"{plan.name}.partway.json")


def _walked(plan: Plan, ledger: Ledger, scope: Scope, on_event: OnEvent) -> Account:
    names, site = names_of(plan.site), plan.site
    partway = partial(Account, site.datasets / plan.name, until=scope.until, only=scope.only)
    found = find_studies(plan, on_event)
    if not scope.reaches("retrieve"):
        patients = {names.uid(study.study_uid): names.keyed(patient) for study, patient in found.items()}
        return partway(stages=after_find(found, names), patients=patients)
    fetched = fetch(plan, ledger, found, pseudonymizer=names, on_event=on_event)
    if not scope.reaches("deidentify"):
        return partway(stages=after_retrieve(ledger, fetched), patients=fetched.patients)
    arrived = pass_door(plan, ledger, fetched, on_event=on_event)
    if not scope.reaches("select"):
        return partway(stages=after_door(arrived), patients=fetched.patients)
    exports = take_exports(plan, arrived.instances, ledger, pseudonymizer=names)
    site_name = site.settings.site.name
    proposal = propose(arrived, work=site.work, rule=plan.rule, site_name=site_name, exports=exports.files)
    proposal = without_rejected(proposal, latest_reviews(site.ledger, plan.name))
    settled = replace(plan, recipe=settle(plan.recipe, proposal.items)) if proposal.items else plan
    proposal = scope.of(proposal)
    patients = {**fetched.patients, **_case_patients(proposal, fetched.patients)}
    if not scope.reaches("build"):
        stages = after_select(arrived, proposal)
        return partway(stages=of_cases(stages, proposal) if scope.only else stages, patients=patients)
    with Staging(site.datasets / plan.name) as staging:
        came = Came(arrived, exports, proposal)
        account = Assembly(settled, staging, ledger, scope, names.key).account(came, on_event)
        if not scope.only:
            ledger.remember("order", plan.name, order_of(plan, staging.final).sha256, {})
    return replace(account, patients=patients, only=scope.only)


def _case_patients(proposal: Proposal, by_study: Mapping[str, str]) -> dict[str, str]:
    """Give the patient of each case by its study, so that cases and studies of one person count as one."""
    items = [*proposal.items, *(item for item, _ in proposal.kept_out)]
    studies = {item.ref.case_id: item.channels[0][1].ref.study_uid for item in items}
    return {case: by_study.get(study, "") for case, study in studies.items()}
