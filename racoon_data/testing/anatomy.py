"""A thorax in numbers: body, lungs, heart, spine, ribs and vessel trees in patient space (mm, LPS)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from racoon_data.geometry import Point
from racoon_data.testing.texture import Points, Values, Waves, blend, draw_waves, edge

AIR_HU, FAT_HU, MUSCLE_HU, BLOOD_HU, LUNG_HU, BONE_HU = -1000.0, -100.0, 50.0, 45.0, -860.0, 450.0
_ENDLESS = 1e6


@dataclass(frozen=True, slots=True)
class Ellipsoid:
    """An ellipsoid with axes along the patient's; a huge radius makes it a cylinder."""

    centre: Point
    radii_mm: Point

    def level(self, points: Points) -> Values:
        """Distance from the centre in radii: below 1 inside, 1 on the surface."""
        parts = (
            ((axis - np.float32(middle)) / np.float32(radius)) ** 2
            for axis, middle, radius in zip(points, self.centre, self.radii_mm, strict=True)
        )
        first, second, third = parts
        level: Values = np.sqrt(first + second + third)
        return level


@dataclass(frozen=True, slots=True)
class Vessel:
    """A straight piece of vessel."""

    start: Point
    end: Point
    radius_mm: float

    def cover(self, points: Points) -> Values:
        """Weight 0 to 1 of the vessel at points, with an edge two millimetres wide."""
        along = np.subtract(self.end, self.start)
        length = float(along @ along)
        offsets = tuple(axis - np.float32(first) for axis, first in zip(points, self.start, strict=True))
        place = sum(offset * np.float32(step / length) for offset, step in zip(offsets, along, strict=True))
        place = np.clip(place, 0, 1)
        apart = (offset - place * np.float32(step) for offset, step in zip(offsets, along, strict=True))
        x, y, z = apart
        return edge(np.float32(self.radius_mm) - np.sqrt(x * x + y * y + z * z), width=2.0)


@dataclass(frozen=True, slots=True)
class Anatomy:
    """One person's thorax without disease.

    Attributes:
        body: Skin.
        cage: Inner surface of the ribs.
        lungs: Right and left lung before the heart is taken out.
        heart: Heart and great vessels.
        spine: Vertebral column.
        trachea: Airway above the carina.
        vessels: Vessel pieces of the right and of the left lung.
        fine: Texture of a few millimetres.
        coarse: Texture of a few centimetres.
        rib_gap_mm: Distance between ribs.
    """

    body: Ellipsoid
    cage: Ellipsoid
    lungs: tuple[Ellipsoid, Ellipsoid]
    heart: Ellipsoid
    spine: Ellipsoid
    trachea: Ellipsoid
    vessels: tuple[tuple[Vessel, ...], tuple[Vessel, ...]]
    fine: Waves
    coarse: Waves
    rib_gap_mm: float = 26.0

    def side(self, points: Points) -> Values:
        """Tell the lung at points: 1 right, 2 left, 0 none."""
        right, left = (lung.level(points) < 1 for lung in self.lungs)
        free = (self.heart.level(points) > 1) & (self.spine.level(points) > 1)
        side: Values = np.where(free, np.where(right, 1, np.where(left, 2, 0)), 0).astype(np.float32)
        return side

    def soft_parts(self, points: Points) -> Values:
        """Density (HU) of everything but the lungs."""
        texture = self.coarse.at(points) * np.float32(6)
        skin = edge(1 - self.body.level(points), width=0.02)
        cage = self.cage.level(points)
        values = blend(np.full_like(texture, AIR_HU), skin, FAT_HU)
        values = blend(values, edge(1.1 - cage, width=0.04), MUSCLE_HU + texture)
        values = blend(values, edge(1 - self.heart.level(points), width=0.06), BLOOD_HU + texture)
        values = blend(values, self._ribs(points, cage), BONE_HU)
        values = blend(values, edge(1 - self.spine.level(points), width=0.15), BONE_HU + 20 * texture)
        return blend(values, edge(1 - self.trachea.level(points), width=0.2), AIR_HU)

    def _ribs(self, points: Points, cage: Values) -> Values:
        # ribs fall forwards: the further to the front, the lower the same rib
        phase = (points[2] + np.float32(0.35) * points[1]) * np.float32(2 * np.pi / self.rib_gap_mm)
        shell = edge(np.float32(0.045) - np.abs(cage - np.float32(1.03)), width=0.03)
        ribs: Values = shell * edge(np.cos(phase) - np.float32(0.35), width=0.4)
        return ribs

    def parenchyma(self, points: Points) -> Values:
        """Density (HU) of healthy lung: air with texture, denser towards the back where blood pools."""
        gravity = points[1] * np.float32(0.5)
        values: Values = LUNG_HU + gravity + 22 * self.fine.at(points) + 12 * self.coarse.at(points)
        return values


def draw_anatomy(rng: np.random.Generator) -> Anatomy:
    """Draw a person."""
    size = rng.uniform(0.92, 1.06)
    depth = 78 * size * rng.uniform(0.93, 1.05)
    right = Ellipsoid((-66 * size, 0, 0), (52 * size, depth, 98 * size))
    left = Ellipsoid((66 * size, 2, 0), (50 * size, depth * 0.98, 96 * size))
    return Anatomy(
        body=Ellipsoid((0, 0, 0), (146 * size, 108 * size, _ENDLESS)),
        cage=Ellipsoid((0, 0, 0), (126 * size, 90 * size, _ENDLESS)),
        lungs=(right, left),
        heart=Ellipsoid((18, -22, -30), (46 * rng.uniform(0.9, 1.15), 40, 52)),
        spine=Ellipsoid((0, 78 * size, 0), (19, 20, _ENDLESS)),
        trachea=Ellipsoid((0, 6, 75), (8, 8, 50)),
        vessels=(_tree(rng, right), _tree(rng, left)),
        fine=draw_waves(rng, wavelength_mm=11, count=6),
        coarse=draw_waves(rng, wavelength_mm=45, count=4),
    )


def _tree(rng: np.random.Generator, lung: Ellipsoid) -> tuple[Vessel, ...]:
    inward = 0.55 if lung.centre[0] < 0 else -0.55
    hilum = np.array(lung.centre) + np.array([inward * lung.radii_mm[0], 0, 5])
    outward = np.array([-np.sign(inward), 0.0, 0.0])
    pieces: list[Vessel] = []
    for up in (0.9, 0.1, -0.8):
        heading = outward + np.array([0, rng.uniform(-0.5, 0.6), up])
        _branch(rng, pieces, (hilum, heading / np.linalg.norm(heading)), depth=4)
    return tuple(pieces)


def _branch(rng: np.random.Generator, pieces: list[Vessel], ray: tuple[np.ndarray, np.ndarray], *, depth: int) -> None:
    start, heading = ray
    end = start + heading * (11 + 4.5 * depth) * rng.uniform(0.8, 1.2)
    pieces.append(Vessel(_point(start), _point(end), 0.8 + 0.75 * depth))
    if depth > 1:
        for _ in range(2):
            turned = heading + rng.normal(scale=0.5, size=3)
            _branch(rng, pieces, (end, turned / np.linalg.norm(turned)), depth=depth - 1)


def _point(vector: np.ndarray) -> Point:
    x, y, z = (float(value) for value in vector)
    return (x, y, z)
