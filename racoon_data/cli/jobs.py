"""``racoon jobs``: list, show, resume and cancel the runs of a site."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from racoon_data import console
from racoon_data.errors import NothingMatchedError, SettingsError

if TYPE_CHECKING:
    from racoon_data.site.paths import Site
    from racoon_data.site.records import JobRecord

app = typer.Typer(
    help="List, show, resume and cancel the runs of a site. Example: racoon jobs list", no_args_is_help=True
)

SiteOption = Annotated[
    Path | None, typer.Option("--site", envvar="RACOON_SITE", help="Site folder; default: found from here upwards.")
]
JobArgument = Annotated[str, typer.Argument(help="Name of the job; last is the latest.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document.")]
DryOption = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
_CANCEL_S = 20.0


@app.command("list")
def list_jobs(
    site: SiteOption = None,
    last: Annotated[int, typer.Option("--last", min=1, help="The latest so many.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """List the runs of a site, the latest last. Example: racoon jobs list --last 5.

    Exit codes: 0 listed; 3 no site.
    """
    from racoon_data.site.jobs import jobs_of

    jobs = jobs_of(_site(site).runs)[-last:]
    if as_json:
        console.document([job.model_dump(mode="json") for job in jobs])
        return
    if not jobs:
        console.talk("no job yet; racoon run STUDY.toml makes one")
    columns = ("job", "state", "who", "started", "step", "done", "pace", "time left")
    console.table(columns, [_row(job) for job in jobs])


def _row(job: JobRecord) -> tuple[object, ...]:
    from racoon_data.rates import span

    step = job.steps[-1] if job.steps else None
    if step is None:
        return (job.id, job.state, job.who, job.started, "", "", "", "")
    left = span(step.eta_s) if step.eta_s and job.state == "running" else ""
    pace = f"{step.per_s}/s" if step.per_s else ""
    return (job.id, job.state, job.who, job.started, step.kind, f"{step.done}/{step.total or '?'}", pace, left)


@app.command()
def show(job: JobArgument = "last", site: SiteOption = None, as_json: JsonOption = False) -> None:
    """Show one run: who, where, how far, how it ended. Example: racoon jobs show lung-0003.

    Exit codes: 0 shown; 3 no such job.
    """
    from racoon_data.site.jobs import find_job

    found = find_job(_site(site).runs, job)
    if as_json:
        console.document(found.model_dump(mode="json"))
        return
    console.table(("", ""), list(_facts(found)), title=f"Job {found.id}")
    if found.steps:
        rows = [
            (
                s.kind,
                s.done,
                "?" if s.total is None else s.total,
                f"{s.seconds:.1f} s",
                f"{s.per_s}/s" if s.per_s else "",
            )
            for s in found.steps
        ]
        console.table(("step", "done", "of", "took", "pace"), rows)
    if found.state in ("interrupted", "cancelled", "killed", "failed"):
        console.talk(f"next: racoon jobs resume {found.id}")


def _facts(job: JobRecord) -> list[tuple[str, object]]:
    facts: list[tuple[str, object]] = [
        ("state", job.state),
        ("study", job.study),
        ("who", job.who),
        ("where", f"process {job.process} on {job.host}"),
        ("attempt", job.attempt),
        ("started", job.started),
        ("ended", job.ended or f"last heard of {_ago(job.updated)} ago"),
    ]
    if job.exit_code is not None:
        facts.append(("exit code", job.exit_code))
    if job.error is not None:
        facts += [("error", f"{job.error.message} ({job.error.code})"), ("what helps", job.error.hint)]
    return facts


def _ago(when: str) -> str:
    from racoon_data.rates import span

    return span(max(0.0, (datetime.now(UTC) - datetime.fromisoformat(when)).total_seconds())) if when else "?"


@app.command()
def resume(
    job: JobArgument = "last", site: SiteOption = None, dry_run: DryOption = False, as_json: JsonOption = False
) -> None:
    """Continue a run where it stopped, with its options. Example: racoon jobs resume last.

    Exit codes: those of racoon run; 3 where it runs already or its study file is gone.
    """
    from racoon_data.cli import run
    from racoon_data.cli.running import Wish, carry_out, planned
    from racoon_data.site.jobs import find_job

    here = _site(site)
    found = find_job(here.runs, job)
    if found.state == "running":
        raise SettingsError(f"job {found.id} is running", hint=f"racoon jobs show {found.id} says how far it is")
    study = Path(found.study)
    wish = Wish(study, found.until, found.only, found.workers, found.scheduler, found.memory_mb)
    plan, scope = planned(here.root, wish)
    if _is_changed(found):
        console.talk("the study file changed since; what depends on the change is done again")
    if dry_run:
        _say({"dry_run": True, "job": found.id, "study": found.study}, f"[dry-run] would continue {found.id}", as_json)
        return
    with console.progress(as_json=as_json) as on_event:
        account, name = carry_out(plan, scope, wish, on_event=on_event, earlier=found)
    run.show(account, plan, scope, job=name, as_json=as_json)
    raise typer.Exit(int(run.exit_code(account)))


def _is_changed(job: JobRecord) -> bool:
    from racoon_data.files.atomic import sha256_of

    return sha256_of(Path(job.study)) != job.study_sha256


@app.command()
def cancel(
    job: JobArgument = "last", site: SiteOption = None, dry_run: DryOption = False, as_json: JsonOption = False
) -> None:
    """Stop a run at its next item; what is finished stays. Example: racoon jobs cancel last.

    Exit codes: 0 stopped, or asked to stop on another host; 3 no such job; 8 it does not run.
    """
    from racoon_data.site import jobs
    from racoon_data.site.audit import account

    here = _site(site)
    found = jobs.find_job(here.runs, job)
    if found.state != "running":
        raise NothingMatchedError(f"job {found.id} does not run: it is {found.state}", hint="racoon jobs list")
    if dry_run:
        _say({"dry_run": True, "job": found.id}, f"[dry-run] would stop {found.id}", as_json)
        return
    jobs.cancel(here.runs, found, who=here.settings.site.operator or account())
    until = time.monotonic() + _CANCEL_S
    while jobs.is_alive(found) and found.state == "running" and time.monotonic() < until:
        time.sleep(0.1)
        found = jobs.find_job(here.runs, found.id)
    now = jobs.find_job(here.runs, found.id)
    told = f"job {now.id} is {now.state}" if now.state != "running" else f"job {now.id} was asked to stop"
    _say({"job": now.id, "state": now.state}, told, as_json)
    console.talk(f"racoon jobs resume {now.id} continues it")


def _say(document: dict[str, Any], text: str, as_json: bool) -> None:
    if as_json:
        console.document(document)
    else:
        console.result(text)


def _site(folder: Path | None) -> Site:
    from racoon_data.site.paths import find_site, open_site

    return open_site(folder) if folder else find_site(Path.cwd())
