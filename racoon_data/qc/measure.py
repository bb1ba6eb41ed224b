"""Voxels to facts, each array walked through once or twice: what checks and reports need to know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from isal import isal_zlib

from racoon_data.geometry import SAME_GRID_MM, Geometry
from racoon_data.grid.places import Place, places
from racoon_data.qc.bodies import Body, find_body
from racoon_data.qc.edges import fits, roughness
from racoon_data.qc.facts import ImageFacts, LabelFacts, Measured
from racoon_data.volumes import Volume

# Tissue of a CT stored without its intercept of -1024 stands here.
_UNSCALED_HU = (874.0, 1274.0)
_SAMPLE = 50_000
_INSIDE_SAMPLE = 8_000


def measure(images: Sequence[Volume], labels: tuple[npt.NDArray[Any], Geometry] | None) -> Measured:
    """Measure a case.

    Args:
        images: Channels, in order.
        labels: Label map ``[k, j, i]`` and its grid.
    """
    facts = tuple(map(_image, images))
    if labels is None:
        return Measured(facts)
    first, (array, grid) = images[0], labels
    marks, odd = _whole(array)
    is_same = first.geometry.same_grid(grid, tol_mm=SAME_GRID_MM) and first.array.shape == marks.shape
    body = find_body(first.array, grid, unit=first.unit) if is_same else None
    image = first.array if is_same else None
    measured = tuple(_label(value, place, marks, grid, (image, body)) for value, place in places(marks).items())
    return Measured(facts, grid, measured, odd, body.facts if body else None)


def _image(volume: Volume) -> ImageFacts:
    array = np.ascontiguousarray(volume.array)
    slices = array.reshape(len(array), -1)
    lows, highs = slices.min(axis=1), slices.max(axis=1)
    bad = 0
    if array.dtype.kind == "f" and not (np.isfinite(lows).all() and np.isfinite(highs).all()):
        bad = array.size - int(np.isfinite(array).sum())
    values = _sample(array)
    p01, p50, p99 = (float(value) for value in np.percentile(values, (1, 50, 99))) if values.size else (0.0, 0.0, 0.0)
    unscaled = float(np.mean((values > _UNSCALED_HU[0]) & (values < _UNSCALED_HU[1]))) if values.size else 0.0
    low, high = (
        (float(values.min()), float(values.max())) if bad and values.size else (float(lows.min()), float(highs.max()))
    )
    crc = isal_zlib.crc32(array.reshape(-1).view(np.uint8))
    fingerprint = f"{array.shape} {array.dtype.name} {crc:08x} {low} {high} {p50}"
    return ImageFacts(volume.geometry, low, high, bad, p01, p50, p99, unscaled, _blank_ends(lows == highs), fingerprint)


def _sample(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Take every n-th finite voxel, n odd so that it walks through all columns: enough for percentiles."""
    values = array.reshape(-1)[:: max(1, array.size // _SAMPLE) | 1]
    return np.asarray(values[np.isfinite(values)])


def _blank_ends(is_blank: npt.NDArray[np.bool_]) -> int:
    """Count the slices of one value at both ends; an image that is blank throughout has none."""
    filled = np.flatnonzero(~is_blank)
    return len(is_blank) - int(filled[-1] - filled[0] + 1) if filled.size else 0


def _whole(array: npt.NDArray[Any]) -> tuple[npt.NDArray[np.uint8], tuple[float, ...]]:
    """Give labels as bytes and, apart from them, the values that are no whole numbers from 0 to 255."""
    if array.dtype == np.uint8:
        return array, ()
    fits = np.isfinite(array) & (array >= 0) & (array <= 255)
    marks = np.where(fits, array, 0).astype(np.uint8)
    is_odd = ~fits | (marks != array)
    odd = np.unique(array[is_odd].astype(np.float64))[:8] if is_odd.any() else ()
    return marks, tuple(float(value) for value in odd)


def _label(
    value: int,
    place: Place,
    marks: npt.NDArray[np.uint8],
    grid: Geometry,
    on: tuple[npt.NDArray[Any] | None, Body | None],
) -> LabelFacts:
    image, body = on
    some = place.some(_INSIDE_SAMPLE)
    size_mm = [(stop - start + 1) * mm for start, stop, mm in zip(place.low, place.high, grid.spacing_mm, strict=True)]
    fit, mirrored = fits(some, (marks, value), image, grid) if image is not None else (None, None)
    return LabelFacts(
        value=value,
        voxels=place.voxels,
        ml=place.voxels * grid.voxel_ml,
        centroid_mm=grid.position_lps(place.centre),
        extent_mm=float(np.linalg.norm(size_mm)),
        intensity=None if image is None else float(np.median(image[some])),
        outside_share=body.outside_share(some) if body else None,
        components=place.pieces.count,
        roughness=roughness(place.pieces, grid),
        fit=fit,
        mirrored=mirrored,
    )
