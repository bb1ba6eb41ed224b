"""racoon dataset: look at a dataset, check it, compare, split and export it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from racoon_data import console
from racoon_data.cli.dataset_build import build
from racoon_data.cli.dataset_compare import diff, split
from racoon_data.cli.dataset_harmonize import harmonize
from racoon_data.cli.dataset_transfer import export
from racoon_data.errors import ExitCode

if TYPE_CHECKING:
    from racoon_data.files.manifest import CaseRecord, Manifest

app = typer.Typer(help="Build, show, check, compare, split and export datasets.", no_args_is_help=True)
app.command()(build)
app.command()(harmonize)
app.command()(diff)
app.command()(split)
app.command()(export)

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The dataset folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


@app.command()
def show(folder: Folder, as_json: AsJson = False) -> None:
    """Say what a dataset holds. Example: racoon dataset show datasets/lung."""
    from racoon_data.dataset.manifest import load_manifest

    manifest = load_manifest(folder)
    if as_json:
        console.document(manifest.to_json())
        return
    console.table(("dataset", manifest.name), _facts(manifest))
    cases = [_row(case) for case in manifest.cases]
    console.table(("case", "patient", "split", "fold", "labels (ml)"), cases)
    if manifest.outcomes:
        rows = [(outcome.ref, outcome.status, outcome.code, outcome.hint) for outcome in manifest.outcomes]
        console.table(("left out", "end", "code", "what helps"), rows)


def _facts(manifest: Manifest) -> list[tuple[str, object]]:
    counts = manifest.counts
    return [
        ("site", manifest.site),
        ("cases", f"{counts.used} used + {counts.skipped} skipped + {counts.failed} failed = {counts.cases_in}"),
        ("channels", ", ".join(manifest.channels)),
        ("labels", ", ".join(f"{label.value} {label.name}" for label in manifest.label_schema.labels)),
        ("annotated", ", ".join(manifest.annotated_labels)),
        ("recipe", manifest.recipe_sha256[:12]),
        ("hash", manifest.dataset_sha256),
    ]


def _row(case: CaseRecord) -> tuple[object, ...]:
    volumes = ", ".join(f"{name} {volume:g}" for name, volume in case.label_ml.items())
    fold = "" if case.fold is None else case.fold
    return (case.case_id, case.patient, case.split, fold, volumes or "no label")


@app.command()
def check(folder: Folder, as_json: AsJson = False) -> None:
    """Compare every file with the manifest; exits 6 when damaged. Example: racoon dataset check datasets/lung."""
    from racoon_data.dataset.check import check_dataset

    with console.progress() as on_event:
        defects = check_dataset(folder, on_event=on_event)
    if as_json:
        console.document({"sound": not defects, "defects": [defect.to_json() for defect in defects]})
    elif defects:
        rows = [(defect.ref, defect.code, defect.message, defect.hint) for defect in defects]
        console.table(("where", "code", "what", "what helps"), rows)
    else:
        console.result(f"{folder.name} is sound: every file is as its manifest says")
    if defects:
        raise typer.Exit(int(ExitCode.QUALITY))
