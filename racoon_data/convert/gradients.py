"""b-values and b-vectors of a 4D diffusion series, as FSL reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from racoon_data.dicom.diffusion import in_voxel_axes
from racoon_data.dicom.series import Series
from racoon_data.files.atomic import write_text
from racoon_data.geometry import Geometry, Point


@dataclass(frozen=True, slots=True)
class Gradients:
    """Diffusion weighting of every volume.

    Attributes:
        b_values: s/mm2.
        vectors: Unit vectors along voxel axes, x mirrored where the axes are right-handed: FSL's convention
            (https://fsl.fmrib.ox.ac.uk/fsl/docs/diffusion/dtifit.html); zero where nothing is weighted.
    """

    b_values: tuple[float, ...]
    vectors: tuple[Point, ...]


def gradients_of(stacks: Sequence[Series], geometry: Geometry) -> Gradients | None:
    """Give the weighting of each volume, ``None`` where this is no diffusion series."""
    facts = [one.slices[0].facts for one in stacks]
    b_values = [None if one is None else one.number("DiffusionBValue") for one in facts]
    if len(stacks) < 2 or any(value is None for value in b_values) or not any(b_values):
        return None
    matrix = geometry.matrix[:3, :3] / np.linalg.norm(geometry.matrix[:3, :3], axis=0)
    i, j, k = ((float(x), float(y), float(z)) for x, y, z in matrix.T)
    mirror = -1.0 if np.linalg.det(matrix) > 0 else 1.0
    vectors: list[Point] = []
    for one in facts:
        stated = one.numbers("DiffusionGradientOrientation", count=3) if one is not None else None
        x, y, z = (0.0, 0.0, 0.0) if stated is None else in_voxel_axes((stated[0], stated[1], stated[2]), (i, j, k))
        vectors.append((mirror * x + 0.0, y + 0.0, z + 0.0))
    return Gradients(tuple(value or 0.0 for value in b_values), tuple(vectors))


def write_gradients(stem: Path, gradients: Gradients) -> None:
    """Write ``STEM.bval`` and ``STEM.bvec``, one column for each volume."""
    write_text(stem.with_name(f"{stem.name}.bval"), " ".join(f"{value:g}" for value in gradients.b_values) + "\n")
    rows = [" ".join(f"{vector[axis]:.6g}" for vector in gradients.vectors) for axis in range(3)]
    write_text(stem.with_name(f"{stem.name}.bvec"), "\n".join(rows) + "\n")
