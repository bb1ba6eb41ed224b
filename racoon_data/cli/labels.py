"""``racoon labels``: show a label schema."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from racoon_data import console

app = typer.Typer(help="Show a label schema and check what maps to it.", no_args_is_help=True)

SchemaFile = Annotated[Path, typer.Argument(help="Label schema file (JSON).", metavar="SCHEMA")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document.")]


@app.callback()
def _room() -> None:
    """Show a label schema and check what maps to it."""


@app.command()
def show(schema_file: SchemaFile, as_json: AsJson = False) -> None:
    """Show the labels of a schema with their codes and names. Example: racoon labels show labels.json."""
    from racoon_data.harmonize.label_mapping import load_schema

    schema = load_schema(schema_file)
    if as_json:
        console.document(
            {"name": schema.name, "version": schema.version, "labels": [_entry(one) for one in schema.labels]}
        )
        return
    rows = [
        (
            one.value,
            one.name,
            one.priority,
            _codes((*one.codes, *one.type_modifiers, *one.regions)),
            ", ".join(one.synonyms),
        )
        for one in schema.labels
    ]
    console.table(("value", "label", "priority", "codes", "names"), rows, title=f"{schema.name} {schema.version}")


def _entry(label: Any) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(label)


def _codes(concepts: Any) -> str:
    return ", ".join(f"{concept.scheme}:{concept.value}" for concept in concepts)
