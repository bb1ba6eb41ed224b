"""The audit log: seconds to verify and to write many lines (CPU time and the clock)."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from racoon_data.site.audit import AuditLog, Seal, verify


def timed(work: Callable[[], object]) -> tuple[float, float]:
    cpu, clock = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - clock


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=100_000)
    parser.add_argument("--turns", type=int, default=3)
    asked = parser.parse_args()
    facts = {
        "input": "0" * 64,
        "output": "1" * 64,
        "edition": "PS3.15 2024e",
        "profile": "2" * 64,
        "software": "racoon",
    }
    with tempfile.TemporaryDirectory() as place:
        seal = Seal(b"k" * 32, Path(place) / "floor")
        log = AuditLog(Path(place) / "audit.jsonl", "benchmark", seal)
        batches = [[("deidentify", facts)] * 64 for _ in range(asked.lines // 64)]
        batches.append([("deidentify", facts)] * (asked.lines % 64))

        def write() -> None:
            for batch in batches:
                log.append_all(batch)

        written = timed(write)
        assert verify(log.path, seal=seal) == asked.lines
        verified = min(timed(lambda: verify(log.path, seal=seal)) for _ in range(asked.turns))
        size = log.path.stat().st_size / 1e6
    print(f"{asked.lines} lines, {size:.0f} MB          CPU s   clock s")
    print(f"  written, 64 at a time, sealed {written[0]:8.2f} {written[1]:9.2f}")
    print(f"  verified, best of {asked.turns} turns      {verified[0]:8.2f} {verified[1]:9.2f}")


if __name__ == "__main__":
    main()
