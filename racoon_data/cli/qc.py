"""racoon qc: the quality report of a dataset, and what a finding means."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from racoon_data import console
from racoon_data.cli.qc_review import review
from racoon_data.errors import ExitCode, SettingsError

app = typer.Typer(help="Write the quality report, explain findings, review cases.", no_args_is_help=True)
app.command()(review)

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The dataset folder.")],
    workers: Annotated[int, typer.Option(min=1, help="Processes that draw.")] = 1,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the findings and write nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write qc/report.html; exits 6 when a check failed. Example: racoon qc report datasets/lung --workers 2."""
    from racoon_data.cases import Severity
    from racoon_data.files.manifest import load_manifest
    from racoon_data.qc.findings import all_issues
    from racoon_data.qc.report import write_report

    issues = all_issues(folder, load_manifest(folder))
    path = None
    if not dry_run:
        with console.progress() as on_event:
            path = write_report(folder, workers=workers, on_event=on_event)
    fails = sum(issue.severity is Severity.FAIL for issue in issues)
    if as_json:
        findings = [issue.to_json() for issue in issues]
        console.document({"report": str(path) if path else None, "failures": fails, "findings": findings})
    else:
        rows = [(issue.severity, issue.code, issue.case.case_id, issue.message) for issue in issues]
        console.table(("severity", "code", "case", "measured"), rows, title=f"{len(issues)} findings")
        console.result(str(path) if path else "[dry-run] no page was written")
    if fails:
        raise typer.Exit(int(ExitCode.QUALITY))


@app.command()
def explain(
    code: Annotated[str, typer.Argument(help="Finding code, such as label.empty.")], as_json: AsJson = False
) -> None:
    """Say what a finding means and what helps. Example: racoon qc explain label.empty."""
    from dataclasses import asdict

    from racoon_data.qc.codes import DEFECTS

    if code not in DEFECTS:
        raise SettingsError(f"no check reports {code!r}", hint=f"one of: {', '.join(sorted(DEFECTS))}")
    defect = DEFECTS[code]
    if as_json:
        console.document(asdict(defect))
    else:
        console.result(f"{defect.code} ({defect.severity})\n{defect.meaning}\nWhat helps: {defect.fix}")
