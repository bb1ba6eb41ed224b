"""racoon plugins: what is installed at the four plug-in points."""

from __future__ import annotations

from typing import Annotated

import typer

from racoon_data import console, plugins

app = typer.Typer(help="List the installed plug-ins.")


@app.command()
def list_plugins(as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False) -> None:
    """List sources, annotation readers, exporters and aggregators. Example: racoon plugins --json."""
    from racoon_data.annotations.tools.exports import BUILT_IN

    rows = [
        {
            "group": group,
            "name": name,
            "object": entry.value,
            "package": f"{entry.dist.name} {entry.dist.version}" if entry.dist else "",
        }
        for group in plugins.GROUPS
        for name, entry in plugins.found(group).items()
    ]
    rows += [
        {
            "group": plugins.ANNOTATION_READERS,
            "name": reader.kind,
            "object": f"{reader.__module__}:{reader.__qualname__}",
            "package": "racoon, built in: plug-ins have the first claim",
        }
        for reader in BUILT_IN
    ]
    if as_json:
        console.document(rows)
    else:
        console.table(("group", "name", "object", "package"), [tuple(row.values()) for row in rows])
