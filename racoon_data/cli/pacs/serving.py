"""``racoon pacs serve``: run the embedded PACS."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from racoon_data import console
from racoon_data.errors import SettingsError


def serve(
    folder: Annotated[
        Path, typer.Argument(help="Folder of DICOM files, in any layout; may be empty.", exists=True, file_okay=False)
    ],
    port: Annotated[int, typer.Option("--port", help="Port to listen on, 0 for a free one.")] = 11112,
    ae_title: Annotated[str, typer.Option("--ae-title", help="AE title to answer to.")] = "PACS",
    destinations: Annotated[
        list[str] | None, typer.Option("--destination", help="AETITLE=HOST:PORT that C-MOVE may send to, repeatable.")
    ] = None,
    faults: Annotated[
        Path | None, typer.Option("--faults", help="Fault plan (TOML or JSON): misbehave on purpose, for tests.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line with the address.")] = False,
) -> None:
    """Run the embedded PACS over a folder until interrupted. Example: racoon pacs serve phantoms/ --port 11112."""
    from racoon_data.faults import NO_FAULTS, read_faults
    from racoon_data.pacs.peer import check_port, check_title
    from racoon_data.pacs.serve import EmbeddedPacs

    check_title(ae_title)
    if port:
        check_port(port)
    plan = read_faults(faults) if faults else NO_FAULTS
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    known = _destinations(destinations)
    with EmbeddedPacs(folder, ae_title=ae_title, port=port, destinations=known, faults=plan) as pacs:
        address = {"host": pacs.host, "port": pacs.port, "ae_title": pacs.ae_title, "folder": str(folder)}
        if as_json:
            console.line(address)
        else:
            console.result(f"{ae_title} answers at {pacs.host}:{pacs.port} over {folder}; Ctrl-C stops it")
        while not ended.wait(1.0):
            pass


def _destinations(pairs: list[str] | None) -> dict[str, tuple[str, int]]:
    known: dict[str, tuple[str, int]] = {}
    for pair in pairs or ():
        title, _, address = pair.partition("=")
        host, _, port = address.rpartition(":")
        if not (title and host and port.isdigit()):
            raise SettingsError(
                f"--destination {pair!r} is not AETITLE=HOST:PORT", hint="for instance WORK=127.0.0.1:11113"
            )
        known[title] = (host, int(port))
    return known
