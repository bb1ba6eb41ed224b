"""Harmonizing CTs with labels beside bare SimpleITK: the same files, the same new grid, the same workers, alternating.

Bare reads each image and label map, resamples (linear, ``sitkLabelLinear``, float32 voxels) and writes gzipped NIfTI,
with SimpleITK or, for writing, nibabel; it makes no checksums, no sidecar, no quality control and no manifest.
Each run is a whole process, imports included; CPU counts it and every process it left behind. The dataset has to have
the same bytes with one worker, with several, on a cluster started for it and on a scheduler's address. ``busy`` is the
share of the workers' cores that the run used, ``others`` how many cores other processes of the machine used meanwhile.

    python benchmarks/harmonize.py                                       small: seconds
    python benchmarks/harmonize.py --cases 12 --size 512 --slices 200    a quarter of the target's size, 2 GB of disk
"""

from __future__ import annotations

import argparse
import ctypes
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk  # noqa: N813 - the library's own habit

PEERS = ("sitk", "nibabel")
_ADOPT_ORPHANS = 36  # PR_SET_CHILD_SUBREAPER: workers whose parent ended are counted here


def bare_case(names: tuple[str, str], *, source: Path, out: Path, spacing: tuple[float, ...], writer: str) -> None:
    """Resample and write the image and the labels of one case."""
    for name, how in zip(names, (sitk.sitkLinear, sitk.sitkLabelLinear), strict=True):
        image = sitk.ReadImage(str(source / name))
        size, old = np.array(image.GetSize()), np.array(image.GetSpacing())
        new = np.floor(size * old / spacing + 0.5).astype(int)
        first = image.TransformContinuousIndexToPhysicalPoint(((size - 1) / 2 - (new - 1) / 2 * spacing / old).tolist())
        resampler = sitk.ResampleImageFilter()
        resampler.SetNumberOfThreads(1)
        resampler.SetSize(new.tolist())
        resampler.SetOutputSpacing(spacing)
        resampler.SetOutputOrigin(first)
        resampler.SetOutputDirection(image.GetDirection())
        resampler.SetInterpolator(how)
        resampler.SetDefaultPixelValue(-1024 if how == sitk.sitkLinear else 0)
        if how == sitk.sitkLinear:
            resampler.SetOutputPixelType(sitk.sitkFloat32)
        done = resampler.Execute(image)
        if writer == "sitk":
            sitk.WriteImage(done, str(out / name), useCompression=True)
        else:
            affine = np.eye(4)
            affine[:3, :3] = np.array(done.GetDirection()).reshape(3, 3) * np.array(spacing)
            affine[:3, 3] = done.GetOrigin()
            array = sitk.GetArrayFromImage(done).transpose(2, 1, 0)
            nib.save(nib.Nifti1Image(array, np.diag([-1, -1, 1, 1]) @ affine), out / name)


def inner(given: argparse.Namespace) -> None:
    """Do one thing once."""
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    if given.inner == "racoon":
        harmonized(given.root, given.out, given.spacing, given.workers, given.scheduler)
        return
    for part in ("imagesTr", "labelsTr"):
        (given.out / part).mkdir(parents=True)
    pairs = [
        (f"imagesTr/{path.name.removesuffix('.nii.gz')}_0000.nii.gz", f"labelsTr/{path.name}")
        for path in sorted((given.root / "labelsTr").iterdir())
    ]
    spacing = tuple(given.spacing)
    work = partial(bare_case, source=given.root, out=given.out, spacing=spacing, writer=given.inner)
    if given.workers == 1:
        for pair in pairs:
            work(pair)
        return
    with ProcessPoolExecutor(given.workers, mp_context=get_context("fork")) as pool:
        list(pool.map(work, pairs))


def harmonized(root: Path, out: Path, spacing: list[float], workers: int, scheduler: str | None) -> None:
    """Harmonize with racoon."""
    from racoon_data.harmonize.recipe import recipe_from
    from racoon_data.pipeline.reharmonize import harmonize_dataset
    from racoon_data.runner.crew import Crew

    done = harmonize_dataset(root, out, recipe_from({"spacing_mm": spacing}), crew=Crew(workers, scheduler))
    assert not any(outcome.code for outcome in done.outcomes), "a case was left out"


