"""The house targets of the design, held as tests."""

from __future__ import annotations

import ast
import statistics
import subprocess
import sys

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from racoon_data.cli.main import app
from racoon_data.errors import ExitCode, RacoonError
from tests.house.code import PACKAGES, ROOT, body_length, length, modules

OURS = modules(*PACKAGES)
TESTS = modules("tests")

# Broad handlers stand at process boundaries only; each place says why in its code.
MARKS = ("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK")
BROAD_HANDLERS = {
    "racoon_train/federated/contract.py",
    "racoon_data/runner/run.py",
    "racoon_data/pacs/storage_scp.py",
    "racoon_data/pacs/serve_handlers.py",
}

HEAVY = ("numpy", "torch", "monai", "SimpleITK", "highdicom", "pydicom", "pynetdicom", "nibabel", "matplotlib",
         "dask", "distributed", "pydantic", "flwr", "jinja2", "httpx", "jsonschema", "blosc2")  # fmt: skip


def test_modules_are_short():
    """No module is over 400 lines and half of them are under 160."""
    too_long = [f"{module.name}: {module.lines}" for module in OURS if module.lines > 400]

    assert too_long == []
    assert statistics.median(module.lines for module in OURS) <= 160


def test_functions_are_short():
    """No function is over 60 lines, and 95 of 100 have at most 35."""
    lengths = sorted((length(f), f"{module.name}:{f.name}") for module in OURS for f in module.functions())

    assert [name for lines, name in lengths if lines > 60] == []
    assert lengths[int(0.95 * len(lengths))][0] <= 35


def test_functions_take_few_arguments():
    """Six arguments are enough; commands, whose options are arguments, are excepted."""
    many = []
    for module in OURS:
        if "/cli" in module.name or module.name.endswith("demo/command.py"):
            continue
        for function in module.functions():
            given = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
            count = len([argument for argument in given if argument.arg not in ("self", "cls")])
            if count > 6:
                many.append(f"{module.name}:{function.name}: {count}")

    assert many == []


def test_every_module_has_a_caption():
    """The first line of a module says what a visitor finds."""
    assert [
        module.name for module in [*OURS, *TESTS] if module.source.strip() and not ast.get_docstring(module.tree)
    ] == []


def test_every_test_opens_with_a_sentence():
    """A test says in words what it shows."""
    mute = [
        f"{module.name}:{function.name}"
        for module in TESTS
        for function in module.functions()
        if function.name.startswith("test_") and not (ast.get_docstring(function) or "").strip().endswith(".")
    ]

    assert mute == []


def test_broad_handlers_are_listed():
    """Only listed process boundaries catch everything."""
    broad = {
        module.name
        for module in OURS
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ExceptHandler) and _is_broad(node)
    }

    assert broad == BROAD_HANDLERS


def _is_broad(handler: ast.ExceptHandler) -> bool:
    """A handler is broad where it catches everything and does not raise it again."""
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    names = {ast.unparse(kind) if kind else "BaseException" for kind in kinds}
    raises_again = any(isinstance(node, ast.Raise) and node.exc is None for node in ast.walk(handler))
    return bool(names & {"Exception", "BaseException"}) and not raises_again


def test_only_the_console_prints():
    """Everything else returns values."""
    printers = {
        module.name
        for module in OURS
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print"
    }

    assert printers <= {"racoon_data/console.py"}


def test_nothing_is_unpickled():
    """No code path loads a pickle, a joblib or a torch file."""
    banned = {"pickle", "joblib", "dill", "cloudpickle", "shelve"}
    found = []
    for module in OURS:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Import):
                found += [f"{module.name}: {alias.name}" for alias in node.names if alias.name.split(".")[0] in banned]
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in banned:
                found.append(f"{module.name}: {node.module}")
            if isinstance(node, ast.Attribute) and ast.unparse(node) in ("torch.load", "torch.save"):
                found.append(f"{module.name}: {ast.unparse(node)}")
            if isinstance(node, ast.keyword) and node.arg == "allow_pickle" and ast.unparse(node.value) != "False":
                found.append(f"{module.name}: allow_pickle")

    assert found == []


def test_no_unfinished_places():
    """No stub, no reminder to finish something later."""
    marks = [f"{module.name}: {mark}" for module in OURS for mark in MARKS if mark in module.source]
    stubs = [
        f"{module.name}:{node.lineno}"
        for module in OURS
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Raise) and node.exc is not None and "NotImplementedError" in ast.unparse(node.exc)
    ]

    assert marks + stubs == []


def _commands(group: TyperGroup, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], object]]:
    context = group.context_class(group)
    found: list[tuple[tuple[str, ...], object]] = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        inner = isinstance(command, TyperGroup)
        found += _commands(command, (*path, name)) if inner else [((*path, name), command)]
    return found


def test_every_command_has_help_with_an_example():
    """Whoever asks a command for help sees how it is used."""
    commands = _commands(get_command(app))

    assert len(commands) > 10
    assert [" ".join(path) for path, command in commands if "Example" not in (command.help or "")] == []


@pytest.mark.parametrize("start", ["import racoon_data", "import racoon_train", "from racoon_data.cli.main import app"])
def test_the_start_is_light(start):
    """Importing a package or the command loads nothing heavy."""
    assert _loaded_after(start) == []


def test_help_is_light():
    """``racoon --help`` loads nothing heavy and names every room."""
    script = (
        "import sys\nfrom racoon_data.cli.main import app\n"
        "try:\n    app(['--help'], prog_name='racoon')\nexcept SystemExit as end:\n    assert not end.code\n"
    )

    assert _loaded_after(script) == []


def _loaded_after(script: str) -> list[str]:
    probe = f"{script}\nimport sys\nprint('LOADED', *sorted(set(sys.modules) & set({HEAVY!r})))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True, cwd=ROOT)
    return done.stdout.strip().splitlines()[-1].split()[1:]


def _kinds(root: type[RacoonError]) -> list[type[RacoonError]]:
    return [root, *(kind for child in root.__subclasses__() for kind in _kinds(child))]


def test_every_error_code_is_unique_and_documented():
    """Each kind of error has its own code, a documented exit code and a section in the docs."""
    kinds = [kind for kind in _kinds(RacoonError) if kind.__module__.startswith(("racoon_data", "racoon_train"))]
    codes = [kind.code for kind in kinds]
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")

    assert len(codes) == len(set(codes))
    assert all(isinstance(kind.exit_code, ExitCode) for kind in kinds)
    assert [code for code in codes if f"## {code}\n" not in page] == []


def test_functions_do_one_thing():
    """Half of all functions have at most ten lines of body."""
    assert statistics.median(body_length(f) for module in OURS for f in module.functions()) <= 10
