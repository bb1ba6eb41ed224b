"""``racoon init``: a site folder with commented settings and a fresh key."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from racoon_data import console

app = typer.Typer()

SETTINGS = """# Settings of this racoon site. Secrets never stand here.
[site]
name = "{name}"          # alias of the hospital: it stands in case ids and federated reports
workers = {workers}              # local worker processes for large steps
# memory_mb = 4000       # most memory of one worker (MiB)
# operator = "Jane Doe"  # who works here, for the audit log; else the account

# A PACS node. "racoon pacs echo pacs" tries it.
[nodes.pacs]
host = "{host}"
port = {port}
ae_title = "{ae_title}"            # the PACS: the called AE title
calling_ae_title = "{calling}"     # this site, as it is registered at the PACS
timeout_s = 30.0

# A DICOMweb service beside it or instead; the token stands in an environment variable, never here.
# [web.archive]
# url = "https://pacs.example/dicom-web"
# bearer_env = "PACS_TOKEN"

# [deid]
# spool_days = 30        # days that identified files stay after they passed the door; 0: until somebody removes them

# [privacy]
# smallest_cell = 10     # counts that leave the site: fewer persons than this are hidden
"""


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Folder to create.")],
    name: Annotated[
        str, typer.Option(help="Alias of the site: lower case letters, digits, hyphens. Asked for in a terminal.")
    ] = "",
    host: Annotated[str, typer.Option(help="Host of the PACS.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port of the PACS.")] = 104,
    ae_title: Annotated[str, typer.Option(help="AE title of the PACS.")] = "PACS",
    calling: Annotated[str, typer.Option(help="Our AE title, as registered at the PACS.")] = "RACOON",
    workers: Annotated[int, typer.Option(min=1, help="Local worker processes for large steps.")] = 1,
    in_filled_folder: Annotated[
        bool, typer.Option("--in-filled-folder", help="Also in a folder that holds other files.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the settings file and write nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Create a site folder. Example: racoon init site --name hospital-a --host pacs.example --port 11112.

    In a terminal, without --name, it asks a few questions. Exit codes: 0 made; 2 no name; 3 a site or other files are
    there, or a value does not fit; 9 the folder cannot be made.
    """
    from racoon_data.deid.vault import create_key
    from racoon_data.settings import SiteSettings, parse_toml
    from racoon_data.site.paths import create_site

    facts = {"name": name, "host": host, "port": port, "ae_title": ae_title, "calling": calling, "workers": workers}
    if not name:
        facts = _asked(facts)
    text = SETTINGS.format(**facts)
    if dry_run:
        parse_toml(text, SiteSettings, name="racoon.toml")
        console.document({"dry_run": True, "settings": text}) if as_json else console.result(text)
        return
    site = create_site(folder, text, is_filled_allowed=in_filled_folder)
    create_key(site.vault)
    if as_json:
        console.document({"site": str(site.root), "settings": str(site.root / "racoon.toml")})
    else:
        console.result(f"site {facts['name']} stands in {site.root}; its key lies in {site.vault} and never leaves it")
        console.talk(f"next: racoon doctor --site {site.root}")


def _asked(facts: dict[str, object]) -> dict[str, object]:
    """Ask the person in a terminal; elsewhere the name is an option that must be given."""
    if not sys.stdin.isatty():
        raise typer.BadParameter("give the site a name, such as --name hospital-a", param_hint="--name")
    questions = {
        "name": "Alias of this site (lower case letters, digits, hyphens)",
        "host": "Host of the PACS",
        "port": "Port of the PACS",
        "ae_title": "AE title of the PACS",
        "calling": "Our own AE title, as registered at the PACS",
        "workers": "Worker processes for large steps",
    }
    return {key: typer.prompt(text, default=facts[key] or None, err=True) for key, text in questions.items()}
