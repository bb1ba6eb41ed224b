"""``racoon audit``: verify the log of who did what to which object hashes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from racoon_data import console
from racoon_data.errors import SettingsError

app = typer.Typer(help="Verify the audit log. Example: racoon audit verify --site .", no_args_is_help=True)


@app.callback()
def _room() -> None:
    """Verify the audit log. Example: racoon audit verify --site ."""


@app.command()
def verify(
    file: Annotated[Path | None, typer.Argument(help="The log, audit.jsonl of a site.")] = None,
    site: Annotated[
        Path | None, typer.Option("--site", envvar="RACOON_SITE", help="The site whose log to verify.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Find any edited, removed, swapped or cut line. Example: racoon audit verify --site ."""
    from racoon_data.site import audit
    from racoon_data.site.paths import find_site

    if file is not None and site is not None:
        raise SettingsError("both a file and a site were named", hint="name one of them")
    log = file if file is not None else find_site(site or Path.cwd()).audit
    lines = audit.verify(log)
    if as_json:
        console.document({"lines": lines, "is_whole": True})
    else:
        console.result(f"{lines} lines, each follows the one before")
