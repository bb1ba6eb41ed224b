"""``racoon convert``: DICOM folders to NIfTI, used alone or by the pipeline."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from racoon_data import console
from racoon_data.errors import ExitCode, NothingMatchedError
from racoon_data.outcomes import exit_code_of

if TYPE_CHECKING:
    from racoon_data.convert.folder import ConvertReport

app = typer.Typer()


class Colour(StrEnum):
    """What becomes of colour images."""

    KEEP = "keep"
    REFUSE = "refuse"


class Values(StrEnum):
    """Which values are written where an image offers several."""

    RESCALE = "rescale"
    REAL_WORLD = "real-world"
    PHILIPS = "philips"


class Time(StrEnum):
    """What becomes of volumes that differ in time or diffusion weighting alone."""

    JOIN = "join"
    SPLIT = "split"


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Folder of DICOM files.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for NIfTI files, sidecars and conversion.json.")],
    suv: Annotated[bool, typer.Option("--suv", help="Write PET as SUV (body weight), or refuse it.")] = False,
    colour: Annotated[Colour, typer.Option(help="Keep colour images, or refuse them.")] = Colour.KEEP,
    values: Annotated[
        Values,
        typer.Option(help="Where an image offers several: rescaled, real-world mapped or Philips floating point."),
    ] = Values.RESCALE,
    time: Annotated[Time, typer.Option(help="Time points and diffusion weightings: 4D, or 3D files.")] = Time.JOIN,
    regular: Annotated[
        bool,
        typer.Option("--regular", help="Resample tilted (as a copy), uneven and gapped stacks from true positions."),
    ] = False,
    workers: Annotated[int, typer.Option(min=1, help="Local worker processes, each with one volume at a time.")] = 1,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Dask scheduler to use instead (tcp://host:8786).")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be written.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Turn DICOM series into NIfTI files, each certified against its headers. Example: racoon convert dicom/ nifti/."""
    from racoon_data.convert.choices import Choices
    from racoon_data.convert.folder import Run, convert_folder

    choices = Choices(
        values=values.value,
        is_colour=colour is Colour.KEEP,
        is_suv=suv,
        is_time_joined=time is Time.JOIN,
        is_regular=regular,
    )
    run = Run(workers, scheduler)
    with console.progress() as on_event:
        report = convert_folder(source, out, choices=choices, run=run, is_plan=dry_run, on_event=on_event)
    if as_json:
        console.document(report.to_json())
    else:
        _show(report)
    if not report.volumes and exit_code_of(report.outcomes) == ExitCode.DONE:
        raise NothingMatchedError("no image series here", hint="racoon annotations list shows annotation files")
    if code := exit_code_of(report.outcomes):
        raise typer.Exit(int(code))


def _show(report: ConvertReport) -> None:
    rows = [(row["file"], row["modality"], row["instances"], row["part"] or "-") for row in report.volumes]
    console.table(("file", "modality", "slices", "part"), rows, title="would write" if report.is_plan else "")
    refusals = Counter((outcome.code, outcome.message) for outcome in report.outcomes)
    for (code, message), count in sorted(refusals.items()):
        console.result(f"{count} file(s) {code}: {message}")
    console.result(", ".join(f"{name.replace('_', ' ')} {count}" for name, count in report.counts.items()))
