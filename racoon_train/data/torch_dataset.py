"""Manifest to torch: patches of a cached dataset as a map-style Dataset, for MONAI's transforms and any DataLoader."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from racoon_train.data.cache import CachedCase
from racoon_train.data.loaders import Sampler, class_numbers, rng_of
from racoon_train.job.job import Job


class PatchDataset:
    """Patch n depends on seed, site, round and n alone, whichever worker draws it.

    It has what ``torch.utils.data.Dataset`` asks for (length and item), so a DataLoader takes it as it is.
    """

    def __init__(
        self,
        cases: Sequence[CachedCase],
        job: Job,
        *,
        length: int,
        site: str,
        transform: Callable[..., Any] | None = None,
    ) -> None:
        """Prepare drawing.

        Args:
            cases: Training cases.
            job: Patch size, window, labels, seed and augmentation.
            length: Patches an epoch.
            site: Alias of the site.
            transform: A MONAI transform of dictionaries; one with chance is seeded for every patch.

        Raises:
            DatasetError: There is no training case with a class of the job.
        """
        self._sampler = Sampler(cases, job)
        self._cases = [case for case in cases if class_numbers(case, job)]
        self._job = job
        self._seed, self._site, self._length, self._transform = job.seed, site, length, transform
        self.round_ = 1

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, number: int) -> dict[str, Any]:
        """Draw one patch.

        Returns:
            Tensors: ``image`` float32 ``[c, ...]``, ``label`` class numbers uint8 ``[1, ...]`` (255 to ignore), and
            ``annotated`` uint8, 1 for every class of the job that was looked for in its case.
        """
        import torch

        if not 0 <= number < self._length:
            raise IndexError(number)
        rng = rng_of(self._seed, self._site, self.round_, number)
        case = self._cases[int(rng.integers(len(self._cases)))]
        image, label = self._sampler.patch([case], rng)
        looked_for = [name in case.annotated for name in self._job.class_names]
        item = {"image": torch.from_numpy(image), "label": torch.from_numpy(label)[None]}
        item["annotated"] = torch.tensor(looked_for, dtype=torch.uint8)
        if self._transform is None:
            return item
        if hasattr(self._transform, "set_random_state"):
            self._transform.set_random_state(seed=int(rng.integers(2**31)))
        varied: dict[str, Any] = self._transform(item)
        return varied
