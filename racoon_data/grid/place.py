"""A mask from its own grid to an image's: voxel for voxel where the grids agree, resampled only where asked."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from racoon_data.errors import GridMismatchError
from racoon_data.geometry import Geometry
from racoon_data.labels import BoxedMask, Mask

# Two files of one grid differ by rounding of their headers (2.024902 against 2.025 mm); the sum over
# an image stays below this part of a voxel. A mask made on another grid does not.
TOLERANCE_VOXELS = 0.1
_EXACT_VOXELS = 1e-3
_RESAMPLE = "export it again from the original series, or allow resampling"

EXACT, NEAREST, RESAMPLED = "exact", "nearest", "resampled"


@dataclass(frozen=True, slots=True)
class Fit:
    """How one grid lies on another.

    Attributes:
        axes: For each axis i, j, k of the target the axis of the source that runs along it.
        is_flipped: For each axis of the target, whether the source runs against it.
        start: Target index (i, j, k) of the lowest corner of the source.
        turned_shape: Voxels of the source along the axes of the target.
        apart_voxels: How far the worst voxel centre lies from the centre of its target voxel.
    """

    axes: tuple[int, int, int]
    is_flipped: tuple[bool, bool, bool]
    start: tuple[int, int, int]
    turned_shape: tuple[int, int, int]
    apart_voxels: float

    @property
    def how(self) -> str:
        """``exact`` or ``nearest``."""
        return EXACT if self.apart_voxels <= _EXACT_VOXELS else NEAREST

    def covers(self, target: Geometry) -> bool:
        """Tell whether both grids are the same voxels, counted perhaps from another corner."""
        return self.start == (0, 0, 0) and self.turned_shape == target.shape

    def meets(self, target: Geometry) -> bool:
        """Tell whether the grids share a voxel."""
        ends = (start + size for start, size in zip(self.start, self.turned_shape, strict=True))
        return all(start < limit and end > 0 for start, end, limit in zip(self.start, ends, target.shape, strict=True))


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """A mask on an image grid.

    Attributes:
        mask: Boolean array ``[k, j, i]`` on the image grid.
        how: ``exact``, ``nearest`` or ``resampled``.
        outside: Voxels of the source mask that lie outside the image.
        drift_ml: Volume on the image grid minus the volume before; 0 unless resampled.
    """

    mask: Mask
    how: str
    outside: int
    drift_ml: float = 0.0


def require_same_frame(source: Geometry, target: Geometry) -> None:
    """Refuse grids that name different patient coordinate systems.

    Raises:
        GridMismatchError: Both name a frame of reference, and not the same one.
    """
    if len({source.frame_of_reference, target.frame_of_reference} - {None}) > 1:
        raise GridMismatchError(
            "the annotation lies in another frame of reference than the image",
            hint="link it with the series it was made on; resampling cannot register images",
        )


def fit(source: Geometry, target: Geometry) -> Fit | None:
    """Tell how a grid lies on another voxel for voxel: shifted by whole voxels, axes swapped or turned round.

    Args:
        source: The mask's grid.
        target: The image's grid.

    Returns:
        The fit; ``None`` where a voxel centre would lie more than 0.1 voxel beside one of the target. The same
        shape with another affine is another grid.
    """
    to_target = np.linalg.inv(target.matrix) @ source.matrix
    turn = np.rint(to_target[:3, :3])
    if not np.isfinite(to_target).all() or not np.array_equal(np.abs(turn) @ np.ones(3), np.ones(3)):
        return None
    if not np.array_equal(np.abs(turn).T @ np.ones(3), np.ones(3)):
        return None
    meant = np.eye(4)
    meant[:3, :3], meant[:3, 3] = turn, np.rint(to_target[:3, 3])
    corners = np.array([(*one, 1.0) for one in itertools.product(*((0, size - 1) for size in source.shape))]).T
    apart = float(np.abs((to_target - meant) @ corners).max())
    if apart > TOLERANCE_VOXELS:
        return None
    lowest = (meant @ corners)[:3].min(axis=1).astype(int).tolist()
    first, second, third = (int(np.abs(turn[axis]).argmax()) for axis in range(3))
    axes = (first, second, third)
    is_flipped = (turn[0, first] < 0, turn[1, second] < 0, turn[2, third] < 0)
    turned_shape = (source.shape[first], source.shape[second], source.shape[third])
    return Fit(axes, is_flipped, (lowest[0], lowest[1], lowest[2]), turned_shape, apart)


def place(mask: Mask, source: Geometry, target: Geometry, *, resample: bool = False) -> Placed:
    """Put a mask on an image grid.

    Args:
        mask: Boolean array ``[k, j, i]`` on the source grid.
        source: The mask's own grid.
        target: The image's grid.
        resample: Where the grids do not agree, sample the mask (linear, half and more is inside) instead of
            refusing it.

    Raises:
        GridMismatchError: The grids do not agree and resampling was not asked for, or they name different
            frames of reference.
    """
    require_same_frame(source, target)
    found = fit(source, target)
    if found is not None:
        return _pasted(mask, found, target)
    if not resample:
        raise GridMismatchError(f"the annotation was not made on the image's grid: {difference(source, target)}",
                                hint=_RESAMPLE)  # fmt: skip
    from racoon_data.grid.resample import resample_labels  # loads SimpleITK, which few masks need

    sampled = resample_labels(mask, source, target).astype(np.bool_)
    drift = float(sampled.sum()) * target.voxel_ml - float(mask.sum()) * source.voxel_ml
    return Placed(sampled, RESAMPLED, _outside(mask, source, target), drift)


def _pasted(mask: Mask, found: Fit, target: Geometry) -> Placed:
    turned = mask.T.transpose(found.axes)
    turned = turned[tuple(slice(None, None, -1 if flipped else 1) for flipped in found.is_flipped)]
    result = np.zeros(target.array_shape, dtype=np.bool_)
    low = [max(start, 0) for start in found.start]
    high = [
        min(start + size, limit) for start, size, limit in zip(found.start, turned.shape, target.shape, strict=True)
    ]
    if all(first < last for first, last in zip(low, high, strict=True)):
        here = tuple(slice(first, last) for first, last in zip(low, high, strict=True))
        there = tuple(slice(one.start - start, one.stop - start) for one, start in zip(here, found.start, strict=True))
        result.T[here] = turned[there]
    return Placed(result, found.how, int(mask.sum()) - int(result.sum()))


def boxed(mask: Mask) -> BoxedMask:
    """Keep a mask only where it is set."""
    if not mask.any():
        slices, rows, columns = mask.shape
        return BoxedMask((slices, rows, columns), (0, 0, 0), np.zeros((0, 0, 0), dtype=np.bool_))
    spans = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        held = np.flatnonzero(mask.any(axis=others))
        spans.append((int(held[0]), int(held[-1]) + 1))
    (k, k_end), (j, j_end), (i, i_end) = spans
    slices, rows, columns = mask.shape
    return BoxedMask((slices, rows, columns), (k, j, i), mask[k:k_end, j:j_end, i:i_end].copy())


def _outside(mask: Mask, source: Geometry, target: Geometry) -> int:
    """Count the voxels of a mask whose centres lie outside the voxels of an image."""
    index = np.argwhere(mask)[:, ::-1]
    to_target: npt.NDArray[np.float64] = np.linalg.inv(target.matrix) @ source.matrix
    reached = index @ to_target[:3, :3].T + to_target[:3, 3]
    return int(((reached < -0.5) | (reached > np.array(target.shape) - 0.5)).any(axis=1).sum())


def difference(source: Geometry, target: Geometry) -> str:
    """Say in words how two grids differ."""
    ours, theirs = source.matrix[:3, :3], target.matrix[:3, :3]
    spacings = [np.sort(np.array(one.spacing_mm)) for one in (source, target)]
    if not np.allclose(spacings[0], spacings[1], rtol=1e-3, atol=1e-3):
        mine, other = (" x ".join(f"{size:.4g}" for size in one.spacing_mm) for one in (source, target))
        return f"voxels of {mine} mm instead of {other} mm"
    cosines = np.abs((ours / np.linalg.norm(ours, axis=0)).T @ (theirs / np.linalg.norm(theirs, axis=0)))
    if float(cosines.max(axis=1).min()) < 1 - 1e-4:
        return "its axes are turned against the image's"
    to_target = np.linalg.inv(target.matrix) @ source.matrix
    apart = np.abs(to_target[:3, 3] - np.rint(to_target[:3, 3])).max()
    return f"it lies {apart:.2f} voxels beside the image's voxels"
