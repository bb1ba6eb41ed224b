"""Segmentation frames to their place on an image grid: nearest voxel within a tolerance, or a refusal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from racoon_data.annotations.frames import Frame
from racoon_data.annotations.slice_names import SliceNames
from racoon_data.errors import BrokenItemError, GridMismatchError
from racoon_data.geometry import Geometry, Point
from racoon_data.labels import BoxedMask, Mask

# Two files of one grid differ by rounding of their headers (2.024902 against 2.025 mm); the sum over
# an image stays below this part of a voxel. A segmentation made on another grid does not.
TOLERANCE_VOXELS = 0.1

_AGAIN = "export it again from the original series"
_RESAMPLE = "export it again from the original series, or allow resampling"

_Vector = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Steps:
    """How a frame's rows and columns run through a grid, in voxels.

    Attributes:
        along_column: Index step (i, j, k) from one row to the next.
        along_row: Index step from one column to the next.
        down: Grid axis (0 for i, 1 for j, 2 for k) that rows grow along, and its direction, 1 or -1.
        across: The same for columns.
    """

    along_column: Point
    along_row: Point
    down: tuple[int, int]
    across: tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """What a frame shows, on the grid.

    Attributes:
        start: First index (k, j, i).
        mask: The voxels ``[k, j, i]`` from there on.
        outside: Pixels that lie outside the grid and are not in it.
        apart: How far the worst pixel is from the centre of its voxel, in voxels.
    """

    start: tuple[int, int, int]
    mask: Mask
    outside: int
    apart: float


@dataclass(frozen=True, slots=True)
class Place:
    """Where a frame's pixels lie on a grid, in voxel units.

    Attributes:
        origin: Index (i, j, k) of the first pixel.
        steps: How it goes on from there.
        shape: Voxels of the grid along i, j, k.
    """

    origin: Point
    steps: Steps
    shape: tuple[int, int, int]

    def piece(self, inside: Mask, *, top: int = 0) -> Piece:
        """Cut out what a frame shows and find its voxels.

        A frame's pixels map to voxels linearly, so what holds at the corners of their bounding box holds
        for all of them.

        Args:
            inside: Boolean array ``[row, column]`` with at least one pixel set.
            top: Number of its first row in the frame.
        """
        rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
        low, high, left, right = (int(edge) for edge in (rows[0], rows[-1], columns[0], columns[-1]))
        crop = inside[low : high + 1, left : right + 1]
        lowest, apart = self._span((low + top, high + top), (left, right))
        kept, start = self._clip(crop[:: self.steps.down[1], :: self.steps.across[1]], lowest)
        is_cut = kept.shape != crop.shape
        outside = int(np.count_nonzero(crop)) - int(np.count_nonzero(kept)) if is_cut else 0
        axes = (2 - self.steps.down[0], 2 - self.steps.across[0])
        plane = kept if axes[0] < axes[1] else kept.T
        mask = np.expand_dims(plane, 3 - sum(axes)).copy()
        return Piece((start[2], start[1], start[0]), mask, outside, apart)

    def _span(self, rows: tuple[int, int], columns: tuple[int, int]) -> tuple[list[int], float]:
        """Give the lowest voxel of a piece of the frame and how far its corners are from voxel centres."""
        steps = self.steps
        lowest, apart = [], 0.0
        for axis in range(3):
            first = self.origin[axis] + rows[0] * steps.along_column[axis] + columns[0] * steps.along_row[axis]
            start = round(first)
            height = (rows[1] - rows[0]) * (steps.down[1] if axis == steps.down[0] else 0)
            width = (columns[1] - columns[0]) * (steps.across[1] if axis == steps.across[0] else 0)
            slip = (rows[1] - rows[0]) * steps.along_column[axis] - height
            slide = (columns[1] - columns[0]) * steps.along_row[axis] - width
            off = first - start
            apart = max(apart, abs(off), abs(off + slip), abs(off + slide), abs(off + slip + slide))
            lowest.append(start + min(height, 0) + min(width, 0))
        return lowest, apart

    def _clip(self, crop: Mask, lowest: list[int]) -> tuple[Mask, list[int]]:
        """Cut a piece of a plane to the grid; nothing is left where its plane lies beyond."""
        axes = (self.steps.down[0], self.steps.across[0])
        normal = 3 - sum(axes)
        start = [max(low, 0) for low in lowest]
        if not 0 <= lowest[normal] < self.shape[normal]:
            return crop[:0, :0], start
        first, second = (slice(max(-lowest[axis], 0), max(self.shape[axis] - lowest[axis], 0)) for axis in axes)
        return crop[first, second], start


def joined(pieces: Sequence[Piece], shape: tuple[int, int, int]) -> BoxedMask | None:
    """Put pieces of one segment together, ``None`` where no voxel is left.

    Args:
        pieces: What its frames show.
        shape: Slices, rows, columns of the grid.
    """
    pieces = [piece for piece in pieces if piece.mask.size]
    if not pieces:
        return None
    starts = np.array([piece.start for piece in pieces])
    stops = starts + [piece.mask.shape for piece in pieces]
    start, stop = starts.min(axis=0), stops.max(axis=0)
    whole = np.zeros(stop - start, dtype=np.bool_)
    for piece, low, high in zip(pieces, starts - start, stops - start, strict=True):
        whole[low[0] : high[0], low[1] : high[1], low[2] : high[2]] |= piece.mask
    return BoxedMask(shape, (int(start[0]), int(start[1]), int(start[2])), whole)


class Placer:
    """Finds frames of one segmentation on one grid."""

    def __init__(self, geometry: Geometry, *, slices: SliceNames) -> None:
        self._geometry = geometry
        self._slices = slices
        self._inverse: _Vector = np.linalg.inv(geometry.matrix).astype(np.float64)
        self._rows: list[list[float]] = self._inverse[:3].tolist()
        self._steps: dict[object, Steps] = {}

    def place(self, frame: Frame) -> Place:
        """Find a frame: by its plane, or by its source image where it names no plane.

        Raises:
            GridMismatchError: Its pixels are larger, smaller or turned against the grid's voxels, or it
                names neither a plane nor an image of this grid.
            BrokenItemError: Its plane makes no sense.
        """
        if frame.position_lps is None:
            return Place((0.0, 0.0, self._of_source(frame)), _PLAIN, self._geometry.shape)
        x, y, z = frame.position_lps
        i, j, k = (a * x + b * y + c * z + d for a, b, c, d in self._rows)
        if not math.isfinite(i + j + k):
            raise BrokenItemError("its plane position is no place", hint=_AGAIN)
        key = (frame.cosines, frame.pixel_spacing_mm)
        if key not in self._steps:
            self._steps[key] = self._steps_of(frame)
        return Place((i, j, k), self._steps[key], self._geometry.shape)

    def _steps_of(self, frame: Frame) -> Steps:
        geometry = self._geometry
        rows_mm, columns_mm = frame.pixel_spacing_mm or (geometry.spacing_mm[1], geometry.spacing_mm[0])
        right = frame.cosines[:3] if frame.cosines else _direction(geometry, 0)
        down = frame.cosines[3:] if frame.cosines else _direction(geometry, 1)
        along_row: _Vector = self._inverse[:3, :3] @ (np.array(right) * columns_mm)
        along_column: _Vector = self._inverse[:3, :3] @ (np.array(down) * rows_mm)
        if not _is_one_voxel(along_row) or not _is_one_voxel(along_column):
            raise GridMismatchError("the segmentation's pixels are not the image's voxels", hint=_RESAMPLE)
        return _steps(along_row, along_column)

    def _of_source(self, frame: Frame) -> float:
        # an image of many frames is no one slice: where no frame is named, which one is meant is not guessed
        slices = self._slices.of_all(frame.sources)
        if len(slices) != 1:
            raise GridMismatchError("a frame names neither its plane nor one image of the series", hint=_AGAIN)
        return float(next(iter(slices)))


def _steps(along_row: _Vector, along_column: _Vector) -> Steps:
    across, down = int(np.abs(along_row).argmax()), int(np.abs(along_column).argmax())
    return Steps(
        _point(along_column),
        _point(along_row),
        (down, 1 if along_column[down] > 0 else -1),
        (across, 1 if along_row[across] > 0 else -1),
    )


def _point(vector: _Vector) -> Point:
    return (float(vector[0]), float(vector[1]), float(vector[2]))


_PLAIN = _steps(np.array([1.0, 0, 0]), np.array([0, 1.0, 0]))


def _direction(geometry: Geometry, axis: int) -> _Vector:
    step = geometry.matrix[:3, axis]
    direction: _Vector = step / np.linalg.norm(step)
    return direction


def _is_one_voxel(step: _Vector) -> bool:
    """Tell whether a step leads to the next voxel along one axis; the sum over a frame is checked later."""
    nearest = np.rint(step)
    is_one = np.isfinite(step).all() and float(np.abs(nearest).sum()) == 1.0
    return bool(is_one and float(np.abs(step - nearest).max()) <= TOLERANCE_VOXELS)
