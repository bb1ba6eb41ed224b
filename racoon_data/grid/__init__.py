"""Voxel grids: place on a grid, resample, reorient, connected components."""
