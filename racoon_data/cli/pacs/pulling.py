"""``racoon pacs pull``: fetch what is missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from racoon_data import console
from racoon_data.cli.pacs.options import (
    AccessionsOption,
    CallingOption,
    CaOption,
    CertificateOption,
    DateOption,
    DescriptionOption,
    DryOption,
    FilterOption,
    HostOption,
    JsonOption,
    KeyOption,
    ModalityOption,
    PatientsOption,
    PortOption,
    SiteOption,
    TimeoutOption,
    TitleOption,
    any_node_named,
    open_or_find_site,
    question_of,
    show,
)
from racoon_data.errors import ExitCode, NothingMatchedError, SettingsError
from racoon_data.refs import StudyRef

if TYPE_CHECKING:
    from racoon_data.pacs.peer import Node
    from racoon_data.site.ledger import Ledger, StudyVerdict


def pull(
    node: Annotated[str, typer.Argument(help="Name of the node, or a plan file of racoon pacs plan.")] = "pacs",
    filters: FilterOption = None,
    modality: ModalityOption = "",
    date: DateOption = "",
    description: DescriptionOption = "",
    patients: PatientsOption = None,
    accessions: AccessionsOption = None,
    method: Annotated[str, typer.Option("--method", help="auto, get, move or wado.")] = "auto",
    attempts: Annotated[int, typer.Option("--attempts", help="How often to ask for what is missing.", min=1)] = 3,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for files and ledger, in place of a site.")] = None,
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
    """Fetch what is missing of studies into the spool. Example: racoon pacs pull pacs --filter PatientID=4711."""
    from racoon_data.site.ledger import Ledger, Verdict

    options = locals()
    if dry_run:
        _preview(options)
        return
    peer, refs = _asked(options)
    with spool_and_ledger(out, site) as (spool, ledger_path), Ledger(ledger_path) as ledger:
        verdicts = _retrieved(peer, refs, (spool, ledger), options)
        reasons = [_reasons(ledger, one) for one in verdicts]
    rows = [
        [one.ref.study_uid, str(one.verdict), one.expected, one.arrived, why]
        for one, why in zip(verdicts, reasons, strict=True)
    ]
    show(("study", "verdict", "expected", "arrived", "why"), rows, as_json)
    if any(one.verdict is not Verdict.COMPLETE for one in verdicts):
        console.talk("the same command fetches what is missing; what arrived is not fetched again")
        raise typer.Exit(int(ExitCode.PARTIAL))


def _preview(options: dict[str, Any]) -> None:
    """Show the plan that would be followed."""
    from racoon_data.cli.pacs.planning import planned
    from racoon_data.pacs.planning import load_plan

    name = options["node"]
    is_plan = name.endswith(".json")
    plan = load_plan(Path(name)) if is_plan else planned(any_node_named(name, options["site"], options), options)
    columns = ("study", "modalities", "series", "instances", "bytes")
    rows = [[one.study_uid, " ".join(one.modalities), one.series, one.instances, one.bytes] for one in plan.studies]
    show(columns, rows, options["as_json"])


def _asked(options: dict[str, Any]) -> tuple[Node, Sequence[StudyRef]]:
    """Read the plan, or ask the node for the studies that fit the options."""
    from racoon_data.pacs.methods import by_method
    from racoon_data.pacs.planning import load_plan
    from racoon_data.pacs.sources import asked_of

    name = options["node"]
    is_plan = name.endswith(".json")
    plan = load_plan(Path(name)) if is_plan else None
    peer = by_method(any_node_named(plan.node if plan else name, options["site"], options), options["method"])
    if plan is not None:
        return peer, plan.refs
    with console.progress(as_json=options["as_json"]) as on_event:
        matches = asked_of(peer, question_of("STUDY", options), on_event=on_event)
        refs = sorted({StudyRef(match.ref.study_uid) for match in matches})
    if not refs:
        raise NothingMatchedError("the node holds no study that matches", hint="widen the filters")
    return peer, refs


def _reasons(ledger: Ledger, verdict: StudyVerdict) -> str:
    """Say why instances of a study did not arrive, each reason once."""
    rows = ledger.instances(verdict.ref.study_uid)
    return "; ".join(sorted({row.reason for row in rows if row.reason}))


def _retrieved(
    peer: Node, refs: Sequence[StudyRef], place: tuple[Path, Ledger], options: dict[str, Any]
) -> tuple[StudyVerdict, ...]:
    from racoon_data.pacs.retrieve import retrieve

    spool, ledger = place
    with console.progress(as_json=options["as_json"]) as on_event:
        return retrieve(peer, refs, spool=spool, ledger=ledger, on_event=on_event, attempts=options["attempts"])


@contextmanager
def spool_and_ledger(out: Path | None, site: Path | None) -> Iterator[tuple[Path, Path]]:
    """Give spool and ledger of a folder or a site, which is ours alone meanwhile."""
    from racoon_data.site.lock import site_lock

    try:
        folder = open_or_find_site(site) if out is None else None
    except SettingsError as error:
        hint = f"{error.hint}; or give --out FOLDER to work without a site"
        raise SettingsError(str(error), hint=hint) from error
    root = folder.root if folder else out or Path()
    with site_lock(root):
        yield (folder.spool, folder.ledger) if folder else (root, root / "ledger.sqlite")
