"""Speed of ``racoon convert`` beside dcm2niix, on the same series in one run, both outputs compared.

Two bodies of data: a folder of CT, MR and PET series, and one large CT. Flags of dcm2niix: ``-z y -b y -f %j`` (gzip
at its default level, sidecars on); racoon runs as it is, certificate on. Commands alternate; the table has medians of
wall and child-process CPU seconds with start-up, the size of the files and, for one process, the peak of memory.

    python benchmarks/convert.py                        small: a few seconds
    python benchmarks/convert.py --scale 1 --large 1000 the sizes of the targets
    python benchmarks/convert.py --data FOLDER          series of your own
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom

from racoon_data.testing.makers import a_series

# Modality, slices, rows, columns, slope: what a thorax follow-up with PET and MR brings.
SERIES = (
    ("CT", 240, 512, 1.0), ("CT", 120, 512, 1.0), ("CT", 100, 512, 1.0), ("CT", 80, 512, 1.0),
    ("MR", 160, 256, 1.0), ("MR", 120, 256, 1.0), ("MR", 60, 320, 1.0), ("MR", 40, 384, 1.0),
    ("PT", 200, 200, 0.37), ("PT", 160, 168, 1.71), ("PT", 120, 128, 0.9),
)  # fmt: skip


@dataclass
class Runs:
    """Measures of one command."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    peak_mb: float = 0.0


def planes(slices: int, rows: int, modality: str, seed: int) -> Iterator[np.ndarray]:
    """A body with organs, noise and air around it: what gzip meets in a hospital."""
    rng = np.random.default_rng(seed)
    j, i = (np.linspace(-1, 1, rows) ** 2 for _ in range(2))
    inside = (j[:, None] / 0.5 + i[None, :] / 0.8) < 1
    organs = 60 * np.sin(9 * np.sqrt(j[:, None] + 2 * i[None, :]))
    level, noise, air = {"CT": (1064, 15, 24), "MR": (400, 20, 8), "PT": (3000, 350, 30)}[modality]
    for k in range(slices):
        noisy = level + organs + 20 * np.sin(k / 15) + rng.normal(0, noise, (rows, rows))
        yield np.where(inside, noisy, air + rng.normal(0, 2, (rows, rows))).clip(0).astype("<i2")


def series(folder: Path, number: int, modality: str, slices: int, rows: int, slope: float) -> None:
    """Write one series slice by slice, in little memory."""
    spacing = (400 / rows, 400 / rows, 2.0)
    made = a_series(
        folder, slices=1, rows=rows, columns=rows, modality=modality, slope=slope, spacing_mm=spacing, seed=number,
        series_number=number,
    )  # fmt: skip
    one = pydicom.dcmread(made.paths[0])
    made.paths[0].unlink()
    for k, plane in enumerate(planes(slices, rows, modality, number)):
        one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = f"{one.SeriesInstanceUID}.{k + 1}"
        one.InstanceNumber, one.SliceLocation = k + 1, 2.0 * k
        one.ImagePositionPatient = [-200, -200, 2.0 * k]
        one.PixelData = plane.tobytes()
        one.save_as(folder / f"IM{k + 1:04d}")


def make(folder: Path, scale: float) -> None:
    """Write the folder of series."""
    for number, (modality, slices, rows, slope) in enumerate(SERIES):
        series(folder / f"{number:02d}", number, modality, max(4, round(slices * scale)), rows, slope)


