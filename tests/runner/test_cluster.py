"""Work on a Dask cluster: the same values, dead workers redone, a poison item set apart, what does not fit refused."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from racoon_data.errors import SettingsError
from racoon_data.events import NOTE
from racoon_data.refs import FileRef
from racoon_data.runner.crew import Crew
from racoon_data.runner.run import run_items
from tests.runner import works

ITEMS = [(FileRef(str(number)), number) for number in range(6)]
ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def scheduler():
    """A scheduler with two workers in processes of their own, as on a cluster."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.runner.works"], stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT
    ) as process:
        yield process.stdout.readline().strip()
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


def test_a_scheduler_gives_the_values_of_one_process(scheduler):
    """In order, with the same outcomes, and the dashboard's address is told once."""
    events = []

    alone = list(run_items("double", ITEMS, works.double))
    there = list(run_items("double", ITEMS, works.double, crew=Crew(scheduler=scheduler), on_event=events.append))

    assert there == alone
    notes = [event.ref for event in events if event.kind == NOTE]
    assert len(notes) == 1
    assert notes[0].startswith("dashboard: http://")


def test_a_dead_worker_is_redone_and_poison_is_set_apart(scheduler, tmp_path):
    """A worker that dies once costs nothing; the item that kills twice fails alone, after two tries at most."""
    items = [(FileRef(str(number)), (number, str(tmp_path))) for number in range(6)]

    results = list(run_items("die", items, works.die, crew=Crew(scheduler=scheduler)))

    assert [result.value for result in results] == [0, 1, 2, None, 4, 5]
    assert results[3].outcome.code == "worker.killed"
    assert 1 <= len(list(tmp_path.glob("try-3-*"))) <= 2
    assert len(list(tmp_path.glob("try-1-*"))) == 2


def test_workers_that_do_not_see_the_folder_are_refused(scheduler, monkeypatch, tmp_path):
    """A case written on another machine's own disk would be lost."""
    monkeypatch.setattr("racoon_data.runner.cluster._sees", works.sees_nothing)

    with pytest.raises(SettingsError) as caught:
        list(run_items("double", ITEMS, works.double, crew=Crew(scheduler=scheduler, folder=tmp_path)))

    assert "do not see the site folder" in caught.value.message


def test_workers_with_other_software_are_refused(scheduler, monkeypatch):
    """Other versions may write other bytes."""
    monkeypatch.setattr("racoon_data.runner.cluster.software", works.other_software)

    with pytest.raises(SettingsError) as caught:
        list(run_items("double", ITEMS, works.double, crew=Crew(scheduler=scheduler)))

    assert "other software" in caught.value.message


def test_nobody_at_the_address_is_said(monkeypatch):
    """A wrong address ends with the remedy, not with a hanging command."""
    monkeypatch.setattr("racoon_data.runner.cluster._CONNECT", "500ms")
    with pytest.raises(SettingsError) as caught:
        list(run_items("double", ITEMS, works.double, crew=Crew(scheduler="tcp://127.0.0.1:9")))

    assert "no Dask scheduler answers" in caught.value.message


def test_local_workers_keep_to_their_memory():
    """An item that wants too much fails with a code; the others go on."""
    crew = Crew(workers=2, memory_mb=600)

    results = list(run_items("fill", ITEMS[:3], works.fill, crew=crew))

    assert [result.outcome.code for result in results] == ["", "worker.memory", ""]


def test_a_local_process_that_dies_is_redone_once_alone(tmp_path):
    """Local workers isolate poison after two tries as a cluster does."""
    items = [(FileRef(str(number)), (number, str(tmp_path))) for number in range(6)]

    results = list(run_items("die", items, works.die, workers=2))

    assert [result.value for result in results] == [0, 1, 2, None, 4, 5]
    assert results[3].outcome.code == "worker.killed"
    assert 1 <= len(list(tmp_path.glob("try-3-*"))) <= 2
