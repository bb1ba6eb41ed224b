"""``racoon pacs push``: send files to a PACS."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from racoon_data import console
from racoon_data.cli.pacs.options import (
    CallingOption,
    DryOption,
    HostOption,
    JsonOption,
    NodeName,
    PortOption,
    SiteOption,
    TimeoutOption,
    TitleOption,
    any_node_named,
    open_or_find_site,
    show,
)
from racoon_data.errors import NothingMatchedError, RestoreError, SettingsError


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
    with console.progress() as on_event:
        outcomes = push_to(peer, paths, on_event=on_event)
    rows = [[str(one.ref), str(one.status), one.code, one.message] for one in outcomes]
    show(("ref", "status", "code", "message"), rows, as_json)
    raise typer.Exit(int(exit_code_of(outcomes)))


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
