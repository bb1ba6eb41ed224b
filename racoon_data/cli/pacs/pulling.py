"""``racoon pacs pull``: fetch what is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from racoon_data import console
from racoon_data.cli.pacs.options import (
    CallingOption,
    DryOption,
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
    open_or_find_site,
    show,
)
from racoon_data.errors import ExitCode, NothingMatchedError, SettingsError
from racoon_data.refs import Query, StudyRef

if TYPE_CHECKING:
    from racoon_data.pacs.peer import PacsNode
    from racoon_data.site.ledger import Ledger, StudyVerdict


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

    peer = node_named(node, site, locals())
    matches = list(ask(peer, Query("STUDY", filters_of(filters))))
    studies = [match.ref for match in matches if isinstance(match.ref, StudyRef)]
    if not studies:
        raise NothingMatchedError("the PACS holds no study that matches", hint="widen the filters")
    if dry_run:
        columns = ("StudyInstanceUID", "StudyDate", "ModalitiesInStudy", "NumberOfStudyRelatedInstances")
        show(columns, [[match.attributes.get(column, "") for column in columns] for match in matches], as_json)
        return
    with _spool_and_ledger(out, site) as (spool, ledger_path), Ledger(ledger_path) as ledger:
        verdicts = _retrieved(peer, studies, spool, ledger)
        reasons = [_reasons(ledger, one) for one in verdicts]
    rows = [
        [one.ref.study_uid, str(one.verdict), one.expected, one.arrived, why]
        for one, why in zip(verdicts, reasons, strict=True)
    ]
    show(("study", "verdict", "expected", "arrived", "why"), rows, as_json)
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
        folder = open_or_find_site(site) if out is None else None
    except SettingsError as error:
        hint = f"{error.hint}; or give --out FOLDER to work without a site"
        raise SettingsError(str(error), hint=hint) from error
    root = folder.root if folder else out or Path()
    with site_lock(root):
        yield (folder.spool, folder.ledger) if folder else (root, root / "ledger.sqlite")
