"""Writes the generated pages of ``docs/``: error codes, commands and schemas."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.core import TyperGroup
from typer.main import get_command

import racoon_data
import racoon_train
from racoon_data.cli.main import app
from racoon_data.errors import RacoonError
from tests.docs.schema_pages import schema_pages

DOCS = Path(__file__).resolve().parents[2] / "docs"


def _kinds(root: type[RacoonError]) -> Iterator[type[RacoonError]]:
    yield root
    for child in root.__subclasses__():
        yield from _kinds(child)


def errors_page() -> str:
    """One section for every error code: what it means, how a command exits, what becomes of the item."""
    for package in (racoon_data, racoon_train):
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            if "errors" in module.name:
                importlib.import_module(module.name)
    sections = [
        "# Error codes",
        "",
        "Every message carries a code and, where one is known, what helps. Written by `make docs`.",
        "",
    ]
    for kind in sorted(set(_kinds(RacoonError)), key=lambda kind: kind.code):
        text = inspect.cleandoc(kind.__doc__ or "").split("\n\n")[0].replace("\n", " ")
        item = "is set aside (`skipped`)" if kind.is_skip else "is counted as `failed`"
        end = f"A command it ends exits with {int(kind.exit_code)}; an item it happens to {item}."
        sections += [f"## {kind.code}", "", text, "", end, ""]
    return "\n".join(sections)


def _commands(group: TyperGroup, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    context = group.context_class(group)
    for name in group.list_commands(context):
        command: Any = group.get_command(context, name)
        if isinstance(command, TyperGroup):
            yield from _commands(command, (*path, name))
        else:
            yield (*path, name), command


def _parameter(parameter: Any) -> str:
    help_text = getattr(parameter, "help", None) or ""
    if parameter.param_type_name == "argument":
        return f"- {parameter.name.upper()}{': ' if help_text else ''}{help_text}"
    if not help_text:
        return ""
    given = parameter.default
    shown = given not in (None, "", 0, False) and not callable(given) and not isinstance(given, list | tuple)
    default = f" Default: {given}." if shown else " Required." if parameter.required else ""
    return f"- `{', '.join([*parameter.opts, *parameter.secondary_opts])}`: {help_text}{default}"


def commands_page() -> str:
    """One section for every command: its help, its arguments and its options with their defaults."""
    sections = [
        "# Commands",
        "",
        "Written by `make docs` from the commands themselves.",
        "Every command ends with one of the [exit codes](exit-codes.md); `racoon --install-completion` helps typing.",
        "",
    ]
    for path, command in _commands(get_command(app), ("racoon",)):
        sections += [f"## {' '.join(path)}", "", inspect.cleandoc(command.help or ""), ""]
        sections += [line for parameter in command.params if (line := _parameter(parameter))]
        sections.append("")
    return "\n".join(sections)


def pages() -> dict[str, str]:
    """Give the text of every generated page by its name below ``docs/``."""
    return {"errors.md": errors_page(), "commands.md": commands_page(), **schema_pages()}


def write() -> None:
    """Write the generated pages; those of schemas that are gone are removed."""
    written = pages()
    (DOCS / "schemas").mkdir(exist_ok=True)
    for stale in set((DOCS / "schemas").glob("*.md")) - {DOCS / page for page in written}:
        stale.unlink()
    for page, text in written.items():
        (DOCS / page).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()
