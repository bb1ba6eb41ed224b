"""The synthetic hospitals of the demo: each with its patients, its PACS, its site folder and its dataset."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from queue import Empty, Queue

from racoon_data.deid.vault import KEY_NAME
from racoon_data.errors import NothingMatchedError, about
from racoon_data.events import Event, OnEvent
from racoon_data.files.atomic import write_text
from racoon_data.pacs.serve import EmbeddedPacs
from racoon_data.pipeline.account import Account
from racoon_data.pipeline.plan import plan_study
from racoon_data.pipeline.walk import walk
from racoon_data.settings import StudySettings, load_toml
from racoon_data.site.paths import Site, create_site, open_site
from racoon_data.testing.site_study import site_toml, study_toml
from racoon_data.testing.sites import SitePlan, write_site

# Hospitals this small need more than a quarter of their patients for a test that says anything.
TEST_FRACTION = 0.35
_POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Hospital:
    """A hospital after its walk.

    Attributes:
        name: Alias.
        site: Its site folder.
        account: What came in and what became of it.
    """

    name: str
    site: Path
    account: Account


@dataclass(frozen=True, slots=True)
class HospitalPlan:
    """A hospital to be raised.

    Attributes:
        site: What is special about it.
        folder: Where everything of it goes.
        patients: How many patients it has.
        seed: Seed of its patients.
    """

    site: SitePlan
    folder: Path
    patients: int
    seed: int


def raise_hospitals(plans: Sequence[HospitalPlan], *, workers: int, on_event: OnEvent) -> list[Hospital]:
    """Raise hospitals, each in a process of its own as in life; their events arrive here.

    Args:
        plans: The hospitals.
        workers: How many are raised at a time.
        on_event: Listener; the kind of an event starts with the hospital's name.

    Raises:
        RacoonError: A hospital could not be raised; the error names it.
    """
    context = get_context("spawn")
    with context.Manager() as manager, ProcessPoolExecutor(workers, mp_context=context) as pool:
        events = manager.Queue()
        raised = [pool.submit(_raise, plan, events) for plan in plans]
        while not all(one.done() for one in raised):
            _pass_on(events, on_event)
        _pass_on(events, on_event)
        return [one.result() for one in raised]


def _pass_on(events: Queue[Event], on_event: OnEvent) -> None:
    with suppress(Empty):
        while True:
            on_event(events.get(timeout=_POLL_S))


def _raise(plan: HospitalPlan, events: Queue[Event]) -> Hospital:
    name = plan.site.name

    def tell(event: Event) -> None:
        events.put(replace(event, kind=f"{name}: {event.kind}"))

    with about(f"hospital {name}"):
        return raise_hospital(plan, on_event=tell)


def raise_hospital(plan: HospitalPlan, *, on_event: OnEvent) -> Hospital:
    """Make a hospital's patients, start its PACS and walk from there to its dataset.

    Raises:
        NothingMatchedError: No case could be built.
    """
    archive = plan.folder / "pacs"
    write_site(archive, plan.site, patients=plan.patients, seed=plan.seed)
    on_event(Event("phantoms", "", plan.patients, plan.patients))
    with EmbeddedPacs(archive) as pacs:
        site = _site(plan.site, plan.folder / "site", port=pacs.port, seed=plan.seed)
        study_file = site.root / "study.toml"
        write_text(study_file, study_toml(plan.site, test_fraction=TEST_FRACTION))
        study = load_toml(study_file, StudySettings)
        account = walk(plan_study(site, study, base=study_file.parent), on_event=on_event)
    if not account.cases_used:
        raise NothingMatchedError("no case could be built", hint=f"look at {site.runs}")
    return Hospital(plan.site.name, site.root, account)


def _site(plan: SitePlan, root: Path, *, port: int, seed: int) -> Site:
    """Lay out the site with a key made from the seed, so that the demo gives the same result each time."""
    site = create_site(root, site_toml(plan, port))
    key = hashlib.sha256(f"demo {plan.name} {seed}".encode()).hexdigest()
    write_text(site.vault / KEY_NAME, key + "\n")
    (site.vault / KEY_NAME).chmod(0o600)
    return open_site(root)
