"""``racoon run``: the whole walk of one study file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from racoon_data import console
from racoon_data.errors import ExitCode

if TYPE_CHECKING:
    from racoon_data.pipeline.account import Account
    from racoon_data.pipeline.plan import Plan

app = typer.Typer()

_EXPLAINED = 10


@app.command()
def run(
    study: Annotated[Path, typer.Argument(help="Study file (TOML).")],
    site: Annotated[
        Path | None, typer.Option(envvar="RACOON_SITE", help="Site folder; default: found upwards.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Ask the PACS what there is and stop.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document; progress as JSON lines.")] = False,
) -> None:
    """Walk from a query to a dataset; run it again to continue. Example: racoon run study.toml --site site."""
    from racoon_data.pipeline.plan import plan_study
    from racoon_data.pipeline.walk import walk
    from racoon_data.settings import StudySettings, load_toml
    from racoon_data.site.paths import find_site, open_site

    here = open_site(site) if site else find_site(Path.cwd())
    plan = plan_study(here, load_toml(study, StudySettings), base=study.parent)
    if dry_run:
        _preview(plan, as_json)
        return
    with console.progress(as_json=as_json) as on_event:
        account = walk(plan, on_event=on_event)
    _show(account, plan, as_json)
    raise typer.Exit(int(_exit_code(account)))


def _preview(plan: Plan, as_json: bool) -> None:
    from racoon_data.events import ignore
    from racoon_data.pipeline.arrive import find_studies

    studies = find_studies(plan, ignore)
    if as_json:
        console.document({"dry_run": True, "dataset": plan.name, "studies": len(studies)})
    else:
        console.result(f"[dry-run] {len(studies)} studies match at {plan.node.name}; nothing was retrieved")


def _show(account: Account, plan: Plan, as_json: bool) -> None:
    if as_json:
        console.document(account.to_json())
        return
    rows = []
    for stage in account.stages:
        counts = stage.counts
        reasons = ", ".join(f"{code} {count}" for code, count in stage.codes.items())
        rows.append((stage.name, counts.total, counts.done, counts.skipped, counts.failed, reasons))
    console.table(("", "in", "used", "skipped", "failed", "reasons"), rows, title=f"Account of {account.dataset.name}")
    _explain(account)
    console.talk(f"account: {plan.site.runs / plan.name}.json names every instance and case that was left out, and why")
    if account.cases_used:
        console.talk(f"dataset: {account.dataset}")
        console.talk(f"report:  {account.dataset / 'qc' / 'report.html'}")
    else:
        console.talk("no case could be built; the dataset that stood before was left as it was")


def _explain(account: Account) -> None:
    """Say of the cases that were left out what happened and what helps."""
    left_out = account.stages[-1].left_out
    for outcome in left_out[:_EXPLAINED]:
        console.talk(f"{outcome.status}: {outcome.ref}: {outcome.message} ({outcome.code})")
        if outcome.hint:
            console.talk(f"  what helps: {outcome.hint}")
    if len(left_out) > _EXPLAINED:
        console.talk(f"and {len(left_out) - _EXPLAINED} more")


def _exit_code(account: Account) -> ExitCode:
    from racoon_data.outcomes import exit_code_of

    code = exit_code_of(account.outcomes)
    return code if code or account.cases_used else ExitCode.NOTHING
