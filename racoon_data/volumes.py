"""An image as numbers in a place: the Volume noun."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from racoon_data.geometry import Geometry


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """Voxel values on a grid.

    Attributes:
        array: Values indexed ``[k, j, i]`` (slices, rows, columns), any numeric dtype.
        geometry: The grid; ``array.shape`` is ``geometry.array_shape``.
        unit: Meaning of a value: ``HU``, ``SUVbw``, ``Bq/ml``, or ``1`` where it has none.
    """

    array: npt.NDArray[Any]
    geometry: Geometry
    unit: str = "1"

    def __post_init__(self) -> None:
        if self.array.shape != self.geometry.array_shape:
            raise ValueError(f"array {self.array.shape} is not on grid {self.geometry.array_shape}")
