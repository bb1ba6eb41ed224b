"""``racoon serve``: look at datasets in a browser on this machine, and review their cases."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from racoon_data import console
from racoon_data.errors import DamagedDatasetError, SettingsError

if TYPE_CHECKING:
    from racoon_data.site.paths import Site

app = typer.Typer()


@app.command()
def serve(
    dataset: Annotated[
        str, typer.Argument(help="Dataset folder, or name of a dataset of the site; default: all of the site.")
    ] = "",
    site: Annotated[
        Path | None, typer.Option(envvar="RACOON_SITE", help="Site folder; default: found upwards.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1, 0 for a free one.")] = 0,
    reviewer: Annotated[str, typer.Option(help="Name that reviews bear; default: your account.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line with the address.")] = False,
) -> None:
    """Look at cases and accept or reject them, in a browser on this machine; files are only read.

    Only the address it prints opens the viewer: it holds a token of this run. Ctrl-C stops it.
    Example: racoon serve lung --site site.
    """
    from racoon_data.qc.viewer.server import Viewer
    from racoon_data.qc.viewer.shelf import Shelf
    from racoon_data.site.audit import account

    here = _site(site, dataset)
    roots = _roots(dataset, here)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    shelf = Shelf(roots, here.ledger if here else None, reviewer or account())
    with Viewer(shelf, port=port) as viewer:
        if as_json:
            console.line({"url": viewer.gate.url, "datasets": sorted(roots), "can_review": here is not None})
        else:
            console.result(viewer.gate.url)
            kept = f"reviews are kept in {here.ledger.name}" if here else "outside a site: nothing can be reviewed"
            console.talk(f"{len(roots)} dataset(s); {kept}; Ctrl-C stops it")
        while not ended.wait(1.0):
            pass


def _site(named: Path | None, dataset: str) -> Site | None:
    """Find the site whose database takes the reviews: the named one, or the one the dataset lies in."""
    from racoon_data.site.paths import find_site, open_site

    if named:
        return open_site(named)
    try:
        return find_site(Path(dataset) if dataset and Path(dataset).is_dir() else Path.cwd())
    except SettingsError:
        if dataset and Path(dataset).is_dir():
            return None
        raise


def _roots(dataset: str, site: Site | None) -> dict[str, Path]:
    from racoon_data.files.manifest import MANIFEST_NAME

    if dataset and Path(dataset).is_dir():
        root = Path(dataset).resolve()
        if not (root / MANIFEST_NAME).is_file():
            raise DamagedDatasetError(f"{root.name} has no {MANIFEST_NAME}", hint="name a finished dataset")
        return {root.name: root}
    found = {path.parent.name: path.parent for path in sorted(site.datasets.glob(f"*/{MANIFEST_NAME}"))} if site else {}
    if dataset and dataset not in found:
        raise SettingsError(f"the site has no dataset {dataset!r}", hint=f"one of: {', '.join(found) or 'none yet'}")
    return {dataset: found[dataset]} if dataset else found
