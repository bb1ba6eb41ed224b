"""Proposed cases to a dataset in its place: build what changed, account, split, finish, publish."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from racoon_data.dataset.placing import place_cases
from racoon_data.deid.forget import PUBLISHED
from racoon_data.errors import QualityError
from racoon_data.events import OnEvent
from racoon_data.files.case_sidecar import load_sidecar
from racoon_data.files.manifest import SplitMemory
from racoon_data.outcomes import Outcome, outcome_of
from racoon_data.pipeline.account import Account, Stage
from racoon_data.pipeline.arrive import Arrived
from racoon_data.pipeline.build import Built, Order, build_case
from racoon_data.pipeline.exports import ArrivedExports
from racoon_data.pipeline.fates import export_fates, instance_fates
from racoon_data.pipeline.finish import finish_dataset
from racoon_data.pipeline.partway import of_cases
from racoon_data.pipeline.plan import Plan
from racoon_data.pipeline.propose import CaseItem, Proposal
from racoon_data.pipeline.repairs import repaired_uids, with_repairs
from racoon_data.pipeline.scope import Scope
from racoon_data.pipeline.staging import Staging
from racoon_data.qc.codes import DUPLICATE
from racoon_data.refs import CaseRef
from racoon_data.runner.crew import Crew
from racoon_data.runner.run import Result, run_items
from racoon_data.site.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Came:
    """What came as far as the proposal.

    Attributes:
        arrived: Instances behind the door.
        exports: Other tools' annotations behind the door.
        proposal: Cases to build, and what was set aside.
    """

    arrived: Arrived
    exports: ArrivedExports
    proposal: Proposal


@dataclass(frozen=True, slots=True)
class Assembly:
    """The last stretch: proposed cases to a dataset.

    Attributes:
        plan: What is built.
        staging: Where it is built.
        ledger: Remembers finished cases.
        scope: Which cases, by whose hands.
        key: The site's key, for the split.
    """

    plan: Plan
    staging: Staging
    ledger: Ledger
    scope: Scope
    key: bytes

    def account(self, came: Came, on_event: OnEvent) -> Account:
        """Build, account, and put the dataset in its place where it is whole."""
        plan, staging = self.plan, self.staging
        order, proposal = order_of(plan, staging.root), came.proposal
        made = self._build(proposal.items, order, on_event)
        ends = list(_once(made, staging.root))
        cases = [*proposal.kept_out, *((item, end.outcome) for item, end in ends)]
        account = self._accounted(came, cases, [end.value for _, end in ends if end.value is not None])
        if self.scope.only:
            return replace(account, dataset=staging.root, stages=of_cases(account.stages, proposal))
        if any(end.value is not None for _, end in ends):
            built, splits = _place(plan, ends, order=order, staging=staging, ledger=self.ledger, key=self.key)
            manifest = finish_dataset(plan, staging.root, built=built, account=account, splits=splits)
            patients = sorted({case.patient for case in manifest.cases})
            self.ledger.remember(PUBLISHED, manifest.dataset_sha256, "", {"name": plan.name, "patients": patients})
            staging.publish()
        return account

    def _accounted(self, came: Came, cases: list[tuple[CaseItem, Outcome]], built: list[Built]) -> Account:
        arrived, proposal = came.arrived, came.proposal
        repaired = repaired_uids(self.staging.root, built)
        fates = instance_fates(arrived, proposal, cases, work=self.plan.site.work)
        case_ends = (*arrived.incomplete, *proposal.refused, *(outcome for _, outcome in cases))
        stages = [Stage("instances", with_repairs(fates, repaired)), Stage("cases", with_repairs(case_ends, repaired))]
        if self.plan.exports:
            ends = with_repairs(export_fates(came.exports, proposal, cases), repaired)
            stages.insert(1, Stage("exports", ends))
        return Account(self.staging.final, tuple(stages))

    def _build(
        self, items: tuple[CaseItem, ...], order: Order, on_event: OnEvent
    ) -> list[tuple[CaseItem, Result[Built]]]:
        """Build every case that is not there already, and remember it."""
        plan, ends = self.plan, dict[str, Result[Built]]()
        for item in items:
            document = self.ledger.recall("build", _key(plan, item), order.fingerprint(item))
            known = Built.from_json(document) if document else None
            if known is not None and (record := self.staging.reuse(known.record)) is not None:
                ends[item.ref.case_id] = Result(Outcome(item.ref, "build"), replace(known, record=record))
        todo = [item for item in items if item.ref.case_id not in ends]
        work = partial(build_case, order=order)
        crew = self.scope.crew or Crew(plan.site.settings.site.workers)
        crew = replace(crew, folder=self.staging.root)
        results = run_items("build", [(item.ref, item) for item in todo], work, crew=crew, on_event=on_event)
        for item, result in zip(todo, results, strict=True):
            ends[item.ref.case_id] = result
            if result.value is not None:
                self.ledger.remember("build", _key(plan, item), order.fingerprint(item), result.value.to_json())
        return [(item, ends[item.ref.case_id]) for item in items]


def order_of(plan: Plan, root: Path) -> Order:
    """Give what is the same for every case of a plan."""
    return Order(
        root=root,
        recipe=plan.recipe,
        schema=plan.schema,
        annotated=plan.annotated,
        labels_required=plan.rule.labels_required,
        annotated_by=plan.annotated_by,
    )


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
