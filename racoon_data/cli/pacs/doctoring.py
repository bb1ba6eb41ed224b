"""``racoon pacs doctor``: find out what a PACS really does, and keep it as its profile."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    node_named,
    open_or_find_site,
)
from racoon_data.errors import ExitCode, SettingsError

if TYPE_CHECKING:
    from racoon_data.pacs.peer import PacsNode, WebNode
    from racoon_data.pacs.profile import PacsProfile


def doctor(
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
    dry_run: DryOption = False,
    as_json: JsonOption = False,
) -> None:
    """Find out what a PACS really does; the profile serves later commands. Example: racoon pacs doctor pacs.

    Exit codes: 0 usable; 4 it cannot be asked or retrieved from.
    """
    from racoon_data.pacs.doctor.examine import examine, rows_of
    from racoon_data.pacs.profile import profile_path, write_profile

    peer = _patient(node, site, locals())
    if dry_run:
        names = ", ".join(name for row in rows_of(peer) for name, _ in row)
        console.result(f"[dry-run] would ask {peer} about: {names}")
        return
    with console.progress(as_json=as_json) as on_event:
        profile = examine(peer, on_event=on_event)
    if not (host or port):
        path = profile_path(open_or_find_site(site), node)
        write_profile(path, profile)
        console.talk(f"profile: {path}")
    _show(profile, as_json)
    if any(finding.result == "bad" for finding in profile.findings):
        raise typer.Exit(int(ExitCode.PEER))


def _patient(name: str, site: Path | None, options: dict[str, Any]) -> PacsNode | WebNode:
    """Take the node without what an earlier profile says about it."""
    from racoon_data.pacs.peer import FolderNode, any_node

    if options["host"] or options["port"] or options["tls_ca"]:
        return node_named(name, site, options)
    here = open_or_find_site(site)
    peer = any_node(name, here.settings, base=here.root)
    if isinstance(peer, FolderNode):
        raise SettingsError("a folder needs no doctor", ref=peer, hint="racoon pacs echo looks into it")
    return peer


def _show(profile: PacsProfile, as_json: bool) -> None:
    from racoon_data.pacs.doctor.examine import names_of

    if as_json:
        console.document(profile.model_dump(mode="json"))
        return
    console.table(("check", "", "what it is", "what helps"), [
        (one.check, one.result, one.message, one.remedy) for one in profile.findings
    ])  # fmt: skip
    console.table(("classes", "encodings accepted"), list(names_of(profile)))
