"""Identified files leave the spool as the settings say; a patient who withdrew consent leaves the next dataset."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from racoon_data.site.audit import entries
from tests.journeys.steps import a_patient, account_of, ends, files_of, racoon, served, walk

TWO_DAYS_S = 2 * 86_400


@pytest.fixture
def three(folder: Path) -> Path:
    """An archive of three patients, and a site that keeps identified files for a day."""
    for name in ("ONE-1", "TWO-1"):
        a_patient(folder / "archive", name)
    with served(folder) as site:
        settings = site / "racoon.toml"
        settings.write_text(settings.read_text() + "\n[deid]\nspool_days = 1\n")
    return folder


def _age(spool: Path) -> None:
    then = time.time() - TWO_DAYS_S
    for path in spool.rglob("*.dcm"):
        os.utime(path, (then, then))


def test_old_identified_files_go_and_the_dataset_stays(three: Path):
    """What passed the door is removed from the spool after its days; the next walk changes nothing."""
    walk(three, expect=0)
    dataset, spool = three / "site" / "datasets" / "lung", three / "site" / "spool"
    before = files_of(dataset)
    assert list(spool.rglob("*.dcm"))
    _age(spool)

    walk(three, expect=0)
    gone = not list(spool.rglob("*.dcm"))
    account = account_of(three)

    assert gone
    assert not list(spool.rglob("*.dcm"))
    assert ends(account.stages[0].outcomes) == {"used": 27}
    assert files_of(dataset) == before


def test_what_must_pass_again_is_fetched_again(three: Path):
    """Where the de-identified file is gone too, the original is fetched and passes the door anew."""
    walk(three, expect=0)
    _age(three / "site" / "spool")
    walk(three, expect=0)
    lost = next((three / "site" / "work").rglob("*.dcm"))
    lost.unlink()

    account = account_of(three)

    assert lost.is_file()
    assert ends(account.stages[0].outcomes) == {"used": 27}


def test_a_forgotten_patient_leaves_the_next_dataset(three: Path):
    """After ``racoon deid forget`` the patient's study is not even fetched, and the dataset is built without."""
    walk(three, expect=0)
    site = three / "site"

    told = racoon("deid", "forget", "ONE-1", "--site", site, "--yes", "--json").document
    account = walk(three, expect=0)

    (cases,) = [stage for stage in account["stages"] if stage["name"] == "cases"]
    assert told["datasets"] == ["lung"]
    assert (cases["used"], cases["reasons"]) == (2, {"deid.forgotten_patient": 1})
    assert len(list((site / "work").iterdir())) == 2
    assert [entry["patient"] for entry in entries(site / "audit.jsonl") if entry["action"] == "forget"] == [
        told["patient"]
    ]
