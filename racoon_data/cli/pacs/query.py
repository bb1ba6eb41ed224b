"""``racoon pacs echo`` and ``find``: ask a PACS."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Annotated

import typer

from racoon_data import console
from racoon_data.cli.pacs.options import (
    AccessionsOption,
    CallingOption,
    CaOption,
    CertificateOption,
    DateOption,
    DescriptionOption,
    FilterOption,
    HostOption,
    JsonOption,
    KeyOption,
    ModalityOption,
    NodeName,
    PatientsOption,
    PortOption,
    SiteOption,
    TimeoutOption,
    TitleOption,
    any_node_named,
    question_of,
)
from racoon_data.errors import NothingMatchedError, SettingsError
from racoon_data.refs import Match


def echo(
    node: NodeName = "pacs",
    site: SiteOption = None,
    host: HostOption = "",
    port: PortOption = 0,
    ae_title: TitleOption = "PACS",
    calling: CallingOption = "RACOON",
    timeout: TimeoutOption = 30.0,
    tls_ca: CaOption = None,
    tls_certificate: CertificateOption = None,
    tls_key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask a node whether it answers (C-ECHO, or one study over QIDO-RS). Example: racoon pacs echo pacs."""
    from racoon_data.pacs.node import echo_any

    peer = any_node_named(node, site, locals())
    seconds = echo_any(peer)
    if as_json:
        console.document({"node": asdict(peer), "seconds": round(seconds, 4)})
    else:
        console.result(f"{peer} answers in {seconds * 1000:.0f} ms")


def find(
    node: NodeName = "pacs",
    level: Annotated[str, typer.Option("--level", help="PATIENT, STUDY, SERIES or IMAGE.")] = "STUDY",
    filters: FilterOption = None,
    modality: ModalityOption = "",
    date: DateOption = "",
    description: DescriptionOption = "",
    patients: PatientsOption = None,
    accessions: AccessionsOption = None,
    site: SiteOption = None,
    host: HostOption = "",
    port: PortOption = 0,
    ae_title: TitleOption = "PACS",
    calling: CallingOption = "RACOON",
    timeout: TimeoutOption = 30.0,
    tls_ca: CaOption = None,
    tls_certificate: CertificateOption = None,
    tls_key: KeyOption = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV, line by line as answers come.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines, as answers come.")] = False,
) -> None:
    """Ask what a node holds, whole or with an error. Example: racoon pacs find pacs --modality CT --date 20240101-."""
    from racoon_data.pacs.find import RETURN_KEYS
    from racoon_data.pacs.sources import asked_of

    options = locals()
    question = question_of(level.upper(), options)
    peer = any_node_named(node, site, options)
    if question.query.level not in RETURN_KEYS:
        raise SettingsError(f"there is no query level {level!r}", hint=f"one of {', '.join(RETURN_KEYS)}")
    columns = tuple(dict.fromkeys((*RETURN_KEYS[question.query.level], *question.query.filters)))
    with console.progress() as on_event:
        if not _print(
            asked_of(peer, question, on_event=on_event), question.query.level, columns, as_csv=as_csv, as_json=as_json
        ):
            raise NothingMatchedError("the node holds nothing that matches", hint="widen the filters")


def _print(matches: Iterable[Match], level: str, columns: tuple[str, ...], *, as_csv: bool, as_json: bool) -> int:
    """Print matches as they come, a table at the end; give their number."""
    rows: list[list[str]] = []
    count = 0
    for count, match in enumerate(matches, start=1):
        cells = [match.attributes.get(column, "") for column in columns]
        if as_json:
            console.line({"level": level, **match.attributes})
        elif as_csv:
            if count == 1:
                console.csv_line(columns)
            console.csv_line(cells)
        else:
            rows.append(cells)
    if rows:
        console.table(columns, rows)
    return count
