"""Where voxels lie in the patient: the Geometry noun."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

Row = tuple[float, float, float, float]
Affine = tuple[Row, Row, Row, Row]
Point = tuple[float, float, float]

# Grids whose corners are this close are one grid; scanners write the last digits differently.
SAME_GRID_MM = 0.01


def as_affine(matrix: npt.ArrayLike) -> Affine:
    """Turn a 4x4 matrix into nested tuples, which compare and hash."""
    rows = np.asarray(matrix, dtype=np.float64)
    if rows.shape != (4, 4):
        raise ValueError(f"an affine is 4x4, not {rows.shape}")
    first, second, third, last = (tuple(float(value) for value in row) for row in rows)
    return (first, second, third, last)  # type: ignore[return-value]


def cross(a: Point, b: Point) -> Point:
    """Give the cross product of two directions."""
    return (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])


def dot(a: Point, b: Point) -> float:
    """Give the scalar product of two vectors."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@dataclass(frozen=True, slots=True)
class Geometry:
    """A voxel grid in patient space.

    Attributes:
        shape: Voxels along i (columns), j (rows), k (slices). Arrays on this grid are indexed
            ``[k, j, i]``, so their numpy shape is this one reversed.
        affine_lps: 4x4 matrix from voxel index (i, j, k) to millimetres, LPS.
        frame_of_reference: UID of the patient coordinate system.
    """

    shape: tuple[int, int, int]
    affine_lps: Affine
    frame_of_reference: str | None = None

    @property
    def matrix(self) -> npt.NDArray[np.float64]:
        """The affine as a 4x4 float64 array."""
        return np.array(self.affine_lps, dtype=np.float64)

    @property
    def spacing_mm(self) -> Point:
        """Distance between neighbours along i, j, k in millimetres."""
        lengths = np.linalg.norm(self.matrix[:3, :3], axis=0)
        return (float(lengths[0]), float(lengths[1]), float(lengths[2]))

    @property
    def array_shape(self) -> tuple[int, int, int]:
        """The numpy shape of an array on this grid: slices, rows, columns."""
        return (self.shape[2], self.shape[1], self.shape[0])

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in millilitres."""
        return abs(float(np.linalg.det(self.matrix[:3, :3]))) / 1000.0

    def position_lps(self, index: Iterable[float]) -> Point:
        """Give the patient position (mm, LPS) of a voxel index (i, j, k)."""
        x, y, z, _ = self.matrix @ np.array([*index, 1.0])
        return (float(x), float(y), float(z))

    def same_grid(self, other: Self, *, tol_mm: float) -> bool:
        """Tell whether both grids put every voxel in the same place.

        Args:
            other: The grid to compare with.
            tol_mm: Largest distance allowed between the same voxel's two positions.

        Returns:
            True where shape and frame of reference agree (an unknown frame agrees with any)
            and no corner is further apart than ``tol_mm``.
        """
        if self.shape != other.shape or not self._same_frame(other):
            return False
        corners = itertools.product(*((0, size - 1) for size in self.shape))
        points = np.array([(*corner, 1.0) for corner in corners]).T
        apart = (self.matrix - other.matrix) @ points
        return bool(np.linalg.norm(apart[:3], axis=0).max() <= tol_mm)

    def _same_frame(self, other: Self) -> bool:
        frames = {self.frame_of_reference, other.frame_of_reference} - {None}
        return len(frames) < 2
