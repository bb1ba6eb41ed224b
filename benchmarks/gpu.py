"""Training on a GPU: patches/s and the share of time the GPU computes, our loader beside MONAI's.

Without a GPU nothing is measured, and the script says so; ``--cpu`` goes through the motions on a tiny network.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cache as volumes
import numpy as np
import torch

from racoon_train import engine
from racoon_train.data.loaders import Batch, batches
from racoon_train.job.job import Job
from racoon_train.networks import network_of
from racoon_train.optimizer import AdamW

LABELS = [{"value": 1, "name": "a"}, {"value": 2, "name": "b"}]


def job_of(options: argparse.Namespace) -> Job:
    wide = {"channels": (32, 64, 128, 256, 320, 320), "residual_units": 0, "deep_supervision": 4}
    network = {"name": "dynunet3d", **({"channels": (4, 8, 8), "deep_supervision": 1} if options.cpu else wide)}
    patch = 16 if options.cpu else options.patch
    training = {"patch": patch, "batch_size": 2, "local_steps": options.steps, "precision": options.precision}
    return Job.model_validate({"name": "gpu", "labels": LABELS, "network": network, "training": training})


def ours(folder: Path, home: Path, job: Job, threads: int) -> Iterator[Batch]:
    return batches(volumes.loaded(home), job, site="bench", round_=1, threads=threads)


def monai(folder: Path, home: Path, job: Job, threads: int) -> Iterator[Batch]:
    from monai import transforms
    from monai.data import CacheDataset, ThreadDataLoader

    both = ["image", "label"]
    files = [{part: str(folder / f"{case}.{part}.nii.gz") for part in both} for case in volumes.cases(folder)]
    low, high = job.training.window
    keys = {"fg_indices_key": "label_fg_indices", "bg_indices_key": "label_bg_indices"}
    recipe = transforms.Compose(
        [
            transforms.LoadImaged(both),
            transforms.EnsureChannelFirstd(both),
            transforms.ScaleIntensityRanged("image", low, high, 0.0, 1.0, clip=True),
            transforms.FgBgToIndicesd("label"),
            transforms.RandCropByPosNegLabeld(both, "label", job.patch_size, num_samples=1, **keys),
            transforms.RandFlipd(both, prob=0.5, spatial_axis=2),
        ]
    )
    data = CacheDataset(files, recipe, progress=False)
    loader = ThreadDataLoader(data, batch_size=job.training.batch_size, num_workers=threads, shuffle=True)
    while True:
        for item in loader:
            images, labels = (np.ascontiguousarray(torch.as_tensor(item[key]).numpy()) for key in both)
            yield Batch(images.astype(np.float32), labels[:, 0].astype(np.uint8), (1, 2))


def measured(stream: Iterator[Batch], job: Job, where: torch.device) -> tuple[float, float]:
    """Train and give patches/s and the share of wall time between the first and last kernel of the steps."""
    network = network_of(job).to(where)
    optimizer = AdamW(network, weight_decay=0.0)
    engine.train_steps(network, optimizer, stream, job, first_step=job.training.local_steps - 3)
    busy: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []

    def timed() -> Iterator[Batch]:
        while True:
            if busy:
                busy[-1][1].record()  # behind the kernels of the last step, before we wait for the next batch
            batch = next(stream)
            if where.type == "cuda":
                busy.append((torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)))
                busy[-1][0].record()
            yield batch

    begin = time.perf_counter()
    engine.train_steps(network, optimizer, timed(), job, first_step=0)
    if busy:
        busy[-1][1].record()
        torch.cuda.synchronize()
    wall = time.perf_counter() - begin
    seconds = sum(first.elapsed_time(last) for first, last in busy) / 1e3
    return job.training.local_steps * job.training.batch_size / wall, seconds / wall


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--volumes", type=int, default=4)
    parser.add_argument("--shape", type=int, nargs=3, default=(128, 256, 256), metavar=("K", "J", "I"))
    parser.add_argument("--patch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--cpu", action="store_true", help="go through the motions without a GPU")
    options = parser.parse_args()
    if not torch.cuda.is_available() and not options.cpu:
        print("no GPU is present: the GPU benchmark was not run")
        return
    where = torch.device("cpu" if options.cpu else "cuda")
    threads = min(8, os.cpu_count() or 1)
    job = job_of(options)
    with tempfile.TemporaryDirectory(prefix="racoon-bench-") as scratch:
        folder, home = Path(scratch, "volumes"), Path(scratch, "cache")
        folder.mkdir()
        home.mkdir()
        volumes.make_volumes(folder, options.volumes, tuple(options.shape))
        volumes.build_ours(folder, home, npy=False)
        loaders: dict[str, Callable[..., Iterator[Batch]]] = {"racoon": ours, "MONAI CacheDataset": monai}
        rows: dict[str, list[tuple[float, float]]] = {name: [] for name in loaders}
        for _ in range(options.repeats):
            for name, loader in loaders.items():
                rows[name].append(measured(loader(folder, home, job, threads), job, where))
        device = "CPU" if options.cpu else torch.cuda.get_device_name()
        print(
            f"{device}, {job.network.name}, patch {job.patch_size}, {options.precision}, medians of {options.repeats}"
        )
        for name, runs in rows.items():
            rate, busy = (statistics.median(run[part] for run in runs) for part in (0, 1))
            print(
                f"{name:20s} {rate:8.1f} patches/s, GPU busy {busy:.0%}"
                if not options.cpu
                else f"{name:20s} {rate:8.1f}"
            )


if __name__ == "__main__":
    main()