def run(what: str, given: argparse.Namespace, out: Path, *, workers: int, scheduler: str = "") -> dict[str, float]:
    """Run one thing in a process of its own; give seconds of clock and of CPU, of all its processes."""
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, __file__, "--inner", what, "--root", str(given.root), "--out", str(out)]
    command += ["--workers", str(workers), *(["--scheduler", scheduler] if scheduler else [])]
    command += ["--spacing", *map(str, given.spacing)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1"}
    before, machine, start = resource.getrusage(resource.RUSAGE_CHILDREN), machine_cpu(), time.perf_counter()
    subprocess.run(command, check=True, env=environment)
    wall = time.perf_counter() - start
    while not scheduler and _reaped():
        pass
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall": wall, "cpu": cpu, "busy": cpu / wall / workers, "others": (machine_cpu() - machine - cpu) / wall}


def machine_cpu() -> float:
    """Give the seconds that all processes of this machine have computed so far."""
    user, nice, system, _, _, irq, soft, *_ = map(int, Path("/proc/stat").read_text(encoding="ascii").split()[1:11])
    return (user + nice + system + irq + soft) / os.sysconf("SC_CLK_TCK")


def _reaped() -> bool:
    """Wait for one process that a run left behind."""
    try:
        os.waitpid(-1, 0)
    except ChildProcessError:
        return False
    return True


def compare(out: Path, bare: Path) -> None:
    """Make sure that both made the same images and labels."""
    for path in sorted(bare.rglob("*.nii.gz")):
        ours, theirs = nib.load(out / path.relative_to(bare)), nib.load(path)
        assert np.allclose(ours.affine, theirs.affine, atol=1e-3), f"{path.name}: another grid"
        mine, other = np.asanyarray(ours.dataobj), np.asanyarray(theirs.dataobj)
        if path.parent.name == "imagesTr":
            assert np.abs(mine - other).max() < 0.1, f"{path.name}: other values"
        else:
            assert np.mean(mine != other) < 1e-3, f"{path.name}: other labels"


def digest(root: Path) -> str:
    """Give the hash of a dataset."""
    from racoon_data.files.manifest import load_manifest

    return load_manifest(root).dataset_sha256


def main() -> None:
    """Make the dataset, alternate, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=4)
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--slices", type=int, default=64)
    parser.add_argument("--spacing", type=float, nargs=3, default=(1.0, 1.0, 2.5))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=1)
    for hidden in ("--root", "--out"):
        parser.add_argument(hidden, type=Path, help=argparse.SUPPRESS)
    for hidden in ("--inner", "--scheduler"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inner:
        inner(given)
        return
    from qc import make

    ctypes.CDLL(None).prctl(_ADOPT_ORPHANS, 1, 0, 0, 0)
    with tempfile.TemporaryDirectory(prefix="racoon-bench-") as folder:
        given.root = Path(folder, "source")
        make(given.root, given.cases, given.slices, given.size)
        spacing = " x ".join(f"{mm:g}" for mm in given.spacing)
        print(f"{given.cases} CTs with labels of {given.size} x {given.size} x {given.slices} to {spacing} mm")
        timed(given, Path(folder))
        elsewhere(given, Path(folder))


def timed(given: argparse.Namespace, folder: Path) -> None:
    """Run everybody with one worker and with several, and print the table."""
    single: dict[str, float] = {}
    for workers in sorted({1, given.workers}):
        runs: dict[str, list[dict[str, float]]] = {what: [] for what in (*PEERS, "racoon")}
        for _ in range(given.repeats):
            for what, results in runs.items():
                out = folder / (f"racoon{workers}" if what == "racoon" else what)
                results.append(run(what, given, out, workers=workers))
        for what in PEERS if workers == 1 else ():
            compare(folder / "racoon1", folder / what)
        medians = {
            what: {key: statistics.median(one[key] for one in all_) for key in all_[0]} for what, all_ in runs.items()
        }
        mine = medians["racoon"]
        for what, one in medians.items():
            single.setdefault(what, one["wall"])
            ratio = f"racoon / it: wall {mine['wall'] / one['wall']:4.2f} CPU {mine['cpu'] / one['cpu']:4.2f}"
            print(
                f"{workers} worker(s)  {what:8s} wall {one['wall']:7.2f} s  CPU {one['cpu']:7.2f} s  "
                f"busy {one['busy']:4.2f}  others {one['others']:4.2f}  x 1 worker {single[what] / one['wall']:4.2f}  "
                + (ratio if what != "racoon" else "")
            )


def elsewhere(given: argparse.Namespace, folder: Path) -> None:
    """Harmonize on a cluster of its own and on an address, and compare the bytes."""
    from distributed import LocalCluster

    hashes = {f"{workers} worker(s)": digest(folder / f"racoon{workers}") for workers in sorted({1, given.workers})}
    out = folder / "dask"
    took = run("racoon", given, out, workers=given.workers, scheduler="local")
    hashes[f"local ({took['wall']:.2f} s)"] = digest(out)
    with LocalCluster(n_workers=given.workers, threads_per_worker=1, host="127.0.0.1", dashboard_address=None) as there:
        took = run("racoon", given, out, workers=given.workers, scheduler=there.scheduler_address)
    hashes[f"an address ({took['wall']:.2f} s)"] = digest(out)
    assert len(set(hashes.values())) == 1, f"not the same bytes: {hashes}"
    print(f"the same bytes with {', '.join(hashes)}: {next(iter(hashes.values()))[:12]}")


if __name__ == "__main__":
    main()
