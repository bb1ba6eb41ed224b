"""``racoon pacs plan``: what a retrieval would fetch, how much and how long."""

from __future__ import annotations

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
    NodeName,
    PatientsOption,
    PortOption,
    SiteOption,
    TimeoutOption,
    TitleOption,
    any_node_named,
    question_of,
)
from racoon_data.errors import NothingMatchedError
from racoon_data.rates import span

if TYPE_CHECKING:
    from racoon_data.pacs.peer import Node
    from racoon_data.pacs.planning import PullPlan

PLAN_NAME = "pull-plan.json"


def plan(
    node: NodeName = "pacs",
    filters: FilterOption = None,
    modality: ModalityOption = "",
    date: DateOption = "",
    description: DescriptionOption = "",
    patients: PatientsOption = None,
    accessions: AccessionsOption = None,
    to: Annotated[Path, typer.Option("--to", help="File of the plan, which pull takes.")] = Path(PLAN_NAME),
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
    """Plan a retrieval: studies, instances, bytes, time. Example: racoon pacs plan pacs --date 20240101-."""
    from racoon_data.pacs.planning import write_plan

    options = locals()
    made = planned(any_node_named(node, site, options), options)
    if not dry_run:
        write_plan(to, made)
    if as_json:
        console.document(made.model_dump(mode="json"))
        return
    columns = ("study", "modalities", "series", "instances", "MB", "counted")
    rows = [
        [one.study_uid, " ".join(one.modalities), one.series, one.instances, f"{one.bytes / 1e6:.1f}", one.counted]
        for one in made.studies
    ]
    console.table(columns, rows)
    how = "as measured" if made.is_measured else "at a usual speed; racoon pacs doctor measures it"
    console.result(
        f"{len(made.studies)} studies, {made.series} series, {made.instances} instances,"
        f" about {made.bytes / 1e6:.0f} MB and {span(made.seconds)} ({how})"
    )
    if not dry_run:
        console.talk(f"next: racoon pacs pull {to}")


def planned(peer: Node, options: dict[str, Any]) -> PullPlan:
    """Find the studies that the options ask for, and plan their retrieval."""
    from racoon_data.pacs.methods import method_for
    from racoon_data.pacs.planning import plan_pull
    from racoon_data.pacs.sources import asked_of

    question = question_of("STUDY", options)
    with console.progress(as_json=options["as_json"]) as on_event:
        matches = list(asked_of(peer, question, on_event=on_event))
        if not matches:
            raise NothingMatchedError("the node holds no study that matches", hint="widen the filters")
        speed = _speed(peer.name, options)
        expect = method_for(peer).expect
        return plan_pull(peer.name, matches, expect=expect, speed=speed, on_event=on_event)


def _speed(name: str, options: dict[str, Any]) -> Any:
    from racoon_data.cli.pacs.options import open_or_find_site
    from racoon_data.pacs.profile import load_profile, profile_path

    if options["host"] or options["port"]:
        return None
    profile = load_profile(profile_path(open_or_find_site(options["site"]), name))
    return profile.speed if profile else None
