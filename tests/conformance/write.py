"""Writes docs/conformance.md: hard cases by converter, ``make conformance``; ``--new`` asks about new cases alone."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from racoon_data.testing.hard_cases import HardCase
from tests.conformance.cases import all_cases, real_cases
from tests.conformance.judge import NOTHING, RIGHT, verdict
from tests.conformance.seen import PEERS, by_racoon, is_here

PAGE = Path(__file__).resolve().parents[2] / "docs" / "conformance.md"
_HEAD = """# Conformance

Written by `make conformance`; do not edit. Each case is a folder of files with known voxels. A converter is
*right* where every voxel of every expected volume stands in its output, at its patient position (within 0.06
voxel) and with its value (within 2e-6 of the largest). *partial*: some of the expected volumes are there;
*wrong*: files come out and none is; *nothing*: no file comes out; *n more*: files besides the expected ones.
Where a refusal is expected, racoon's column has the code of its refusal; of the others it says whether they
write a file all the same. Options belong to racoon; the others run with their defaults. Where the standard leaves
a choice, the truth is racoon's policy: MONOCHROME1 and Philips values as they are rescaled, padding above the
image at the lowest value.

{who}
"""


def judged(case: HardCase, converter: str, folder: Path) -> str:
    """Make a case and say what a converter makes of it."""
    source, out = folder / "in", folder / "out"
    source.mkdir(parents=True)
    out.mkdir()
    truths = case.make(source)
    if converter == "racoon":
        outputs, codes = by_racoon(source, out, case.options)
        return f"refused: {', '.join(codes)}" if codes and not outputs else verdict(truths, outputs)
    outputs = PEERS[converter][1](source, out)
    return (NOTHING if not outputs else "a file") if case.refusal else verdict(truths, outputs)


def is_as_expected(case: HardCase, seen: str) -> bool:
    """Tell whether racoon did what a case asks for."""
    return seen == (f"refused: {case.refusal}" if case.refusal else RIGHT)


def known_rows(text: str, converters: list[str]) -> dict[str, list[str]]:
    """Give what a page says of each case, by case as written; nothing where its columns are others."""
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in text.splitlines() if line[:2] == "| "]
    if ["case", "expected", *converters] not in rows:
        return {}
    return {row[0]: row[2:] for row in rows if len(row) == len(converters) + 2 and row[0] != "case"}


def _named(case: HardCase) -> str:
    return case.name + (f" (`{' '.join(case.options)}`)" if case.options else "")


def _rows(
    cases: Iterable[HardCase], converters: list[str], known: dict[str, list[str]]
) -> list[tuple[HardCase, list[str]]]:
    rows = []
    for case in cases:
        if _named(case) in known:
            rows.append((case, known[_named(case)]))
            continue
        seen = []
        for converter in converters:
            with tempfile.TemporaryDirectory(prefix="racoon-conformance-") as folder:
                seen.append(judged(case, converter, Path(folder)))
        rows.append((case, seen))
    return rows


def page(rows: list[tuple[HardCase, list[str]]], converters: list[str]) -> str:
    """Give the text of the page."""
    lines = [_HEAD.format(who=_versions(converters))]
    for topic in dict.fromkeys(case.topic for case, _ in rows):
        lines += [f"## {topic.capitalize()}", "", "| case | expected | " + " | ".join(converters) + " |"]
        lines.append("|---|---|" + "---|" * len(converters))
        for case, seen in rows:
            if case.topic == topic:
                expected = f"refused: {case.refusal}" if case.refusal else RIGHT
                lines.append(f"| {_named(case)} | {expected} | " + " | ".join(seen) + " |")
        lines.append("")
    return "\n".join([*lines, *_sums(rows, converters)]) + "\n"


def _sums(rows: list[tuple[HardCase, list[str]]], converters: list[str]) -> list[str]:
    volumes = [(case, seen) for case, seen in rows if not case.refusal]
    lines = ["## Sums", "", f"Of {len(volumes)} cases that have volumes:", ""]
    lines += ["| | right | right and more | partial | wrong | nothing |", "|---|---|---|---|---|---|"]
    for column, converter in enumerate(converters):
        counts = Counter(
            seen[column].split(",")[0] + (" more" if "more" in seen[column] else "") for _, seen in volumes
        )
        cells = [counts[key] for key in ("right", "right more", "partial", "wrong")]
        rest = len(volumes) - sum(cells)
        lines.append(f"| {converter} | " + " | ".join(map(str, [*cells, rest])) + " |")
    return lines


def _versions(converters: list[str]) -> str:
    found = [f"{name} {version(name)}" for name in converters if name in ("dcm2niix", "SimpleITK", "highdicom")]
    for name, command in (("vtk-dicom", "dicomtonifti"), ("plastimatch", "plastimatch")):
        if name in converters:
            said = subprocess.run([command, "--version"], capture_output=True, text=True, check=False)
            number = re.search(r"\d+(\.\d+)+", said.stdout + said.stderr)
            found.append(f"{name} {number.group() if number else ''}".strip())
    return f"Judges beside racoon: {', '.join(found)}." if found else ""


if __name__ == "__main__":
    asked = ["racoon", *(name for name in PEERS if is_here(name))]
    kept = known_rows(PAGE.read_text(encoding="utf-8"), asked) if "--new" in sys.argv else {}
    made = _rows([*all_cases(), *real_cases()], asked, kept)
    PAGE.write_text(page(made, asked), encoding="utf-8")
