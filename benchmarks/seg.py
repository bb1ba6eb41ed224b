"""A segmentation of many segments to masks: our reader beside highdicom and dcmqi, CPU seconds and memory, paired."""

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
import warnings
from dataclasses import dataclass
from pathlib import Path

import highdicom
import numpy as np
import pydicom

from racoon_data.testing.headers import file_meta, series_header
from racoon_data.testing.series_plan import SeriesPlan
from racoon_data.testing.uids import made_uid

ROOT = Path(__file__).parents[1]

OURS = """
import json, sys, time
from pathlib import Path
from racoon_data.annotations.seg import SegReader
from racoon_data.files.nifti import write_mask
from racoon_data.refs import InstanceRef
from racoon_data.testing.series_plan import SeriesPlan
path, slices, size, out = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
geometry = SeriesPlan(slices=slices, rows=size, columns=size).geometry
if out != "start":
    begin = time.process_time()
    read = SegReader().read(path, source=InstanceRef("1", "2", "3"), image=None, geometry=geometry, sop_uids=())
    middle = time.process_time()
    masks = {one.segment.number: one.mask for one in read.masks} if out == "masks" else {}
    cpu = time.process_time() - begin
    rss = int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
    if out == "boxed":
        cpu = middle - begin
    elif out != "masks":
        for one in read.masks:
            write_mask(Path(out) / f"{one.segment.number}.nii.gz", one.drawn, geometry)
    counts = {one.segment.number: one.voxels for one in read.masks}
    print(json.dumps({"cpu": cpu, "rss": rss, "counts": counts}))
"""
THEIRS = """
import json, sys, time, warnings
warnings.simplefilter("ignore")
import highdicom
begin = time.process_time()
seg = highdicom.seg.segread(sys.argv[1])
parsed = time.process_time()
array = seg.get_volume(combine_segments=False).array
cpu = time.process_time() - begin
rss = int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
counts = {int(number): int(array[..., place].sum()) for place, number in enumerate(seg.segment_numbers)}
print(json.dumps({"cpu": cpu, "volume_cpu": begin + cpu - parsed, "rss": rss, "counts": counts}))
"""


@dataclass(frozen=True)
class Ran:
    """CPU seconds of a process and what it printed."""

    cpu: float
    said: dict


