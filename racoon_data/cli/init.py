"""``racoon init``: a site folder with commented settings and a fresh key."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from racoon_data import console

app = typer.Typer()

SETTINGS = """# Settings of this racoon site. Secrets never stand here.
[site]
name = "{name}"          # alias of the hospital: it stands in case ids and federated reports
workers = 1              # local worker processes for large steps

# A PACS node. "racoon pacs echo pacs" tries it.
[nodes.pacs]
host = "{host}"
port = {port}
ae_title = "{ae_title}"            # the PACS: the called AE title
calling_ae_title = "{calling}"     # this site, as it is registered at the PACS
timeout_s = 30.0
"""


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Folder to create.")],
    name: Annotated[str, typer.Option(help="Alias of the site: lower case letters, digits, hyphens.")],
    host: Annotated[str, typer.Option(help="Host of the PACS.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port of the PACS.")] = 104,
    ae_title: Annotated[str, typer.Option(help="AE title of the PACS.")] = "PACS",
    calling: Annotated[str, typer.Option(help="Our AE title, as registered at the PACS.")] = "RACOON",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Create a site folder. Example: racoon init site --name hospital-a --host pacs.example --port 11112."""
    from racoon_data.deid.vault import create_key
    from racoon_data.site.paths import create_site

    text = SETTINGS.format(name=name, host=host, port=port, ae_title=ae_title, calling=calling)
    site = create_site(folder, text)
    create_key(site.vault)
    if as_json:
        console.document({"site": str(site.root), "settings": str(site.root / "racoon.toml")})
    else:
        console.result(f"site {name} stands in {site.root}; its key lies in {site.vault} and never leaves it")
        console.talk(f"next: racoon pacs echo pacs --site {site.root}")
