"""Grids compare by where their voxels lie."""

import numpy as np

from racoon_data.geometry import Geometry, as_affine

AFFINE = as_affine([[0.8, 0, 0, -100], [0, 0.8, 0, -90], [0, 0, 5, 20], [0, 0, 0, 1]])


def test_a_shifted_grid_is_another_grid():
    """The same shape with another origin is not the same grid."""
    grid = Geometry((10, 12, 3), AFFINE, "1.2.3")
    moved = as_affine(grid.matrix + np.diag([0.0, 0, 0, 1])[[3, 0, 1, 2]])

    assert not grid.same_grid(Geometry(grid.shape, moved, "1.2.3"), tol_mm=0.5)
    assert grid.same_grid(Geometry(grid.shape, moved, "1.2.3"), tol_mm=1.0)


def test_frames_of_reference_are_compared_with_each_other():
    """Two known, different frames of reference never share a grid; an unknown one may."""
    grid = Geometry((10, 12, 3), AFFINE, "1.2.3")

    assert not grid.same_grid(Geometry(grid.shape, AFFINE, "9.9"), tol_mm=0.1)
    assert grid.same_grid(Geometry(grid.shape, AFFINE, None), tol_mm=0.1)


def test_spacing_and_positions_follow_the_affine():
    """Spacing, voxel volume, array shape and positions come from the affine alone."""
    grid = Geometry((10, 12, 3), AFFINE)

    assert grid.spacing_mm == (0.8, 0.8, 5.0)
    assert grid.array_shape == (3, 12, 10)
    assert round(grid.voxel_ml, 6) == 0.0032
    assert grid.position_lps((1, 2, 1)) == (-99.2, -88.4, 25.0)
