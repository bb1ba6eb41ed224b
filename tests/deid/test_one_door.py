"""One door: the source itself shows that nobody else cleans, publishes or writes into the work folder."""

from __future__ import annotations

import ast

from tests.house.code import Module, modules

# Who names a site's work folder, and why.
WORK = {
    "racoon_data/deid/forget.py": "removes",
    "racoon_data/pipeline/arrive.py": "makes the door",
    "racoon_data/pipeline/assemble.py": "reads",
    "racoon_data/pipeline/explain.py": "reads",
    "racoon_data/pipeline/exports.py": "writes label files that passed the export door",
    "racoon_data/pipeline/label_sources.py": "reads",
    "racoon_data/pipeline/walk.py": "reads",
    "racoon_data/site/paths.py": "makes the folder",
}


def _imports(module: Module) -> set[str]:
    return {
        f"{node.module}.{alias.name}"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def _who_imports(name: str) -> set[str]:
    return {module.name for module in modules("racoon_data", "racoon_train") if name in _imports(module)}


def test_only_the_door_cleans_and_publishes():
    """Cleaning and publishing are imported by the door alone."""
    assert _who_imports("racoon_data.deid.cleaning.clean") == {"racoon_data/deid/door.py"}
    assert _who_imports("racoon_data.deid.publishing.publish") == {"racoon_data/deid/door.py"}


def test_the_walk_and_the_command_use_the_same_door():
    """Both call the one function that takes files through."""
    assert _who_imports("racoon_data.deid.door.deidentify_files") == {
        "racoon_data/cli/deid/passing.py",
        "racoon_data/pipeline/arrive.py",
    }


def test_nobody_else_knows_the_work_folder():
    """A module that names ``site.work`` is on the list, with what it does there."""
    named = {
        module.name
        for module in modules("racoon_data", "racoon_train")
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute) and node.attr == "work" and ast.unparse(node.value).split(".")[-1] in _SITES
    }

    assert named | {"racoon_data/site/paths.py"} == set(WORK)


_SITES = frozenset(("site", "home", "self"))
