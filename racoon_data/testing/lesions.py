"""Disease in numbers: ground-glass opacities, consolidations and pleural effusions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from racoon_data.testing.anatomy import Anatomy, Ellipsoid
from racoon_data.testing.texture import Points, Values, Waves, blend, draw_waves, edge

GROUND_GLASS, CONSOLIDATION, EFFUSION = 1, 2, 3
NAMES = {GROUND_GLASS: "ground_glass_opacity", CONSOLIDATION: "consolidation", EFFUSION: "pleural_effusion"}
_FRONT = -1.0


class Lesion(Protocol):
    """A lesion that knows where it is and what it looks like."""

    @property
    def kind(self) -> int:
        """Its label value."""
        ...

    def weight(self, points: Points) -> Values:
        """How much of it is at points, 0 to 1; it is labelled from 0.5."""
        ...

    def paint(self, values: Values, points: Points, weight: Values) -> Values:
        """Change densities (HU) where it is."""
        ...


@dataclass(frozen=True, slots=True)
class GroundGlass:
    """A fuzzy patch about -550 to -350 HU through which vessels stay visible."""

    shape: Ellipsoid
    rough: Waves
    mean_hu: float
    kind: int = GROUND_GLASS

    def weight(self, points: Points) -> Values:
        """Weight of a rough ellipsoid with a wide, fuzzy edge."""
        return edge(1 - self.shape.level(points) + np.float32(0.22) * self.rough.at(points), width=0.45)

    def paint(self, values: Values, points: Points, weight: Values) -> Values:
        """Raise the density towards the mean, keeping some of the lung's own texture."""
        texture = np.float32(25) * self.rough.at((points[0] * 2, points[1] * 2, points[2] * 2))
        return blend(values, weight, self.mean_hu + texture)


@dataclass(frozen=True, slots=True)
class Consolidation:
    """A dense patch about 0 to 60 HU, partly with air-filled bronchi."""

    shape: Ellipsoid
    rough: Waves
    bronchi: tuple[Waves, Waves]
    mean_hu: float
    kind: int = CONSOLIDATION

    def weight(self, points: Points) -> Values:
        """Weight of a rough ellipsoid with a sharp edge."""
        return edge(1 - self.shape.level(points) + np.float32(0.18) * self.rough.at(points), width=0.15)

    def paint(self, values: Values, points: Points, weight: Values) -> Values:
        """Fill with soft tissue; where two random surfaces cross lies a line of air: a bronchogram."""
        lines = np.abs(self.bronchi[0].at(points)) + np.abs(self.bronchi[1].at(points))
        tissue = self.mean_hu + np.float32(12) * self.rough.at(points)
        return blend(values, weight, blend(tissue, edge(np.float32(0.28) - lines, width=0.2), -550.0))


@dataclass(frozen=True, slots=True)
class Effusion:
    """Fluid about 5 to 20 HU that sinks to the back of one lung as a crescent."""

    lung: Ellipsoid
    aired: Ellipsoid
    mean_hu: float
    kind: int = EFFUSION

    def weight(self, points: Points) -> Values:
        """What of the lung's back half lies outside the part that still holds air."""
        behind = (points[1] > np.float32(self.lung.centre[1])) & (self.lung.level(points) < 1)
        weight: Values = edge(self.aired.level(points) - 1, width=0.03) * behind
        return weight

    def paint(self, values: Values, points: Points, weight: Values) -> Values:
        """Fill with fluid."""
        return blend(values, weight, self.mean_hu)


def draw_lesions(rng: np.random.Generator, anatomy: Anatomy, *, lacking: int | None) -> tuple[Lesion, ...]:
    """Draw a person's disease, in the order it is painted.

    Args:
        rng: Source of chance.
        anatomy: The person.
        lacking: Kind this person does not have, ``None`` for all three.
    """
    kinds: dict[int, Callable[[], list[Lesion]]] = {
        GROUND_GLASS: lambda: [_ground_glass(rng, anatomy) for _ in range(int(rng.integers(2, 5)))],
        CONSOLIDATION: lambda: [_consolidation(rng, anatomy) for _ in range(int(rng.integers(1, 4)))],
        EFFUSION: lambda: [_effusion(rng, anatomy)],
    }
    drawn = {kind: draw() for kind, draw in kinds.items()}
    return tuple(lesion for kind, lesions in drawn.items() if kind != lacking for lesion in lesions)


def _ground_glass(rng: np.random.Generator, anatomy: Anatomy) -> Lesion:
    shape = _patch(rng, anatomy, smallest_mm=15, largest_mm=30)
    return GroundGlass(shape, draw_waves(rng, wavelength_mm=22), float(rng.uniform(-540, -370)))


def _consolidation(rng: np.random.Generator, anatomy: Anatomy) -> Lesion:
    shape = _patch(rng, anatomy, smallest_mm=13, largest_mm=24)
    bronchi = (draw_waves(rng, wavelength_mm=26), draw_waves(rng, wavelength_mm=26))
    return Consolidation(shape, draw_waves(rng, wavelength_mm=18), bronchi, float(rng.uniform(15, 50)))


def _effusion(rng: np.random.Generator, anatomy: Anatomy) -> Lesion:
    lung = anatomy.lungs[int(rng.integers(2))]
    x, y, z = lung.centre
    depth = float(rng.uniform(14, 34))
    aired = Ellipsoid((x, y + _FRONT * depth, z + depth / 2), lung.radii_mm)
    return Effusion(lung, aired, float(rng.uniform(6, 18)))


def _patch(rng: np.random.Generator, anatomy: Anatomy, *, smallest_mm: float, largest_mm: float) -> Ellipsoid:
    lung = anatomy.lungs[int(rng.integers(2))]
    outward = np.sign(lung.centre[0])
    heading = np.array([outward * rng.uniform(0.2, 1.0), rng.uniform(-0.9, 0.9), rng.uniform(-0.7, 0.7)])
    heading *= rng.uniform(0.45, 0.8) / np.linalg.norm(heading)
    x, y, z = np.array(lung.centre) + heading * np.array(lung.radii_mm)
    radii = rng.uniform(smallest_mm, largest_mm) * rng.uniform(0.8, 1.2, size=3)
    return Ellipsoid((float(x), float(y), float(z)), (float(radii[0]), float(radii[1]), float(radii[2])))
