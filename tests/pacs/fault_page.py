"""The page of faults: every key of the fault plan each way it shows, and peers made of bytes, expected and seen."""

from __future__ import annotations

import tempfile
from itertools import groupby
from pathlib import Path

from tests.pacs import fault_cases, fault_plans
from tests.pacs.fault_plans import PlanCase

PAGE = Path(__file__).parents[2] / "docs" / "pacs-faults.md"

_INTRODUCTION = """# A PACS that misbehaves

`racoon pacs serve FOLDER --faults plan.toml` runs the embedded PACS with a fault plan, so that you can see what your
own site, client or script does when a peer dies, lies or floods it. The plan is a flat TOML (or JSON) file:

```toml
die_after = 3           # cut the connection after three instances
lie_about_counts = 2    # every announced count is two too high
```

`racoon schema show fault-plan` explains every key and `racoon schema validate plan.toml --schema fault-plan` checks a
file. In Python: `EmbeddedPacs(folder, faults=FaultPlan(die_after=3))`; `pacs.faults` may be changed while it runs.
Counts are per operation: one C-GET, C-MOVE, C-FIND or HTTP request, or for stores one association. Positions count
from 0.

## What becomes of it

The tables are written by `make faults`, which runs every case each way it shows; tests run the same lists. In no case
is anything written outside the spool or left torn. Expected and seen say verdict, instances that arrived of those
expected and what became of the others, or the code of the error the command ends with.

### Every key of the fault plan

The peer holds a study of four instances and one of two; it is asked for all studies, one attempt is made to fetch the
first, or three instances are sent to it.

| What the peer does | Keys | Way | Expected | Seen |
|---|---|---|---|---|
"""

_BYTES = """
A list of studies that is cut off in silence at no round number cannot be told from a small archive: `answer_cap` of
the node says it. The list of a study's instances is checked against the counts the PACS announces.

### Peers made of bytes

Each holds three instances and is fetched from by C-GET.

| What the peer does | Expected | Seen |
|---|---|---|
"""


def plan_rows(case: PlanCase) -> list[str]:
    """Run a case each way and give its rows; ways with the same end share one."""
    ends = []
    for way, expected in case.expected.items():
        with tempfile.TemporaryDirectory() as name:
            ends.append((expected, fault_plans.run(case, way, Path(name)), way))
    ends.sort(key=lambda end: end[:2])
    return [
        f"| {case.what} | {case.keys} | {', '.join(way for _, _, way in group)} | {expected} | {seen} |"
        for (expected, seen), group in groupby(ends, key=lambda end: end[:2])
    ]


def byte_row(case: fault_cases.Case) -> str:
    """Run a case and give its row."""
    with tempfile.TemporaryDirectory() as name:
        return f"| {case.name} | {case.expected} | {fault_cases.run(case, Path(name))} |"


def page() -> str:
    """Run every case and write the page."""
    plans = [row for case in fault_plans.CASES for row in plan_rows(case)]
    return _INTRODUCTION + "\n".join(plans) + "\n" + _BYTES + "\n".join(map(byte_row, fault_cases.CASES)) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
