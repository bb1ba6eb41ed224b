"""``racoon convert``: DICOM folders to NIfTI, used alone or by the pipeline."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from racoon_data import console
from racoon_data.errors import ExitCode, NothingMatchedError
from racoon_data.outcomes import exit_code_of

if TYPE_CHECKING:
    from racoon_data.convert.folder import ConvertReport

app = typer.Typer()


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Folder of DICOM files.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for NIfTI files, sidecars and conversion.json.")],
    workers: Annotated[int, typer.Option(min=1, help="Local worker processes.")] = 1,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be written.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Turn DICOM series into NIfTI files, each certified against its headers. Example: racoon convert dicom/ nifti/."""
    from racoon_data.convert.folder import convert_folder

    with console.progress() as on_event:
        report = convert_folder(source, out, workers=workers, is_plan=dry_run, on_event=on_event)
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
