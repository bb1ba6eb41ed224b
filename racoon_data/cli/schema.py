"""racoon schema: the JSON Schemas of every file, and validation against them."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import Annotated, Any

import typer

from racoon_data import console, schemas
from racoon_data.documents import parse_json, parse_toml, read_text
from racoon_data.errors import SchemaError, SettingsError

app = typer.Typer(help="List, show and validate against the JSON Schemas.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]

# Which schema a file has by its name, or by its folder and ending.
_BY_NAME = {
    "racoon.json": "dataset-manifest",
    "racoon-export.json": "dataset-export",
    "labels.json": "labels",
    "racoon.toml": "site-settings",
    "findings.jsonl": "qc-finding",
    "measurements.jsonl": "measurement",
    "audit.jsonl": "audit-event",
}


@app.command("list")
def list_schemas(as_json: AsJson = False) -> None:
    """List the schemas. Example: racoon schema list."""
    loaded = [(name, schemas.load(name)) for name in schemas.names()]
    if as_json:
        console.document([{"name": name, "id": schema["$id"], "title": _title(schema)} for name, schema in loaded])
    else:
        console.table(("name", "id", "what"), [(name, schema["$id"], _title(schema)) for name, schema in loaded])


def _title(schema: dict[str, Any]) -> str:
    return str(schema.get("description") or schema.get("title") or "").splitlines()[0]


@app.command()
def show(name: Annotated[str, typer.Argument(help="Name of the schema.")], as_json: AsJson = False) -> None:
    """Print a schema, which is JSON either way. Example: racoon schema show dataset-manifest."""
    console.document(schemas.load(name))


@app.command()
def validate(
    file: Annotated[Path, typer.Argument(help="A JSON, JSON Lines or TOML file.")],
    schema: Annotated[str, typer.Option(help="Name of the schema; guessed from the file where left out.")] = "",
    as_json: AsJson = False,
) -> None:
    """Check a file; names each place to mend; exits 3. Example: racoon schema validate racoon.toml."""
    documents = _documents(file)
    name = schema or _guess(file, documents)
    schemas.load(name)
    problems = [
        {"place": place, "problem": problem.message, "remedy": problem.remedy}
        for line, document in documents
        for problem in schemas.problems(name, document)
        for place in [f"line {line}: {problem.pointer}" if line else problem.pointer]
    ]
    if as_json:
        console.document({"file": str(file), "schema": name, "valid": not problems, "problems": problems})
    elif problems:
        console.table(("place", "problem", "remedy"), [tuple(problem.values()) for problem in problems])
    if problems:
        raise SchemaError(f"{file.name} does not fit {name}: {len(problems)} place(s)", hint="mend the places listed")
    if not as_json:
        console.result(f"{file} fits {name}")


def _guess(file: Path, documents: list[tuple[int, Any]]) -> str:
    keys = set(documents[0][1]) if documents and isinstance(documents[0][1], dict) else set()
    if file.name == "labels.json" and "background" not in keys:
        return "label-schema"  # people name theirs so; the view inside a dataset always lists the background
    if file.name in _BY_NAME:
        return _BY_NAME[file.name]
    if file.suffix == ".toml":
        return "federation-job" if isinstance(documents[0][1].get("labels"), list) else "study-settings"
    if PurePath(file).parent.name == "sidecars":
        return "case-sidecar"
    if file.stem in schemas.names():
        return file.stem
    names = ", ".join(schemas.names())
    raise SettingsError(f"the name {file.name} does not tell its schema", hint=f"add --schema with one of: {names}")


def _documents(file: Path) -> list[tuple[int, Any]]:
    """Parse a file to documents; the line is 0 where the file is one document."""
    try:
        text = read_text(file)
        if file.suffix == ".toml":
            return [(0, parse_toml(text))]
        if file.suffix == ".jsonl":
            return [(number, parse_json(line)) for number, line in enumerate(text.splitlines(), start=1) if line]
        return [(0, parse_json(text))]
    except FileNotFoundError as error:
        raise SettingsError(f"{file} does not exist", hint="name an existing file") from error
    except OSError as error:
        raise SettingsError(f"{file} cannot be read: {error.strerror}", hint="name a file you may read") from error
    except ValueError as error:
        raise SchemaError(f"{file.name} cannot be parsed: {error}", hint="mend the syntax") from error
