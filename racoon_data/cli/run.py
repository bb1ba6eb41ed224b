"""``racoon run``: the whole walk of one study file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from racoon_data import console
from racoon_data.errors import ExitCode

if TYPE_CHECKING:
    from racoon_data.pipeline.account import Account
    from racoon_data.pipeline.forecast import Forecast
    from racoon_data.pipeline.plan import Plan
    from racoon_data.pipeline.scope import Scope

app = typer.Typer()

_EXPLAINED = 10


@app.command()
def run(
    study: Annotated[Path, typer.Argument(help="Study file (TOML).")],
    site: Annotated[
        Path | None, typer.Option("--site", envvar="RACOON_SITE", help="Site folder; default: found upwards.")
    ] = None,
    until: Annotated[
        str, typer.Option("--until", help="Stop after this step: find, retrieve, deidentify, select, build.")
    ] = "build",
    only: Annotated[
        list[str] | None,
        typer.Option("--only", help="Build only this case, or the cases of this pseudonym; repeatable."),
    ] = None,
    workers: Annotated[
        int, typer.Option("--workers", min=0, help="Local worker processes; 0: as the settings say.")
    ] = 0,
    scheduler: Annotated[
        str, typer.Option("--scheduler", help="Build on Dask: tcp://HOST:PORT, or local for a cluster on this machine.")
    ] = "",
    memory_mb: Annotated[
        int, typer.Option("--memory-mb", min=0, help="Most memory of one worker (MiB); 0: as the settings say.")
    ] = 0,
    wait: Annotated[
        float, typer.Option("--wait", min=0, help="Seconds to wait for another process on the site.")
    ] = 0.0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show counts, bytes and time of each step; fetch and write nothing.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="The account as one JSON document; progress as JSON lines on stderr.")
    ] = False,
) -> None:
    """Walk from a query to a dataset; run it again to continue. Example: racoon run study.toml --site site.

    Exit codes: 0 done; 3 settings or study file; 4 PACS or cluster; 5 something failed; 8 nothing matched; 9 storage or
    another process on the site; 130 interrupted or cancelled, and the same command continues.
    """
    from racoon_data.cli.running import Wish, carry_out, planned

    wish = Wish(study, until, tuple(only or ()), workers, scheduler, memory_mb, wait)
    plan, scope = planned(site, wish)
    if dry_run:
        _preview(plan, scope, as_json)
        return
    with console.progress(as_json=as_json) as on_event:
        account, job = carry_out(plan, scope, wish, on_event=on_event)
    show(account, plan, scope, job=job, as_json=as_json)
    raise typer.Exit(int(exit_code(account)))


def _preview(plan: Plan, scope: Scope, as_json: bool) -> None:
    from racoon_data.pipeline.forecast import forecast

    seen = forecast(plan, scope)
    if as_json:
        console.document(seen.to_json())
        return
    studies = seen.steps[0].items
    console.result(f"[dry-run] {studies} studies match at {plan.node.name}; nothing was retrieved")
    console.table(("step", "", "in all", "to do", "MB", "time", ""), _rows(seen), title=f"Plan of {seen.dataset}")


def _rows(seen: Forecast) -> list[tuple[object, ...]]:
    from racoon_data.rates import span

    return [
        (
            one.step,
            one.what,
            one.items,
            one.due,
            f"{one.bytes / 1e6:.1f}" if one.bytes else "",
            "no job measured it yet" if one.seconds is None else span(one.seconds),
            one.note,
        )
        for one in seen.steps
    ]


def show(account: Account, plan: Plan, scope: Scope, *, job: str, as_json: bool) -> None:
    """Print an account, where it lies and what helps with what was left out."""
    from racoon_data.pipeline.walk import account_path

    path = account_path(plan, scope)
    if as_json:
        console.document({**account.to_json(), "job": job, "account": str(path)})
        return
    rows = []
    for row in account.to_json()["stages"]:
        reasons = ", ".join(f"{code} {count}" for code, count in row["reasons"].items())
        rows.append((*(row[key] for key in ("name", "in", "used", "repaired", "skipped", "failed")), reasons))
    columns = ("", "in", "used", "repaired", "skipped", "failed", "reasons")
    console.table(columns, rows, title=f"Account of {plan.name}")
    _explain(account)
    console.talk(f"account: {path} names every instance and case that was left out, and why")
    console.talk(f"flow:    {path.with_suffix('.txt')} and {path.with_suffix('.svg').name}")
    _say_where(account, scope)


def _say_where(account: Account, scope: Scope) -> None:
    if not scope.reaches("build"):
        console.talk(f"stopped after {scope.until}; the same command without --until goes on")
    elif scope.only:
        console.talk(f"built: {account.dataset}; the dataset itself was left as it was, and the next run takes it in")
    elif account.cases_used:
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


def exit_code(account: Account) -> ExitCode:
    """Say how a walk ends: 5 where something failed, 8 where nothing could be used, else 0."""
    from racoon_data.outcomes import exit_code_of

    code = exit_code_of(account.outcomes)
    return code if code or account.cases_used else ExitCode.NOTHING
