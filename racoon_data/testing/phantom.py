"""Thorax CT phantoms: the same person on any scanner's grid, with a known label for every voxel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from racoon_data.geometry import Geometry
from racoon_data.testing.anatomy import BLOOD_HU, Anatomy, draw_anatomy
from racoon_data.testing.lesions import CONSOLIDATION, GROUND_GLASS, NAMES, Lesion, draw_lesions
from racoon_data.testing.texture import Points, Values, blend

__all__ = ["NAMES", "Phantom", "Rendered", "Scanner", "a_phantom", "render"]


@dataclass(frozen=True, slots=True)
class Phantom:
    """A person with disease, in patient space.

    Attributes:
        anatomy: The healthy thorax, centred on the origin.
        lesions: Lesions in the order they are painted.
    """

    anatomy: Anatomy
    lesions: tuple[Lesion, ...]


@dataclass(frozen=True, slots=True)
class Scanner:
    """How a scanner changes what it sees.

    Attributes:
        noise_hu: Standard deviation of the noise, after the kernel.
        blur_mm: Standard deviation of the kernel's point spread in the slice; 0 for none.
        offset_hu: Constant calibration error.
    """

    noise_hu: float = 12.0
    blur_mm: float = 1.5
    offset_hu: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Rendered:
    """A phantom on a grid; arrays are indexed ``[k, j, i]``.

    Attributes:
        hu: Densities, float32.
        labels: Label value of every voxel, uint8 (``NAMES``), 0 outside lesions.
        lesions: Which lesion of the phantom it is, uint8, counted from 1, 0 outside.
    """

    hu: npt.NDArray[np.float32]
    labels: npt.NDArray[np.uint8]
    lesions: npt.NDArray[np.uint8]


def a_phantom(seed: int, *, number: int = 0) -> Phantom:
    """Draw a person.

    Of four people in a row one has all three diseases and each of the others lacks another one.

    Args:
        seed: Seed of the population.
        number: Which person of it.
    """
    rng = np.random.default_rng([seed, number])
    lacking = 1 + (number + seed) % 4
    anatomy = draw_anatomy(rng)
    return Phantom(anatomy, draw_lesions(rng, anatomy, lacking=lacking if lacking in NAMES else None))


def render(phantom: Phantom, geometry: Geometry, scanner: Scanner, *, seed: int = 0) -> Rendered:
    """Scan a phantom.

    Each voxel is sampled at its centre (no averaging over the slice thickness), then blurred in
    the slice by the kernel and given noise. Labels are not blurred: they are the truth.

    Args:
        phantom: The person.
        geometry: The grid.
        scanner: The scanner.
        seed: Seed of the noise.
    """
    points = _centres(geometry)
    values = phantom.anatomy.soft_parts(points)
    side = phantom.anatomy.side(points)
    inside = np.flatnonzero(side)
    labels, lesions = (np.zeros(values.shape, np.uint8) for _ in range(2))
    in_lungs = (points[0][inside], points[1][inside], points[2][inside])
    values[inside], lesions[inside] = _fill_lungs(phantom, in_lungs, side[inside])
    kinds = np.array([0, *(lesion.kind for lesion in phantom.lesions)], np.uint8)
    labels = kinds[lesions]
    shape = geometry.array_shape
    hu = _scan(values.reshape(shape), geometry, scanner, np.random.default_rng([seed, 77]))
    return Rendered(hu, labels.reshape(shape), lesions.reshape(shape))


def _centres(geometry: Geometry) -> Points:
    k, j, i = (axis.ravel().astype(np.float32) for axis in np.indices(geometry.array_shape, dtype=np.int32))
    rows = geometry.matrix.astype(np.float32)[:3]
    x, y, z = (row[0] * i + row[1] * j + row[2] * k + row[3] for row in rows)
    return (x, y, z)


def _fill_lungs(phantom: Phantom, points: Points, side: Values) -> tuple[Values, npt.NDArray[np.uint8]]:
    values = phantom.anatomy.parenchyma(points)
    owner = np.zeros(values.shape, np.uint8)
    numbered = list(enumerate(phantom.lesions, start=1))
    glassy = [pair for pair in numbered if pair[1].kind == GROUND_GLASS]
    values = _paint(values, owner, points, glassy)
    # vessels show through ground glass and vanish in what is denser
    values = _add_vessels(phantom.anatomy, values, points, side)
    dense = [pair for pair in numbered if pair[1].kind >= CONSOLIDATION]
    return _paint(values, owner, points, dense), owner


def _paint(values: Values, owner: npt.NDArray[np.uint8], points: Points, lesions: list[tuple[int, Lesion]]) -> Values:
    for number, lesion in lesions:
        weight = lesion.weight(points)
        values = lesion.paint(values, points, weight)
        owner[weight >= 0.5] = number
    return values


def _add_vessels(anatomy: Anatomy, values: Values, points: Points, side: Values) -> Values:
    values = values.copy()
    for number, vessels in enumerate(anatomy.vessels, start=1):
        here = np.flatnonzero(side == number)
        near = (points[0][here], points[1][here], points[2][here])
        cover = np.zeros(here.shape, np.float32)
        for vessel in vessels:
            np.maximum(cover, vessel.cover(near), out=cover)
        values[here] = blend(values[here], cover, BLOOD_HU)
    return values


def _scan(values: Values, geometry: Geometry, scanner: Scanner, rng: np.random.Generator) -> Values:
    if scanner.blur_mm > 0:
        values = _blurred(values, axis=2, sigma=scanner.blur_mm / geometry.spacing_mm[0])
        values = _blurred(values, axis=1, sigma=scanner.blur_mm / geometry.spacing_mm[1])
    noise = rng.standard_normal(values.shape, dtype=np.float32) * np.float32(scanner.noise_hu)
    scanned: Values = np.clip(values + noise + np.float32(scanner.offset_hu), -1024, 3000)
    return scanned


def _blurred(values: Values, *, axis: int, sigma: float) -> Values:
    reach = max(1, round(3 * sigma))
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    taps = (taps / taps.sum()).astype(np.float32)
    margin = [(reach, reach) if place == axis else (0, 0) for place in range(3)]
    padded = np.pad(values, margin, mode="edge")
    size = values.shape[axis]
    blurred = np.zeros_like(values)
    for start, tap in enumerate(taps):
        blurred += tap * padded.take(range(start, start + size), axis=axis)
    return blurred
