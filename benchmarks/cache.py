"""Random patches of image and label: our cache beside nnU-Net's loader and MONAI's datasets, CPU, disk and memory.

Every method runs in a process of its own, in turn, several times; half of the patches lie on a
labelled voxel, and each comes out as float32 image and label tensor. The page cache is warm.
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
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel
import numpy as np

ROOT = Path(__file__).parents[1]
OURS = "racoon"
METHODS = (
    OURS,
    "racoon, windowed",
    "racoon .npy",
    "nnU-Net blosc2",
    "MONAI Persistent",
    "MONAI Cache",
    "MONAI Cache+idx",
)
PATCH = (96, 96, 96)
VISIT = 4


def make_volumes(folder: Path, count: int, shape: tuple[int, int, int]) -> None:
    """Write CT-like volumes (smooth anatomy, scanner noise, air around) with two labels, as a dataset's files."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(0)
    for number in range(count):
        anatomy = gaussian_filter(rng.normal(size=shape).astype(np.float32), 6)
        noise = gaussian_filter(rng.normal(size=shape).astype(np.float32), 0.8)
        image = anatomy / anatomy.std() * 400 - 600 + noise / noise.std() * 20
        inside = np.zeros(shape, bool)
        inside[:, shape[1] // 8 : -shape[1] // 8, shape[2] // 10 : -shape[2] // 10] = True
        image = np.where(inside, image.clip(-1024, 2000), -1024).astype(np.int16)
        label = ((image > -200) & inside).astype(np.uint8) + ((image > 200) & inside)
        for name, array in (("image", image), ("label", label.astype(np.uint8))):
            path = folder / f"case-{number:03d}.{name}.nii.gz"
            nibabel.save(nibabel.Nifti1Image(array.transpose(2, 1, 0), np.diag([-1.0, -1.0, 2.0, 1.0])), path)


def cases(folder: Path) -> list[str]:
    return sorted(path.name.split(".")[0] for path in folder.glob("*.image.nii.gz"))


def truth(folder: Path, case: str) -> tuple[np.ndarray, np.ndarray]:
    from racoon_data.files.nifti import read_nifti

    return tuple(read_nifti(folder / f"{case}.{part}.nii.gz")[0] for part in ("image", "label"))


def build_ours(folder: Path, home: Path, *, npy: bool) -> None:
    from racoon_train.data import cache, stored
    from racoon_train.data.dataset import TrainCase

    if npy:
        stored._write_blocks = lambda path, values: (_ for _ in ()).throw(RuntimeError("as if blosc2 were absent"))
    entries = []
    for case in cases(folder):
        parts = {part: folder / f"{case}.{part}.nii.gz" for part in ("image", "label")}
        nbytes = cache._store(home, TrainCase(case, case, "train", (parts["image"],), parts["label"], ("a", "b")))
        entries.append({"case_id": case, "split": "train", "annotated": ["a", "b"], "fold": None, "nbytes": nbytes})
    (home / "cases.json").write_text(json.dumps({"cases": entries}))


def build_nnunet(folder: Path, home: Path) -> None:
    from nnunetv2.training.dataloading.nnunet_dataset import comp_blosc2_params, nnUNetDatasetBlosc2

    for case in cases(folder):
        image, label = truth(folder, case)
        places = {v: np.argwhere(label[None] == v) for v in (1, 2)}
        places = {v: found[:: max(1, len(found) // 10000)] for v, found in places.items()}
        blocks, chunks = comp_blosc2_params((1, *image.shape), PATCH)
        store = {"chunks": chunks, "blocks": blocks, "chunks_seg": chunks, "blocks_seg": blocks}
        data = image[None].astype(np.float32)
        nnUNetDatasetBlosc2.save_case(
            data, label[None].astype(np.int8), {"class_locations": places}, str(home / case), **store
        )


def loaded(home: Path) -> tuple[Any, ...]:
    """Open our cache, every patch read from disk."""
    from racoon_train.data.cache import Cache, CacheEntry

    entries = json.loads((home / "cases.json").read_text())["cases"]
    known = tuple(CacheEntry(**{**entry, "annotated": tuple(entry["annotated"])}) for entry in entries)
    return Cache(home, known).load("train", hold_bytes=0)


def ours(folder: Path, home: Path, *, windowed: bool = False) -> Callable[[int], object]:
    import torch

    from racoon_train.data.loaders import Sampler, _centre, crop
    from racoon_train.job.job import Job

    network = {"name": "unet3d"}
    training = {"patch": PATCH, "augmentation": "none", "batch_size": 1}
    labels = [{"value": 1, "name": "a"}, {"value": 2, "name": "b"}]
    job = Job.model_validate({"name": "bench", "labels": labels, "network": network, "training": training})
    cases = loaded(home)
    sampler, rng = Sampler(cases, job), np.random.default_rng(1)

    def raw(_: int) -> object:
        case = cases[int(rng.integers(len(cases)))]
        image, label = crop(case, _centre(case, job, rng), PATCH)
        return torch.from_numpy(image).float(), torch.from_numpy(label)

    def whole(_: int) -> object:
        image, label = sampler.patch(cases, rng)
        return torch.from_numpy(image), torch.from_numpy(label)

    image, label = truth(folder, cases[3 % len(cases)].case_id)
    found = crop(cases[3 % len(cases)], (50, 60, 70), PATCH)
    assert np.array_equal(found[0][0], image[2:98, 12:108, 22:118])
    assert np.array_equal(found[1], label[2:98, 12:108, 22:118])
    return whole if windowed else raw


def nnunet(folder: Path, home: Path) -> Callable[[int], object]:
    from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader
    from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2

    data = nnUNetDatasetBlosc2(str(home))
    labels = SimpleNamespace(all_labels=[1, 2], has_ignore_label=False)
    loader = nnUNetDataLoader(data, 2, PATCH, PATCH, labels, oversample_foreground_percent=0.5)
    image, label = truth(folder, data.identifiers[0])
    stored, seg, *_ = data.load_case(data.identifiers[0])
    assert np.array_equal(stored[0, 2:98, 12:108, 22:118], image[2:98, 12:108, 22:118])
    assert np.array_equal(seg[0, 2:98, 12:108, 22:118], label[2:98, 12:108, 22:118])

    def patch(number: int) -> object:
        if number % 2:  # the loader gives two patches at once, one of them on a label
            return None
        batch = loader.generate_train_batch()
        return batch["data"], batch["target"]

    return patch


def monai(folder: Path, home: Path, *, persistent: bool, indices: bool) -> Callable[[int], object]:
    from monai import transforms
    from monai.data import CacheDataset, PersistentDataset

    both = ["image", "label"]
    files = [{part: str(folder / f"{case}.{part}.nii.gz") for part in both} for case in cases(folder)]
    steps = [transforms.LoadImaged(both), transforms.EnsureChannelFirstd(both)]
    found = {}
    if indices:
        steps.append(transforms.FgBgToIndicesd("label"))
        found = {"fg_indices_key": "label_fg_indices", "bg_indices_key": "label_bg_indices"}
    steps.append(transforms.RandCropByPosNegLabeld(both, "label", PATCH, num_samples=VISIT, **found))
    recipe = transforms.Compose(steps)
    data = (
        PersistentDataset(files, recipe, cache_dir=home) if persistent else CacheDataset(files, recipe, progress=False)
    )
    rng = np.random.default_rng(1)

    def patch(number: int) -> object:
        if number % VISIT:  # one visit of a case gives four patches
            return None
        drawn = data[int(rng.integers(len(data)))]
        assert tuple(drawn[0]["image"].shape) == (1, *PATCH)
        return drawn

    return patch


def prepare(method: str, folder: Path, home: Path) -> Callable[[int], object]:
    if method.startswith(OURS):
        return ours(folder, home, windowed="windowed" in method)
    if method.startswith("nnU-Net"):
        return nnunet(folder, home)
    return monai(folder, home, persistent="Persistent" in method, indices="idx" in method)


def child(method: str, folder: Path, home: Path, patches: int) -> dict[str, float]:
    import torch

    torch.set_num_threads(1)
    patch = prepare(method, folder, home)
    for number in range(2 * VISIT):
        patch(number)
    cpu, wall = time.process_time(), time.perf_counter()
    for number in range(patches):
        patch(number)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"cpu_ms": 1e3 * cpu / patches, "per_s": patches / wall, "rss": peak}


def build(method: str, folder: Path, home: Path) -> float:
    home.mkdir(parents=True)
    begin = time.process_time()
    if method.startswith(OURS) and "windowed" not in method:
        build_ours(folder, home, npy="npy" in method)
    elif method.startswith("nnU-Net"):
        build_nnunet(folder, home)
    elif "Persistent" in method:
        touch = monai(folder, home, persistent=True, indices=False)
        del touch
    return time.process_time() - begin


def disk(home: Path) -> int:
    return sum(path.stat().st_size for path in home.rglob("*") if path.is_file())


def called(mode: str, method: str, folder: Path, home: Path, patches: int = 0) -> dict[str, float]:
    command = [sys.executable, __file__, "--child", mode, method, str(folder), str(home), str(patches)]
    threads = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "BLOSC_NTHREADS")}
    paths = {"nnUNet_raw": str(home), "nnUNet_preprocessed": str(home), "nnUNet_results": str(home)}
    environment = {**os.environ, **threads, **paths, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{method}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--volumes", type=int, default=4)
    parser.add_argument("--shape", type=int, nargs=3, default=(128, 128, 128), metavar=("K", "J", "I"))
    parser.add_argument("--patches", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--methods", nargs="*", default=METHODS)
    parser.add_argument("--child", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        mode, method, folder, home, patches = options.child
        place = method, Path(folder), Path(home)
        print(json.dumps({"build": build(*place)} if mode == "build" else child(*place, int(patches))))
        return
    with tempfile.TemporaryDirectory(prefix="racoon-bench-") as scratch:
        compare(Path(scratch), options)


def compare(scratch: Path, options: argparse.Namespace) -> None:
    folder = scratch / "volumes"
    folder.mkdir()
    make_volumes(folder, options.volumes, tuple(options.shape))
    raw = options.volumes * int(np.prod(options.shape)) * 3
    homes = {m: scratch / ("racoon" if m == METHODS[1] else f"home-{n}") for n, m in enumerate(options.methods)}
    if OURS in homes:
        homes[OURS] = scratch / "racoon"
    built = {m: called("build", m, folder, homes[m])["build"] for m in options.methods if m != METHODS[1]}
    rows: dict[str, list[dict[str, float]]] = {method: [] for method in options.methods}
    for _ in range(options.repeats):
        for method in options.methods:
            rows[method].append(called("run", method, folder, homes[method], options.patches))
    first = statistics.median(row["cpu_ms"] for row in rows[options.methods[0]])
    print(f"{options.volumes} volumes of {options.shape}, {raw / 1e6:.0f} MB raw, medians of {options.repeats}")
    print(
        f"{'':18s} {'CPU ms':>8s} {'ratio':>6s} {'patch/s':>8s} {'disk x raw':>10s} {'RSS MB':>7s} {'build CPU s':>11s}"
    )
    for method, runs in rows.items():
        cpu, per_s, rss = (statistics.median(run[key] for run in runs) for key in ("cpu_ms", "per_s", "rss"))
        size = disk(homes[method]) / raw
        figures = f"{cpu:8.2f} {cpu / first:6.2f} {per_s:8.0f} {size:10.2f} {rss:7.0f}"
        print(f"{method:18s} {figures} {built.get(method, 0):11.1f}")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
