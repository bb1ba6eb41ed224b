"""``racoon pacs serve``: run the embedded PACS."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from racoon_data import console
from racoon_data.errors import SettingsError

if TYPE_CHECKING:
    from racoon_data.pacs.serve import EmbeddedPacs


def serve(
    folder: Annotated[
        Path, typer.Argument(help="Folder of DICOM files, in any layout; may be empty.", exists=True, file_okay=False)
    ],
    port: Annotated[int, typer.Option("--port", help="Port to listen on, 0 for a free one.")] = 11112,
    ae_title: Annotated[str, typer.Option("--ae-title", help="AE title to answer to.")] = "PACS",
    destinations: Annotated[
        list[str] | None, typer.Option("--destination", help="AETITLE=HOST:PORT that C-MOVE may send to, repeatable.")
    ] = None,
    web_port: Annotated[
        int | None, typer.Option("--web-port", help="Answer DICOMweb on this port too, 0 for a free one.")
    ] = None,
    token_env: Annotated[
        str, typer.Option("--token-env", help="Environment variable with the bearer token that DICOMweb asks for.")
    ] = "",
    faults: Annotated[
        Path | None, typer.Option("--faults", help="Fault plan (TOML or JSON): misbehave on purpose, for tests.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line with the address.")] = False,
) -> None:
    """Run the embedded PACS over a folder until interrupted. Example: racoon pacs serve phantoms/ --port 11112."""
    from racoon_data.faults import NO_FAULTS, read_faults
    from racoon_data.pacs.peer import check_port, check_title
    from racoon_data.pacs.serve import EmbeddedPacs
    from racoon_data.pacs.serve_web import WebService

    check_title(ae_title)
    if port:
        check_port(port)
    plan = read_faults(faults) if faults else NO_FAULTS
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    token = _token(token_env)
    with ExitStack() as stack:
        known = _destinations(destinations)
        pacs = stack.enter_context(EmbeddedPacs(folder, ae_title=ae_title, port=port, destinations=known, faults=plan))
        web = None if web_port is None else stack.enter_context(WebService(pacs, port=web_port, token=token))
        _tell(pacs, web.url if web else "", as_json)
        while not ended.wait(1.0):
            pass


def _token(variable: str) -> str:
    token = os.environ.get(variable, "").strip() if variable else ""
    if variable and not token:
        raise SettingsError(f"environment variable {variable} is not set", hint="export it first")
    return token


def _tell(pacs: EmbeddedPacs, web_url: str, as_json: bool) -> None:
    """Say where it listens, what it serves and what it does not."""
    studies, instances = pacs.index.size()
    hidden = pacs.index.hidden()
    if as_json:
        address = {"host": pacs.host, "port": pacs.port, "ae_title": pacs.ae_title, "folder": str(pacs.folder)}
        console.line(
            {**address, "web": web_url, "studies": studies, "instances": instances, "hidden_files": len(hidden)}
        )
    else:
        web = f", DICOMweb at {web_url}" if web_url else ""
        console.result(f"{pacs.ae_title} answers at {pacs.host}:{pacs.port}{web}; Ctrl-C stops it")
        console.result(f"{instances} instances of {studies} studies in {pacs.folder}")
    for second, first in hidden[:10]:
        console.talk(f"not served: {second}: same SOPInstanceUID as {first}")
    if len(hidden) > 10:
        console.talk(f"not served: {len(hidden) - 10} more files with a SOPInstanceUID that is there already")


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
