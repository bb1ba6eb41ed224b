"""``racoon status``: where everything stands, in a terminal, as JSON and as a page; several sites joined."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from racoon_data import console
from racoon_data.errors import SettingsError

if TYPE_CHECKING:
    from racoon_data.site.paths import Site
    from racoon_data.site.standing import JoinedStatus, SiteStatus

app = typer.Typer()


@app.command()
def status(
    exports: Annotated[list[Path] | None, typer.Argument(help="With --merge: the exports of the sites.")] = None,
    site: Annotated[
        Path | None, typer.Option("--site", envvar="RACOON_SITE", help="Site folder; default: found from here upwards.")
    ] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write the page to this file.")] = None,
    export: Annotated[
        Path | None, typer.Option("--export", help="Write what may leave the site: counts, small cells hidden.")
    ] = None,
    merge: Annotated[bool, typer.Option("--merge", help="Join the exports of several sites.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write no file; print what --export would hold.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Tell where a site stands, or several. Example: racoon status --merge a.json b.json --html all.html.

    Exit codes: 0 told; 3 no site, or a file is no export; 9 a file cannot be written.
    """
    if merge or exports:
        _merged(exports or [], merge, html if not dry_run else None, as_json)
        return
    here = _site(site)
    _single(here, html, export, dry_run=dry_run, as_json=as_json)


def _single(here: Site, html: Path | None, export: Path | None, *, dry_run: bool, as_json: bool) -> None:
    from racoon_data.files.atomic import write_json, write_text
    from racoon_data.pipeline.status import export_of, status_of
    from racoon_data.pipeline.status_page import page_of_site

    seen = status_of(here)
    if export is not None:
        leaving = export_of(seen, smallest=here.settings.privacy.smallest_cell).model_dump(mode="json", by_alias=True)
        if dry_run:
            console.document(leaving)
            return
        write_json(export, leaving)
        console.talk(
            f"export: {export} holds counts alone; groups below {here.settings.privacy.smallest_cell} are hidden"
        )
    if html is not None and not dry_run:
        write_text(html, page_of_site(seen))
        console.talk(f"page: {html}")
    if as_json:
        console.document(seen.model_dump(mode="json", by_alias=True))
    else:
        _show(seen)


def _show(seen: SiteStatus) -> None:
    from racoon_data.rates import span

    console.result(f"site {seen.site} at {seen.time}: {seen.busy or 'nobody works on it'}")
    rows: list[tuple[object, ...]] = []
    for dataset in seen.datasets:
        state = dataset.job.state if dataset.job else ""
        for stage in dataset.stages:
            counts = (stage.came_in, stage.used, stage.repaired, stage.skipped, stage.failed)
            rows.append((dataset.name, state, stage.name, *counts))
        if not dataset.stages:
            rows.append((dataset.name, state, "no account yet", "", "", "", "", ""))
    console.table(("dataset", "job", "", "in", "used", "repaired", "skipped", "failed"), rows, title="Datasets")
    console.table(("state", "instances"), list(seen.instances.items()), title="Ledger")
    stuck = [(one.state, one.count, span(one.oldest_s)) for one in seen.stuck]
    console.table(("stuck", "instances", "oldest"), stuck, title="Stuck")
    console.table(("code", "left out"), list(seen.failures.items()), title="Left out, by code")
    console.talk(f"{seen.quarantined} objects in quarantine; {seen.disk_free_bytes / 1e9:.1f} GB of disk free")


def _merged(paths: list[Path], merge: bool, html: Path | None, as_json: bool) -> None:
    from racoon_data.files.atomic import write_text
    from racoon_data.pipeline.status import joined, load_export
    from racoon_data.pipeline.status_page import page_of_sites

    if not merge or not paths:
        raise SettingsError("--merge joins the exports that are named", hint="racoon status --merge a.json b.json")
    together = joined(load_export(path) for path in paths)
    if html is not None:
        write_text(html, page_of_sites(together))
        console.talk(f"page: {html}")
    if as_json:
        console.document(together.model_dump(mode="json", by_alias=True))
    else:
        _show_joined(together)


def _show_joined(together: JoinedStatus) -> None:
    rows: list[tuple[object, ...]] = []
    for dataset in together.datasets:
        for stage in dataset.stages:
            counts = [("in", stage.came_in), ("used", stage.used), *sorted(stage.left_out.items())]
            rows += [(dataset.name, stage.name, what, one.at_least, one.hidden_at or "") for what, one in counts]
    title = f"{len(together.sites)} sites: {', '.join(site.site for site in together.sites)}"
    console.table(("dataset", "", "what", "at least", "hidden at so many sites"), rows, title=title)


def _site(folder: Path | None) -> Site:
    from racoon_data.site.paths import find_site, open_site

    return open_site(folder) if folder else find_site(Path.cwd())
