"""``racoon labels``: show or import a label schema, check which segments reach it, and where labels were looked for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from racoon_data import console
from racoon_data.errors import ExitCode, SettingsError, worst
from racoon_data.outcomes import Outcome, exit_code_of

if TYPE_CHECKING:
    from racoon_data.harmonize.coverage import Cover, Coverage
    from racoon_data.harmonize.label_check import SegmentRow
    from racoon_data.labels import CodedConcept, LabelSchema, Terminology

app = typer.Typer(help="Show, import and check label schemas; see where labels were looked for.", no_args_is_help=True)

SchemaFile = Annotated[Path, typer.Argument(help="Label schema file (JSON).", metavar="SCHEMA")]
Sources = Annotated[
    list[str],
    typer.Argument(
        help="Datasets, site folders, or folders of DICOM with SEG or RTSTRUCT; NAME=FOLDER names the site.",
        metavar="SOURCE...",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the labels and write nothing.")]


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
        (
            *(one.value, one.name, one.priority),
            _codes((*one.codes, *one.type_modifiers, *one.regions)),
            "; ".join(map(_terminology, one.terminology)),
            _and(one.names[1:]),
        )
        for one in schema.labels
    ]
    columns = ("value", "label", "priority", "codes", "5-tuples", "names")
    console.table(columns, rows, title=f"{schema.name} {schema.version}")


@app.command("import")
def import_(
    table: Annotated[Path, typer.Argument(help="The foreign label table.", metavar="TABLE")],
    out: Annotated[Path | None, typer.Option("--out", help="The label schema to write (JSON).")] = None,
    name: Annotated[str, typer.Option("--name", help="Name of the schema; default: the table's.")] = "",
    only: Annotated[list[str] | None, typer.Option("--only", help="Take this label; may be repeated.")] = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Make a label schema of a dcmqi, TotalSegmentator, Slicer or nnU-Net table.

    Which of them it is shows in its content. Gaps in the values are closed, and a code or name that two labels share is
    left out; each such change is told. Example: racoon labels import totalsegmentator_snomed_mapping.csv
    --only liver --only spleen --out labels.json.
    """
    from racoon_data.files.atomic import write_json
    from racoon_data.harmonize.label_import import import_table
    from racoon_data.harmonize.label_tables import read_table

    if out is None and not dry_run:
        raise SettingsError("nowhere to write", hint="give --out labels.json, or --dry-run to look")
    read = read_table(table)
    made = import_table(read, name=name or table.name.split(".")[0].replace(" ", "-"), only=only or ())
    if out is not None and not dry_run:
        if out.exists():
            raise SettingsError(f"{out} is there already", hint="name a new file: other datasets may rest on this one")
        write_json(out, made.document)
    if as_json:
        console.document({"kind": read.kind, "dry_run": dry_run, "notes": made.notes, "schema": made.document})
        return
    rows = [
        (one["value"], one["name"], _and([word for names in one.get("synonyms", {}).values() for word in names]))
        for one in made.document["labels"]
    ]
    title = f"{'[dry-run] ' if dry_run else ''}{read.kind}: {len(rows)} labels"
    console.table(("value", "label", "names"), rows, title=title)
    for note in made.notes:
        console.talk(note)


@app.command()
def check(schema_file: SchemaFile, sources: Sources, as_json: AsJson = False) -> None:
    """List for every site and reader which segments reach which label, and the nearest where none.

    Exits with 6 where a segment reaches no label, with 5 where an annotation could not be read.
    Example: racoon labels check labels.json work north=north/export datasets/south.
    """
    from racoon_data.harmonize.label_check import check_segments, never_reached
    from racoon_data.harmonize.label_mapping import load_schema
    from racoon_data.pipeline.label_sources import segments_at

    schema = load_schema(schema_file)
    with console.progress(as_json=as_json) as on_event:
        seen = [segments_at(source, on_event=on_event) for source in sources]
    rows = check_segments([segment for one in seen for segment in one.segments], schema)
    unread = [outcome for one in seen for outcome in one.unread]
    missing = never_reached(rows, schema)
    if as_json:
        never = [{"site": site, "reader": reader, "labels": names} for (site, reader), names in missing.items()]
        left = [outcome.to_json() for outcome in unread]
        console.document({"segments": [row.to_json() for row in rows], "never_reached": never, "unread": left})
    else:
        _print(rows, missing, schema, unread)
    unmapped = ExitCode.QUALITY if any(not row.label for row in rows) else ExitCode.DONE
    if (code := worst((unmapped, exit_code_of(unread)))) is not ExitCode.DONE:
        raise typer.Exit(int(code))


@app.command()
def coverage(
    datasets: Annotated[
        list[Path], typer.Argument(help="Dataset folders, of one site or of many.", metavar="DATASET...")
    ],
    as_json: AsJson = False,
) -> None:
    """Show for every site, reader and label in how many cases it is there, absent, or was not looked for.

    A cell 12/3/5 says: outlined in 12 cases, looked for and absent in 3, not annotated in 5.
    Example: racoon labels coverage datasets/north datasets/south.
    """
    from racoon_data.harmonize.coverage import coverage_of

    with console.progress(as_json=as_json) as on_event:
        found = coverage_of(datasets, on_event=on_event)
    if as_json:
        console.document({"labels": found.labels, "cells": [cell.to_json() for cell in found.cells]})
    else:
        console.table(
            ("site", "reader", *found.labels), _cells(found), title="outlined / absent / not annotated, cases"
        )


def _cells(found: Coverage) -> list[tuple[str, ...]]:
    return [
        (site, reader or "(fused)", *(_cell(cells.get(label)) for label in found.labels))
        for site, reader, cells in found.matrix()
    ]


def _cell(cell: Cover | None) -> str:
    return "not in schema" if cell is None else f"{cell.present}/{cell.absent}/{cell.not_annotated}"


def _print(
    rows: tuple[SegmentRow, ...],
    missing: dict[tuple[str, str], tuple[str, ...]],
    schema: LabelSchema,
    unread: list[Outcome],
) -> None:
    columns = ("site", "reader", "segment", "label", "by", "nearest", "count")
    table = [
        (row.site, row.reader, row.segment, row.label or row.why or "none", row.by, row.nearest, row.count)
        for row in rows
    ]
    console.table(columns, table, title=f"{schema.name} {schema.version}")
    for (site, reader), names in missing.items():
        if names:
            who = f"{site}, {reader or 'unnamed reader'}"
            console.talk(
                f"{who}: no segment reaches {_and(names)}: absent, or not annotated (labels.annotated says which)"
            )
    for outcome in unread:
        console.talk(f"{outcome.status}: {outcome.ref}: {outcome.message} ({outcome.code})")


def _codes(concepts: tuple[CodedConcept, ...]) -> str:
    return _and(tuple(f"{concept.scheme}:{concept.value}" for concept in concepts))


def _terminology(one: Terminology) -> str:
    parts = (one.category, one.type, one.type_modifier, one.region, one.region_modifier)
    return "~".join(f"{code.scheme}:{code.value}" if code else "" for code in parts)


def _and(words: tuple[str, ...] | list[str]) -> str:
    return ", ".join(words)
