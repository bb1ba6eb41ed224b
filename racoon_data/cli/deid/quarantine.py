"""``racoon deid quarantine``: what waits for a person, and the person's decision."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from racoon_data import console
from racoon_data.cli.deid.options import JsonOption, SiteOption, site_at
from racoon_data.errors import SettingsError

if TYPE_CHECKING:
    from racoon_data.deid.quarantine import Fate
    from racoon_data.site.audit import AuditLog

app = typer.Typer(
    help="See what waits for a person, release or discard it. Example: racoon deid quarantine list",
    no_args_is_help=True,
)

FolderOption = Annotated[Path | None, typer.Option("--folder", help="A quarantine folder outside any site.")]
HashArgument = Annotated[str, typer.Argument(metavar="HASH", help="First six or more characters of its name.")]
ReasonOption = Annotated[
    str, typer.Option("--reason", help="Why, for the audit log; without names, numbers or dates of the patient.")
]


@app.command("list")
def list_(folder: FolderOption = None, site: SiteOption = None, as_json: JsonOption = False) -> None:
    """List what waits, why, and what was decided. Example: racoon deid quarantine list --json."""
    from racoon_data.deid.quarantine import held_in

    place, _ = _quarantine(folder, site)
    held = held_in(place)
    if as_json:
        console.document([{**one.to_json(), "path": str(one.path)} for one in held])
        return
    columns = ("hash", "code", "why", "decision")
    console.table(columns, [(one.sha256[:16], one.code, one.message, str(one.fate)) for one in held])


@app.command()
def release(
    start: HashArgument,
    reason: ReasonOption,
    folder: FolderOption = None,
    site: SiteOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a picture that a person saw pass. Example: racoon deid quarantine release 3fa94c --reason "no text"."""
    from racoon_data.deid.quarantine import Fate

    _decide(start, Fate.RELEASED, reason, folder=folder, site=site, as_json=as_json)


@app.command()
def discard(
    start: HashArgument,
    reason: ReasonOption,
    folder: FolderOption = None,
    site: SiteOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove a copy for good; its note stays. Example: racoon deid quarantine discard 3fa94c --reason "a letter"."""
    from racoon_data.deid.quarantine import Fate

    _decide(start, Fate.DISCARDED, reason, folder=folder, site=site, as_json=as_json)


def _decide(start: str, fate: Fate, reason: str, *, folder: Path | None, site: Path | None, as_json: bool) -> None:
    from racoon_data.deid.quarantine import decide

    if not reason.strip():
        raise SettingsError("--reason is empty", hint="say why in a few words, without naming the patient")
    place, audit = _quarantine(folder, site)
    held = decide(place, start, fate, reason=reason.strip(), audit=audit)
    if as_json:
        console.document(held.to_json())
    else:
        console.result(f"{held.sha256[:16]} is {held.fate}")


def _quarantine(folder: Path | None, site: Path | None) -> tuple[Path, AuditLog | None]:
    from racoon_data.deid.logs import log_of

    if folder is not None:
        return folder, None
    home = site_at(site)
    return home.quarantine, log_of(home)
