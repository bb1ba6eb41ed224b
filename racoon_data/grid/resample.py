"""Carry images and labels from one grid to another.

The mapping runs in index space: SimpleITK sees unit grids and an affine transform from target
index to source index. So oblique, left-handed and sheared (gantry-tilted) grids are all exact,
although a SimpleITK image cannot itself express shear.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk  # noqa: N813 - the library's own habit

from racoon_data.errors import SettingsError
from racoon_data.geometry import Geometry, Point, as_affine
from racoon_data.grid.boxes import Box, around, boxes_of, carried, cut, on, within
from racoon_data.volumes import Volume

IMAGE_INTERPOLATIONS = ("linear", "nearest", "bspline")
LABEL_INTERPOLATIONS = ("linear", "nearest", "distance")
AIR_HU = -1024.0

# Shares this close are equal. Half and half goes to the label, because halving the resolution makes
# many exact ties and small lesions would lose them all; between labels the smaller value wins.
_TIE = np.float32(1e-5)
_MARGIN = 3  # voxels around a label whose distance is measured
_FAR_MM = 1e3

_SITK = {"linear": sitk.sitkLinear, "nearest": sitk.sitkNearestNeighbor, "bspline": sitk.sitkBSpline}


def target_grid(geometry: Geometry, spacing_mm: Point) -> Geometry:
    """Lay a grid of another spacing over the space a grid covers.

    The box around all voxel *edges* is kept: the new grid has the same centre, and as many voxels as
    fit it best (rounded to the nearest whole number, at least one), so no side moves by more than a
    quarter of a new voxel. Axes keep their directions; a sheared grid gets square axes (along its i,
    in its i-j plane, and across), because most NIfTI readers refuse shear.

    Args:
        geometry: Grid to cover.
        spacing_mm: Spacing along i, j, k of the new grid.
    """
    axes = _square_axes(geometry)
    edges = np.array([[-0.5, size - 0.5] for size in geometry.shape])
    corners = np.array([(i, j, k, 1.0) for i in edges[0] for j in edges[1] for k in edges[2]]).T
    inside = axes.T @ (geometry.matrix @ corners)[:3]
    low, high = inside.min(axis=1), inside.max(axis=1)
    spacing = np.array(spacing_mm, dtype=np.float64)
    sizes = [max(1, math.floor(round(float(ratio), 6) + 0.5)) for ratio in (high - low) / spacing]
    first = axes @ ((low + high) / 2 - spacing * (np.array(sizes) - 1) / 2)
    matrix = np.eye(4)
    matrix[:3, :3] = axes * spacing
    matrix[:3, 3] = first
    return Geometry((sizes[0], sizes[1], sizes[2]), as_affine(np.round(matrix, 9) + 0.0), geometry.frame_of_reference)


def resample_image(
    volume: Volume, geometry: Geometry, *, interpolation: str = "linear", outside: float | None = None
) -> Volume:
    """Sample an image on another grid.

    No smoothing is applied before thinning out. Values between grids are float32; ``nearest`` keeps
    the dtype; ``bspline`` (cubic) is held inside the range of the source, so it does not ring.

    Args:
        volume: Image of any real dtype.
        geometry: Grid to sample on; patient space is taken to be the same.
        interpolation: ``linear``, ``nearest`` or ``bspline``.
        outside: Value beyond the source; by default air (-1024) for HU, else the image's minimum.

    Raises:
        SettingsError: The interpolation is not known.
    """
    _check(interpolation, IMAGE_INTERPOLATIONS)
    padding = outside_value(volume) if outside is None else outside
    if interpolation == "nearest" and np.issubdtype(volume.array.dtype, np.integer):
        padding = max(padding, float(np.iinfo(volume.array.dtype).min))
    array = _sample(volume.array, _index_map(volume.geometry, geometry), geometry.shape, interpolation, padding)
    if interpolation == "bspline":
        low, high = min(float(volume.array.min()), padding), max(float(volume.array.max()), padding)
        array = np.clip(array, low, high)
    return Volume(array, geometry, volume.unit)


def outside_value(volume: Volume) -> float:
    """Give the value of space beyond an image: air for HU, else the smallest finite value."""
    if volume.unit == "HU":
        return AIR_HU
    finite = volume.array[np.isfinite(volume.array)]
    return float(finite.min()) if finite.size else 0.0


def resample_labels(
    array: npt.NDArray[Any], source: Geometry, target: Geometry, *, interpolation: str = "linear"
) -> npt.NDArray[Any]:
    """Sample label values (or a mask) on another grid; background 0 lies outside.

    ``linear`` carries each label as its own smooth field and lets the strongest win, label against
    background included, which keeps small lesions and smooth borders where ``nearest`` makes steps.
    ``distance`` carries the signed distance to each label's border: organs come out smoother and their volume closer,
    lesions of a few voxels smaller (a table stands in docs/harmonize.md).
    Only the box around each label is touched, so many small components cost little.

    Args:
        array: Whole numbers or booleans indexed ``[k, j, i]``.
        source: Their grid.
        target: Grid to sample on.
        interpolation: ``linear``, ``distance`` or ``nearest``.

    Returns:
        Values of the same dtype on the target grid.

    Raises:
        SettingsError: The interpolation is not known.
    """
    _check(interpolation, LABEL_INTERPOLATIONS)
    index_map = _index_map(source, target)
    labels = array.view(np.uint8) if array.dtype == np.bool_ else array
    if interpolation == "nearest":
        sampled = _sample(np.ascontiguousarray(labels), index_map, target.shape, "nearest", 0.0)
    else:
        is_distance = interpolation == "distance"
        spacing = source.spacing_mm if is_distance else None
        sampled = _strongest(np.ascontiguousarray(labels), index_map, target.shape, spacing)
    return sampled.view(np.bool_) if array.dtype == np.bool_ else sampled


def _strongest(
    labels: npt.NDArray[Any],
    index_map: npt.NDArray[np.float64],
    shape: tuple[int, int, int],
    spacing_mm: Point | None,
) -> npt.NDArray[Any]:
    """Let the strongest field win: shares of labels (background has the rest), or distances (positive inside)."""
    result = np.zeros(shape[::-1], dtype=labels.dtype)
    to_target = np.linalg.inv(index_map).astype(np.float64)
    heres = boxes_of(labels, margin=_MARGIN if spacing_mm else 1)
    theres = {value: there for value, here in heres.items() if (there := carried(here, to_target, shape))}
    if not theres:
        return result
    block = around(theres.values())
    winner = cut(result, block)
    best, total = np.zeros((2, *winner.shape), dtype=np.float32)
    if spacing_mm:
        best -= 2 * _TIE
    for value, there in theres.items():
        here, inside = heres[value], within(there, block)
        mask = cut(labels, here) == value
        if spacing_mm:
            share = _distance(mask, spacing_mm, on(index_map, source=here, target=there), there)
        else:
            share = _share(mask, index_map, here, there)
            cut(total, inside)[...] += share
        stronger = share > cut(best, inside) + _TIE
        cut(best, inside)[stronger] = share[stronger]
        cut(winner, inside)[stronger] = value
    if not spacing_mm:
        winner[best < 1.0 - total - _TIE] = 0
    return result


def _share(mask: npt.NDArray[np.bool_], index_map: npt.NDArray[np.float64], here: Box, there: Box) -> Any:
    """Sample one label's field, cut out at ``here``, on the block ``there`` of the target grid."""
    shifted = on(index_map, source=here, target=there)
    return _sample(mask.view(np.uint8), shifted, there.shape, "linear", 0.0)


