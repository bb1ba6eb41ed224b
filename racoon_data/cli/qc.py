"""racoon qc: look at datasets, write the quality report, and say what a finding means."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from racoon_data import console
from racoon_data.cli.qc_review import review
from racoon_data.errors import ExitCode, SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from racoon_data.cases import QcIssue

app = typer.Typer(help="Check datasets, write the report, explain findings, review cases.", no_args_is_help=True)
app.command()(review)


class FailOn(StrEnum):
    """Which findings make a command exit with 6."""

    FAIL = "fail"
    WARN = "warn"
    NEVER = "never"


Folders = Annotated[list[Path], typer.Argument(metavar="DIR...", help="Dataset folders; several are compared.")]
Workers = Annotated[int, typer.Option(min=1, help="Processes that look.")]
Fails = Annotated[FailOn, typer.Option(help="Exit with 6 on failures, on warnings too, or never.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


@app.command()
def check(
    folders: Folders,
    workers: Workers = 1,
    fail_on: Fails = FailOn.FAIL,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Leave qc/findings.jsonl as it is.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One finding a line on stdout, as in findings.jsonl.")
    ] = False,
) -> None:
    """Look at every voxel of datasets; exits 6 when a check failed. Example: racoon qc check datasets/lung."""
    from racoon_data.qc.findings import write_issues
    from racoon_data.qc.inspect import compare, inspect

    with console.progress(as_json=as_json) as on_event:
        seen = [inspect(folder, workers=workers, on_event=on_event) for folder in folders]
    if not dry_run:
        for one in seen:
            write_issues(one.root, one.issues)
    placed = [(one.manifest.site, issue) for one in seen for issue in one.issues]
    placed += [(issue.case.case_id, issue) for issue in compare(seen)]
    issues = [issue for _, issue in placed]
    if as_json:
        for site, issue in placed:
            console.line(issue.to_json() if len(seen) == 1 else {"site": site, **issue.to_json()})
    else:
        _print(issues, title=f"{len(issues)} findings in {sum(len(one.cases) for one in seen)} cases")
    _end(issues, fail_on)


@app.command()
def report(
    folders: Folders,
    out: Annotated[Path | None, typer.Option(help="The page; by default qc/report.html of the first dataset.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that look and draw.")] = 1,
    fail_on: Fails = FailOn.FAIL,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the findings and write nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check datasets and write qc/report.html. Example: racoon qc report datasets/lung --workers 2."""
    from racoon_data.cases import Severity
    from racoon_data.qc.inspect import compare, inspect
    from racoon_data.qc.report import write_report

    paths: tuple[Path, ...] = ()
    with console.progress() as on_event:
        if dry_run:
            seen = [inspect(folder, workers=workers, on_event=on_event) for folder in folders]
            issues = (*(issue for one in seen for issue in one.issues), *compare(seen))
        else:
            written = write_report(folders, out=out, workers=workers, on_event=on_event)
            issues, paths = written.issues, written.paths
    if as_json:
        fails = sum(issue.severity is Severity.FAIL for issue in issues)
        findings = [issue.to_json() for issue in issues]
        page = str(paths[0]) if paths else None
        pages = [str(path) for path in paths]
        console.document({"report": page, "pages": pages, "failures": fails, "findings": findings})
    else:
        _print(issues, title=f"{len(issues)} findings")
        console.result(str(paths[0]) if paths else "[dry-run] no page was written")
    _end(issues, fail_on)


def _print(issues: Sequence[QcIssue], *, title: str) -> None:
    rows = [(issue.severity, issue.code, issue.case.case_id, issue.message) for issue in issues]
    console.table(("severity", "code", "case", "measured"), rows, title=title)


def _end(issues: Sequence[QcIssue], fail_on: FailOn) -> None:
    counted = [issue for issue in issues if fail_on is FailOn.WARN or issue.severity == "fail"]
    if counted and fail_on is not FailOn.NEVER:
        raise typer.Exit(int(ExitCode.QUALITY))


@app.command()
def explain(
    code: Annotated[str | None, typer.Argument(help="Finding or error code; without one, every finding code.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say what a finding means and what helps. Example: racoon qc explain label.empty."""
    from dataclasses import asdict

    from racoon_data.qc.codes import DEFECTS, explained

    if code is None:
        if as_json:
            console.document([asdict(defect) for defect in DEFECTS.values()])
        else:
            rows = [(one.code, one.severity, one.meaning) for one in DEFECTS.values()]
            console.table(("code", "severity", "meaning"), rows)
        return
    found = explained(code)
    if found is None:
        raise SettingsError(f"no check reports {code!r}", hint=f"one of: {', '.join(sorted(DEFECTS))}")
    if as_json:
        console.document(found)
    else:
        console.result(f"{found['code']} ({found['severity']})\n{found['meaning']}\nWhat helps: {found['fix']}")
