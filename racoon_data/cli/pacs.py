"""``racoon pacs``: query, retrieve from, push to and serve a PACS."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from racoon_data import console
from racoon_data.errors import ExitCode, NothingMatchedError, SettingsError
from racoon_data.refs import Query, StudyRef

if TYPE_CHECKING:
    from racoon_data.pacs.peer import PacsNode
    from racoon_data.site.ledger import Ledger, StudyVerdict
    from racoon_data.site.paths import Site

app = typer.Typer(
    help="Query, retrieve from, push to and serve a PACS. Example: racoon pacs echo pacs", no_args_is_help=True
)

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


def _site(folder: Path | None) -> Site:
    from racoon_data.site.paths import find_site, open_site

    return open_site(folder) if folder else find_site(Path.cwd())


def _node(name: str, site: Path | None, options: dict[str, Any]) -> PacsNode:
    from racoon_data.pacs.peer import PacsNode, named_node

    host, port = options["host"], options["port"]
    if host or port:
        address = (host or "127.0.0.1", port or 104)
        return PacsNode(name, *address, options["ae_title"], options["calling"], options["timeout"])
    return named_node(name, _site(site).settings.nodes)


def _filters(pairs: list[str] | None) -> dict[str, str]:
    parsed: dict[str, str] = {}
    for pair in pairs or ():
        keyword, equals, value = pair.partition("=")
        if not equals or not keyword.strip():
            raise SettingsError(f"--filter {pair!r} is not Keyword=value", hint="for instance PatientID=123")
        parsed[keyword.strip()] = value
    return parsed


@app.command()
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

    peer = _node(node, site, locals())
    seconds = ask(peer)
    if as_json:
        console.document({"node": asdict(peer), "seconds": round(seconds, 4)})
    else:
        console.result(f"{peer} answers in {seconds * 1000:.0f} ms")


@app.command()
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

    query = Query(level.upper(), _filters(filters))
    matches = ask(_node(node, site, locals()), query)
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


@app.command()
def pull(
    node: NodeName = "pacs",
    filters: FilterOption = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for files and ledger, in place of a site.")] = None,
    site: SiteOption = None,
    host: HostOption = "",
    port: PortOption = 0,
    ae_title: TitleOption = "PACS",
    calling: CallingOption = "RACOON",
    timeout: TimeoutOption = 30.0,
    dry_run: DryOption = False,
    as_json: JsonOption = False,
) -> None:
    """Fetch what is missing of studies into the spool. Example: racoon pacs pull pacs --filter PatientID=4711."""
    from racoon_data.pacs.find import find as ask
    from racoon_data.site.ledger import Ledger, Verdict

    peer = _node(node, site, locals())
    matches = list(ask(peer, Query("STUDY", _filters(filters))))
    studies = [match.ref for match in matches if isinstance(match.ref, StudyRef)]
    if not studies:
        raise NothingMatchedError("the PACS holds no study that matches", hint="widen the filters")
    if dry_run:
        columns = ("StudyInstanceUID", "StudyDate", "ModalitiesInStudy", "NumberOfStudyRelatedInstances")
        _show(columns, [[match.attributes.get(column, "") for column in columns] for match in matches], as_json)
        return
    with _spool_and_ledger(out, site) as (spool, ledger_path), Ledger(ledger_path) as ledger:
        verdicts = _retrieved(peer, studies, spool, ledger)
        reasons = [_reasons(ledger, one) for one in verdicts]
    rows = [
        [one.ref.study_uid, str(one.verdict), one.expected, one.arrived, why]
        for one, why in zip(verdicts, reasons, strict=True)
    ]
    _show(("study", "verdict", "expected", "arrived", "why"), rows, as_json)
    if any(one.verdict is not Verdict.COMPLETE for one in verdicts):
        console.talk("the same command fetches what is missing; what arrived is not fetched again")
        raise typer.Exit(int(ExitCode.PARTIAL))


def _reasons(ledger: Ledger, verdict: StudyVerdict) -> str:
    """Say why instances of a study did not arrive, each reason once."""
    rows = ledger.instances(verdict.ref.study_uid)
    return "; ".join(sorted({row.reason for row in rows if row.reason}))


def _retrieved(peer: PacsNode, studies: list[StudyRef], spool: Path, ledger: Ledger) -> tuple[StudyVerdict, ...]:
    from racoon_data.pacs.retrieve import retrieve

    with console.progress() as on_event:
        return retrieve(peer, studies, spool=spool, ledger=ledger, on_event=on_event)


@contextmanager
def _spool_and_ledger(out: Path | None, site: Path | None) -> Iterator[tuple[Path, Path]]:
    from racoon_data.site.lock import site_lock

    try:
        folder = _site(site) if out is None else None
    except SettingsError as error:
        hint = f"{error.hint}; or give --out FOLDER to work without a site"
        raise SettingsError(str(error), hint=hint) from error
    root = folder.root if folder else out or Path()
    with site_lock(root):
        yield (folder.spool, folder.ledger) if folder else (root, root / "ledger.sqlite")


def _show(columns: tuple[str, ...], rows: list[list[Any]], as_json: bool) -> None:
    if as_json:
        console.document([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        console.table(columns, rows)


@app.command()
def push(
    node: NodeName,
    folder: Annotated[Path, typer.Argument(help="Folder of DICOM files, or one file.", exists=True)],
    site: SiteOption = None,
    host: HostOption = "",
    port: PortOption = 0,
    ae_title: TitleOption = "PACS",
    calling: CallingOption = "RACOON",
    timeout: TimeoutOption = 30.0,
    dry_run: DryOption = False,
    as_json: JsonOption = False,
) -> None:
    """Send DICOM files to a PACS (C-STORE). Example: racoon pacs push pacs results/."""
    from racoon_data.dicom.sorting import files_under
    from racoon_data.outcomes import exit_code_of
    from racoon_data.pacs.push import push as send

    peer = _node(node, site, locals())
    paths = files_under(folder)
    if not paths:
        raise NothingMatchedError(f"{folder} holds no file", hint="name a folder of DICOM files")
    if dry_run:
        _show(("file", "bytes"), [[str(path), path.stat().st_size] for path in paths], as_json)
        return
    with console.progress() as on_event:
        outcomes = send(peer, paths, on_event=on_event)
    rows = [[str(one.ref), str(one.status), one.code, one.message] for one in outcomes]
    _show(("ref", "status", "code", "message"), rows, as_json)
    raise typer.Exit(int(exit_code_of(outcomes)))


@app.command()
def serve(
    folder: Annotated[
        Path, typer.Argument(help="Folder of DICOM files, in any layout; may be empty.", exists=True, file_okay=False)
    ],
    port: Annotated[int, typer.Option("--port", help="Port to listen on, 0 for a free one.")] = 11112,
    ae_title: Annotated[str, typer.Option("--ae-title", help="AE title to answer to.")] = "PACS",
    destinations: Annotated[
        list[str] | None, typer.Option("--destination", help="AETITLE=HOST:PORT that C-MOVE may send to, repeatable.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line with the address.")] = False,
) -> None:
    """Run the embedded PACS over a folder until interrupted. Example: racoon pacs serve phantoms/ --port 11112."""
    from racoon_data.pacs.peer import check_port, check_title
    from racoon_data.pacs.serve import EmbeddedPacs

    check_title(ae_title)
    if port:
        check_port(port)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with EmbeddedPacs(folder, ae_title=ae_title, port=port, destinations=_destinations(destinations)) as pacs:
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
