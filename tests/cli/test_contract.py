"""What every command promises to scripts: help, JSON, exit codes, no colour, completion, talk on stderr."""

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from racoon_data.cli.main import app
from racoon_data.errors import ExitCode
from tests.journeys.steps import a_site, racoon

ROOT = Path(__file__).parents[2]

# Commands that write nothing and ask no peer, or whose whole purpose is one decision or one running server.
WITHOUT_DRY_RUN = {
    *("version", "settings", "jobs list", "jobs show", "pacs echo", "pacs find", "plugins", "train plan"),
    *("schema list", "schema show", "schema validate", "audit show", "audit verify", "qc explain", "train evaluate"),
    *("deid explain", "deid verify", "deid lookup", "deid quarantine list", "annotations list", "labels show"),
    *("labels check", "labels coverage", "dataset diff", "dataset show", "dataset check"),
    *("deid key", "deid quarantine release", "deid quarantine discard", "pacs serve", "serve", "demo"),
}


def _commands(group, path=()):
    context = group.context_class(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, TyperGroup):
            yield from _commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


COMMANDS = dict(_commands(get_command(app)))


def options(name):
    """Every spelling of the options of a command."""
    return {spelling for one in COMMANDS[name].params for spelling in one.opts}


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_command_keeps_the_contract(name):
    """Help with an example and exit codes, without colour; ``--json``; a wrong option is 2, said on stderr alone."""
    shown = racoon(*name.split(), "--help")
    wrong = racoon(*name.split(), "--no-such-option")

    assert shown.exit_code == 0
    assert "Example:" in shown.out
    assert "Exit codes:" in shown.out
    assert "\x1b" not in shown.out + shown.err
    assert "--json" in options(name)
    assert "--dry-run" in options(name) or name in WITHOUT_DRY_RUN
    assert (wrong.exit_code, wrong.out) == (2, "")
    assert "--no-such-option" in wrong.err


def test_the_list_of_commands_without_dry_run_is_true():
    """What has the option, or is no command, does not stand in the list."""
    assert [name for name in WITHOUT_DRY_RUN if name not in COMMANDS or "--dry-run" in options(name)] == []


def test_every_exit_code_is_documented():
    """The page lists each code that exists, and none that does not."""
    page = (ROOT / "docs" / "exit-codes.md").read_text(encoding="utf-8")

    assert {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.M)} == {int(code) for code in ExitCode}


def test_an_error_for_machines_is_a_json_line(tmp_path):
    """With ``--json`` stdout stays empty, and stderr ends with what, code, remedy and exit code."""
    said = racoon("jobs", "list", "--site", tmp_path, "--json")

    assert said.exit_code == 3
    assert said.out == ""
    told = json.loads(said.err.splitlines()[-1])
    assert (told["type"], told["code"], told["exit_code"]) == ("error", "settings.invalid", 3)
    assert "racoon init" in told["hint"]


@pytest.mark.parametrize("arguments", [["jobs", "list"], ["status"], ["settings"], ["version"], ["schema", "list"]])
def test_stdout_is_one_document(arguments, tmp_path):
    """Results stand alone on stdout; what is talk goes to stderr."""
    site = a_site(tmp_path / "site", port=9)
    here = ["--site", site] if arguments[0] in ("jobs", "status", "settings") else []

    said = racoon(*arguments, *here, "--json")

    assert said.exit_code == 0
    json.loads(said.out)


@pytest.mark.parametrize(
    ("words", "expected"), [("racoon ", "jobs"), ("racoon jobs ", "resume"), ("racoon pacs f", "find")]
)
def test_the_shell_completes(words, expected):
    """Rooms and their verbs are offered to bash."""
    asked = {"_RACOON_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
    done = subprocess.run(
        [sys.executable, "-c", "from racoon_data.cli.main import app; app(prog_name='racoon')"],
        env={**os.environ, **asked}, capture_output=True, text=True, cwd=ROOT, check=True,
    )  # fmt: skip

    assert expected in done.stdout.split()


def test_no_color_is_obeyed_in_a_terminal(tmp_path):
    """With NO_COLOR not even a terminal gets a colour; without it a terminal does."""
    colours = re.compile(rb"\x1b\[[0-9;]*3[0-9]m")
    plain, drawn = (_in_terminal(environment) for environment in ({"NO_COLOR": "1"}, {}))

    assert not colours.search(plain)
    assert colours.search(drawn)
    assert b"racoon" in plain


def _in_terminal(more):
    environment = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "FORCE_COLOR")}
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "racoon_data", "jobs", "--help"]
    with subprocess.Popen(
        command, stdout=theirs, stderr=theirs, cwd=ROOT, env={**environment, "TERM": "xterm-256color", **more}
    ) as process:
        os.close(theirs)
        seen = b""
        try:
            while chunk := os.read(ours, 65536):
                seen += chunk
        except OSError:  # the other side is closed
            pass
        process.wait(30)
    os.close(ours)
    return seen
