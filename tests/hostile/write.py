"""Go through every hostile file at every entry point and write the table of docs/security.md."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.hostile.matrix import ROOT, Seen, cells, expected, faults_of, pairs

PAGE = ROOT / "docs" / "security.md"
_HEADING = "## Table\n"


def main() -> int:
    """Judge all pairs; exits with 1 where one is not as it must be."""
    rows, bad = [], 0
    with tempfile.TemporaryDirectory(prefix="racoon-hostile-") as folder, cells(Path(folder)) as warm:
        for file, door in pairs():
            seen = warm.judge(file, door)
            faults = faults_of(file, door, seen)
            bad += bool(faults)
            rows.append(f"| {file} | {door} | {expected(file, door)} | {_said(seen, faults)} |")
            sys.stdout.write(f"{file} at {door}: {_said(seen, faults)}\n")
    before = PAGE.read_text(encoding="utf-8").partition(_HEADING)[0].rstrip()
    head = f"{_HEADING}\nWritten by `make hostile`: {len(rows)} pairs, {bad} not as they must be.\n"
    table = "\n".join(("| file | entry point | expected | seen |", "|---|---|---|---|", *rows))
    PAGE.write_text(f"{before}\n\n{head}\n{table}\n", encoding="utf-8")
    return 1 if bad else 0


def _said(seen: Seen, faults: tuple[str, ...]) -> str:
    return "; ".join(faults) if faults else ", ".join(seen.codes) or "unharmed"


if __name__ == "__main__":
    sys.exit(main())
