"""The same command again: after a kill, beside another process, with workers, with another recipe."""

import json
import os
import signal
import subprocess
import sys

import pytest

from racoon_data.pipeline.staging import Staging
from racoon_data.site.lock import site_lock
from tests.journeys.steps import STUDY, a_patient, a_study, files_of, racoon, reasons, served, walk

PATIENTS = ("ONE-1", "TWO-1", "THREE-1")
ALIGNED = STUDY.replace('spacing_mm = "native"', "spacing_mm = [1.0, 1.0, 3.0]")

HOLDER = """
import sys, time
from pathlib import Path
from racoon_data.site.lock import site_lock
with site_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def four(folder):
    """An archive of four patients."""
    for name in PATIENTS:
        a_patient(folder / "archive", name)
    return folder


def dataset(folder):
    """The folder of the dataset."""
    return folder / "site" / "datasets" / "lung"


def test_two_workers_give_the_bytes_of_one(four):
    """How many processes work changes nothing in the dataset."""
    walk(four, expect=0)
    alone = files_of(dataset(four))
    for name in ("datasets", "work", "spool", "ledger.sqlite"):
        (four / "site" / name).rename(four / f"old-{name}")
    settings = four / "site" / "racoon.toml"
    settings.write_text(settings.read_text().replace("workers = 1", "workers = 2"))

    walk(four, expect=0)

    assert "workers = 2" in settings.read_text()
    assert files_of(dataset(four)) == alone


def test_a_kill_while_building_loses_nothing(four):
    """Killed between two cases, the walk leaves no dataset; the same command ends with the bytes of a quiet walk."""
    walk(four, expect=0)
    quiet = files_of(dataset(four))
    for path in (dataset(four), four / "site" / "ledger.sqlite"):
        path.rename(four / f"old-{path.name}")
    with served(four) as site:
        command = [sys.executable, "-m", "racoon_data", "run", a_study(four, STUDY), "--site", site, "--json"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as walking:
            for line in walking.stderr:
                if '"build"' in line:
                    os.kill(walking.pid, signal.SIGKILL)
                    break
        assert walking.wait(10) == -signal.SIGKILL
        assert not dataset(four).exists()
        built = files_of(site / "datasets" / ".lung.partial" / "imagesTr")

    account = walk(four, expect=0)

    assert 0 < len(built) <= 4
    assert reasons(account, "cases") == {}
    assert files_of(dataset(four)) == quiet


@pytest.mark.parametrize("killed_after", ["the old went", "the new came"])
def test_a_kill_while_publishing_leaves_a_dataset(folder, killed_after):
    """Between the two renames, or before the old one is gone, the next walk finds everything."""
    walk(folder, expect=0)
    root = dataset(folder)
    before = files_of(root)
    old = root.with_name(".lung.old")
    if killed_after == "the old went":
        root.rename(old)
    else:
        old.mkdir()
        (old / "left.txt").write_text("of the old dataset")
    with Staging(root):
        mended = files_of(root)

    walk(folder, expect=0)

    assert mended == before
    assert files_of(root) == before
    assert sorted(path.name for path in root.parent.iterdir()) == ["lung"]


def test_half_written_files_of_a_killed_walk_are_not_published(folder):
    """A temporary file that a kill left in the staging folder does not reach the dataset."""
    staging = folder / "site" / "datasets" / ".lung.partial"
    walk(folder, expect=0)
    staging.mkdir()
    (staging / ".index.csv.4711.partial").write_text("half")

    walk(folder, expect=0)

    assert not list(dataset(folder).rglob("*.partial"))


def test_another_recipe_rebuilds_and_back_gives_the_first_bytes(folder):
    """The recipe alone decides: another one changes the images, the first one gives the first bytes again."""
    walk(folder, expect=0)
    native = files_of(dataset(folder))
    walk(folder, expect=0, study=ALIGNED)
    aligned = files_of(dataset(folder))
    walk(folder, expect=0)

    images = [path for path in native if path.startswith("imagesTr")]
    assert images
    assert all(native[path] != aligned[path] for path in images)
    assert files_of(dataset(folder)) == native


def test_an_unchanged_case_is_not_built_again(folder):
    """The second walk takes the files of a case from the dataset that stands: they are the same files on disk."""
    walk(folder, expect=0)
    (image,) = (dataset(folder) / "imagesTr").iterdir()
    first = image.stat().st_ino

    walk(folder, expect=0)

    assert image.stat().st_ino == first


def test_a_second_process_waits_its_turn(folder):
    """While one process works on the site, another is refused with exit 9 and the number of the first."""
    with served(folder) as site, site_lock(site):
        said = racoon("run", a_study(folder, STUDY), "--site", site)

    assert said.exit_code == 9
    assert f"works on this site (process {os.getpid()} on " in said.err


def test_the_lock_of_a_dead_process_is_free(tmp_path):
    """A process that was killed holds nothing."""
    with subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        holder.kill()

    with site_lock(tmp_path):
        assert json.loads((tmp_path / ".lock").read_text())["process"] == os.getpid()


def test_a_dry_run_counts_and_writes_nothing(folder):
    """The PACS is asked, nothing is retrieved and nothing is written."""
    with served(folder) as site:
        before = files_of(site)
        said = racoon("run", a_study(folder, STUDY), "--site", site, "--dry-run", "--json")
        after = files_of(site)

    plan = json.loads(said.out)
    assert (plan["dry_run"], plan["dataset"], plan["studies"]) == (True, "lung", 1)
    assert [(step["step"], step["due"]) for step in plan["steps"]] == [
        *(("find", 1), ("retrieve", 9), ("deidentify", 9), ("build", 1))
    ]
    assert after == before


def test_a_rule_that_cannot_work_is_refused_before_anything_is_fetched(folder):
    """A pattern that is no regular expression ends with exit 3, and nothing was retrieved."""
    with served(folder) as site:
        pattern = STUDY.replace('modality = "CT"', 'description = "("')
        said = racoon("run", a_study(folder, pattern), "--site", site)
        spooled = list((site / "spool").iterdir())

    assert said.exit_code == 3
    assert "channels.CT.description" in said.err
    assert spooled == []
