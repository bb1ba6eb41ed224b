"""Writes docs/qc-nnunet.md: twelve planted defects before nnU-Net's integrity check and before ours.

Run with ``make qc-peers``. nnU-Net is asked the way its own command asks: ``verify_dataset_integrity`` on the folder,
one process a dataset. It refuses (an error), warns (it says anything that it does not say of a clean dataset), or is
silent.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from racoon_data.qc.inspect import inspect
from tests.dataset.makers import a_dataset
from tests.qc.planting import TWELVE, clean_cases

PAGE = Path(__file__).resolve().parents[2] / "docs" / "qc-nnunet.md"
_ASK = """
import sys
from nnunetv2.experiment_planning.verify_dataset_integrity import verify_dataset_integrity
if __name__ == "__main__":
    verify_dataset_integrity(sys.argv[1], 1)
"""
# What it says of a clean dataset, too.
_CALM = ("Using <class", "####", "verify_dataset_integrity Done", "If you didn't see any error messages")


@dataclass(frozen=True)
class Row:
    """One defect and what two checks say of it."""

    defect: str
    nnunet: str
    ours: str


def ask_nnunet(root: Path, script: Path) -> str:
    """Say how nnU-Net's check ends on a dataset folder."""
    script.write_text(_ASK, encoding="utf-8")
    quiet = {f"nnUNet_{name}": str(root) for name in ("raw", "preprocessed", "results")}
    asked = subprocess.run(
        [sys.executable, str(script), str(root)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **quiet},
    )
    if asked.returncode:
        return "refuses"
    lines = (asked.stdout + asked.stderr).splitlines()
    return "warns" if any(line.strip() and not line.startswith(_CALM) for line in lines) else "silent"


def rows(names: list[str], folder: Path) -> list[Row]:
    """Plant each defect and ask both."""
    found = []
    for number, name in enumerate(names):
        root = folder / f"Dataset{number:03d}"
        code, plant = TWELVE[name]
        plant(root)
        issues = [issue for issue in inspect(root).issues if issue.code == code]
        ours = f"{issues[0].severity}, `{code}`" if issues else "silent"
        found.append(Row(name, ask_nnunet(root, folder / "ask.py"), ours))
    return found


def page(folder: Path) -> str:
    """Give the page."""
    a_dataset(folder / "clean", clean_cases())
    clean = Row("none: the clean dataset", ask_nnunet(folder / "clean", folder / "ask.py"), "silent")
    assert not inspect(folder / "clean").issues
    table = [clean, *rows(list(TWELVE), folder)]
    theirs, ours = [row.nnunet for row in table], [row.ours for row in table]
    lines = [
        "# Twelve defects, two checks",
        "",
        "One defect is planted in one of fourteen clean cases (`tests/qc/planting.py`). Each dataset is a valid",
        f"nnU-Net raw dataset otherwise and meets `verify_dataset_integrity` of nnU-Net {version('nnunetv2')} and",
        "`racoon qc check`. Some of these are legal for nnU-Net, which checks what its training needs; some it cannot",
        "know, such as who the patients are. Non-finite voxels it does look for; ITK's NIfTI reader has made them",
        "zeros by then. Written by `make qc-peers`.",
        "",
        "| Defect | nnU-Net | racoon |",
        "|---|---|---|",
        *(f"| {row.defect} | {row.nnunet} | {row.ours} |" for row in table),
        "",
        "Found: {} and {} of 12.".format(*(sum(one != "silent" for one in told) for told in (theirs, ours))),
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        PAGE.write_text(page(Path(temporary)), encoding="utf-8")
