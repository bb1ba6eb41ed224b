"""Which hostile file meets which entry point, what is expected and what was seen."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.hostile import dicom_files, other_files
from tests.hostile.doors import DOORS

MAX_CPU_S, MAX_MIB = 1.0, 300
ROOT = Path(__file__).resolve().parents[2]
_LISTED = ("annotations list", "annotations read")
_DICOM = (
    *(name for name in DOORS if name.startswith(("deid run", "deid explain", "convert", "pacs"))),
    *_LISTED,
)


def pairs() -> Iterator[tuple[str, str]]:
    """Give each hostile file with each entry point that could meet it."""
    everywhere = {
        _DICOM: (*dicom_files.STRUCTURES, *dicom_files.CONTENTS),
        ("dataset check", "qc report", "annotations export"): other_files.VOLUMES,
        _LISTED: (*other_files.NRRDS, *other_files.EXPORTS, *other_files.ARCHIVES),
        ("annotations read --mapping",): other_files.EXPORTS,
        ("dataset check", "schema validate"): other_files.DOCUMENTS,
        ("schema validate", "racoon.toml", "run, study file", "deid profile"): other_files.TOMLS,
        ("checkpoint and update",): other_files.WEIGHTS,
        ("deid run", "convert", "pacs push"): other_files.ARCHIVES,
    }
    for doors, files in everywhere.items():
        for file in files:
            yield from ((file, door) for door in doors)


@dataclass(frozen=True)
class Seen:
    """What one entry point did with one hostile file.

    Attributes:
        cpu_s: CPU time beyond start-up.
        mib: Memory at its peak, beyond start-up.
        codes: Coded outcomes.
        outside: Changes outside the given folders.
        touched: Parsers of other projects that were handed the file.
        crash: The last words of a process that did not live.
        said: The end of what was printed.
    """

    cpu_s: float = 0.0
    mib: int = 0
    codes: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    touched: tuple[str, ...] = ()
    crash: str = ""
    said: str = field(default="", compare=False)


def faults_of(file: str, door: str, seen: Seen, *, max_cpu_s: float = MAX_CPU_S) -> tuple[str, ...]:
    """Name everything that is not as it must be."""
    faults = []
    if seen.crash:
        faults.append(f"did not live: {seen.crash}")
    if seen.cpu_s > max_cpu_s:
        faults.append(f"{seen.cpu_s} s")
    if seen.mib > MAX_MIB:
        faults.append(f"{seen.mib} MiB")
    if seen.outside:
        faults.append(f"wrote outside: {seen.outside}")
    if file in dicom_files.STRUCTURES and seen.touched:
        faults.append(f"reached {seen.touched}")
    if "Traceback" in seen.said or "racoon.error" in seen.codes:
        faults.append("a traceback")
    if not seen.codes and expected(file, door) == "refused":
        faults.append("no code")
    return tuple(faults)


def expected(file: str, door: str) -> str:
    """Tell whether the file must be refused with a code or may be kept as the bytes it is."""
    if DOORS[door].keeps or file in dicom_files.CONTENTS or file in other_files.ARCHIVES:
        return "unharmed"
    return "refused"


class Cells:
    """The warm process that judges; one for a whole run."""

    def __init__(self, folder: Path) -> None:
        """Start it; each pair gets a folder of its own below ``folder``."""
        self._folder = folder
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.hostile.cell"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        self.ready = self._answer()
        self._number = 0
        self._files: dict[str, Path] = {}

    def judge(self, file: str, door: str) -> Seen:
        """Let one entry point meet one hostile file."""
        folder = self._new_folder()
        return self._enter(door, Path(shutil.copy(self._made(file), folder / "in")), folder)

    def judge_links(self, door: str) -> Seen:
        """Let one entry point meet a folder with links that lead out, round in a circle and to a device."""
        folder = self._new_folder()
        outside = folder.parent / "outside"
        shutil.copytree(self._made("no pixels at all, text that is script").parent, outside)
        (folder / "in" / "out").symlink_to(outside)
        (folder / "in" / "circle").symlink_to(folder / "in")
        (folder / "in" / "zero.dcm").symlink_to("/dev/zero")
        (folder / "in" / "passwd.dcm").symlink_to("/etc/passwd")
        (folder / "in" / "gone.dcm").symlink_to("nowhere")
        os.mkfifo(folder / "in" / "pipe.dcm")
        return self._enter(door, folder / "in" / "passwd.dcm", folder)

    def _new_folder(self) -> Path:
        self._number += 1
        folder = self._folder / str(self._number) / "w" / "x" / "y" / "z"
        (folder / "in").mkdir(parents=True)
        (self._folder / str(self._number) / "canary").write_text("untouched")
        return folder

    def _enter(self, door: str, path: Path, folder: Path) -> Seen:
        task = {"door": door, "file": str(path), "folder": str(folder)}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(task) + "\n")
        self._process.stdin.flush()
        seen = self._answer()
        strays = [one.name for one in (self._folder / str(self._number)).iterdir() if one.name not in ("w", "canary")]
        left = [f"left in tmp: {one.name}" for one in (folder / "tmp").glob("*")] if (folder / "tmp").is_dir() else []
        shutil.rmtree(self._folder / str(self._number))
        known = {name: tuple(value) if isinstance(value, list) else value for name, value in seen.items()}
        return Seen(**{**known, "outside": (*known.get("outside", ()), *strays, *left)})

    def _made(self, file: str) -> Path:
        """Make a hostile file once for all entry points."""
        if file not in self._files:
            folder = self._folder / f"made{len(self._files)}"
            folder.mkdir()
            is_dicom = file in dicom_files.STRUCTURES | dicom_files.CONTENTS
            self._files[file] = (dicom_files if is_dicom else other_files).write(folder, file)
        return self._files[file]

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End it."""
        self._process.communicate()


@contextmanager
def cells(folder: Path) -> Iterator[Cells]:
    """A warm process while the block runs."""
    made = Cells(folder)
    try:
        yield made
    finally:
        made.close()