def run(*command: object) -> Ran:
    """Run a child process to its end."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False, env=environment
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    text = done.stdout.decode(errors="replace").strip()
    said = json.loads(text) if text.startswith("{") else {}
    return Ran(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, said)


def write(path: Path, *, slices: int, size: int, segments: int, is_dense: bool) -> float:
    """Write overlapping ellipsoids as BINARY with highdicom; every slice of every segment if dense."""
    plan = SeriesPlan(slices=slices, rows=size, columns=size)
    images = []
    for k in range(slices):
        image = series_header(plan)
        image.SOPInstanceUID, image.InstanceNumber = made_uid("bench", k), k + 1
        image.ImagePositionPatient = [round(value, 6) for value in plan.geometry.position_lps((0, 0, k))]
        image.file_meta = file_meta(image)
        images.append(image)
    random = np.random.default_rng(1)
    pixels = np.zeros((slices, size, size, segments), dtype=np.uint8)
    j, i = np.mgrid[:size, :size]
    for number in range(segments):
        middle = random.uniform(0.3, 0.7, 3) * (slices, size, size)
        radius = random.uniform(0.075, 0.225, 3) * (slices, size, size)
        for k in range(slices):
            height = 1 - ((k - middle[0]) / radius[0]) ** 2
            if height > 0:
                flat = ((j - middle[1]) / radius[1]) ** 2 + ((i - middle[2]) / radius[2]) ** 2
                pixels[k, :, :, number] = flat < height
    code = highdicom.sr.CodedConcept("52988006", "SCT", "Lesion")
    described = [highdicom.seg.SegmentDescription(n, f"s{n}", code, code, "MANUAL") for n in range(1, segments + 1)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        seg = highdicom.seg.Segmentation(
            images, pixels, "BINARY", described, "1.2.3.1", 1, "1.2.3.2", 1, "m", "n", "1", "1",
            omit_empty_frames=not is_dense,
        )  # fmt: skip
    seg.save_as(path)
    return path.stat().st_size / 1e6


def main() -> None:
    """Alternate the contestants, compare their voxels, print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slices", type=int, default=80)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--segments", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--dense", action="store_true", help="Write empty frames too.")
    parser.add_argument("--no-peers", action="store_true", help="Measure our own memory only.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        compare(Path(folder), options)


def compare(folder: Path, options: argparse.Namespace) -> None:
    """Make the file, run everybody, print the table."""
    path, sizes = folder / "seg.dcm", (options.slices, options.size)
    megabytes = write(path, slices=options.slices, size=options.size, segments=options.segments, is_dense=options.dense)
    frames = int(pydicom.dcmread(path, specific_tags=["NumberOfFrames"]).NumberOfFrames)
    said = f"{options.segments} segments on {options.slices} slices of {options.size}^2"
    print(f"{said}: {frames} frames, {megabytes:.0f} MB")
    dcmqi = None if options.no_peers else shutil.which("segimage2itkimage") or _beside_python("segimage2itkimage")
    rows: dict[str, list[float]] = {}
    memory: dict[str, float] = {}
    for _ in range(options.repeats):
        runs = {
            "ours, masks boxed": run(sys.executable, "-c", OURS, path, *sizes, "boxed"),
            "ours, masks whole": run(sys.executable, "-c", OURS, path, *sizes, "masks"),
        }
        if not options.no_peers:
            theirs = run(sys.executable, "-c", THEIRS, path)
            assert theirs.said["counts"] == runs["ours, masks whole"].said["counts"], "voxels differ"
            runs["highdicom segread + get_volume"] = theirs
            rows.setdefault("highdicom get_volume alone", []).append(theirs.said["volume_cpu"])
        for name, ran in runs.items():
            rows.setdefault(name, []).append(ran.said["cpu"])
            memory[name] = ran.said["rss"] / 1000
        if dcmqi:
            files_process(folder, path, sizes, dcmqi, rows)
    show(rows, memory)


def files_process(folder: Path, path: Path, sizes: tuple[int, int], dcmqi: str, rows: dict[str, list[float]]) -> None:
    """Whole processes that leave NIfTI files, minus the start-up of each."""
    ours, theirs = folder / "ours", folder / "theirs"
    for one in (ours, theirs):
        shutil.rmtree(one, ignore_errors=True)
        one.mkdir()
    start = run(sys.executable, "-c", OURS, path, *sizes, "start").cpu
    rows.setdefault("ours, NIfTI files", []).append(run(sys.executable, "-c", OURS, path, *sizes, ours).cpu - start)
    start = run(dcmqi, "--version").cpu
    command = (dcmqi, "--inputDICOM", path, "--outputDirectory", theirs, "--outputType", "nii")
    rows.setdefault("dcmqi, NIfTI files", []).append(run(*command).cpu - start)
    written = len(list(theirs.glob("*.nii.gz")))
    assert written == len(list(ours.glob("*.nii.gz"))), "dcmqi wrote another number of masks"


def _beside_python(name: str) -> str | None:
    path = Path(sys.executable).with_name(name)
    return str(path) if path.exists() else None


def show(rows: dict[str, list[float]], memory: dict[str, float]) -> None:
    """Print medians, and the ratios the target names."""
    medians = {name: statistics.median(values) for name, values in rows.items()}
    for name, median in medians.items():
        peak = f", peak {memory[name]:.0f} MB" if name in memory else ""
        print(f"{name:<32} {median:7.2f} CPU s{peak}")
    pairs = (
        ("highdicom get_volume alone", "ours, masks whole"),
        ("highdicom segread + get_volume", "ours, masks whole"),
        ("dcmqi, NIfTI files", "ours, NIfTI files"),
    )
    for theirs, ours in pairs:
        if theirs in medians:
            ratio = medians[theirs] / medians[ours]
            print(f"{theirs} : {ours} = {ratio:.1f} (target 2: {'met' if ratio >= 2 else 'missed'})")


if __name__ == "__main__":
    main()
