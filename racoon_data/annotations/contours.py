"""Contours in patient space to polygons on the slices of an image."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from racoon_data.annotations.rasterize import Polygon, combine
from racoon_data.geometry import Geometry
from racoon_data.labels import Mask

Points = npt.NDArray[np.float64]

CLOSED = frozenset({"CLOSED_PLANAR", "CLOSEDPLANAR_XOR"})

OBLIQUE = "are not parallel to the image's slices and were left out"
OUTSIDE = "lie outside the image's slices and were left out"
FARTHER = "share a slice with a plane of contours nearer to it and were left out"
OFF_PLANE = "lie more than a tenth of the slice spacing from their slice and were drawn on the nearest one"
BEYOND_EDGE = "reach beyond the edge of the image and were cut there"

_HALF = 0.5 + 1e-6
_OFF_PLANE = 0.1
_SAME_PLANE = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Contour:
    """One closed contour.

    Attributes:
        is_xor: Declared CLOSEDPLANAR_XOR.
        points_lps: Vertices in mm, shape (n, 3).
        sop_uids: Images it says it was drawn on.
    """

    is_xor: bool
    points_lps: Points
    sop_uids: frozenset[str] = frozenset()


def draw(contours: Sequence[Contour], geometry: Geometry) -> tuple[Mask, Counter[str]]:
    """Draw the contours of one ROI on an image grid.

    Slices are found by position in the plane of the grid, so oblique, coronal, sagittal and sheared
    stacks need nothing special.

    Args:
        contours: Closed contours in patient space.
        geometry: The image grid.

    Returns:
        Boolean array ``[k, j, i]`` and a count for each thing that was repaired or left out.
    """
    mask = np.zeros(geometry.array_shape, dtype=np.bool_)
    slices, counts = _by_slice(contours, geometry)
    shape = (geometry.shape[1], geometry.shape[0])
    for k, placed in slices.items():
        is_xor = any(contour.is_xor for contour, _ in placed)
        mask[k], nesting = combine([polygon for _, polygon in placed], shape=shape, xor=is_xor)
        counts += nesting
    return mask, counts


def _by_slice(
    contours: Sequence[Contour], geometry: Geometry
) -> tuple[dict[int, list[tuple[Contour, Polygon]]], Counter[str]]:
    counts: Counter[str] = Counter()
    found: dict[int, list[tuple[float, Contour, Polygon]]] = defaultdict(list)
    inverse = np.linalg.inv(geometry.matrix)
    for contour in contours:
        ijk = contour.points_lps @ inverse[:3, :3].T + inverse[:3, 3]
        height = float(ijk[:, 2].mean())
        nearest = int(np.floor(height + 0.5))
        if complaint := _complaint(ijk, nearest, geometry.shape[2]):
            counts[complaint] += 1
            continue
        counts[BEYOND_EDGE] += _reaches_beyond(ijk, geometry)
        found[nearest].append((height - nearest, contour, ijk[:, :2]))
    return {k: _nearest_plane(found[k], counts) for k in sorted(found)}, +counts


def _complaint(ijk: Points, nearest: int, slices: int) -> str:
    if np.abs(ijk[:, 2] - ijk[:, 2].mean()).max() > _HALF:
        return OBLIQUE
    return "" if 0 <= nearest < slices else OUTSIDE


def _reaches_beyond(ijk: Points, geometry: Geometry) -> bool:
    edge = np.array([geometry.shape[0], geometry.shape[1]]) - 0.5
    return bool((ijk[:, :2] < -0.5).any() or (ijk[:, :2] > edge).any())


def _nearest_plane(placed: list[tuple[float, Contour, Polygon]], counts: Counter[str]) -> list[tuple[Contour, Polygon]]:
    """Keep the one plane of contours nearest to the slice: planes must not punch holes into each other."""
    best = min((offset for offset, _, _ in placed), key=lambda offset: (round(abs(offset), 6), offset))
    kept = [(contour, polygon) for offset, contour, polygon in placed if abs(offset - best) <= _SAME_PLANE]
    counts[FARTHER] += len(placed) - len(kept)
    counts[OFF_PLANE] += len(kept) if abs(best) > _OFF_PLANE else 0
    return kept
