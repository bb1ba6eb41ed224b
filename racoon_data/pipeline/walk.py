"""The whole walk: from a query to a dataset that is there whole, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from racoon_data.dataset.placing import place_cases
from racoon_data.deid.forget import PUBLISHED
from racoon_data.deid.naming import names_of
from racoon_data.errors import QualityError
from racoon_data.events import OnEvent, ignore
from racoon_data.files.case_sidecar import load_sidecar
from racoon_data.files.manifest import SplitMemory
from racoon_data.outcomes import Outcome, outcome_of
from racoon_data.pipeline.account import Account, Stage
from racoon_data.pipeline.arrive import arrive
from racoon_data.pipeline.build import Built, Order, build_case
from racoon_data.pipeline.exports import take_exports
from racoon_data.pipeline.fates import export_fates, instance_fates
from racoon_data.pipeline.finish import finish_dataset
from racoon_data.pipeline.plan import Plan
from racoon_data.pipeline.propose import CaseItem, propose
from racoon_data.pipeline.reviewed import without_rejected
from racoon_data.pipeline.settle import settle
from racoon_data.pipeline.staging import Staging
from racoon_data.qc.codes import DUPLICATE
from racoon_data.refs import CaseRef
from racoon_data.runner.run import Result, run_items
from racoon_data.site.ledger import Ledger
from racoon_data.site.lock import site_lock
from racoon_data.site.reviews import latest_reviews


def walk(plan: Plan, *, on_event: OnEvent = ignore) -> Account:
    """Walk from the query of a plan to its dataset.

    What is already there is not done again: instances in the spool, files behind the door and
    cases whose sources, recipe and software did not change.

    Args:
        plan: What to do; see ``plan_study``.
        on_event: Listener.

    Returns:
        The account: what came in equals what was used, skipped and failed. It also lies in ``runs/``.

    Raises:
        NothingMatchedError: The PACS holds no such study.
        PacsError: The PACS could not be asked.
        StorageError: The disk is full, or another process works on this site.
    """
    site = plan.site
    names = names_of(site)
    with site_lock(site.root), Ledger(site.ledger) as ledger:
        arrived = arrive(plan, ledger, pseudonymizer=names, on_event=on_event)
        exports = take_exports(plan, arrived.instances, ledger, pseudonymizer=names)
        site_name = site.settings.site.name
        proposal = propose(arrived, work=site.work, rule=plan.rule, site_name=site_name, exports=exports.files)
        proposal = without_rejected(proposal, latest_reviews(site.ledger, plan.name))
        plan = replace(plan, recipe=settle(plan.recipe, proposal.items)) if proposal.items else plan
        with Staging(site.datasets / plan.name) as staging:
            order = _order(plan, staging)
            made = _build(plan, proposal.items, order=order, staging=staging, ledger=ledger, on_event=on_event)
            ends = list(_once(made, staging.root))
            cases = [*proposal.kept_out, *((item, end.outcome) for item, end in ends)]
            fates = instance_fates(arrived, proposal, cases, work=site.work)
            case_ends = (*arrived.incomplete, *proposal.refused, *(outcome for _, outcome in cases))
            stages = [Stage("instances", fates), Stage("cases", case_ends)]
            if plan.exports:
                stages.insert(1, Stage("exports", export_fates(exports, proposal, cases)))
            account = Account(staging.final, tuple(stages))
            if any(end.value is not None for _, end in ends):
                built, splits = _place(plan, ends, order=order, staging=staging, ledger=ledger, key=names.key)
                manifest = finish_dataset(plan, staging.root, built=built, account=account, splits=splits)
                patients = sorted({case.patient for case in manifest.cases})
                ledger.remember(PUBLISHED, manifest.dataset_sha256, "", {"name": plan.name, "patients": patients})
                staging.publish()
        account.write(site.runs / f"{plan.name}.json")
    return account


def _order(plan: Plan, staging: Staging) -> Order:
    return Order(
        root=staging.root,
        recipe=plan.recipe,
        schema=plan.schema,
        annotated=plan.annotated,
        labels_required=plan.rule.labels_required,
        annotated_by=plan.annotated_by,
    )


def _build(
    plan: Plan, items: tuple[CaseItem, ...], *, order: Order, staging: Staging, ledger: Ledger, on_event: OnEvent
) -> list[tuple[CaseItem, Result[Built]]]:
    """Build every case that is not there already, and remember it."""
    ends: dict[str, Result[Built]] = {}
    for item in items:
        document = ledger.recall("build", _key(plan, item), order.fingerprint(item))
        if document and staging.reuse(document["record"]["sha256"]):
            ends[item.ref.case_id] = Result(Outcome(item.ref, "build"), Built.from_json(document))
    todo = [item for item in items if item.ref.case_id not in ends]
    work = partial(build_case, order=order)
    workers = plan.site.settings.site.workers
    results = run_items("build", [(item.ref, item) for item in todo], work, workers=workers, on_event=on_event)
    for item, result in zip(todo, results, strict=True):
        ends[item.ref.case_id] = result
        if result.value is not None:
            ledger.remember("build", _key(plan, item), order.fingerprint(item), result.value.to_json())
    return [(item, ends[item.ref.case_id]) for item in items]


def _place(
    plan: Plan,
    ends: list[tuple[CaseItem, Result[Built]]],
    *,
    order: Order,
    staging: Staging,
    ledger: Ledger,
    key: bytes,
) -> tuple[list[Built], SplitMemory]:
    """Split the built cases, and remember where each stands now, so that the next walk finds its files."""
    built = [(item, end.value) for item, end in ends if end.value is not None]
    placed, splits = place_cases(
        staging.root,
        [one.record for _, one in built],
        site=plan.site.settings.site.name,
        key=key,
        test_fraction=plan.test_fraction,
        earlier=staging.earlier_splits(),
    )
    moved = [(item, one, replace(one, record=record)) for (item, one), record in zip(built, placed, strict=True)]
    for item, before, now in moved:
        if now != before:
            ledger.remember("build", _key(plan, item), order.fingerprint(item), now.to_json())
    return [now for _, _, now in moved], splits


def _once(ends: list[tuple[CaseItem, Result[Built]]], root: Path) -> Iterator[tuple[CaseItem, Result[Built]]]:
    """Keep one of the cases that hold the same voxels: counted twice, it might stand on both sides of the split."""
    owners: dict[str, CaseRef] = {}
    for item, end in ends:
        if end.value is not None:
            image = load_sidecar(root / end.value.record.sidecar).outputs[0]
            if (first := owners.setdefault(image.pixel_sha256, item.ref)) != item.ref:
                error = QualityError(f"{DUPLICATE.code}: same voxels as {first}", hint=DUPLICATE.fix)
                yield item, Result(outcome_of(error, ref=item.ref, step="check"))
                continue
        yield item, end


def _key(plan: Plan, item: CaseItem) -> str:
    return f"{plan.name}/{item.ref.case_id}"
