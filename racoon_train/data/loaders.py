"""Reproducible batches of axial patches, half of them on labelled voxels."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from racoon_data.errors import DatasetError
from racoon_train.data.cache import CachedCase
from racoon_train.data.transforms import Image, Target, augmented, to_classes, windowed
from racoon_train.job.job import Job


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """What one step trains on.

    Attributes:
        images: float32 ``[b, c, h, w]`` in about 0..1.
        targets: Class numbers uint8 ``[b, h, w]``, 255 to ignore.
        annotated: Class numbers (without 0) that were looked for in its cases.
    """

    images: npt.NDArray[np.float32]
    targets: npt.NDArray[np.uint8]
    annotated: tuple[int, ...]


def rng_of(seed: int, site: str, round_: int) -> np.random.Generator:
    """Give the one source of chance of a site's round: the same on every machine and in every process."""
    return np.random.default_rng([seed, zlib.crc32(site.encode("utf-8")), round_])


def batches(cases: Sequence[CachedCase], job: Job, rng: np.random.Generator) -> Iterator[Batch]:
    """Draw batches without end; the cases of one batch share what was annotated in them.

    Args:
        cases: Training cases in memory.
        job: Patch size, batch size, window, labels.
        rng: Source of chance.

    Yields:
        One batch after another.

    Raises:
        DatasetError: There is no training case with a class of the job.
    """
    usable = [case for case in cases if _numbers(case, job)]
    if not usable:
        raise DatasetError("there is no training case", hint="lower the test fraction or add cases")
    while True:
        annotated = _numbers(usable[int(rng.integers(len(usable)))], job)
        alike = [case for case in usable if _numbers(case, job) == annotated]
        drawn = [_patch(alike, job, rng) for _ in range(job.training.batch_size)]
        images, targets = (np.stack(part) for part in zip(*drawn, strict=True))
        yield Batch(images, targets, annotated)


def _numbers(case: CachedCase, job: Job) -> tuple[int, ...]:
    return tuple(number for number, name in enumerate(job.class_names, start=1) if name in case.annotated)


def _patch(cases: Sequence[CachedCase], job: Job, rng: np.random.Generator) -> tuple[Image, Target]:
    case = cases[int(rng.integers(len(cases)))]
    k, j, i = _centre(case, job, rng)
    size = job.training.patch
    rows, columns = _span(j, size, case.label.shape[1]), _span(i, size, case.label.shape[2])
    image = windowed(case.image[:, k, rows, columns], job.training.window)
    target = to_classes(case.label[k, rows, columns], [label.value for label in job.labels])
    pad = ((0, size - target.shape[0]), (0, size - target.shape[1]))
    image = np.pad(image, ((0, 0), *pad))
    return augmented(image, np.pad(target, pad), rng)


def _centre(case: CachedCase, job: Job, rng: np.random.Generator) -> tuple[int, int, int]:
    wanted = [label.value for label in job.labels if label.value in case.foreground]
    if wanted and rng.random() < job.training.foreground_share:
        points = case.foreground[wanted[int(rng.integers(len(wanted)))]]
        k, j, i = points[int(rng.integers(len(points)))]
        return int(k), int(j), int(i)
    depth, height, width = case.label.shape
    return int(rng.integers(depth)), int(rng.integers(height)), int(rng.integers(width))


def _span(centre: int, size: int, length: int) -> slice:
    start = max(0, min(centre - size // 2, length - size))
    return slice(start, min(start + size, length))
