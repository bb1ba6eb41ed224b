"""``racoon pacs echo`` and ``find``: ask a PACS."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from racoon_data import console
from racoon_data.cli.pacs.options import (
    CallingOption,
    FilterOption,
    HostOption,
    JsonOption,
    NodeName,
    PortOption,
    SiteOption,
    TimeoutOption,
    TitleOption,
    filters_of,
    node_named,
)
from racoon_data.errors import NothingMatchedError
from racoon_data.refs import Query


def echo(
    node: NodeName = "pacs",
    site: SiteOption = None,
    host: HostOption = "",
    port: PortOption = 0,
    ae_title: TitleOption = "PACS",
    calling: CallingOption = "RACOON",
    timeout: TimeoutOption = 30.0,
    as_json: JsonOption = False,
) -> None:
    """Ask a PACS whether it answers (C-ECHO). Example: racoon pacs echo pacs."""
    from racoon_data.pacs.node import echo as ask

    peer = node_named(node, site, locals())
    seconds = ask(peer)
    if as_json:
        console.document({"node": asdict(peer), "seconds": round(seconds, 4)})
    else:
        console.result(f"{peer} answers in {seconds * 1000:.0f} ms")


def find(
    node: NodeName = "pacs",
    level: Annotated[str, typer.Option("--level", help="PATIENT, STUDY, SERIES or IMAGE.")] = "STUDY",
    filters: FilterOption = None,
    site: SiteOption = None,
    host: HostOption = "",
    port: PortOption = 0,
    ae_title: TitleOption = "PACS",
    calling: CallingOption = "RACOON",
    timeout: TimeoutOption = 30.0,
    as_json: JsonOption = False,
) -> None:
    """Ask what a PACS holds (C-FIND). Example: racoon pacs find pacs --filter PatientID=4711 --json."""
    from racoon_data.pacs.find import RETURN_KEYS
    from racoon_data.pacs.find import find as ask

    query = Query(level.upper(), filters_of(filters))
    matches = ask(node_named(node, site, locals()), query)
    rows = []
    for match in matches:
        if as_json:
            console.line({"level": query.level, **match.attributes})
        rows.append(None if as_json else match.attributes)
    if rows and not as_json:
        columns = list(dict.fromkeys((*RETURN_KEYS[query.level], *query.filters)))
        console.table(columns, [[(row or {}).get(column, "") for column in columns] for row in rows])
    if not rows:
        raise NothingMatchedError("the PACS holds nothing that matches", hint="widen the filters")
