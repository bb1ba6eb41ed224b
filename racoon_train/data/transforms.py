"""Intensity window, class numbering and augmentation of patches: light by numpy, strong by MONAI."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from racoon_data.labels import IGNORE

Image = npt.NDArray[np.float32]
Target = npt.NDArray[np.uint8]
Augment = Callable[[Image, Target, np.random.Generator], tuple[Image, Target]]


def windowed(image: Any, window: tuple[float, float]) -> Image:
    """Map an intensity window (in the image's unit, such as HU) to 0..1 and clip."""
    low, high = window
    scaled = (np.asarray(image, dtype=np.float32) - np.float32(low)) / np.float32(high - low)
    clipped: Image = np.clip(scaled, 0.0, 1.0)
    return clipped


def to_classes(label: Any, values: Sequence[int]) -> Target:
    """Turn voxel values into class numbers 1..n in the order of ``values``; ignore stays 255.

    A value that the job does not learn becomes background.
    """
    lookup = np.zeros(256, dtype=np.uint8)
    lookup[IGNORE] = IGNORE
    for number, value in enumerate(values, start=1):
        lookup[value] = number
    numbers: Target = lookup[np.asarray(label)]
    return numbers


def augmentation(name: str, *, dimensions: int) -> Augment:
    """Choose how patches are varied: ``none``, ``light`` or ``strong``."""
    known: dict[str, Augment] = {"none": _unchanged, "light": light, "strong": Strong(dimensions)}
    return known[name]


def light(image: Image, target: Target, rng: np.random.Generator) -> tuple[Image, Target]:
    """Flip along the columns (left-right in an axial patch) by chance, shift and scale the intensities a little.

    Args:
        image: ``[c, ...]`` in 0..1.
        target: ``[...]``.
        rng: Source of chance.
    """
    if rng.random() < 0.5:
        image, target = image[..., ::-1], target[..., ::-1]
    shift, scale = rng.normal(0.0, 0.02), rng.normal(1.0, 0.03)
    return np.ascontiguousarray(image * np.float32(scale) + np.float32(shift)), np.ascontiguousarray(target)


def _unchanged(image: Image, target: Target, rng: np.random.Generator) -> tuple[Image, Target]:
    return np.ascontiguousarray(image), np.ascontiguousarray(target)


class Strong:
    """MONAI's flips, rotation and zoom, noise, blur and contrast, in about nnU-Net's measure."""

    def __init__(self, dimensions: int) -> None:
        self._dimensions = dimensions

    @cached_property
    def _transform(self) -> Any:
        from monai import transforms as monai

        both = ["image", "label"]
        turn = (0.26,) if self._dimensions == 2 else (0.26, 0.1, 0.1)
        affine = {"rotate_range": turn, "scale_range": (0.15,) * self._dimensions, "padding_mode": "zeros"}
        return monai.Compose(
            [
                monai.RandFlipd(both, prob=0.5, spatial_axis=self._dimensions - 1),
                monai.RandAffined(both, prob=0.3, mode=["bilinear", "nearest"], **affine),
                monai.RandGaussianNoised(["image"], prob=0.15, std=0.05),
                monai.RandGaussianSmoothd(["image"], prob=0.1, sigma_x=(0.5, 1.0), sigma_y=(0.5, 1.0)),
                monai.RandScaleIntensityd(["image"], factors=0.15, prob=0.3),
                monai.RandAdjustContrastd(["image"], prob=0.15, gamma=(0.7, 1.5)),
            ]
        )

    def __call__(self, image: Image, target: Target, rng: np.random.Generator) -> tuple[Image, Target]:
        """Vary one patch; all chance comes from ``rng``."""
        import torch

        transform = copy.deepcopy(self._transform)  # threads draw ahead, and MONAI's transforms keep their state
        transform.set_random_state(seed=int(rng.integers(2**31)))
        found = transform({"image": np.ascontiguousarray(image), "label": np.ascontiguousarray(target)[None]})
        varied, classes = (torch.as_tensor(found[key]).numpy() for key in ("image", "label"))
        return np.ascontiguousarray(varied, np.float32), np.rint(classes[0]).astype(np.uint8)
