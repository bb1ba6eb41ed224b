"""The kill loop: a pull is killed at random moments until it ends, and nothing is torn, lost or fetched twice.

Run it at length with ``make kill-loop``; the test runs a few rounds.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from racoon_data.console import result
from racoon_data.faults import FaultPlan
from racoon_data.files.atomic import sha256_of
from racoon_data.pacs.part10 import dataset_bytes
from racoon_data.pacs.serve import EmbeddedPacs
from racoon_data.site.ledger import InstanceState, Ledger
from racoon_data.testing.makers import a_series

ROOT = Path(__file__).parents[2]
STUDY = "1.2.8"


@dataclass
class Account:
    """What a kill loop found.

    Attributes:
        kills: Processes killed while they worked.
        torn: Files that were not whole after a kill or at the end.
        lost: Instances that are not on disk, or not in the ledger, at the end.
        refetched: Instances asked for again although they lay whole on disk.
        left: Temporary files at the end.
        verdict: Exit code of the last pull.
    """

    kills: int = 0
    torn: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    refetched: set[str] = field(default_factory=set)
    left: list[str] = field(default_factory=list)
    verdict: int = -1

    @property
    def is_clean(self) -> bool:
        """Whether the pull ended complete and nothing went wrong on the way."""
        return self.verdict == 0 and not (self.torn or self.lost or self.refetched or self.left)


def kill_loop(folder: Path, *, kills: int, instances: int, seed: int) -> Account:
    """Pull a study again and again, killing the process at random moments, then let it end.

    Args:
        folder: An empty folder.
        kills: How many processes to kill.
        instances: Size of the study.
        seed: Of the moments.
    """
    chance = random.Random(seed)
    made = a_series(folder / "archive", study_uid=STUDY, slices=instances, rows=16, columns=16)
    sources = {uid: dataset_bytes(path) for uid, path in zip(made.sop_uids, made.paths, strict=True)}
    account, out = Account(), folder / "out"
    with EmbeddedPacs(folder / "archive", faults=FaultPlan(slow_s=0.001)) as pacs, _requests_of(pacs) as asked:
        while account.kills < kills:
            here = _whole(out, sources, account)
            asked.clear()
            goal = len(here) + chance.randint(0, max(1, (instances - len(here)) // (kills - account.kills + 1)))
            process = _pull(pacs.port, out)
            if not _killed_at(process, out, goal, chance.uniform(0, 0.05)):
                break
            account.kills += 1
            account.refetched |= here & _uids_asked(asked, sources)
        here = _whole(out, sources, account)
        asked.clear()
        account.verdict = _pull(pacs.port, out).wait(timeout=120)
        account.refetched |= here & _uids_asked(asked, sources)
    _close(account, out, sources)
    return account


@contextmanager
def _requests_of(pacs: EmbeddedPacs) -> Iterator[list[tuple[str, dict[str, str]]]]:
    """Note what retrievals ask the PACS for."""
    asked: list[tuple[str, dict[str, str]]] = []
    stored = pacs.index.stored

    def noting(level: str, keys: dict[str, str]) -> Any:
        asked.append((level, dict(keys)))
        return stored(level, keys)

    pacs.index.stored = noting  # type: ignore[assignment, method-assign]
    yield asked


def _uids_asked(asked: list[tuple[str, dict[str, str]]], sources: dict[str, bytes]) -> set[str]:
    uids: set[str] = set()
    for level, keys in asked:
        uids |= set(keys.get("SOPInstanceUID", "").split("\\")) if level == "IMAGE" else set(sources)
    return uids


def _pull(port: int, out: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "racoon_data", "pacs", "pull", "--port", str(port), "--out", str(out)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _killed_at(process: subprocess.Popen[bytes], out: Path, goal: int, delay_s: float) -> bool:
    """Kill a pull when so many files are there, a little later; tell whether it still worked."""
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if sum(1 for _ in out.rglob("*.dcm")) > goal or not out.exists():
            time.sleep(delay_s)
            if out.exists():
                break
        time.sleep(0.002)
    if process.poll() is not None:
        return False
    os.kill(process.pid, signal.SIGKILL)
    process.wait(timeout=30)
    return True


def _whole(out: Path, sources: dict[str, bytes], account: Account) -> set[str]:
    """List the instances that lie whole on disk; note those that do not."""
    files = {path.stem: path for path in out.rglob("*.dcm")}
    torn = {uid for uid, path in files.items() if dataset_bytes(path) != sources.get(uid)}
    account.torn |= torn
    return set(files) - torn


def _close(account: Account, out: Path, sources: dict[str, bytes]) -> None:
    here = _whole(out, sources, account)
    with Ledger(out / "ledger.sqlite") as ledger:
        rows = {row.ref.sop_uid: row for row in ledger.instances(STUDY)}
    noted = {
        uid
        for uid, row in rows.items()
        if row.state is InstanceState.ARRIVED and row.path is not None and sha256_of(row.path) == row.sha256
    }
    account.lost = set(sources) - (here & noted)
    account.left = [path.name for path in out.rglob("*.partial")]


def main() -> None:
    """Run the loop at length and print its account."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=25)
    parser.add_argument("--instances", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        account = kill_loop(Path(folder), kills=options.kills, instances=options.instances, seed=options.seed)
    counts = {name: len(getattr(account, name)) for name in ("torn", "lost", "refetched", "left")}
    result(f"seed {options.seed}: {account.kills} kills of {options.instances} instances, last exit {account.verdict}")
    result(", ".join(f"{count} {name}" for name, count in counts.items()))
    sys.exit(0 if account.is_clean and account.kills == options.kills else 1)


if __name__ == "__main__":
    main()
