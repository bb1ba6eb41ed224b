"""A run in parts: looked at first, stopped after a step, for one case, as a job that is shown, stopped and resumed."""

import json
import os
import signal
import subprocess
import sys

import pydicom
import pytest

from racoon_data import schemas
from racoon_data.faults import FaultPlan
from tests.journeys.steps import STUDY, a_patient, a_study, files_of, racoon, served, walk

PATIENTS = ("ONE-1", "TWO-1", "THREE-1")


@pytest.fixture
def four(folder):
    """An archive of four patients."""
    for name in PATIENTS:
        a_patient(folder / "archive", name)
    return folder


def started(folder, site, *options):
    """Start a run in a process of its own."""
    command = [sys.executable, "-m", "racoon_data", "run", folder / "study.toml", "--site", site, "--json", *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_run_stops_after_each_step_and_goes_on(four):
    """Each part accounts for what it did, nothing is done twice, and the end is that of a run in one go."""
    study = a_study(four, STUDY)
    with served(four) as site:
        parts = {}
        for step in ("find", "retrieve", "deidentify", "select"):
            said = racoon("run", study, "--site", site, "--until", step, "--json")
            assert said.exit_code == 0, said.err
            parts[step] = [(row["name"], row["in"], row["used"]) for row in said.document["stages"]]
        assert not (site / "datasets" / "lung").exists()
        assert not (site / "runs" / "lung.json").exists()
        whole = racoon("run", study, "--site", site, "--json").document

    assert parts == {
        "find": [("studies", 4, 4)],
        "retrieve": [("instances", 36, 36), ("studies", 4, 4)],
        "deidentify": [("instances", 36, 36)],
        "select": [("instances", 36, 36), ("cases", 4, 4)],
    }
    assert [(row["name"], row["in"], row["used"]) for row in whole["stages"]] == [
        ("instances", 36, 36),
        ("cases", 4, 4),
    ]
    assert [row["patients"] for row in whole["stages"]] == [4, 4]


def test_one_case_is_built_alone_and_the_next_run_takes_it_in(four):
    """``--only`` leaves the dataset as it is; a full run then builds the others."""
    study = a_study(four, STUDY)
    with served(four) as site:
        racoon("run", study, "--site", site, "--until", "select")
        wrong = racoon("run", study, "--site", site, "--only", "nobody")
        case = wrong.err.split("cases of this study: ")[1].split(",")[0]
        alone = racoon("run", study, "--site", site, "--only", case, "--json")
        built = [path.name for path in (site / "datasets" / ".lung.partial" / "imagesTr").iterdir()]
        full = racoon("run", study, "--site", site, "--json")

    assert wrong.exit_code == 8
    assert [(row["in"], row["used"]) for row in alone.document["stages"]] == [(9, 9), (1, 1)]
    assert built == [f"{case}_0000.nii.gz"]
    assert full.document["stages"][1]["used"] == 4
    assert len(list((four / "site" / "datasets" / "lung" / "imagesTr").iterdir())) == 4


def test_the_plan_counts_what_is_left_and_sees_a_changed_recipe(four):
    """After a run nothing is due; with another recipe every case is, and the time is what the last job measured."""
    changed = STUDY.replace('spacing_mm = "native"', "spacing_mm = [1.0, 1.0, 3.0]")
    walk(four, expect=0)
    with served(four) as site:
        same = racoon("run", a_study(four, STUDY), "--site", site, "--dry-run", "--json").document
        other = racoon("run", a_study(four, changed), "--site", site, "--dry-run", "--json").document
        text = racoon("run", a_study(four, changed), "--site", site, "--dry-run").out

    assert [(step["step"], step["items"], step["due"]) for step in same["steps"]] == [
        *(("find", 4, 4), ("retrieve", 36, 0), ("deidentify", 36, 0), ("build", 4, 0))
    ]
    assert [step["due"] for step in other["steps"]] == [4, 0, 0, 4]
    assert other["steps"][3]["seconds"] > 0
    assert "every case is built again" in text


def test_the_account_is_written_as_text_picture_and_valid_json(four):
    """What came in, what was left out at each step and what is used stand in all three; sums agree."""
    seg = next((four / "archive" / "ONE-1" / "seg").rglob("*.dcm"))
    seg.unlink()
    account = walk(four, expect=0)
    runs = four / "site" / "runs"

    written = json.loads((runs / "lung.json").read_text())
    assert schemas.problems("run-account", written) == ()
    assert written["stages"] == account["stages"]
    cases = account["stages"][1]
    assert (cases["in"], cases["used"], cases["left_out"]) == (
        4,
        3,
        [{"step": "select", "code": "case.no_annotation", "count": 1, "patients": 1}],
    )
    assert "|-- select: 1 left out (case.no_annotation 1); 3 go on" in (runs / "lung.txt").read_text()
    assert "case.no_annotation: 1" in (runs / "lung.svg").read_text()


def test_what_was_repaired_is_told_from_what_was_simply_used(folder):
    """A slice that says RescaleSlope 0 is read as 1: its series and case are used, and counted as repaired."""
    for path in (folder / "archive").rglob("ct/*.dcm"):
        dataset = pydicom.dcmread(path)
        dataset.RescaleSlope = "0"
        dataset.save_as(path)

    account = walk(folder, expect=0)

    instances, cases = account["stages"]
    assert (cases["in"], cases["used"], cases["repaired"]) == (1, 0, 1)
    assert (instances["in"], instances["used"], instances["repaired"]) == (9, 1, 8)
    written = json.loads((folder / "site" / "runs" / "lung.json").read_text())
    assert {row["status"] for row in written["outcomes"]} == {"done"}


def test_dask_gives_the_bytes_of_one_process(four):
    """A cluster on this machine builds the same dataset; its dashboard is told."""
    walk(four, expect=0)
    site = four / "site"
    alone = files_of(site / "datasets" / "lung")
    for name in ("datasets", "ledger.sqlite"):
        (site / name).rename(four / f"old-{name}")
    (site / "datasets").mkdir()
    with served(four):
        said = racoon("run", four / "study.toml", "--site", site, "--scheduler", "local", "--workers", "2", "--json")

    assert said.exit_code == 0, said.err
    assert '"text": "dashboard: http://127.0.0.1:' in said.err
    assert files_of(site / "datasets" / "lung") == alone


def test_a_job_tells_how_it_ended(four):
    """Each run leaves a record that fits its schema; the list shows it."""
    walk(four, expect=0)
    site = four / "site"

    shown = racoon("jobs", "show", "last", "--site", site, "--json").document
    listed = racoon("jobs", "list", "--site", site)

    assert schemas.problems("job-record", shown) == ()
    assert (shown["id"], shown["state"], shown["exit_code"], shown["attempt"]) == ("lung-0001", "done", 0, 1)
    assert {step["kind"]: step["done"] for step in shown["steps"]}["build"] == 4
    assert "lung-0001" in listed.out
    assert racoon("jobs", "show", "lung-9", "--site", site).exit_code == 3
    assert racoon("jobs", "cancel", "last", "--site", site).exit_code == 8


@pytest.mark.parametrize("end", ["cancel", "kill", "hang up"])
def test_a_stopped_job_is_resumed(four, end):
    """Cancelled, killed or cut off with its terminal, a job says so and the same job ends with a quiet run's bytes."""
    walk(four, expect=0)
    site = four / "site"
    quiet = files_of(site / "datasets" / "lung")
    for name in ("datasets", "work", "spool", "ledger.sqlite", "runs"):
        (site / name).rename(four / f"old-{name}")
    (site / "runs").mkdir()
    (site / "datasets").mkdir()
    with served(four, FaultPlan(slow_s=0.1)):
        with started(four, site) as process:
            while "receive" not in process.stderr.readline():
                assert process.poll() is None
            if end == "cancel":
                said = racoon("jobs", "cancel", "last", "--site", site, "--json")
                assert said.document == {"job": "lung-0001", "state": "cancelled"}
            else:
                os.kill(process.pid, signal.SIGKILL if end == "kill" else signal.SIGHUP)
            code = process.wait(60)
        told = racoon("jobs", "show", "last", "--site", site, "--json").document
    with served(four):
        resumed = racoon("jobs", "resume", "last", "--site", site, "--json")

    states = {"cancel": ("cancelled", 130), "kill": ("killed", -9), "hang up": ("interrupted", 130)}
    assert (told["state"], code) == states[end]
    assert resumed.exit_code == 0, resumed.err
    job = racoon("jobs", "show", "lung-0001", "--site", site, "--json").document
    assert (job["state"], job["attempt"]) == ("done", 2)
    assert files_of(site / "datasets" / "lung") == quiet


def test_a_run_tells_its_progress_in_few_json_lines(four):
    """Stdout is one document; every line of stderr that opens with a brace is an event of a known type."""
    a_study(four, STUDY)
    with served(four) as site, started(four, site) as process:
        out, err = process.communicate(timeout=120)

    events = [json.loads(line) for line in err.splitlines() if line.startswith("{")]
    assert json.loads(out)["job"] == "lung-0001"
    assert {event["type"] for event in events} <= {"progress", "note", "error"}
    assert len(events) <= 30
    assert {event["kind"] for event in events} >= {"find", "retrieve", "receive", "deidentify", "build"}
