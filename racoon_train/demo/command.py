"""``racoon demo``: several hospitals, from their PACS to a federated model, on this machine."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from racoon_data import console, plugins
from racoon_data.errors import MissingExtraError, RacoonError, SettingsError
from racoon_data.events import OnEvent

if TYPE_CHECKING:
    from racoon_train.demo.hospitals import Hospital
    from racoon_train.evaluation.account import Comparison

app = typer.Typer()

SEED = 2024
PATIENTS = 10
EXTERNAL_PATIENTS = 6
PAGES = "racoon-demo"


@app.command()
def demo(
    sites: Annotated[int, typer.Option(min=2, max=6, help="Hospitals that train together.")] = 3,
    keep: Annotated[Path | None, typer.Option(help="New folder to keep the whole tree in.")] = None,
    aggregator: Annotated[str, typer.Option(help="flower (separate processes) or in-process.")] = "flower",
    as_json: Annotated[bool, typer.Option("--json", help="The comparison as one JSON document.")] = False,
) -> None:
    """See the whole walk work on this machine. Example: racoon demo --sites 3 --keep demo."""
    started = time.monotonic()
    _need(aggregator)
    with _tree(keep) as tree:
        hospitals, external = _raise_hospitals(sites, tree, as_json=as_json)
        comparison = _compare(
            hospitals, external, tree / "federation", sites=sites, aggregator=aggregator, as_json=as_json
        )
        pages = tree if keep else _bring_out(tree, [*hospitals, *external])
    _show(comparison, pages, [*hospitals, *external], as_json=as_json)
    console.talk(f"done in {time.monotonic() - started:.0f} s")


def _need(aggregator: str) -> None:
    """Say at once, and not after the hospitals' walks, that a part of racoon is missing."""
    needed = ["torch", "monai", *(["flwr"] if aggregator == "flower" else [])]
    if missing := [name for name in needed if find_spec(name) is None]:
        message = f"the demo trains, and {', '.join(missing)} is not installed"
        raise MissingExtraError(message, hint="in racoon's folder: pip install '.[flower]'")
    plugins.load(plugins.AGGREGATORS, aggregator)


@contextmanager
def _tree(keep: Path | None) -> Iterator[Path]:
    """Give the folder everything is built in: the kept one, or one that goes when the demo ends."""
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="racoon-demo-") as folder:
            yield Path(folder)
    else:
        if keep.exists() and any(keep.iterdir()):
            raise SettingsError(f"{keep} is not empty", hint="name a new folder with --keep")
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.resolve()


@contextmanager
def _step(title: str, *, as_json: bool) -> Iterator[OnEvent]:
    """Announce a step, show its progress, and name it where it fails."""
    console.talk(f"== {title}")
    started = time.monotonic()
    try:
        with console.progress(as_json=as_json) as on_event:
            yield on_event
    except RacoonError:
        console.talk(f"step failed: {title}")
        raise
    console.talk(f"   {time.monotonic() - started:.0f} s")


def _raise_hospitals(sites: int, tree: Path, *, as_json: bool) -> tuple[list[Hospital], list[Hospital]]:
    """Let every hospital walk from its own PACS to its own dataset; one more stays out of the federation."""
    from racoon_data.testing.sites import default_plans, external_plan
    from racoon_train.demo.hospitals import HospitalPlan, raise_hospitals

    sizes = [(plan, PATIENTS) for plan in default_plans(sites)] + [(external_plan(), EXTERNAL_PATIENTS)]
    plans = [
        HospitalPlan(plan, tree / plan.name, patients, SEED + number)
        for number, (plan, patients) in enumerate(sizes, start=1)
    ]
    title = f"{len(plans)} hospitals: query, retrieve, de-identify, read annotations, harmonize, check, report"
    with _step(title, as_json=as_json) as on_event:
        raised = raise_hospitals(plans, workers=min(os.cpu_count() or 1, len(plans)), on_event=on_event)
    return raised[:-1], raised[-1:]


def _compare(
    hospitals: list[Hospital], external: list[Hospital], out: Path, *, sites: int, aggregator: str, as_json: bool
) -> Comparison:
    """Train locally, as ensembles and together, fine-tune, and measure every model everywhere."""
    from racoon_train.job.demo import demo_job
    from racoon_train.study import StudyPlan, run_study

    with _step("train locally, together and as an ensemble, and compare", as_json=as_json) as on_event:
        return run_study(
            demo_job(sites),
            datasets=_datasets(hospitals),
            external=_datasets(external),
            out=out,
            plan=StudyPlan(aggregator=aggregator),
            on_event=on_event,
        )


def _datasets(hospitals: list[Hospital]) -> Mapping[str, Path]:
    return {hospital.name: hospital.account.dataset for hospital in hospitals}


def _bring_out(tree: Path, hospitals: list[Hospital]) -> Path:
    """Copy the pages and results people look at out of a tree that is about to go."""
    pages = Path.cwd() / PAGES
    fresh = pages.with_name(f".{PAGES}.partial")
    shutil.rmtree(fresh, ignore_errors=True)
    for hospital in hospitals:
        report = _report(hospital)
        target = fresh / report.relative_to(tree)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(report, target)
    for name in ("comparison.html", "comparison.json", "scores.csv", "model-card.json"):
        (fresh / "federation").mkdir(exist_ok=True)
        shutil.copy2(tree / "federation" / name, fresh / "federation" / name)
    shutil.rmtree(pages, ignore_errors=True)
    fresh.rename(pages)
    return pages


def _report(hospital: Hospital) -> Path:
    return hospital.account.dataset / "qc" / "report.html"


def _show(comparison: Comparison, pages: Path, hospitals: list[Hospital], *, as_json: bool) -> None:
    """Print the comparison and where the pages lie."""
    from racoon_train.evaluation.report import print_tables

    if as_json:
        console.document(comparison.document)
    else:
        print_tables(comparison)
    console.talk("pages:")
    for hospital in hospitals:
        name = hospital.name
        console.talk(f"  {pages / name / 'site' / 'datasets' / hospital.account.dataset.name / 'qc' / 'report.html'}")
    console.talk(f"  {pages / 'federation' / 'comparison.html'}")
