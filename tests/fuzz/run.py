"""Fuzz every reader for some time: ``python -m tests.fuzz.run --seconds 3600``.

Each reader runs in a process of its own with limits on memory and time. An input that leads to an answer nobody gave
before joins the pool that later inputs are made of. A fault is kept in ``tests/fuzz/found`` and the run goes on.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import logging
import os
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from hashlib import sha256
from pathlib import Path
from typing import Any

from racoon_data.errors import RacoonError
from tests.fuzz.mutate import mutated
from tests.fuzz.targets import TARGETS, Target

HERE = Path(__file__).parent
CORPUS, FOUND = HERE / "corpus", HERE / "found"
HANG_S, _MIB = 5, 1 << 20
_ROOM = 600 * _MIB
_POOL = 400


class HangError(Exception):
    """One input took too long."""


def _on_alarm(*_: object) -> None:
    raise HangError(f"took more than {HANG_S} s")


def verdict(target: Target, data: bytes, folder: Path) -> tuple[str, str]:
    """Read one input: what was answered, and the fault (empty where there is none)."""
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            return f"fine {target.read(data, folder)}", ""
    except RacoonError as error:
        return f"{error.code} {error.message}", ""
    except Exception as error:  # noqa: BLE001  any other error is what we look for
        return type(error).__name__, f"{type(error).__name__}: {error}\n{traceback.format_exc()[-1800:]}"


def confine() -> None:
    """Limit this process: a reader that asks for much more memory or never ends is a fault."""
    used = int(Path("/proc/self/status").read_text().split("VmData:")[1].split()[0]) * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (used + _ROOM, used + _ROOM))
    resource.setrlimit(resource.RLIMIT_FSIZE, (256 * _MIB, 256 * _MIB))
    signal.signal(signal.SIGALRM, _on_alarm)


def _work(name: str, seconds: float, seed: int, folder: Path) -> None:
    """Fuzz one reader in this process and leave a summary."""
    target, chance = TARGETS[name], random.Random(f"{seed} {name}")
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    pool = [*target.seeds(folder / "seeds"), *(path.read_bytes() for path in sorted(CORPUS.glob(f"{name}-*")))]
    inner = folder / "outer" / "inner"
    inner.mkdir(parents=True)
    current = folder / "current"
    seen, faults, count, start = set[str](), dict[str, int](), 0, time.monotonic()
    for data in pool:
        verdict(target, data, inner)
    confine()
    while time.monotonic() - start < seconds:
        data = mutated(chance.choice(pool), chance.choice(pool), chance)
        current.write_bytes(data)
        signal.alarm(HANG_S)
        answer, fault = verdict(target, data, inner)
        signal.alarm(0)
        count += 1
        if fault:
            kind = fault.splitlines()[0][:60] + fault.splitlines()[-2][-60:]
            faults[kind] = faults.get(kind, 0) + 1
            if faults[kind] == 1:
                _keep(name, data, fault)
        elif answer not in seen and len(pool) < _POOL:
            seen.add(answer)
            pool.append(data)
        if count % 200 == 0:
            _note(folder, count, seen, faults)
    _note(folder, count, seen, faults)


def _note(folder: Path, count: int, seen: set[str], faults: dict[str, int]) -> None:
    (folder / "summary.json").write_text(json.dumps({"inputs": count, "answers": len(seen), "faults": faults}))


def _keep(name: str, data: bytes, fault: str) -> None:
    FOUND.mkdir(exist_ok=True)
    stem = f"{name}-{sha256(data).hexdigest()[:12]}"
    (FOUND / stem).write_bytes(data)
    (FOUND / f"{stem}.txt").write_text(fault)


def fuzz(name: str, seconds: float, seed: int) -> dict[str, Any]:
    """Fuzz one reader in a child process; a child that dies is a fault with the input that it read."""
    with tempfile.TemporaryDirectory(prefix="racoon-fuzz-") as place:
        folder = Path(place)
        (folder / "seeds").mkdir()
        pid = os.fork()
        if pid == 0:
            try:
                _work(name, seconds, seed, folder)
                os._exit(0)
            except BaseException:  # noqa: BLE001  the harness itself failed
                traceback.print_exc()
                os._exit(3)
        _, status = os.waitpid(pid, 0)
        summary = folder / "summary.json"
        told: dict[str, Any] = json.loads(summary.read_text()) if summary.exists() else {"inputs": 0, "faults": {}}
        if status and (folder / "current").exists():
            _keep(name, (folder / "current").read_bytes(), f"died with status {status}")
            told["faults"][f"died with status {status}"] = 1
        elif status:
            told["faults"]["could not begin"] = 1
        return told


def main() -> int:
    """Fuzz the named readers, or all, in turn until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=float(os.environ.get("FUZZ_SECONDS", "3600")))
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("targets", nargs="*", default=list(TARGETS))
    options = parser.parse_args()
    names = options.targets or list(TARGETS)
    rounds = max(1, round(options.seconds / (60 * len(names))))
    totals: dict[str, dict[str, Any]] = {name: {"inputs": 0, "faults": {}} for name in names}
    for turn in range(rounds):
        for name in names:
            told = fuzz(name, options.seconds / rounds / len(names), options.seed + turn)
            totals[name]["inputs"] += told["inputs"]
            totals[name]["faults"] |= told["faults"]
            sys.stdout.write(f"{name}: {totals[name]['inputs']} inputs, {len(totals[name]['faults'])} faults\n")
            sys.stdout.flush()
    everything = sum(told["inputs"] for told in totals.values())
    faults = sum(len(told["faults"]) for told in totals.values())
    sys.stdout.write(f"seed {options.seed}: {options.seconds:.0f} s, {everything} inputs, {faults} faults\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