def _distance(mask: npt.NDArray[np.bool_], spacing_mm: Point, index_map: npt.NDArray[np.float64], there: Box) -> Any:
    """Sample one label's signed distance (mm, positive inside): half of the map inside minus the map outside.

    A map on its own is zero at the outermost voxels instead of between them and the first voxel outside.
    """
    maps = [_signed_distance(one, spacing_mm) for one in (mask, ~mask)]
    return _sample((maps[0] - maps[1]) / np.float32(2), index_map, there.shape, "linear", -_FAR_MM)


def _signed_distance(mask: npt.NDArray[np.bool_], spacing_mm: Point) -> npt.NDArray[np.float32]:
    if mask.all() or not mask.any():
        return np.full(mask.shape, _FAR_MM if mask.all() else -_FAR_MM, dtype=np.float32)
    image = sitk.GetImageFromArray(np.ascontiguousarray(mask).view(np.uint8))
    image.SetSpacing([float(mm) for mm in spacing_mm])
    finder = sitk.SignedMaurerDistanceMapImageFilter()
    finder.SetNumberOfThreads(1)
    finder.SquaredDistanceOff()
    finder.UseImageSpacingOn()
    finder.InsideIsPositiveOn()
    distances: npt.NDArray[np.float32] = sitk.GetArrayFromImage(finder.Execute(image))
    return distances


def _sample(
    array: npt.NDArray[Any],
    index_map: npt.NDArray[np.float64],
    shape: tuple[int, int, int],
    interpolation: str,
    outside: float,
) -> npt.NDArray[Any]:
    resampler = sitk.ResampleImageFilter()
    resampler.SetNumberOfThreads(1)  # workers run side by side; the same bytes on every machine
    resampler.SetSize([int(size) for size in shape])
    resampler.SetInterpolator(_SITK[interpolation])
    resampler.SetDefaultPixelValue(outside)
    if interpolation != "nearest":
        resampler.SetOutputPixelType(sitk.sitkFloat32)
    resampler.SetTransform(sitk.AffineTransform(index_map[:3, :3].ravel().tolist(), index_map[:3, 3].tolist()))
    sampled: npt.NDArray[Any] = sitk.GetArrayFromImage(resampler.Execute(sitk.GetImageFromArray(array)))
    return sampled


def _index_map(source: Geometry, target: Geometry) -> npt.NDArray[np.float64]:
    """Give the 4x4 matrix from target index to source index, rounded so that noise cannot move a voxel."""
    return np.round(np.linalg.inv(source.matrix) @ target.matrix, 9)


def _square_axes(geometry: Geometry) -> npt.NDArray[np.float64]:
    first, second, third = geometry.matrix[:3, :3].T
    first = first / np.linalg.norm(first)
    second = second - first * (first @ second)
    second = second / np.linalg.norm(second)
    across = np.cross(first, second)
    return np.stack([first, second, across if across @ third > 0 else -across], axis=1)


def _check(interpolation: str, known: tuple[str, ...]) -> None:
    if interpolation not in known:
        raise SettingsError(f"{interpolation!r} is no interpolation", hint=f"one of: {', '.join(known)}")
