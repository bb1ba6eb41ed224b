"""``racoon audit``: show and verify the log of who did what to which object hashes."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from racoon_data import console
from racoon_data.errors import SettingsError

if TYPE_CHECKING:
    from racoon_data.site.audit import Seal

app = typer.Typer(help="Show and verify the audit log. Example: racoon audit verify --site .", no_args_is_help=True)

FileArgument = Annotated[Path | None, typer.Argument(help="The log, audit.jsonl of a site.")]
SiteOption = Annotated[Path | None, typer.Option("--site", envvar="RACOON_SITE", help="The site whose log it is.")]
_OWN = ("line", "time", "actor", "action", "previous")


@app.command()
def show(
    file: FileArgument = None,
    site: SiteOption = None,
    action: Annotated[str, typer.Option("--action", help="Only this action, such as deidentify.")] = "",
    actor: Annotated[str, typer.Option("--actor", help="Only actors whose name contains this.")] = "",
    about: Annotated[str, typer.Option("--about", help="Only lines with a fact that starts so: hash, pseudonym.")] = "",
    since: Annotated[str, typer.Option("--since", help="From this UTC day or time on, such as 2026-01-31.")] = "",
    until: Annotated[str, typer.Option("--until", help="Before this UTC day or time.")] = "",
    last: Annotated[int, typer.Option("--last", min=1, help="The last so many of these.")] = 1_000_000,
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines, as they stand in the log.")] = False,
) -> None:
    """Show lines of the log, unverified. Example: racoon audit show --action lookup --since 2026-01-31."""
    from racoon_data.site.audit import entries

    log, _ = _log(file, site)

    def is_wanted(entry: dict[str, object]) -> bool:
        facts = (str(value) for key, value in entry.items() if key not in _OWN)
        return (
            action in ("", entry.get("action"))
            and actor in str(entry.get("actor"))
            and str(entry.get("time")) >= since
            and (not until or str(entry.get("time")) < until)
            and (not about or any(fact.startswith(about) for fact in facts))
        )

    found = deque((entry for entry in entries(log) if is_wanted(entry)), maxlen=last)
    if as_json:
        for entry in found:
            console.line(entry)
        return
    columns = ("line", "time", "actor", "action", "facts")
    console.table(columns, [(*(entry.get(one) for one in columns[:4]), _facts(entry)) for entry in found])


@app.command()
def verify(
    file: FileArgument = None,
    site: SiteOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Find any edited, removed, swapped or cut line. Example: racoon audit verify --site ."""
    from racoon_data.site import audit

    log, seal = _log(file, site)
    lines = audit.verify(log, seal=seal)
    is_sealed = seal is not None and seal.lines_before() > 0
    if as_json:
        console.document({"lines": lines, "is_whole": True, "is_sealed": is_sealed})
        return
    console.result(f"{lines} lines, each follows the one before")
    if is_sealed:
        console.talk("the head bears the seal of this site's vault")
    else:
        console.talk("no seal was checked: without the vault, a log rewritten as a whole looks whole")


def _facts(entry: dict[str, object]) -> str:
    return " ".join(f"{key}={value}" for key, value in entry.items() if key not in _OWN)


def _log(file: Path | None, site: Path | None) -> tuple[Path, Seal | None]:
    from racoon_data.deid.logs import seal_of
    from racoon_data.site.paths import find_site

    if file is not None and site is not None:
        raise SettingsError("both a file and a site were named", hint="name one of them")
    if file is not None:
        return file, None
    home = find_site(site or Path.cwd())
    return home.audit, seal_of(home)
