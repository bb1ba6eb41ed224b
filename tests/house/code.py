"""Reads the source of both packages as syntax trees, for the house test."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("racoon_data", "racoon_train")
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One source file."""

    path: Path
    source: str
    tree: ast.Module

    @property
    def name(self) -> str:
        """Path from the repository's root."""
        return self.path.relative_to(ROOT).as_posix()

    @property
    def lines(self) -> int:
        """Lines of the file."""
        return self.source.count("\n")

    def functions(self) -> Iterator[Function]:
        """Every function and method, at any depth."""
        return (node for node in ast.walk(self.tree) if isinstance(node, Function))


def modules(*folders: str) -> list[Module]:
    """Parse every module under the given folders of the repository."""
    paths = sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    sources = [(path, path.read_text(encoding="utf-8")) for path in paths]
    return [Module(path, source, ast.parse(source)) for path, source in sources]


def length(function: Function) -> int:
    """Lines of a function, signature and docstring included."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


def body_length(function: Function) -> int:
    """Lines of a function without its docstring."""
    documented = ast.get_docstring(function) is not None
    first = function.body[0]
    return length(function) - ((first.end_lineno or 0) - first.lineno + 1 if documented else 0)
