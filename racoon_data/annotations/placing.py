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

    def indices(self, inside: Mask) -> tuple[_Index, float]:
        """Give the voxel of every pixel that is set.

        Args:
            inside: Boolean array ``[row, column]``.

        Returns:
            Indices (n, 3) as i, j, k, and how far the worst one is from a voxel centre, in voxels.
        """
        row, column = np.nonzero(inside)
        exact = self.origin + column[:, None] * self.along_row + row[:, None] * self.along_column
        nearest = np.rint(exact)
        return nearest.astype(np.int64), float(np.abs(exact - nearest).max(initial=0.0))


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


def put(mask: Mask, indices: _Index) -> int:
    """Set voxels on a mask and count those beyond its edge.

    Args:
        mask: Boolean array ``[k, j, i]``, changed in place.
        indices: Voxels (n, 3) as i, j, k.

    Returns:
        How many lie outside the image.
    """
    size = np.array(mask.shape[::-1])
    is_inside = ((indices >= 0) & (indices < size)).all(axis=1)
    i, j, k = indices[is_inside].T
    mask[k, j, i] = True
    return int(len(indices) - is_inside.sum())
