"""``racoon pacs receive``: take what others send."""

from __future__ import annotations

import signal
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from racoon_data import console
from racoon_data.cli.pacs.options import DryOption, SiteOption
from racoon_data.cli.pacs.pulling import spool_and_ledger
from racoon_data.errors import ExitCode

if TYPE_CHECKING:
    from racoon_data.pacs.receive import Desk
    from racoon_data.pacs.storage_scp import StorageScp

PemOption = Annotated[Path | None, typer.Option(help="PEM file for an encrypted listener.", exists=True)]


def receive(
    ae_title: Annotated[str, typer.Option("--ae-title", help="AE title to answer to.")] = "RACOON",
    port: Annotated[int, typer.Option("--port", help="Port to listen on, 0 for a free one.")] = 11112,
    host: Annotated[str, typer.Option("--host", help="Address to listen on; others reach 0.0.0.0.")] = "127.0.0.1",
    senders: Annotated[
        list[str] | None, typer.Option("--from", help="AE title that may send, repeatable; default any.")
    ] = None,
    hosts: Annotated[
        list[str] | None, typer.Option("--from-host", help="Address or network that may send, repeatable; default any.")
    ] = None,
    private_classes: Annotated[
        list[str] | None, typer.Option("--private-class", help="Private SOP class to take, repeatable.")
    ] = None,
    max_associations: Annotated[int, typer.Option("--max-associations", min=1, help="Associations at one time.")] = 16,
    rate: Annotated[float, typer.Option("--rate", min=0, help="MB/s an association may send, 0 for any.")] = 0.0,
    silence: Annotated[float, typer.Option("--timeout", min=1, help="Longest silence to bear (seconds).")] = 60.0,
    tls_certificate: PemOption = None,
    tls_key: PemOption = None,
    tls_ca: PemOption = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for files and ledger, in place of a site.")] = None,
    site: SiteOption = None,
    dry_run: DryOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines: address, instances, sum.")] = False,
) -> None:
    """Take what known senders send (C-STORE) until interrupted. Example: racoon pacs receive --from PACS."""
    from racoon_data.pacs.accepting import Welcome
    from racoon_data.pacs.peer import Tls
    from racoon_data.pacs.receive import Desk
    from racoon_data.pacs.storage_scp import Limits

    welcome = Welcome(ae_title, tuple(senders or ()), tuple(hosts or ()), False, tuple(private_classes or ()))
    tls = Tls(tls_ca, tls_certificate, tls_key) if tls_certificate else None
    desk = Desk(welcome, host, port, Limits(max_associations, silence, rate * 1e6), tls)
    if dry_run:
        _tell(desk, port, as_json)
        return
    _serve(desk, out, site, as_json)


def _serve(desk: Desk, out: Path | None, site: Path | None, as_json: bool) -> None:
    from racoon_data.pacs.receive import receive as take
    from racoon_data.site.ledger import Ledger

    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())

    def ready(scp: StorageScp) -> None:
        _tell(desk, scp.port, as_json)

    def tell(said: Mapping[str, str]) -> None:
        if as_json:
            console.line(said)
        elif said["event"] != "stored":
            console.talk(f"{said['event']}: instance {said['sop_uid']} from {said['sender']} {said.get('reason', '')}")

    with spool_and_ledger(out, site) as (spool, path), Ledger(path) as ledger:
        counts = take(desk, spool=spool, ledger=ledger, is_over=over.is_set, on_end=tell, on_ready=ready)
    if as_json:
        console.line({"event": "sum", **counts})
    else:
        console.result(", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())) or "nothing came")
    if counts["conflict"] or counts["refused"]:
        raise typer.Exit(int(ExitCode.PARTIAL))


def _tell(desk: Desk, port: int, as_json: bool) -> None:
    welcome = desk.welcome
    table = {
        "event": "listening", "host": desk.host, "port": port, "ae_title": welcome.ae_title,
        "tls": desk.tls is not None,
        "from": list(welcome.callers), "from_hosts": list(welcome.hosts),
    }  # fmt: skip
    if as_json:
        console.line(table)
        return
    who = ", ".join((*welcome.callers, *welcome.hosts)) or "anybody on this machine"
    console.result(f"{welcome.ae_title} takes instances at {desk.host}:{port} from {who}; Ctrl-C stops it")
