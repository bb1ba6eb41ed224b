"""Quality control of a dataset beside plainly reading its files: the same cases, the same workers, alternating.

Reading is ``racoon_data.files.nifti.read_nifti`` of every image and label map, and nothing else; nibabel reads them
too, for comparison. Checking is ``racoon_data.qc.inspect``: checksums, sidecars, every check, label statistics,
comparison across cases. Each run is a process of its own; imports are not counted. The table has medians, with CPU
seconds for one worker (more of them are not the parent's children).

    python benchmarks/qc.py                                     small: seconds
    python benchmarks/qc.py --cases 1000 --size 160 --slices 64 the size of the target
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nibabel as nib
import numpy as np

from racoon_data.cases import Acquisition, Case, Channel
from racoon_data.dataset.manifest import ManifestFacts, begin_dataset, write_manifest
from racoon_data.dataset.writer import write_case
from racoon_data.files.manifest import load_manifest
from racoon_data.files.nifti import read_nifti
from racoon_data.geometry import Geometry, as_affine
from racoon_data.grid.places import place_rows
from racoon_data.labels import Label, LabelMap, LabelSchema
from racoon_data.qc.inspect import inspect
from racoon_data.refs import CaseRef, SeriesRef
from racoon_data.runner.run import run_items
from racoon_data.volumes import Volume

SCHEMA = LabelSchema("organs", "1", (Label(1, "lung"), Label(2, "lesion"), Label(3, "liver")))


def a_case(number: int, slices: int, size: int) -> Case:
    """Give a thorax with two lungs, a liver and lesions, different for each number."""
    rng = np.random.default_rng(number)
    shape = (slices, size, size)
    k, j, i = np.ogrid[-1 : 1 : slices * 1j, -1 : 1 : size * 1j, -1 : 1 : size * 1j]
    wide = 0.85 + 0.05 * rng.normal(0, 0.5)
    body = np.broadcast_to((i / wide) ** 2 + (j / 0.7) ** 2 < 1, shape)
    lung = ((np.abs(i) - 0.4) / 0.25) ** 2 + (j / 0.45) ** 2 + (k / 0.9) ** 2 < 1
    image = np.where(body, 40, -1000).astype(np.float32)
    image[lung] = -850
    labels = lung.astype(np.uint8)
    liver = ((i + 0.4) / 0.3) ** 2 + (j / 0.5) ** 2 + ((k + 0.95) / 0.25) ** 2 < 1
    labels[liver & ~lung & body], image[liver & ~lung & body] = 3, 110
    for _ in range(4):
        x, y, z = 0.4 * rng.choice((-1, 1)), rng.uniform(-0.2, 0.2), rng.uniform(-0.5, 0.5)
        radius = rng.uniform(0.05, 0.12)
        lesion = (i - x) ** 2 + (j - y) ** 2 + (k - z) ** 2 < radius**2
        labels[lesion], image[lesion] = 2, -450
    image += rng.normal(0, 15, shape).astype(np.float32)
    grid = Geometry((size, size, slices), as_affine(np.diag([-380 / size, -380 / size, 300 / slices, 1])), "1.2.3")
    channel = Channel(
        "CT", Volume(image.astype(np.int16), grid, "HU"), SeriesRef("2.25.1", f"2.25.1.{number}"),
        Acquisition(modality="CT", kernel=("Br40f",), slice_thickness_mm=300 / slices),
    )  # fmt: skip
    places = {"step": "label_places", "labels": [dict(row) for row in place_rows(labels, grid)]}
    label_map = LabelMap(labels, grid, tuple(label.name for label in SCHEMA.labels))
    return Case(CaseRef(f"case-{number:05d}"), f"P{number:05d}", (channel,), label_map, steps=(places,))


def make(root: Path, cases: int, slices: int, size: int) -> None:
    """Write the dataset."""
    begin_dataset(root)
    records = [
        write_case(a_case(number, slices, size), root, schema=SCHEMA, fold=number % 5) for number in range(cases)
    ]
    write_manifest(root, ManifestFacts("bench", "bench", {"orientation": "RAS"}, "0" * 64, SCHEMA, ("CT",)), records)


def read_case(paths: tuple[Path, ...]) -> int:
    """Read the volumes of a case and throw them away."""
    return sum(read_nifti(path)[0].size for path in paths)


def read_case_nibabel(paths: tuple[Path, ...]) -> int:
    """Do the same with nibabel."""
    return sum(np.asanyarray(nib.load(path).dataobj).size for path in paths)


def inner(what: str, root: Path, workers: int) -> None:
    """Do one thing once and say how long it took."""
    manifest = load_manifest(root)
    wall, cpu = time.perf_counter(), time.process_time()
    if what == "check":
        seen = inspect(root, workers=workers)
        voxels = sum(int(np.prod(one.facts.measured.images[0].geometry.shape)) * 2 for one in seen.cases if one.facts)
        found = len(seen.issues)
    else:
        work = read_case if what == "read" else read_case_nibabel
        items = [(CaseRef(one.case_id), (root / one.images[0], root / str(one.label))) for one in manifest.cases]
        voxels, found = sum(result.value or 0 for result in run_items("read", items, work, workers=workers)), 0
    took = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "voxels": voxels, "found": found}
    print(json.dumps(took))


def run(what: str, root: Path, workers: int) -> dict[str, float]:
    """Run one thing in a process of its own."""
    command = [sys.executable, __file__, "--inner", what, "--root", str(root), "--workers", str(workers)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout)


def main() -> None:
    """Make the dataset, alternate, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=24)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--slices", type=int, default=48)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--root", type=Path)
    parser.add_argument("--inner")
    given = parser.parse_args()
    if given.inner:
        inner(given.inner, given.root, given.workers)
        return
    with tempfile.TemporaryDirectory(prefix="racoon-bench-") as folder:
        root = Path(folder)
        make(root, given.cases, given.slices, given.size)
        mib = sum(path.stat().st_size for path in root.rglob("*.nii.gz")) / 2**20
        print(f"{given.cases} cases of {given.size} x {given.size} x {given.slices}, {mib:.0f} MiB of files")
        for workers in sorted({1, given.workers}):
            runs: dict[str, list[dict[str, float]]] = {"nibabel": [], "read": [], "check": []}
            for _ in range(given.repeats):
                for what, results in runs.items():
                    results.append(run(what, root, workers))
            every = [result for results in runs.values() for result in results]
            assert len({result["voxels"] for result in every}) == 1, "not everybody read the same voxels"
            assert not any(result["found"] for result in every), "clean cases had findings"
            base = {key: statistics.median(one[key] for one in runs["read"]) for key in ("wall", "cpu")}
            for what, results in runs.items():
                wall, cpu = (statistics.median(one[key] for one in results) for key in ("wall", "cpu"))
                told = f"CPU {cpu:7.2f} s ({cpu / base['cpu']:4.2f} x)" if workers == 1 else " " * 22
                print(f"{workers} worker(s)  {what:8s} wall {wall:7.2f} s ({wall / base['wall']:4.2f} x)  {told}")


if __name__ == "__main__":
    main()
