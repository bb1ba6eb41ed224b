"""A structure set of many ROIs to masks: ``racoon annotations read`` beside plastimatch, whole processes, paired."""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK

from racoon_data.testing.makers import Contour, MadeSeries, a_series, an_rtstruct

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Times:
    """Wall and CPU seconds of one run."""

    wall: float
    cpu: float


def timed(command: Sequence[str | Path]) -> Times:
    """Run a command to its end and measure it and its children."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    subprocess.run([str(part) for part in command], check=True, capture_output=True, env=environment)
    after, stop = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    return Times(stop - start, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def organs(rois: int, slices: int, size: int) -> dict[str, list[Contour]]:
    """Draw smooth organs of different size, every fourth with a cavity, no centre on a path."""
    random = np.random.default_rng(7)
    angles = np.linspace(0, 2 * np.pi, 161)[:-1]
    drawn = {}
    for number in range(rois):
        centre = random.uniform(0.3, 0.7, 2) * size + 0.37
        radius, squeeze = random.uniform(0.05, 0.22) * size, random.uniform(0.6, 1)
        first = int(random.uniform(0, 0.5) * slices)
        last = min(slices, first + max(2, int(random.uniform(0.2, 0.5) * slices)))
        ripple = 1 + 0.05 * np.sin(5 * angles + number)
        lines = []
        for k in range(first, last):
            swell = radius * (0.6 + 0.4 * np.sin(np.pi * (k - first + 0.5) / (last - first)))
            for part in (1.0, 0.4) if number % 4 == 0 else (1.0,):
                edge = part * swell * ripple
                points = np.c_[centre[0] + edge * np.cos(angles), centre[1] + squeeze * edge * np.sin(angles)]
                lines.append(Contour(k, tuple(map(tuple, points.round(3).tolist()))))
        drawn[f"roi{number:03d}"] = lines
    return drawn


def made(folder: Path, *, rois: int, slices: int, size: int) -> MadeSeries:
    """Write the images and the structure set."""
    series = a_series(folder / "ct", slices=slices, rows=size, columns=size, spacing_mm=(0.9, 0.9, 2.0))
    an_rtstruct(folder / "rs", series, organs(rois, slices, size))
    return series


def agreement(ours: Path, theirs: Path) -> tuple[int, int]:
    """Count ROIs and voxels in which the two outputs differ."""
    rois = voxels = 0
    for path in sorted(ours.rglob("masks/*/*/*.nii.gz")):
        name = path.name.removesuffix(".nii.gz").split("-", 1)[1]
        first = SimpleITK.GetArrayViewFromImage(one := SimpleITK.ReadImage(str(path)))
        second = SimpleITK.GetArrayViewFromImage(other := SimpleITK.ReadImage(str(theirs / f"{name}.nrrd")))
        different = int(np.count_nonzero((first != 0) != (second != 0)))
        rois, voxels = rois + (different > 0), voxels + different
        del one, other
    return rois, voxels


def main() -> None:
    """Alternate both tools, compare their masks, print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rois", type=int, default=12)
    parser.add_argument("--slices", type=int, default=60)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        series = made(folder / "in", rois=options.rois, slices=options.slices, size=options.size)
        structures = next((folder / "in" / "rs").glob("*.dcm"))
        read = [sys.executable, "-m", "racoon_data", "annotations", "read", folder / "in", folder / "ours"]
        convert = ["plastimatch", "convert", "--input", structures, "--referenced-ct", series.paths[0].parent]
        convert += ["--output-prefix", folder / "theirs", "--prefix-format", "nrrd", "--xor-contours"]
        commands = {"racoon annotations read": read, "plastimatch convert": convert}
        times: dict[str, list[Times]] = {name: [] for name in commands}
        for _ in range(options.runs):
            for name, command in commands.items():
                times[name].append(timed(command))
        rois, voxels = agreement(folder / "ours", folder / "theirs")
    report(times, options)
    print(f"ROIs that differ: {rois} of {options.rois}, voxels: {voxels}")


def report(times: dict[str, list[Times]], options: argparse.Namespace) -> None:
    """Print medians and the paired ratios."""
    print(f"{options.rois} ROIs, {options.slices} slices of {options.size} x {options.size}, {options.runs} runs")
    for name, runs in times.items():
        wall, cpu = (statistics.median(getattr(run, kind) for run in runs) for kind in ("wall", "cpu"))
        print(f"{name:<24} {wall:7.2f} s wall {cpu:7.2f} CPU s")
    ours, theirs = times.values()
    for kind in ("wall", "cpu"):
        ratios = [getattr(b, kind) / getattr(a, kind) for a, b in zip(ours, theirs, strict=True)]
        print(f"plastimatch / racoon, {kind}: {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
