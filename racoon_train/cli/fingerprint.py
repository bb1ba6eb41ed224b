"""``racoon train fingerprint`` and ``racoon train plan``: what a site tells before training, and what follows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from racoon_data import console

if TYPE_CHECKING:
    from racoon_train.fingerprint.document import Fingerprint

JobFile = Annotated[Path, typer.Option("--job", help="The job (TOML or JSON): its classes and bins hold.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


def fingerprint(
    dataset: Annotated[Path, typer.Argument(help="The dataset folder.", exists=True, file_okay=False)],
    job: JobFile,
    out: Annotated[Path, typer.Option(help="File to write; it is what may leave the site.")],
    workers: Annotated[int, typer.Option(min=1, help="Processes that read.")] = 1,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count and show, write nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Count what a site may tell of its training cases, small cells kept back.

    Example: racoon train fingerprint datasets/lung --job job.toml --out lung.fingerprint.json.
    """
    from racoon_data.files.atomic import write_json
    from racoon_train.data.dataset import open_dataset
    from racoon_train.fingerprint.counting import fingerprint_of
    from racoon_train.job.job import load_job

    with console.progress() as on_event:
        counted = fingerprint_of(
            open_dataset(dataset, on_event=on_event), load_job(job), workers=workers, on_event=on_event
        )
    if not dry_run:
        write_json(out, counted.to_json())
    if as_json:
        console.document(counted.to_json())
    else:
        _show(counted)
        console.result(f"[dry-run] {out} was not written" if dry_run else str(out))


def plan(
    files: Annotated[list[Path], typer.Argument(help="Fingerprints of the sites.", exists=True, dir_okay=False)],
    job: JobFile,
    as_json: AsJson = False,
) -> None:
    """Add up fingerprints and derive spacing, patch and intensity window for the job.

    Example: racoon train plan north.json south.json --job job.toml.
    """
    from racoon_train.fingerprint.document import load_fingerprint, merge
    from racoon_train.fingerprint.planning import plan_of
    from racoon_train.job.job import load_job

    network = load_job(job).network
    total = merge([load_fingerprint(file) for file in files])
    found = plan_of(total, dimensions=network.dimensions, multiple=network.multiple)
    if as_json:
        console.document({"plan": found.to_json(), "fingerprint": total.to_json()})
        return
    _show(total)
    training = found.to_json()["training"]
    console.result("[training]\n" + "\n".join(f"{key} = {value}" for key, value in training.items()))


def _show(found: Fingerprint) -> None:
    from racoon_train.fingerprint.planning import intensity_of

    console.table(
        ("class", "present", "absent", "not annotated", "voxels"),
        [
            tuple("hidden" if cell is None else cell for cell in row)
            for row in (
                (part.name, part.present, part.absent, part.not_annotated, part.voxels) for part in found.classes
            )
        ],
        title=f"{found.sites} site(s), {'hidden' if found.cases is None else found.cases} training cases",
    )
    rows = []
    for part in found.channels:
        for name, cells in (("all", part.voxels), ("labelled", part.foreground)):
            if cells:
                one = intensity_of(cells, found.statistics)
                rows.append((part.name, name, one.voxels, *(f"{v:.1f}" for v in (one.mean, one.sd, one.low, one.high))))
    console.table(("channel", "voxels", "count", "mean", "sd", "0.5 %", "99.5 %"), rows, title="intensities")
