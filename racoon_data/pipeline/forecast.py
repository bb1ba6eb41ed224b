"""What a walk would do: counts, bytes and time of each step, asked and looked up, with nothing written."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from racoon_data.errors import NothingMatchedError
from racoon_data.events import OnEvent, ignore
from racoon_data.pacs.methods import method_for
from racoon_data.pacs.planning import PullPlan, plan_pull
from racoon_data.pacs.profile import load_profile, profile_path
from racoon_data.pacs.sources import Question, asked_of
from racoon_data.pipeline.assemble import order_of
from racoon_data.pipeline.plan import Plan
from racoon_data.pipeline.scope import Scope
from racoon_data.site.jobs import paces
from racoon_data.site.ledger import CAME, Ledger


@dataclass(frozen=True, slots=True)
class ForecastStep:
    """One step of a walk, as it would be.

    Attributes:
        step: Its name.
        what: What is counted.
        items: How many there are.
        due: How many are still to be done.
        bytes: Bytes to move; 0 where none, or where nobody knows.
        seconds: How long it takes; ``None`` where no earlier job measured it.
        note: What else a person should know.
    """

    step: str
    what: str
    items: int
    due: int
    bytes: int = 0
    seconds: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Forecast:
    """The plan of a walk.

    Attributes:
        dataset: Its name.
        steps: What each step would do.
    """

    dataset: str
    steps: tuple[ForecastStep, ...]

    def to_json(self) -> dict[str, Any]:
        """Give the plan as JSON."""
        studies = self.steps[0].items
        return {"dry_run": True, "dataset": self.dataset, "studies": studies, "steps": [asdict(s) for s in self.steps]}


def forecast(plan: Plan, scope: Scope, *, on_event: OnEvent = ignore) -> Forecast:
    """Look ahead: the PACS is asked what there is, the ledger what was done.

    Raises:
        NothingMatchedError: The PACS holds no such study.
        PacsError: The PACS could not be asked.
    """
    matches = list(asked_of(plan.node, Question(plan.query), on_event=on_event))
    if not matches:
        raise NothingMatchedError("no study matches the query", hint="widen query.filters in the study file")
    profile = load_profile(profile_path(plan.site, plan.node.name))
    expect = method_for(plan.node).expect
    speed = profile.speed if profile else None
    pull = plan_pull(plan.node.name, matches, expect=expect, speed=speed, on_event=on_event)
    site = plan.site
    came = _came(site.ledger, pull)
    pace = paces(site.runs)
    steps = [ForecastStep("find", "studies", len(matches), len(matches)), _retrieval(pull, came)]
    due = steps[1].due
    steps.append(ForecastStep("deidentify", "instances", pull.instances, due, seconds=_time(due, pace, "deidentify")))
    steps.append(_building(plan, len(matches), pace))
    reached = [step for step in steps if scope.reaches(step.step)]
    return Forecast(plan.name, tuple(reached))


def _came(path: Path, pull: PullPlan) -> dict[str, int]:
    """Count the instances of each planned study that are here; without a ledger none are, and none is made."""
    if not path.is_file():
        return {}
    with Ledger(path) as ledger:
        return {
            study.study_uid: sum(state in CAME for _, _, state in ledger.standings(study.study_uid))
            for study in pull.studies
        }


def _retrieval(pull: PullPlan, came: Mapping[str, int]) -> ForecastStep:
    due = {study.study_uid: max(0, study.instances - came.get(study.study_uid, 0)) for study in pull.studies}
    size = sum(study.bytes * due[study.study_uid] // study.instances for study in pull.studies if study.instances)
    seconds = round(pull.seconds * size / pull.bytes, 1) if pull.bytes else 0.0
    unknown = sum(study.counted == "unknown" for study in pull.studies)
    note = f"{unknown} studies of unknown size; " if unknown else ""
    note += (
        "at the speed the doctor measured" if pull.is_measured else "at a usual speed; racoon pacs doctor measures it"
    )
    return ForecastStep("retrieve", "instances", pull.instances, sum(due.values()), size, seconds, note)


def _building(plan: Plan, studies: int, pace: Mapping[str, float]) -> ForecastStep:
    """Say what is known of cases before headers are read: at most how many there are, and whether all are redone."""
    built, is_changed = 0, False
    if plan.site.ledger.is_file():
        with Ledger(plan.site.ledger) as ledger:
            built = ledger.count_of("build", f"{plan.name}/")
            sha256 = order_of(plan, plan.site.datasets).sha256
            is_changed = bool(built) and ledger.recall("order", plan.name, sha256) is None
    if is_changed:
        note = "recipe, labels or software changed: every case is built again"
        return ForecastStep("build", "cases", studies, studies, seconds=_time(studies, pace, "build"), note=note)
    due = max(0, studies - built)
    note = f"{built} built before and built again only where their sources changed" if built else "one a study at first"
    return ForecastStep("build", "cases", max(studies, built), due, seconds=_time(due, pace, "build"), note=note)


def _time(items: int, pace: Mapping[str, float], kind: str) -> float | None:
    if not items:
        return 0.0
    return math.ceil(items / pace[kind] * 10) / 10 if pace.get(kind) else None  # what is due never takes no time
