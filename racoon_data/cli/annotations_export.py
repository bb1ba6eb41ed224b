"""``racoon annotations export``: label maps and predictions back to DICOM SEG and a TID 1500 report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from racoon_data import console
from racoon_data.errors import SettingsError

if TYPE_CHECKING:
    from racoon_data.annotations.settling import Moment
    from racoon_data.labels import LabelSchema


def export(
    labels: Annotated[
        Path, typer.Argument(help="Label map or prediction (.nii.gz), or a folder annotations read wrote.")
    ],
    images: Annotated[Path, typer.Argument(help="Folder of the DICOM images it was made on.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for the DICOM objects and export.json.")],
    schema: Annotated[Path | None, typer.Option("--labels", help="Label schema: values, names, codes.")] = None,
    kind: Annotated[str, typer.Option("--as", help="binary, labelmap or fractional.")] = "binary",
    label: Annotated[str, typer.Option(help="The file holds this label alone, as mask or fractions 0 to 1.")] = "",
    algorithm: Annotated[str, typer.Option(help="Name of the algorithm that outlined.")] = "",
    algorithm_version: Annotated[str, typer.Option(help="Its version.")] = "",
    reader: Annotated[
        str, typer.Option(help="Name (or pseudonym) of the person who outlined, or corrected the algorithm.")
    ] = "",
    lesions: Annotated[bool, typer.Option("--lesions", help="One segment for each connected part of a label.")] = False,
    series: Annotated[str, typer.Option(help="SeriesInstanceUID, where the folder holds several that fit.")] = "",
    date: Annotated[str, typer.Option(help="Date of the objects, YYYYMMDD[HHMMSS]; default: the study's.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be written and write nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Write SEG and SR from labels.

    Example: racoon annotations export pred.nii.gz dicom/ out/ --labels labels.json --reader R1
    """
    from racoon_data.annotations.export_input import by_lesion, drawings_of
    from racoon_data.annotations.exporting import choose_series, plan_export, write_export
    from racoon_data.annotations.written_segments import author_of
    from racoon_data.dicom.sorting import files_under, sort_files
    from racoon_data.files.atomic import write_json

    moment = _moment(date)
    found = sort_files(files_under(images, without=[out]), root=images)
    accounts: list[dict[str, Any]] = []
    for drawn in drawings_of(labels, _schema(schema), label=label):
        drawing = by_lesion(drawn) if lesions else drawn
        person = reader or ("" if algorithm else drawing.reader)
        segments = [segment for segment, _ in drawing.parts]
        author = author_of(segments, algorithm=algorithm, version=algorithm_version, reader=person)
        chosen = choose_series(found.series, drawing, series_uid=series)
        plan = plan_export(drawing, chosen, author, kind=kind, moment=moment)
        accounts.append(plan.to_json() if dry_run else write_export(plan, out))
    if not dry_run:
        write_json(out / "export.json", {"schema_version": "1.0", "exports": accounts})
    if as_json:
        console.document({"schema_version": "1.0", "exports": accounts})
    else:
        _show(accounts)


def _schema(path: Path | None) -> LabelSchema | None:
    from racoon_data.harmonize.label_schema import load_schema

    return load_schema(path) if path is not None else None


def _moment(text: str) -> Moment | None:
    """Read the date option.

    Raises:
        SettingsError: It is neither eight nor fourteen digits that make a date.
    """
    from datetime import datetime

    from racoon_data.annotations.settling import Moment

    if not text:
        return None
    try:
        parsed = datetime.strptime(text.ljust(14, "0"), "%Y%m%d%H%M%S")
    except ValueError as error:
        raise SettingsError(f"{text!r} is no date", hint="write YYYYMMDD or YYYYMMDDHHMMSS") from error
    return Moment(parsed.strftime("%Y%m%d"), parsed.strftime("%H%M%S"))


def _show(accounts: list[dict[str, Any]]) -> None:
    columns = ("number", "name", "voxels", "ml", "long_axis_mm", "short_axis_mm")
    for account in accounts:
        console.table(columns, [[str(row[column]) for column in columns] for row in account["segments"]])
        for one in account["objects"]:
            console.result(f"{one['file']}: {one['sop_uid']}")
        for note in account["notes"]:
            console.talk(f"note: {note}")
        for issue in account["issues"]:
            console.talk(f"issue: {issue['item']}: {issue['message']} ({issue['code']})")
