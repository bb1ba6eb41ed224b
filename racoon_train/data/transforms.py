"""Intensity window, class numbering and light augmentation of 2D patches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from racoon_data.labels import IGNORE

Image = npt.NDArray[np.float32]
Target = npt.NDArray[np.uint8]


def windowed(image: npt.NDArray[Any], window: tuple[float, float]) -> Image:
    """Map an intensity window (in the image's unit, such as HU) to 0..1 and clip."""
    low, high = window
    scaled = (image.astype(np.float32) - np.float32(low)) / np.float32(high - low)
    clipped: Image = np.clip(scaled, 0.0, 1.0)
    return clipped


def to_classes(label: Target, values: Sequence[int]) -> Target:
    """Turn voxel values into class numbers 1..n in the order of ``values``; ignore stays 255.

    A value that the job does not learn becomes background.
    """
    lookup = np.zeros(256, dtype=np.uint8)
    lookup[IGNORE] = IGNORE
    for number, value in enumerate(values, start=1):
        lookup[value] = number
    return lookup[label]


def augmented(image: Image, target: Target, rng: np.random.Generator) -> tuple[Image, Target]:
    """Flip left-right by chance, shift and scale the intensities a little.

    Args:
        image: ``[c, h, w]`` in 0..1.
        target: ``[h, w]``.
        rng: Source of chance.
    """
    if rng.random() < 0.5:
        image, target = image[:, :, ::-1], target[:, ::-1]
    shift, scale = rng.normal(0.0, 0.02), rng.normal(1.0, 0.03)
    return np.ascontiguousarray(image * np.float32(scale) + np.float32(shift)), np.ascontiguousarray(target)
