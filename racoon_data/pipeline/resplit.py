"""A finished dataset is split anew: beside the old one, then in its place."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from pathlib import Path

from racoon_data.dataset.manifest import rewrite_manifest
from racoon_data.dataset.placing import place_cases
from racoon_data.dataset.splits import assign, place_of, tags_of
from racoon_data.deid.forget import PUBLISHED
from racoon_data.files.manifest import CaseRecord, Manifest, load_manifest
from racoon_data.pipeline.staging import Staging
from racoon_data.qc.report import write_report
from racoon_data.site.ledger import Ledger
from racoon_data.site.lock import site_lock
from racoon_data.site.paths import Site


def planned_split(manifest: Manifest, *, key: bytes, test_fraction: float) -> tuple[CaseRecord, ...]:
    """Give the cases with the places another share would give them; files stay where they are."""
    tags = tags_of(manifest.cases, manifest.site)
    memory = assign(tags, key=key, test_fraction=test_fraction, earlier=manifest.splits)
    places = {patient: place_of(memory, patient, key=key) for patient in tags}
    return tuple(_planned(case, places[case.patient]) for case in manifest.cases)


def _planned(case: CaseRecord, place: object) -> CaseRecord:
    update = {"split": "test", "fold": None} if place == "test" else {"split": "train", "fold": place}
    return case.model_copy(update=update)


def resplit(root: Path, *, key: bytes, test_fraction: float, site: Site | None = None) -> Manifest:
    """Split a finished dataset with another share of test patients; it is there whole before and after.

    Args:
        root: The dataset folder.
        key: Secret the lots are drawn with.
        test_fraction: Share of patients kept for testing.
        site: The site it belongs to, which remembers who is in it.

    Returns:
        The new manifest.

    Raises:
        DamagedDatasetError: It has no manifest.
        StorageError: The disk is full, or another process works on this site.
    """
    with ExitStack() as stack:
        if site is not None:
            stack.enter_context(site_lock(site.root))
        staging = stack.enter_context(Staging(root, ending="split"))
        before = load_manifest(root)
        staging.bring_everything()
        placed, splits = place_cases(
            staging.root, before.cases, site=before.site, key=key, test_fraction=test_fraction, earlier=before.splits
        )
        manifest = rewrite_manifest(staging.root, before, placed, splits)
        write_report([staging.root])
        if site is not None:
            with Ledger(site.ledger) as ledger:
                patients = sorted({case.patient for case in manifest.cases})
                ledger.remember(PUBLISHED, manifest.dataset_sha256, "", {"name": root.name, "patients": patients})
        staging.publish()
        shutil.rmtree(staging.root, ignore_errors=True)
    return manifest
