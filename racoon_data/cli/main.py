"""The ``racoon`` command: lists its rooms, loads one when it is named."""

from __future__ import annotations

from importlib import import_module
from inspect import unwrap
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.utils import get_params_from_function

from racoon_data import __version__, console
from racoon_data.errors import ExitCode, RacoonError

_COMMANDS_GROUP = "racoon.commands"

# Name, module of the room and its line in the help; rooms load when named.
ROOMS: dict[str, tuple[str, str]] = {
    "init": ("racoon_data.cli.init", "Create a site folder with its settings."),
    "settings": ("racoon_data.cli.settings", "Print every setting with its origin."),
    "doctor": ("racoon_data.cli.doctor", "Look at everything a site needs, and say what helps."),
    "run": ("racoon_data.cli.run", "Walk from a query to a dataset, as a study file says."),
    "status": ("racoon_data.cli.status", "Tell where everything stands: terminal, JSON, HTML; join sites."),
    "jobs": ("racoon_data.cli.jobs", "List, show, resume and cancel runs."),
    "pacs": ("racoon_data.cli.pacs", "Find, plan, pull, receive and push at a PACS; examine or serve one."),
    "deid": ("racoon_data.cli.deid", "De-identify through the one door; quarantine, vault and the way back."),
    "convert": ("racoon_data.cli.convert", "Turn DICOM series into NIfTI files."),
    "annotations": ("racoon_data.cli.annotations", "List, read and export masks and reports of any tool."),
    "labels": ("racoon_data.cli.labels", "Show, import and check label schemas; where labels were looked for."),
    "dataset": ("racoon_data.cli.dataset", "Show and check datasets."),
    "qc": ("racoon_data.cli.qc", "Check quality and write the report."),
    "serve": ("racoon_data.cli.serve", "Look at datasets in a browser and review their cases."),
    "schema": ("racoon_data.cli.schema", "List, show and validate against the JSON Schemas."),
    "audit": ("racoon_data.cli.audit", "Show and verify the audit log."),
    "plugins": ("racoon_data.cli.plugins", "List the installed plug-ins."),
}


EXIT_CODES = (
    "Exit codes: 0 done; 2 typed wrongly; 3 settings or schema; 4 peer; 5 some items failed; 6 quality; 7 privacy or"
    " policy; 8 nothing matched; 9 storage; 130 interrupted."
)


class Rooms(TyperGroup):
    """A group whose rooms are imported when named, so that help is instant."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Name every room, ours first, then those of installed packages."""
        return [*super().list_commands(ctx), *ROOMS, *(entry.name for entry in _extra_rooms())]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Load a room by name; while listing, stand in with its one line of help."""
        if (own := super().get_command(ctx, cmd_name)) is not None:
            return own
        if ctx.params.get("_listing"):
            return _stand_in(cmd_name)
        return _load(cmd_name)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help without importing any room."""
        ctx.params["_listing"] = True
        super().format_help(ctx, formatter)

    def invoke(self, ctx: Any) -> Any:
        """Run a command; turn our errors into a sentence, a remedy and an exit code."""
        tokens = (*getattr(ctx, "_protected_args", ()), *ctx.args)
        try:
            return super().invoke(ctx)
        except RacoonError as error:
            console.failure(error, as_json="--json" in tokens)
            raise typer.Exit(int(error.exit_code)) from error
        except KeyboardInterrupt as error:
            console.talk("interrupted; the same command continues where it stopped")
            raise typer.Exit(int(ExitCode.INTERRUPTED)) from error


def _extra_rooms() -> list[Any]:
    from importlib.metadata import entry_points  # brings a mail parser along: a tenth of the start of a command

    return sorted(entry_points(group=_COMMANDS_GROUP), key=lambda entry: entry.name)


def _stand_in(name: str) -> Any:
    help_line = ROOMS[name][1] if name in ROOMS else _EXTRA_HELP.get(name, "An installed extension.")
    app_ = typer.Typer(help=help_line)
    app_.command(name=name, help=help_line)(lambda: None)
    return typer.main.get_command(app_)


_EXTRA_HELP = {
    "demo": "See the whole walk work on this machine, from PACS to federated model.",
    "train": "Train locally, in ensembles or together, and compare.",
}


def _load(name: str) -> Any:
    if name in ROOMS:
        room = import_module(ROOMS[name][0]).app
    else:
        found = [entry for entry in _extra_rooms() if entry.name == name]
        if not found:
            return None
        room = found[0].load()
    command = typer.main.get_command(room)
    command.params = [one for one in command.params if one.name not in ("install_completion", "show_completion")]
    command.name = name
    _restore_argument_help(command)
    _tell_exit_codes(command)
    return command


def _tell_exit_codes(command: Any) -> None:
    """Put the exit codes that all commands share below the help of each that has no words of its own for them."""
    for child in getattr(command, "commands", {}).values():
        _tell_exit_codes(child)
    if not getattr(command, "commands", {}) and "Exit codes" not in (command.help or ""):
        command.epilog = EXIT_CODES


def _restore_argument_help(command: Any) -> None:
    # Typer 0.20 sets the help of an argument before click does, and click 8.5, whose arguments have a
    # help too, empties it again. Holding click back was weighed; this also mends installations without our pins.
    for child in getattr(command, "commands", {}).values():
        _restore_argument_help(child)
    if command.callback is not None:
        written = get_params_from_function(unwrap(command.callback))
        for one in command.params:
            if one.param_type_name == "argument" and one.help is None:
                one.help = getattr(written[one.name].default, "help", None)


app = typer.Typer(
    cls=Rooms,
    name="racoon",
    help="From a hospital's PACS to a federated model. Example: racoon demo",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _tell_version(asked: bool) -> None:
    if asked:
        console.result(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """From a hospital's PACS to a federated model. Example: racoon demo."""


@app.command(epilog=EXIT_CODES)
def version(as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False) -> None:
    """Print the version. Example: racoon version --json."""
    if as_json:
        console.document({"racoon": __version__})
    else:
        console.result(__version__)
