"""``racoon doctor``: look at everything a site needs, and say what helps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from racoon_data import console
from racoon_data.errors import ExitCode, SettingsError, worst

if TYPE_CHECKING:
    from racoon_data.health import Check

app = typer.Typer()

_EXITS = {"python": ExitCode.SETTINGS, "codec": ExitCode.SETTINGS, "settings": ExitCode.SETTINGS,
          "folder": ExitCode.POLICY, "audit": ExitCode.POLICY, "disk": ExitCode.STORAGE, "ledger": ExitCode.STORAGE,
          "clock": ExitCode.SETTINGS}  # fmt: skip


@app.command()
def doctor(
    site: Annotated[
        Path | None, typer.Option("--site", envvar="RACOON_SITE", help="Site folder; default: found from here upwards.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Contact no node and no aggregator.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Look at machine, site, nodes and extensions, and say what helps. Example: racoon doctor --site site.

    Exit codes: 0 nothing is bad; 3 Python, codec, clock or settings; 7 a vault others may enter, or a broken audit log;
    9 disk or ledger; 4 a node or aggregator.
    """
    checks = _checks(site, dry_run)
    bad = [check for check in checks if check.verdict == "bad"]
    if as_json:
        console.document({"healthy": not bad, "checks": [check.to_json() for check in checks]})
    else:
        console.table(("check", "", "what it is", "what helps"), [
            (one.name, one.verdict, one.message, one.remedy) for one in checks
        ])  # fmt: skip
        console.talk(f"{len(bad)} of {len(checks)} checks are bad" if bad else f"{len(checks)} checks, none is bad")
    raise typer.Exit(int(worst(_EXITS.get(check.name.split()[0], ExitCode.PEER) for check in bad)))


def _checks(folder: Path | None, dry_run: bool) -> list[Check]:
    from racoon_data.health import Check
    from racoon_data.pipeline import doctor as room
    from racoon_data.site.paths import find_site, open_site

    checks = list(room.examine_machine())
    try:
        here = open_site(folder) if folder else find_site(Path.cwd())
    except SettingsError as error:
        verdict = "bad" if folder else "unknown"
        checks.append(Check("settings", verdict, error.message, error.hint))  # type: ignore[arg-type]
        return checks if dry_run else [*checks, *room.examine_extensions(None)]
    checks += room.examine_site(here, contact=not dry_run)
    return checks if dry_run else [*checks, *room.examine_extensions(here.settings)]
