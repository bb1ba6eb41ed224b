"""One synthetic hospital of the demo: its patients, its PACS, its site folder and its dataset."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from racoon_data.deid.vault import KEY_NAME
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


def raise_hospital(plan: SitePlan, folder: Path, *, patients: int, seed: int, on_event: OnEvent) -> Hospital:
    """Make a hospital's patients, start its PACS and walk from there to its dataset.

    Args:
        plan: What is special about the hospital.
        folder: Where everything of it goes.
        patients: How many patients it has.
        seed: Seed of its patients.
        on_event: Listener.
    """
    archive = folder / "pacs"
    write_site(archive, plan, patients=patients, seed=seed)
    on_event(Event("phantoms", plan.name, patients, patients))
    with EmbeddedPacs(archive) as pacs:
        site = _site(plan, folder / "site", port=pacs.port, seed=seed)
        study_file = site.root / "study.toml"
        write_text(study_file, study_toml(plan, test_fraction=TEST_FRACTION))
        study = load_toml(study_file, StudySettings)
        account = walk(plan_study(site, study, base=study_file.parent), on_event=on_event)
    return Hospital(plan.name, site.root, account)


def _site(plan: SitePlan, root: Path, *, port: int, seed: int) -> Site:
    """Lay out the site with a key made from the seed, so that the demo gives the same result each time."""
    site = create_site(root, site_toml(plan, port))
    key = hashlib.sha256(f"demo {plan.name} {seed}".encode()).hexdigest()
    write_text(site.vault / KEY_NAME, key + "\n")
    (site.vault / KEY_NAME).chmod(0o600)
    return open_site(root)
