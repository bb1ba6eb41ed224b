"""``racoon pacs push``: send files to a PACS."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from racoon_data import console
from racoon_data.cli.pacs.options import (
    CallingOption,
    CaOption,
    CertificateOption,
    DryOption,
    HostOption,
    JsonOption,
    KeyOption,
    NodeName,
    PortOption,
    SiteOption,
    TimeoutOption,
    TitleOption,
    any_node_named,
    open_or_find_site,
    show,
)
from racoon_data.errors import NothingMatchedError, PacsPartialError, RestoreError, SettingsError

if TYPE_CHECKING:
    from racoon_data.pacs.peer import Node
    from racoon_data.site.ledger import Ledger


def push(
    node: NodeName,
    folder: Annotated[Path, typer.Argument(help="Folder of DICOM files, or one file.", exists=True)],
    site: SiteOption = None,
    host: HostOption = "",
    port: PortOption = 0,
    ae_title: TitleOption = "PACS",
    calling: CallingOption = "RACOON",
    timeout: TimeoutOption = 30.0,
    tls_ca: CaOption = None,
    tls_certificate: CertificateOption = None,
    tls_key: KeyOption = None,
    again: Annotated[bool, typer.Option("--again", help="Send also what the node stored before.")] = False,
    commit: Annotated[bool, typer.Option("--commit", help="Ask afterwards whether the PACS keeps it.")] = False,
    dry_run: DryOption = False,
    as_json: JsonOption = False,
) -> None:
    """Send DICOM files to a PACS (C-STORE) or service (STOW-RS). Example: racoon pacs push pacs results/."""
    from racoon_data.dicom.sorting import files_under
    from racoon_data.outcomes import exit_code_of
    from racoon_data.pacs.sources import push_to

    peer = any_node_named(node, site, locals())
    paths = files_under(folder)
    if not paths:
        raise NothingMatchedError(f"{folder} holds no file", hint="name a folder of DICOM files")
    _refuse_strangers(node, folder, site)
    if dry_run:
        show(("file", "bytes"), [[str(path), path.stat().st_size] for path in paths], as_json)
        return
    with console.progress() as on_event, _memory(site, again) as ledger:
        outcomes = push_to(peer, paths, on_event=on_event, ledger=ledger)
    _commit(peer, paths, commit)
    rows = [[str(one.ref), str(one.status), one.code, one.message] for one in outcomes]
    show(("ref", "status", "code", "message"), rows, as_json)
    raise typer.Exit(int(exit_code_of(outcomes)))


@contextmanager
def _memory(site: Path | None, again: bool) -> Iterator[Ledger | None]:
    """Give the site's ledger, which remembers what each node stored; none outside a site."""
    from racoon_data.site.ledger import Ledger

    try:
        path = open_or_find_site(site).ledger
    except SettingsError:
        if site is not None:
            raise
        yield None
        return
    with Ledger(path) as ledger:
        yield None if again else ledger


def _commit(peer: Node, paths: Sequence[Path], is_wanted: bool) -> None:
    """Ask a PACS for storage commitment of what was sent; what it does not keep is an error."""
    from racoon_data.pacs.commitment import commit_files
    from racoon_data.pacs.peer import PacsNode

    if not is_wanted:
        return
    if not isinstance(peer, PacsNode):
        raise SettingsError("only a PACS is asked for storage commitment", hint="leave out --commit")
    committed = commit_files(peer, paths)
    console.talk(f"{peer.name} keeps {len(committed.kept)} instances, {len(committed.failed)} it does not")
    if committed.failed:
        uid, reason = min(committed.failed.items())
        hint = "push them again; the PACS's log says more"
        raise PacsPartialError(f"the PACS does not keep instance {uid}: reason 0x{reason:04X}", hint=hint)


def _refuse_strangers(node: str, folder: Path, site: Path | None) -> None:
    """Let identified results go to the node they were restored for, and to no other."""
    try:
        outgoing = open_or_find_site(site).outgoing.resolve()
    except SettingsError:
        return
    place = folder.resolve()
    if place.is_relative_to(outgoing) and not place.is_relative_to(outgoing / node):
        hint = "racoon deid restore IN --to NODE makes results for another approved node"
        raise RestoreError(f"these results were restored for another node than {node}", hint=hint)
