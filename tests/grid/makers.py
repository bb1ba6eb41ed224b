"""Grids and spheres with a known truth."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from racoon_data.geometry import Geometry, as_affine


def a_grid(
    shape: tuple[int, int, int] = (40, 40, 40),
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
    *,
    axes: npt.ArrayLike | None = None,
    origin: tuple[float, float, float] = (-20.0, -20.0, -20.0),
) -> Geometry:
    """Make a grid; ``axes`` are unit columns in LPS, the identity by default."""
    matrix = np.eye(4)
    matrix[:3, :3] = (np.eye(3) if axes is None else np.asarray(axes, dtype=float)) * np.array(spacing)
    matrix[:3, 3] = origin
    return Geometry(shape, as_affine(matrix), "1.2.3")


def tilted(degrees: float = 20.0) -> npt.NDArray[np.float64]:
    """Axes turned about x, then about z: an oblique acquisition."""
    angle, other = np.deg2rad(degrees), np.deg2rad(degrees / 2)
    about_x = [[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]]
    about_z = [[np.cos(other), -np.sin(other), 0], [np.sin(other), np.cos(other), 0], [0, 0, 1]]
    return np.array(about_z) @ np.array(about_x)


def positions(geometry: Geometry) -> npt.NDArray[np.float64]:
    """Give the LPS position of every voxel, indexed ``[k, j, i, xyz]``."""
    k, j, i = np.indices(geometry.array_shape)
    return np.stack([i, j, k], axis=-1) @ geometry.matrix[:3, :3].T + geometry.matrix[:3, 3]


def a_sphere(geometry: Geometry, centre: tuple[float, float, float], radius_mm: float) -> npt.NDArray[np.bool_]:
    """Mark the voxels whose centre lies in a sphere given in patient space."""
    inside: npt.NDArray[np.bool_] = np.linalg.norm(positions(geometry) - centre, axis=-1) <= radius_mm
    return inside
