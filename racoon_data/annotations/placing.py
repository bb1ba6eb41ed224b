"""Segmentation frames to their place on an image grid: nearest voxel within a tolerance, or a refusal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from racoon_data.annotations.frames import Frame
from racoon_data.errors import GridMismatchError
from racoon_data.geometry import Geometry
from racoon_data.labels import Mask

# Two files of one grid differ by rounding of their headers (2.024902 against 2.025 mm); the sum over
# an image stays below this part of a voxel. A segmentation made on another grid does not.
TOLERANCE_VOXELS = 0.1

_Vector = npt.NDArray[np.float64]
_Index = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Where a frame's pixels lie on a grid, in voxel units.

    Attributes:
        origin: Index (i, j, k) of the first pixel.
        along_row: Index step from one column to the next.
        along_column: Index step from one row to the next.
    """

    origin: _Vector
    along_row: _Vector
    along_column: _Vector

    def put(self, inside: Mask, mask: Mask) -> tuple[int, float]:
        """Set the voxels of a frame's pixels on a mask.

        A frame's pixels map to voxels linearly, so what holds at the corners of their bounding box holds
        for all of them.

        Args:
            inside: Boolean array ``[row, column]`` with at least one pixel set.
            mask: Boolean array ``[k, j, i]``, changed in place.

        Returns:
            How many pixels lie outside the image, and how far the worst one is from the centre of its
            voxel, in voxels.
        """
        top, bottom = np.flatnonzero(inside.any(axis=1))[[0, -1]]
        left, right = np.flatnonzero(inside.any(axis=0))[[0, -1]]
        across, down = np.rint(self.along_row), np.rint(self.along_column)
        start = np.rint(self._at(top, left))
        corners = [(row, column) for row in (top, bottom) for column in (left, right)]
        meant = [start + (row - top) * down + (column - left) * across for row, column in corners]
        exact = [self._at(row, column) for row, column in corners]
        apart = float(np.abs(np.array(exact) - np.array(meant)).max())
        axes = (int(np.abs(down).argmax()), int(np.abs(across).argmax()))
        crop = inside[top : bottom + 1, left : right + 1]
        lowest = np.min(meant, axis=0).astype(np.int64)
        if down[axes[0]] < 0:
            crop = crop[::-1]
        if across[axes[1]] < 0:
            crop = crop[:, ::-1]
        return int(crop.sum()) - _paste(crop, mask, axes=axes, start=lowest), apart

    def _at(self, row: int, column: int) -> _Vector:
        index: _Vector = self.origin + column * self.along_row + row * self.along_column
        return index


def _paste(crop: Mask, mask: Mask, *, axes: tuple[int, int], start: _Index) -> int:
    """Join a piece of a plane with a mask and count the pixels that lie on it.

    Args:
        crop: Boolean array, its first and second axis running up the grid axes ``axes``.
        mask: Boolean array ``[k, j, i]``, changed in place.
        axes: Grid axes (0 for i, 1 for j, 2 for k) of the piece.
        start: Index (i, j, k) of the piece's first voxel.
    """
    normal = 3 - sum(axes)
    planes = mask.T.transpose(*axes, normal)
    if not 0 <= start[normal] < planes.shape[2]:
        return 0
    first, second = (int(start[axis]) for axis in axes)
    kept = crop[max(-first, 0) : max(planes.shape[0] - first, 0), max(-second, 0) : max(planes.shape[1] - second, 0)]
    first, second = max(first, 0), max(second, 0)
    plane = planes[first : first + kept.shape[0], second : second + kept.shape[1], start[normal]]
    plane |= kept
    return int(kept.sum())


def place_of(frame: Frame, geometry: Geometry, *, sop_uids: Sequence[str]) -> Place:
    """Find a frame on the grid: by its plane, or by its source image where it names no plane.

    Raises:
        GridMismatchError: Its pixels are larger, smaller or turned against the grid's voxels, or it
            names neither a plane nor an image of this grid.
    """
    if frame.position_lps is None:
        return _on_source(frame, sop_uids)
    inverse = np.linalg.inv(geometry.matrix)
    origin = inverse[:3, :3] @ np.array(frame.position_lps) + inverse[:3, 3]
    rows_mm, columns_mm = frame.pixel_spacing_mm or (geometry.spacing_mm[1], geometry.spacing_mm[0])
    right = frame.row_direction or _direction(geometry, 0)
    down = frame.column_direction or _direction(geometry, 1)
    along_row = inverse[:3, :3] @ (np.array(right) * columns_mm)
    along_column = inverse[:3, :3] @ (np.array(down) * rows_mm)
    for step in (along_row, along_column):
        if not _is_one_voxel(step):
            raise GridMismatchError(
                "the segmentation's pixels are not the image's voxels",
                hint="export it again from the original series, or allow resampling",
            )
    return Place(origin, along_row, along_column)


def _direction(geometry: Geometry, axis: int) -> _Vector:
    step = geometry.matrix[:3, axis]
    direction: _Vector = step / np.linalg.norm(step)
    return direction


def _is_one_voxel(step: _Vector) -> bool:
    """Tell whether a step leads to the next voxel along one axis; the sum over a frame is checked later."""
    nearest = np.rint(step)
    return float(np.abs(nearest).sum()) == 1.0 and float(np.abs(step - nearest).max()) <= TOLERANCE_VOXELS


def _on_source(frame: Frame, sop_uids: Sequence[str]) -> Place:
    slices = [k for k, sop_uid in enumerate(sop_uids) if sop_uid in frame.source_sops]
    if len(slices) != 1:
        raise GridMismatchError(
            "a frame names neither its plane nor one image of the series",
            hint="export it again from the original series",
        )
    return Place(np.array([0.0, 0.0, slices[0]]), np.array([1.0, 0, 0]), np.array([0, 1.0, 0]))
