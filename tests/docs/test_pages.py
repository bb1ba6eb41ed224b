"""What the pages name is there: commands with their options, make targets, benchmarks, files and headings."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from racoon_data.cli.main import app

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "changes/*.md", "benchmarks/**/*.md", "examples/**/*.md", "schemas/**/*.md")
    for path in ROOT.glob(pattern)
)
HELP = {"--help", "--install-completion", "--show-completion"}
FENCE = re.compile(r"^ *```.*?\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"(?<!`)`([^`]+)`(?!`)")
CALL = re.compile(r"(?:^|[;&|$])\s*racoon((?: +[^\s|#;&()]+)+)")
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.*?) *$", re.MULTILINE)


@functools.cache
def tree() -> Any:
    """The command tree; each command is loaded when it is first asked for."""
    return get_command(app)


@functools.cache
def below(path: tuple[str, ...]) -> Any:
    """The command of a path of words, or nothing."""
    if not path:
        return tree()
    group = below(path[:-1])
    return group.get_command(group.context_class(group), path[-1])


def code_in(text: str) -> Iterator[str]:
    """Each line of each fenced block, continued lines joined, and each inline piece of code."""
    for block in FENCE.findall(text):
        yield from block.replace("\\\n", " ").splitlines()
    for paragraph in FENCE.sub("", text).split("\n\n"):
        yield from (" ".join(piece.split()) for piece in INLINE.findall(paragraph))


def wrong_in(line: str) -> list[str]:
    """What a line of code asks of racoon that racoon does not have.

    An option counts for the command before it; brackets around options mean that they may be left out.
    """
    wrong: list[str] = []
    for call in CALL.findall(line):
        words = [word.strip("[]") for word in call.split()]
        path: tuple[str, ...] = ()
        while words and isinstance(below(path), TyperGroup) and re.fullmatch(r"[a-z][a-z-]*", words[0]):
            path = (*path, words.pop(0))
        shown = " ".join(("racoon", *path))
        if below(path) is None:
            wrong.append(shown)
            continue
        known = {name for it in below(path).params for name in (*it.opts, *it.secondary_opts)} | HELP
        named = (match.group() for word in words if (match := re.match(r"--[a-z][a-z-]*", word)))
        wrong += [f"{shown} {option}" for option in named if option not in known]
    return wrong


def anchors(page: Path) -> set[str]:
    """The names under which the headings of a page can be linked, as GitHub makes them."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in HEADING.findall(text)}


def is_dead(page: Path, link: str) -> bool:
    """Whether a relative link of a page leads to no file, or to no heading of the file."""
    if re.match(r"[a-z]+:", link):
        return False
    name, _, anchor = link.partition("#")
    target = page.parent / name if name else page
    return not target.exists() or bool(anchor and target.suffix == ".md" and anchor not in anchors(target))


def test_every_command_a_page_shows_exists():
    """Commands and options in the code of the pages are those of the command tree."""
    wrong = {
        f"{page.relative_to(ROOT)}: {what}"
        for page in PAGES
        for line in code_in(page.read_text(encoding="utf-8"))
        for what in wrong_in(line)
    }

    assert wrong == set()


def test_every_relative_link_resolves():
    """Links between pages lead to a file, and to a heading where they name one."""
    dead = {
        f"{page.relative_to(ROOT)}: {link}"
        for page in PAGES
        for link in LINK.findall(INLINE.sub("", FENCE.sub("", page.read_text(encoding="utf-8"))))
        if is_dead(page, link)
    }

    assert dead == set()


def test_every_make_target_a_page_shows_exists():
    """``make WORD`` in a page is a target, and each target is said to be none of a file."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))
    phony = set(re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[0].split())
    named = {
        word
        for page in PAGES
        for line in code_in(page.read_text(encoding="utf-8"))
        for word in re.findall(r"^make ([a-z][a-z-]*)", line)
    }

    assert named - targets == set()
    assert phony == targets


def test_every_page_is_listed():
    """The contents of ``docs/`` name every page of it."""
    listed = (ROOT / "docs/README.md").read_text(encoding="utf-8")

    assert {page.name for page in (ROOT / "docs").glob("*.md") if f"]({page.name})" not in listed} == {"README.md"}


def test_every_benchmark_is_listed_and_run():
    """Each program of ``benchmarks/`` has a row in its page and a place in the Makefile."""
    page = (ROOT / "benchmarks/README.md").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    programs = {
        str(path.relative_to(ROOT / "benchmarks"))
        for path in (ROOT / "benchmarks").rglob("*.py")
        if "__main__" in path.read_text(encoding="utf-8")
    }

    assert {name for name in programs if f"| `{name}` |" not in page} == set()
    assert {name for name in programs if f"benchmarks/{name}" not in makefile} == set()


def test_nothing_sends_to_a_registry_for_racoon():
    """Pages and hints install racoon from its folder: under its name no registry has it."""
    places = [*PAGES, *(path for name in ("racoon_data", "racoon_train") for path in (ROOT / name).rglob("*.py"))]

    assert [path for path in places if re.search(r"pip install '?racoon", path.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("racoon pacs echo pacs && racoon pacs sing", ["racoon pacs sing"]),
        ("racoon train federation serve", ["racoon train federation"]),
        ("racoon dataset check DIR [--json] [--sums]", ["racoon dataset check --sums"]),
        ("racoon jobs list | show JOB", []),
        ("racoon --help", []),
    ],
)
def test_these_tests_can_fail(line, wrong):
    """A command or an option that is not there is told with its place in the tree."""
    assert wrong_in(line) == wrong


def test_a_dead_link_is_told(tmp_path):
    """A missing file and a missing heading are both dead; what lies elsewhere is not looked at."""
    page = tmp_path / "page.md"
    page.write_text("# One heading\n", encoding="utf-8")

    assert [is_dead(page, link) for link in ("#one-heading", "#other", "none.md", "https://x.org")] == [
        False,
        True,
        True,
        False,
    ]
