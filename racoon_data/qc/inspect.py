"""A whole dataset looked at: each case by itself, in as many processes as wanted, then all of them together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from racoon_data.cases import QcIssue
from racoon_data.events import OnEvent, ignore
from racoon_data.files.manifest import Manifest, load_manifest
from racoon_data.outcomes import Outcome
from racoon_data.qc import codes
from racoon_data.qc.across import check_across
from racoon_data.qc.look import Seen, Task, look
from racoon_data.qc.sites import check_sites
from racoon_data.refs import CaseRef
from racoon_data.runner.run import run_items


@dataclass(frozen=True, slots=True)
class Inspection:
    """One dataset as it was seen.

    Attributes:
        root: Its folder.
        manifest: Its manifest.
        cases: Its cases, in the manifest's order.
        issues: Everything that was seen, failures first, then by code and case.
    """

    root: Path
    manifest: Manifest
    cases: tuple[Seen, ...]
    issues: tuple[QcIssue, ...]


def inspect(root: Path, *, is_drawn: bool = False, workers: int = 1, on_event: OnEvent = ignore) -> Inspection:
    """Look at every case of a dataset.

    Args:
        root: The dataset folder.
        is_drawn: Make pictures too.
        workers: Processes.
        on_event: Listener, one event a case.

    Raises:
        DamagedDatasetError: There is no manifest.
        SchemaError: The manifest cannot be read.
    """
    manifest = load_manifest(root)
    schema = manifest.label_schema.to_schema()
    tasks = [
        (CaseRef(one.case_id), Task(root, one, manifest.channels, schema, manifest.ignore_value, is_drawn))
        for one in manifest.cases
    ]
    results = run_items("look", tasks, look, workers=workers, on_event=on_event)
    cases = tuple(
        result.value or _unseen(task, result.outcome) for (_, task), result in zip(tasks, results, strict=True)
    )
    orientation = str(manifest.recipe.get("orientation", "native"))
    issues = {issue for one in cases for issue in one.issues}
    issues |= set(check_across(cases, schema, orientation=orientation))
    return Inspection(root, manifest, cases, in_order(issues))


def _unseen(task: Task, outcome: Outcome) -> Seen:
    issue = codes.UNREADABLE.of(CaseRef(task.record.case_id), f"{outcome.code}: {outcome.message}")
    return Seen(task.record, (issue,), trouble=outcome.message)


def in_order(issues: set[QcIssue]) -> tuple[QcIssue, ...]:
    """Sort findings: failures first, then by code and case."""
    return tuple(sorted(issues, key=lambda issue: (issue.severity, issue.code, issue.case, issue.message)))


def compare(inspections: Sequence[Inspection]) -> tuple[QcIssue, ...]:
    """Compare how the sites of several datasets outline; one dataset alone has nothing to compare."""
    sites: dict[str, list[Seen]] = {}
    for one in inspections:
        sites.setdefault(one.manifest.site, []).extend(one.cases)
    if len(sites) < 2:
        return ()
    labels = dict.fromkeys(label.name for one in inspections for label in one.manifest.label_schema.labels)
    return check_sites(sites, labels)
