"""What the commands of ``racoon pacs`` share: options, the node and the site they mean, tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from racoon_data import console
from racoon_data.errors import SettingsError

if TYPE_CHECKING:
    from racoon_data.pacs.peer import PacsNode
    from racoon_data.site.paths import Site

NodeName = Annotated[str, typer.Argument(help="Name of the node in racoon.toml; any name with --host or --port.")]
SiteOption = Annotated[
    Path | None, typer.Option("--site", envvar="RACOON_SITE", help="Site folder; default: found from here upwards.")
]
HostOption = Annotated[str, typer.Option("--host", help="Host of a node that is not in racoon.toml.")]
PortOption = Annotated[int, typer.Option("--port", help="Port of a node that is not in racoon.toml.")]
TitleOption = Annotated[str, typer.Option("--ae-title", help="AE title of the peer.")]
CallingOption = Annotated[str, typer.Option("--calling", help="Our own AE title.")]
TimeoutOption = Annotated[float, typer.Option("--timeout", help="Longest silence to bear (seconds).")]
FilterOption = Annotated[list[str] | None, typer.Option("--filter", help="Keyword=value, repeatable; * ? and ranges.")]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON instead of a table.")]
DryOption = Annotated[bool, typer.Option("--dry-run", help="Show what would be transferred, transfer nothing.")]


def open_or_find_site(folder: Path | None) -> Site:
    """Open the named site, or the one the current folder lies in."""

    from racoon_data.site.paths import find_site, open_site

    return open_site(folder) if folder else find_site(Path.cwd())


def node_named(name: str, site: Path | None, options: dict[str, Any]) -> PacsNode:
    """Build the node from --host and --port, or take it from the site's settings."""
    from racoon_data.pacs.peer import PacsNode, named_node

    host, port = options["host"], options["port"]
    if host or port:
        address = (host or "127.0.0.1", port or 104)
        return PacsNode(name, *address, options["ae_title"], options["calling"], options["timeout"])
    here = open_or_find_site(site)
    return named_node(name, here.settings, base=here.root)


def filters_of(pairs: list[str] | None) -> dict[str, str]:
    """Read ``Keyword=value`` filters."""
    parsed: dict[str, str] = {}
    for pair in pairs or ():
        keyword, equals, value = pair.partition("=")
        if not equals or not keyword.strip():
            raise SettingsError(f"--filter {pair!r} is not Keyword=value", hint="for instance PatientID=123")
        parsed[keyword.strip()] = value
    return parsed


def show(columns: tuple[str, ...], rows: list[list[Any]], as_json: bool) -> None:
    """Print rows as a table or as one JSON document."""
    if as_json:
        console.document([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        console.table(columns, rows)
