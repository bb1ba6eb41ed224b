"""What differs between hospitals beside their scanners: who comes, and how readers outline."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from racoon_data.testing.lesions import NAMES
from racoon_data.testing.phantom import Phantom

Labels = npt.NDArray[np.uint8]
Prevalence = tuple[float, float, float]


def with_prevalence(person: Phantom, prevalence: Prevalence, rng: np.random.Generator) -> Phantom:
    """Let a person keep each kind of disease by chance.

    Args:
        person: The person.
        prevalence: How often a kind is kept, in the order of label values.
        rng: Source of chance.
    """
    kinds = {value for value, share in zip(NAMES, prevalence, strict=True) if rng.random() < share}
    return Phantom(person.anatomy, tuple(lesion for lesion in person.lesions if lesion.kind in kinds))


def styled(labels: Labels, style_px: int) -> Labels:
    """Outline every class wider or tighter by pixels in the plane; classes grow into background only.

    Args:
        labels: ``[k, j, i]``.
        style_px: Pixels; negative for tighter.
    """
    for _ in range(abs(style_px)):
        labels = _grown(labels) if style_px > 0 else _shrunk(labels)
    return labels


def _neighbours(labels: Labels) -> list[Labels]:
    padded = np.pad(labels, ((0, 0), (1, 1), (1, 1)))
    return [padded[:, 1:-1, 2:], padded[:, 1:-1, :-2], padded[:, 2:, 1:-1], padded[:, :-2, 1:-1]]


def _grown(labels: Labels) -> Labels:
    return np.where(labels > 0, labels, np.max(_neighbours(labels), axis=0))


def _shrunk(labels: Labels) -> Labels:
    inside = np.all([each == labels for each in _neighbours(labels)], axis=0)
    return np.where(inside, labels, 0).astype(np.uint8)
