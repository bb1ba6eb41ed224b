"""Plans from a merged fingerprint, by nnU-Net's rules: spacing, patch and intensity normalisation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from racoon_data.errors import FederationError
from racoon_train.fingerprint.document import Fingerprint
from racoon_train.job.statistics import StatisticsSettings

# nnU-Net v2's defaults (Isensee et al. 2021, doi:10.1038/s41592-020-01008-z, and its experiment planner).
_ANISOTROPY = 3.0
_FINE_PERCENTILE = 10.0
_CLIP_PERCENTILES = (0.5, 99.5)
VOXELS_3D = 128**3
VOXELS_2D = 512**2


@dataclass(frozen=True, slots=True)
class Intensity:
    """Statistics of a histogram; each within one bin width of what the voxels themselves would give.

    Attributes:
        voxels: Voxels counted.
        mean: Mean.
        sd: Standard deviation.
        low: The 0.5th percentile.
        median: The median.
        high: The 99.5th percentile.
    """

    voxels: int
    mean: float
    sd: float
    low: float
    median: float
    high: float


@dataclass(frozen=True, slots=True)
class Plan:
    """How a federation should see its images.

    Attributes:
        spacing_mm: Common spacing along i, j, k.
        median_size: Voxels along i, j, k of a typical case at that spacing.
        patch: Patch along k, j, i (3D) or j, i (2D).
        intensity: Foreground intensities by channel: clip to low..high, subtract the mean, divide by sd.
    """

    spacing_mm: tuple[float, ...]
    median_size: tuple[int, ...]
    patch: tuple[int, ...]
    intensity: tuple[Intensity, ...]

    def to_json(self) -> dict[str, Any]:
        """Give the plan as a ``training`` section of a job would say it, with its reasons beside."""
        names = ("voxels", "mean", "sd", "low", "median", "high")
        return {
            "training": {
                "spacing_mm": [round(spacing, 4) for spacing in self.spacing_mm],
                "patch": list(self.patch),
                "window": [round(self.intensity[0].low, 2), round(self.intensity[0].high, 2)],
            },
            "median_size": list(self.median_size),
            "intensity": [{name: getattr(one, name) for name in names} for one in self.intensity],
        }


def plan_of(fingerprint: Fingerprint, *, dimensions: int, multiple: int, voxels: int | None = None) -> Plan:
    """Derive spacing, patch and normalisation.

    The median of each axis is the spacing; where the coarsest is more than three times the next and has
    less than a third of its voxels, its 10th percentile is taken, but not less than the others. The size at that
    spacing comes from the medians of size and spacing, since a joint table would be a row a case.

    Args:
        fingerprint: The sum over the sites.
        dimensions: 2 for slices, 3 for volumes.
        multiple: Each size of the patch is a multiple of this, as the network's depth wants.
        voxels: Most voxels of a patch; by default those of nnU-Net on a small card.

    Raises:
        FederationError: The sites told too little to plan by.
    """
    cell = fingerprint.statistics.spacing_mm
    native = [_percentile(axis, 50.0) * cell for axis in fingerprint.spacing_mm]
    sizes = [_percentile(axis, 50.0) * fingerprint.statistics.size for axis in fingerprint.size]
    spacing = _target(native, sizes, [_percentile(axis, _FINE_PERCENTILE) * cell for axis in fingerprint.spacing_mm])
    size = [max(1, round(count * was / now)) for count, was, now in zip(sizes, native, spacing, strict=True)]
    wanted = slice(0, dimensions)
    patch = _patch(size[wanted], spacing[wanted], multiple=multiple, most=voxels or _most(dimensions))
    intensity = tuple(intensity_of(part.foreground, fingerprint.statistics) for part in fingerprint.channels)
    return Plan(tuple(spacing), tuple(size), tuple(reversed(patch)), intensity)


def intensity_of(cells: Mapping[int, int], statistics: StatisticsSettings) -> Intensity:
    """Compute mean, deviation and percentiles of a histogram.

    Raises:
        FederationError: It is empty.
    """
    total = sum(cells.values())
    middles = {place: statistics.low + (place + 0.5) * statistics.width for place in cells}
    low, median, high = (
        statistics.low + (_percentile(cells, share) + 0.5) * statistics.width
        for share in (_CLIP_PERCENTILES[0], 50.0, _CLIP_PERCENTILES[1])
    )
    mean = sum(count * middles[place] for place, count in cells.items()) / total
    variance = sum(count * (middles[place] - mean) ** 2 for place, count in cells.items()) / total
    return Intensity(total, mean, math.sqrt(variance), low, median, high)


def _percentile(cells: Mapping[int, int], share: float) -> int:
    """Give the cell below or in which this share (per cent) of the counts lies."""
    total = sum(cells.values())
    if not total:
        raise FederationError("the sites told too little to plan by", hint="more patients, or a smaller smallest cell")
    reached = 0
    for place in sorted(cells):
        reached += cells[place]
        if reached * 100.0 >= total * share:
            return place
    return max(cells)


def _target(native: Sequence[float], sizes: Sequence[float], fine: Sequence[float]) -> list[float]:
    spacing = list(native)
    worst = max(range(3), key=spacing.__getitem__)
    others = [axis for axis in range(3) if axis != worst]
    is_coarse = spacing[worst] > _ANISOTROPY * max(spacing[axis] for axis in others)
    has_few = sizes[worst] * _ANISOTROPY < min(sizes[axis] for axis in others)
    if is_coarse and has_few:
        spacing[worst] = max(fine[worst], *(spacing[axis] for axis in others))
    return spacing


def _most(dimensions: int) -> int:
    return VOXELS_2D if dimensions == 2 else VOXELS_3D


def _patch(size: Sequence[int], spacing: Sequence[float], *, multiple: int, most: int) -> list[int]:
    """Begin with a cube in millimetres of ``most`` voxels, no larger than the case, in whole multiples."""
    density = [1.0 / step for step in spacing]
    scale = (most / math.prod(density)) ** (1.0 / len(density))
    patch = [_multiple(min(step * scale, count), multiple) for step, count in zip(density, size, strict=True)]
    while math.prod(patch) > most and max(patch) > 2 * multiple:
        widest = max(range(len(patch)), key=lambda axis: patch[axis] / size[axis])
        widest = widest if patch[widest] > 2 * multiple else patch.index(max(patch))
        patch[widest] -= multiple
    return patch


def _multiple(size: float, multiple: int) -> int:
    return max(2 * multiple, round(size / multiple) * multiple)
