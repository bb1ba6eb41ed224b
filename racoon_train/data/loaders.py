"""Reproducible batches of patches, half on labelled voxels; batch n depends on seed, site, round and n."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import count

import numpy as np
import numpy.typing as npt

from racoon_data.errors import DatasetError
from racoon_train.data.cache import CachedCase
from racoon_train.data.transforms import Augment, Image, Target, augmentation, to_classes, windowed
from racoon_train.job.job import Job


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """What one step trains on.

    Attributes:
        images: float32 ``[b, c, h, w]`` or ``[b, c, d, h, w]`` in about 0..1.
        targets: Class numbers uint8 ``[b, h, w]`` or ``[b, d, h, w]``, 255 to ignore.
        annotated: Class numbers (without 0) that were looked for in its cases.
    """

    images: npt.NDArray[np.float32]
    targets: npt.NDArray[np.uint8]
    annotated: tuple[int, ...]


def rng_of(seed: int, site: str, round_: int, number: int = 0) -> np.random.Generator:
    """Give the source of chance of one batch: the same on every machine, in every process and thread."""
    return np.random.default_rng([seed, zlib.crc32(site.encode("utf-8")), round_, number])


class Sampler:
    """Draws patches from training cases."""

    def __init__(self, cases: Sequence[CachedCase], job: Job) -> None:
        """Sort the cases.

        Args:
            cases: Training cases.
            job: Patch size, batch size, window, labels, augmentation.

        Raises:
            DatasetError: There is no training case with a class of the job.
        """
        self._job = job
        self._usable = [case for case in cases if class_numbers(case, job)]
        if not self._usable:
            raise DatasetError("there is no training case", hint="lower the test fraction or add cases")

    @cached_property
    def _augment(self) -> Augment:
        return augmentation(self._job.training.augmentation, dimensions=self._job.network.dimensions)

    def batch(self, rng: np.random.Generator) -> Batch:
        """Draw one batch; its cases share what was annotated in them."""
        annotated = class_numbers(self._usable[int(rng.integers(len(self._usable)))], self._job)
        alike = [case for case in self._usable if class_numbers(case, self._job) == annotated]
        drawn = [self.patch(alike, rng) for _ in range(self._job.training.batch_size)]
        images, targets = (np.stack(part) for part in zip(*drawn, strict=True))
        return Batch(images, targets, annotated)

    def patch(self, cases: Sequence[CachedCase], rng: np.random.Generator) -> tuple[Image, Target]:
        """Draw one patch: image ``[c, ...]`` in about 0..1 and class numbers ``[...]``."""
        case = cases[int(rng.integers(len(cases)))]
        size = self._job.patch_size
        stored, label = crop(case, _centre(case, self._job, rng), size)
        image = windowed(stored, self._job.training.window)
        target = to_classes(label, [each.value for each in self._job.labels])
        pad = [(0, wanted - there) for wanted, there in zip(size, target.shape, strict=True)]
        if any(after for _, after in pad):
            image, target = np.pad(image, ((0, 0), *pad)), np.pad(target, pad)
        return self._augment(image, target, rng)


def batches(
    cases: Sequence[CachedCase], job: Job, *, site: str, round_: int, first: int = 0, threads: int = 0
) -> Iterator[Batch]:
    """Draw batches without end.

    Args:
        cases: Training cases; voxels are read from the cache as they are needed.
        job: Patch size, batch size, window, labels.
        site: Alias of the site.
        round_: Round, counted from 1.
        first: Number of the first batch: a round that was interrupted goes on where it stood.
        threads: Threads that draw ahead; the batches are the same with any number.

    Yields:
        One batch after another.

    Raises:
        DatasetError: There is no training case with a class of the job.
    """
    sampler = Sampler(cases, job)

    def draw(number: int) -> Batch:
        return sampler.batch(rng_of(job.seed, site, round_, number))

    if not threads:
        yield from map(draw, count(first))
    with ThreadPoolExecutor(threads, thread_name_prefix="patches") as pool:
        ahead: deque[Future[Batch]] = deque(pool.submit(draw, number) for number in range(first, first + 2 * threads))
        for number in count(first + 2 * threads):
            yield ahead.popleft().result()
            ahead.append(pool.submit(draw, number))


def class_numbers(case: CachedCase, job: Job) -> tuple[int, ...]:
    """Give the class numbers (without 0) that were looked for in a case."""
    return tuple(number for number, name in enumerate(job.class_names, start=1) if name in case.annotated)


def class_examples(cases: Sequence[CachedCase], job: Job) -> dict[str, int]:
    """Count by class the cases it was looked for in: its weight where class heads are averaged one by one."""
    return {name: sum(name in case.annotated for case in cases) for name in job.class_names}


def crop(case: CachedCase, centre: tuple[int, ...], size: Sequence[int]) -> tuple[npt.NDArray[np.generic], Target]:
    """Read a patch around a voxel (k, j, i), moved inside the volume; it is smaller where the volume is.

    Args:
        case: The case; only the blocks under the patch are decoded.
        centre: Voxel (k, j, i).
        size: Rows and columns of one slice, or slices, rows and columns.

    Returns:
        Image ``[c, ...]`` and label ``[...]`` with as many axes as ``size``.
    """
    shape = case.label.shape
    spans = [
        _span(at, length, whole)
        for at, length, whole in zip(centre[-len(size) :], size, shape[-len(size) :], strict=True)
    ]
    where = (centre[0], *spans) if len(size) == 2 else tuple(spans)
    return np.asarray(case.image[(slice(None), *where)]), np.asarray(case.label[where])


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
