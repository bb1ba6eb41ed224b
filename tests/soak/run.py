"""A site under faults: PACS, disk, workers, process and clock fail at random, and everything is accounted for.

Run it at length with ``make soak``; the test runs a few rounds. A seed gives the same faults again.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pydicom

from racoon_data.console import result
from racoon_data.deid.logs import seal_of
from racoon_data.deid.pseudonyms import Pseudonymizer
from racoon_data.deid.vault import load_key
from racoon_data.errors import RacoonError
from racoon_data.faults import NO_FAULTS, FaultPlan
from racoon_data.files.atomic import sha256_of
from racoon_data.site import audit
from racoon_data.site.ledger import CAME, Ledger
from racoon_data.site.paths import open_site
from tests.journeys.steps import LABELS, STUDY, a_patient, a_study, files_of, served

ROOT = Path(__file__).parents[2]
FAULTS = ("pacs dies", "disk full", "process killed", "worker killed", "clock jumps", "interrupted")
RECIPES = (STUDY, STUDY.replace('spacing_mm = "native"', "spacing_mm = [1.0, 1.0, 3.0]"))
_LIMIT_S = 180
_MOST_PATIENTS = 25


@dataclass
class Account:
    """What a soak found.

    Attributes:
        rounds: How often each fault was injected.
        struck: How often a run really ended, or lost a worker, by it.
        exits: Exit codes of the runs.
        torn: Files of a published dataset that were not whole after some round, and ledgers or logs that broke.
        misnamed: Faults whose exit code or message named something else.
        lost: Instances of the archive that are not in the ledger as come, or not on disk, at the end.
        unaccounted: Instances that end in no line of the account, or in two, and sums that do not agree.
        left: Temporary files at the end.
        differing: Files that differ from those of a site where nothing ever failed.
        instances: Instances of the archive at the end.
        cases: Cases of the dataset at the end.
    """

    rounds: Counter[str] = field(default_factory=Counter)
    struck: Counter[str] = field(default_factory=Counter)
    exits: Counter[int] = field(default_factory=Counter)
    torn: set[str] = field(default_factory=set)
    misnamed: list[str] = field(default_factory=list)
    lost: set[str] = field(default_factory=set)
    unaccounted: set[str] = field(default_factory=set)
    left: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    instances: int = 0
    cases: int = 0

    @property
    def is_clean(self) -> bool:
        """Whether nothing was torn, lost, unaccounted for, left or different."""
        return not any((self.torn, self.misnamed, self.lost, self.unaccounted, self.left, self.differing))


def soak(folder: Path, *, seed: int, rounds: int, seconds: float = 1e9, patients: int = 3) -> Account:
    """Run the walk again and again, each time with another fault, then quietly, and account for everything.

    Args:
        folder: An empty folder.
        seed: Of faults and moments.
        rounds: How many faults at most; the first ones are one of each kind.
        seconds: When to stop injecting (seconds).
        patients: Patients at the start; a few more come on the way.
    """
    chance, account, until = random.Random(seed), Account(), time.monotonic() + seconds
    (folder / "labels.json").write_text(json.dumps(LABELS))
    for number in range(patients):
        a_patient(folder / "archive", f"SOAK-{number}")
    order = list(FAULTS)
    chance.shuffle(order)
    for number in range(rounds):
        if time.monotonic() > until:
            break
        fault = order[number] if number < len(order) else chance.choice(FAULTS)
        if patients < _MOST_PATIENTS and (fault == "pacs dies" or number % 4 == 3):
            patients += 1
            a_patient(folder / "archive", f"SOAK-{patients}")
        _round(folder, fault, chance, account)
        account.torn |= broken(folder / "site")
    _close(folder, account)
    return account


def _round(folder: Path, fault: str, chance: random.Random, account: Account) -> None:
    recipe = chance.choice(RECIPES)
    plan = FaultPlan(die_after=chance.randint(0, 8)) if fault == "pacs dies" else FaultPlan(slow_s=0.003)
    inside = ("none", "0")
    if fault == "disk full":
        inside = ("full", str(chance.randint(0, 60)))
    elif fault == "clock jumps":
        inside = ("clock", str(chance.choice((-400, 1, 30)) * 86_400))
    with served(folder, plan) as site:
        workers = 2 if fault == "worker killed" else 1
        with _started(folder, site, recipe, inside=inside, workers=workers) as process:
            struck = _strike(process, fault, site, chance)
            err = process.communicate(timeout=_LIMIT_S)[1]
    account.rounds[fault] += 1
    account.exits[process.returncode] += 1
    _judge(account, fault, struck, process.returncode, err)


def _started(folder: Path, site: Path, recipe: str, *, inside: tuple[str, str], workers: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.soak.child", *inside, "run", str(a_study(folder, recipe)), "--json"]
    environment = {**os.environ, "RACOON_SITE__WORKERS": str(workers), "OMP_NUM_THREADS": "1"}
    environment["RACOON_NODES__PACS__BACKOFF_S"] = "0.05"
    return subprocess.Popen(
        [*command, "--site", str(site)], cwd=ROOT, env=environment, text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


def _strike(process: subprocess.Popen[str], fault: str, site: Path, chance: random.Random) -> bool:
    """Strike from outside, at a random moment after the run began; tell whether it was still at work."""
    if fault not in ("process killed", "interrupted", "worker killed"):
        return False
    until = time.monotonic() + _LIMIT_S
    while process.poll() is None and time.monotonic() < until and not _works(site, process.pid):
        time.sleep(0.01)
    time.sleep(chance.uniform(0.0, 0.8))
    if fault == "worker killed":
        workers: list[int] = []
        while process.poll() is None and not workers and time.monotonic() < until:
            workers = [pid for child in _children(process.pid) for pid in _children(child)]
            time.sleep(0.002)
        if workers:
            os.kill(chance.choice(workers), signal.SIGKILL)
        return bool(workers)
    if process.poll() is not None:
        return False
    process.send_signal(signal.SIGKILL if fault == "process killed" else chance.choice((signal.SIGINT, signal.SIGTERM)))
    return True


def _works(site: Path, pid: int) -> bool:
    lock = site / ".lock"
    return lock.is_file() and f'"process": {pid},' in lock.read_text(encoding="utf-8")


def _children(pid: int) -> list[int]:
    """List the processes that a process of ours started."""
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(word) for word in path.read_text().split()]
        except OSError:
            continue
    return found


def _judge(account: Account, fault: str, struck: bool, code: int, err: str) -> None:
    """See that a run ended as its fault must end it, and said so."""
    allowed = {
        "pacs dies": {0, 4, 5},
        "disk full": {0, 9},
        "process killed": {0, -signal.SIGKILL},
        "worker killed": {0},
        "clock jumps": {0},
        "interrupted": {0, 130},
    }[fault]
    is_named = fault != "disk full" or code == 0 or "storage.full" in err
    if code not in allowed or not is_named:
        account.misnamed.append(f"{fault}: exit {code}: {err[-400:]}")
    if struck or code:
        account.struck[fault] += 1


def broken(site: Path) -> set[str]:
    """Name what is not whole: files of the published dataset, the ledger, the audit log."""
    return {*_torn_files(site / "datasets" / "lung"), *_broken_logs(site)}


def _torn_files(root: Path) -> Iterator[str]:
    if not (root / "racoon.json").is_file():
        return
    for case in json.loads((root / "racoon.json").read_text())["cases"]:
        for name, sha256 in case["sha256"].items():
            if not (root / name).is_file() or sha256_of(root / name) != sha256:
                yield name


def _broken_logs(site: Path) -> Iterator[str]:
    if (site / "ledger.sqlite").is_file():
        with closing(sqlite3.connect(site / "ledger.sqlite")) as db:
            if db.execute("PRAGMA integrity_check").fetchone() != ("ok",):
                yield "ledger.sqlite"
    if (site / "audit.jsonl").is_file():
        try:
            audit.verify(site / "audit.jsonl", seal=seal_of(open_site(site)))
        except RacoonError as error:
            yield f"audit.jsonl: {error}"


def _close(folder: Path, account: Account) -> None:
    """Run quietly, account for every instance, and compare with a site where nothing ever failed."""
    site = folder / "site"
    account.exits[_quietly(folder)] += 1
    account.torn |= broken(site)
    _account_for(folder, account)
    account.left = [str(path.relative_to(site)) for path in site.rglob("*.partial")]
    soaked = files_of(site / "datasets" / "lung")
    site.rename(folder / "soaked")
    with served(folder):
        shutil.rmtree(site / "vault")
        shutil.copytree(folder / "soaked" / "vault", site / "vault")
    _forget_floor(site)
    account.exits[_quietly(folder)] += 1
    quiet = files_of(site / "datasets" / "lung")
    account.differing = sorted(name for name in {*soaked, *quiet} if soaked.get(name) != quiet.get(name))


def _forget_floor(site: Path) -> None:
    """Keep of a copied vault its key alone: the count of audit lines and the table belong to the other site."""
    for path in (site / "vault").iterdir():
        if path.name != "deid.key":
            path.unlink()


def _quietly(folder: Path) -> int:
    with (
        served(folder, NO_FAULTS) as site,
        _started(folder, site, STUDY, inside=("none", "0"), workers=1) as process,
    ):
        process.communicate(timeout=_LIMIT_S)
    return process.returncode


def _account_for(folder: Path, account: Account) -> None:
    site = folder / "site"
    uid = Pseudonymizer(load_key(site / "vault")).uid
    heads = [
        pydicom.dcmread(path, specific_tags=["SOPInstanceUID", "StudyInstanceUID"])
        for path in (folder / "archive").rglob("*.dcm")
    ]
    with Ledger(site / "ledger.sqlite") as ledger:
        for head in heads:
            rows = {row.ref.sop_uid: row for row in ledger.instances(head.StudyInstanceUID)}
            row = rows.get(head.SOPInstanceUID)
            if row is None or row.state not in CAME or row.path is None or sha256_of(row.path) != row.sha256:
                account.lost.add(str(head.SOPInstanceUID))
    document = json.loads((site / "runs" / "lung.json").read_text())
    stages = {stage["name"]: stage for stage in document["stages"]}
    for name, stage in stages.items():
        if stage["in"] != stage["used"] + stage["repaired"] + stage["skipped"] + stage["failed"]:
            account.unaccounted.add(f"sums of {name}")
    account.instances, account.cases = len(heads), stages["cases"]["used"]
    listed = {uid(head.SOPInstanceUID) for head in heads}
    kept = {one["ref"].removeprefix("instance ") for one in document["outcomes"] if one["ref"].startswith("instance ")}
    account.unaccounted |= kept - listed
    if stages["instances"]["in"] != len(listed) or stages["instances"]["used"] != len(listed) - len(kept):
        account.unaccounted.add(f"{stages['instances']} of {len(listed)} instances")


def report(account: Account, seed: int) -> list[str]:
    """Say what a soak found."""
    rows = [f"seed {seed}: {sum(account.rounds.values())} rounds, {account.instances} instances, {account.cases} cases"]
    rows += [f"  {one:<15} {account.rounds[one]:>3} injected, {account.struck[one]:>3} hit a run" for one in FAULTS]
    exits = ", ".join(f"{code}: {count}" for code, count in sorted(account.exits.items()))
    rows.append(f"  exit codes      {exits}")
    for name in ("torn", "lost", "unaccounted", "left", "differing", "misnamed"):
        found = sorted(getattr(account, name))
        rows.append(f"  {name:<15} {len(found):>3}{': ' + '; '.join(map(str, found[:5])) if found else ''}")
    return rows


def main() -> None:
    """Soak for minutes and print the accounting."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--rounds", type=int, default=10_000)
    parser.add_argument("--patients", type=int, default=6)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        account = soak(
            Path(name), seed=options.seed, rounds=options.rounds, seconds=options.seconds, patients=options.patients
        )
    for line in report(account, options.seed):
        result(line)
    sys.exit(0 if account.is_clean else 1)


if __name__ == "__main__":
    main()
