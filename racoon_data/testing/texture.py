"""Texture that is the same wherever it is sampled: sums of plane waves in patient space."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float32]
Points = tuple[Values, Values, Values]


@dataclass(frozen=True, slots=True)
class Waves:
    """Random plane waves.

    Attributes:
        vectors: Wave vectors in radians per millimetre.
        phases: Phases in radians.
    """

    vectors: tuple[tuple[float, float, float], ...]
    phases: tuple[float, ...]

    def at(self, points: Points) -> Values:
        """Sample the texture (mean 0, variance about 1) at points (x, y, z in mm)."""
        total = np.zeros(points[0].shape, np.float32)
        for (x, y, z), phase in zip(self.vectors, self.phases, strict=True):
            angle = points[0] * np.float32(x) + points[1] * np.float32(y) + points[2] * np.float32(z)
            total += np.cos(angle + np.float32(phase))
        scaled: Values = total * np.float32(np.sqrt(2 / len(self.phases)))
        return scaled


def draw_waves(rng: np.random.Generator, *, wavelength_mm: float, count: int = 5) -> Waves:
    """Draw waves in random directions with wavelengths about the given one."""
    directions = rng.normal(size=(count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    lengths = wavelength_mm * rng.uniform(0.7, 1.4, size=(count, 1))
    vectors = directions * 2 * np.pi / lengths
    return Waves(
        tuple((float(x), float(y), float(z)) for x, y, z in vectors),
        tuple(float(phase) for phase in rng.uniform(0, 2 * np.pi, size=count)),
    )


def blend(values: Values, weight: Values, target: Values | float) -> Values:
    """Mix values towards a target; weight 0 keeps, 1 replaces."""
    mixed: Values = values + weight * (target - values)
    return mixed


def edge(distance: Values, *, width: float) -> Values:
    """Turn a signed distance (positive inside) into a weight 0 to 1 that is 0.5 on the edge."""
    weight: Values = np.clip(distance / np.float32(width) + np.float32(0.5), 0, 1)
    return weight
