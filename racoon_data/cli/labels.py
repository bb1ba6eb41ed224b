"""``racoon labels``: show a label schema, and check which segments of a folder reach it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from racoon_data import console
from racoon_data.errors import ExitCode, NothingMatchedError, worst
from racoon_data.outcomes import Outcome, Status, exit_code_of

if TYPE_CHECKING:
    from racoon_data.annotations.linking import Link
    from racoon_data.harmonize.label_check import SegmentRow
    from racoon_data.labels import CodedConcept, LabelSchema, Segment

app = typer.Typer(help="Show a label schema and check what maps to it.", no_args_is_help=True)

SchemaFile = Annotated[Path, typer.Argument(help="Label schema file (JSON).", metavar="SCHEMA")]
Folder = Annotated[Path, typer.Argument(help="Folder of DICOM series with their SEG or RTSTRUCT.", metavar="FOLDER")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document.")]

_MASKS = ("SEG", "RTSTRUCT")


@app.command()
def show(schema_file: SchemaFile, as_json: AsJson = False) -> None:
    """Show the labels of a schema with their codes and names. Example: racoon labels show labels.json."""
    from dataclasses import asdict

    from racoon_data.harmonize.label_mapping import load_schema

    schema = load_schema(schema_file)
    if as_json:
        console.document(asdict(schema))
        return
    rows = [
        (one.value, one.name, one.priority, _codes((*one.codes, *one.type_modifiers, *one.regions)), _and(one.synonyms))
        for one in schema.labels
    ]
    console.table(("value", "label", "priority", "codes", "names"), rows, title=f"{schema.name} {schema.version}")


@app.command()
def check(schema_file: SchemaFile, folder: Folder, as_json: AsJson = False) -> None:
    """List which segments reach which label, and the nearest where none. Example: racoon labels check labels.json work.

    Exits with 6 where a segment reaches no label, with 5 where an annotation could not be read.
    """
    from racoon_data.harmonize.label_check import check_segments
    from racoon_data.harmonize.label_mapping import load_schema

    schema = load_schema(schema_file)
    segments, outcomes = _segments_in(folder, as_json=as_json)
    rows = check_segments(segments, schema)
    if as_json:
        unread = [outcome.to_json() for outcome in outcomes]
        console.document({"segments": [row.to_json() for row in rows], "unread": unread})
    else:
        _print(rows, schema, outcomes)
    unmapped = ExitCode.QUALITY if any(not row.label for row in rows) else ExitCode.DONE
    if (code := worst((unmapped, exit_code_of(outcomes)))) is not ExitCode.DONE:
        raise typer.Exit(int(code))


def _segments_in(folder: Path, *, as_json: bool) -> tuple[list[tuple[str, Segment]], list[Outcome]]:
    """Read every mask annotation of a folder: its segments with their reader, and what could not be read."""
    from racoon_data.annotations.linking import link
    from racoon_data.dicom.sorting import files_under, sort_files
    from racoon_data.runner.run import run_items

    found = sort_files(files_under(folder), root=folder)
    links = link(found.series, [file for file in found.annotations if file.modality in _MASKS])
    if not links.pairs and not links.outcomes:
        raise NothingMatchedError(f"{folder} holds no SEG or RTSTRUCT", hint="name a folder with annotations")
    with console.progress(as_json=as_json) as on_event:
        items = [(pair.file.ref, pair) for pair in links.pairs]
        results = list(run_items("read", items, _segments_of, on_event=on_event))
    bad = [one.outcome for one in results if one.outcome.status is not Status.DONE]
    return [row for one in results for row in one.value or ()], [*links.outcomes, *bad]


def _segments_of(pair: Link) -> list[tuple[str, Segment]]:
    from racoon_data.annotations.read import read_annotation
    from racoon_data.dicom.stacking import geometry_of

    annotation = read_annotation(pair, geometry_of(pair.series) if pair.series else None)
    return [(annotation.reader, found.segment) for found in annotation.masks]


def _print(rows: tuple[SegmentRow, ...], schema: LabelSchema, outcomes: list[Outcome]) -> None:
    columns = ("reader", "segment", "label", "by", "nearest", "count")
    table = [(row.reader, row.segment, row.label or row.why or "none", row.by, row.nearest, row.count) for row in rows]
    console.table(columns, table, title=f"{schema.name} {schema.version}")
    for outcome in outcomes:
        console.talk(f"{outcome.status}: {outcome.ref}: {outcome.message} ({outcome.code})")


def _codes(concepts: tuple[CodedConcept, ...]) -> str:
    return _and(tuple(f"{concept.scheme}:{concept.value}" for concept in concepts))


def _and(words: tuple[str, ...]) -> str:
    return ", ".join(words)