def measured(command: list[str], out: Path, runs: Runs) -> None:
    """Run a command into an empty folder and note what it cost."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    ended = subprocess.run(["/usr/bin/env", "time", "-f", "%M", *command], capture_output=True, text=True, check=False)
    if ended.returncode not in (0, 5):
        raise SystemExit(f"{command[0]} failed:\n{ended.stderr[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    runs.wall.append(time.perf_counter() - start)
    runs.cpu.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    runs.peak_mb = max(runs.peak_mb, int(ended.stderr.strip().splitlines()[-1]) / 1024)


def same(ours: Path, theirs: Path) -> tuple[int, list[str]]:
    """Compare voxels and affines of both outputs, series by series; give how many agree and what differs."""
    wrong, equal = [], 0
    for row in json.loads((ours / "conversion.json").read_text())["volumes"]:
        other = theirs / f"{row['series']}.nii.gz"
        if not other.exists():
            wrong.append(f"{row['series']}: dcm2niix wrote no single file")
            continue
        a, b = (nib.as_closest_canonical(nib.load(path)) for path in (ours / row["file"], other))
        is_equal = a.shape == b.shape and np.allclose(a.affine, b.affine, atol=1e-3)
        if is_equal and np.allclose(np.asarray(a.dataobj), np.asarray(b.dataobj), rtol=1e-5, atol=1e-4):
            equal += 1
        else:
            wrong.append(f"{row['series']}: shape, affine or voxels differ")
    return equal, wrong


def bytes_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.nii.gz"))


def compare(data: Path, work: Path, repeats: int, label: str) -> None:
    dcm2niix = str(Path(sys.executable).with_name("dcm2niix"))
    ours = [sys.executable, "-m", "racoon_data", "convert", str(data)]
    commands = {
        "dcm2niix": [dcm2niix, "-z", "y", "-b", "y", "-f", "%j", "-o", str(work / "dcm2niix"), str(data)],
        "racoon": [*ours, str(work / "racoon")],
        "racoon, 2 workers": [*ours, str(work / "racoon2"), "--workers", "2"],
    }
    outs = {"dcm2niix": work / "dcm2niix", "racoon": work / "racoon", "racoon, 2 workers": work / "racoon2"}
    runs = {name: Runs() for name in commands}
    for _ in range(repeats):
        for name, command in commands.items():
            measured(command, outs[name], runs[name])
    equal, wrong = same(outs["racoon"], outs["dcm2niix"])
    slices = sum(row["instances"] for row in json.loads((outs["racoon"] / "conversion.json").read_text())["volumes"])
    print(f"\n{label}: {slices} slices, {equal} series equal in voxels and affine", *wrong, sep="\n  ")
    print(f"{'':<20}{'wall s':>8}{'ratio':>7}{'CPU s':>8}{'ratio':>7}{'MB out':>8}{'peak MB':>9}")
    base = runs["dcm2niix"]
    for name, run in runs.items():
        wall, cpu = statistics.median(run.wall), statistics.median(run.cpu)
        ratios = statistics.median(base.wall) / wall, statistics.median(base.cpu) / cpu
        size = bytes_of(outs[name]) / 1e6
        spent = f"{cpu:>8.2f}{ratios[1]:>7.2f}{size:>8.1f}{run.peak_mb:>9.0f}"
        # Workers belong to a server process of their own, so neither their CPU time nor their memory is seen here.
        print(
            f"{name:<20}{wall:>8.2f}{ratios[0]:>7.2f}"
            + (f"{'-':>8}{'-':>7}{size:>8.1f}{'-':>9}" if "workers" in name else spent)
        )
    ratio = bytes_of(outs["racoon"]) / bytes_of(outs["dcm2niix"])
    print(f"files are {ratio:.3f} times the size of dcm2niix's")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=0.08, help="part of 1,400 slices in 11 series")
    parser.add_argument("--large", type=int, default=0, help="slices of the large CT, 0 for none")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--data", type=Path, help="a folder of series instead of made ones")
    parser.add_argument("--keep", type=Path, help="where to keep made series for the next run")
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed program has its bytecode
    print("dcm2niix -z y -b y -f %j   |   racoon convert IN OUT [--workers 2]")
    with tempfile.TemporaryDirectory() as scratch:
        work = args.keep or Path(scratch)
        folder = args.data or work / f"folder-{args.scale:g}"
        if not folder.exists():
            make(folder, args.scale)
        compare(folder, Path(scratch), args.repeats, "folder")
        if args.large:
            large = work / f"large-{args.large}"
            if not large.exists():
                series(large, 99, "CT", args.large, 512, 1.0)
            compare(large, Path(scratch), args.repeats, "one large CT")


if __name__ == "__main__":
    main()
