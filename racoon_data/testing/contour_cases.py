"""Structure sets with known truth: what tools draw, and the masks it means, voxel for voxel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from racoon_data.geometry import Geometry, as_affine
from racoon_data.labels import Mask
from racoon_data.testing.makers import Contour, MadeSeries, a_series, rectangle
from racoon_data.volumes import Volume

# Corner positions half a voxel beside the centres: what lies inside is never in doubt.
_OUTER, _INNER, _CORE = ((2.5, 16.5), (3.5, 13.5)), ((5.5, 12.5), (5.5, 10.5)), ((7.5, 9.5), (6.5, 8.5))


@dataclass(frozen=True, slots=True)
class ContourCase:
    """Contours of one ROI and the voxels they mean.

    Attributes:
        name: What is drawn.
        contours: The lines.
        boxes: Boxes that are inside, each (k, first column, last column, first row, last row); a box that
            lies in one before it is cut out.
    """

    name: str
    contours: tuple[Contour, ...]
    boxes: tuple[tuple[int, int, int, int, int], ...]

    def truth(self, geometry: Geometry) -> Mask:
        """Give the mask ``[k, j, i]`` the contours mean."""
        mask = np.zeros(geometry.array_shape, dtype=np.bool_)
        for k, left, right, top, bottom in self.boxes:
            mask[k, top : bottom + 1, left : right + 1] ^= True
        return mask


def _ring(k: int, kind: str = "CLOSED_PLANAR") -> tuple[Contour, Contour]:
    outer, inner = (rectangle(k, columns=columns, rows=rows) for columns, rows in (_OUTER, _INNER))
    return replace(outer, kind=kind), replace(inner, kind=kind)


def _keyhole(k: int) -> Contour:
    (left, right), (top, bottom) = _OUTER
    (inner_left, inner_right), (inner_top, inner_bottom) = _INNER
    slit = 7.25
    outer = ((left, slit), (left, top), (right, top), (right, bottom), (left, bottom), (left, slit))
    hole = (
        (inner_left, slit), (inner_left, inner_bottom), (inner_right, inner_bottom), (inner_right, inner_top),
        (inner_left, inner_top), (inner_left, slit),
    )  # fmt: skip
    return Contour(k, (*outer, *hole))


_RING_BOXES = ((4, 3, 16, 4, 13), (4, 6, 12, 6, 10))
_PATH = Contour(4, ((3, 4), (16, 4), (16, 13), (3, 13)))

CONTOUR_CASES: tuple[ContourCase, ...] = (
    ContourCase("square", (rectangle(4, columns=(2.5, 16.5), rows=(3.5, 13.5)),), _RING_BOXES[:1]),
    ContourCase("path through the centres", (_PATH,), _RING_BOXES[:1]),
    ContourCase("drawn the other way round", (Contour(4, _PATH.points_ij[::-1]),), _RING_BOXES[:1]),
    ContourCase("closed by its first point again", (Contour(4, (*_PATH.points_ij, (3, 4))),), _RING_BOXES[:1]),
    ContourCase("hole as a second plain contour", _ring(4), _RING_BOXES),
    ContourCase("keyhole", (_keyhole(4),), _RING_BOXES),
    ContourCase("declared XOR", _ring(4, "CLOSEDPLANAR_XOR"), _RING_BOXES),
    ContourCase(
        "island in the hole",
        (*_ring(4), rectangle(4, columns=_CORE[0], rows=_CORE[1])),
        (*_RING_BOXES, (4, 8, 9, 7, 8)),
    ),
    ContourCase(
        "two islands",
        (rectangle(4, columns=(1.5, 4.5), rows=(1.5, 4.5)), rectangle(4, columns=(8.5, 12.5), rows=(1.5, 6.5))),
        ((4, 2, 4, 2, 4), (4, 9, 12, 2, 6)),
    ),
    ContourCase(
        "every second slice",
        tuple(rectangle(k, columns=(2.5, 6.5), rows=(3.5, 8.5)) for k in (1, 3, 5)),
        tuple((k, 3, 6, 4, 8) for k in (1, 3, 5)),
    ),
    ContourCase("0.4 slice off its plane", (replace(_PATH, k=4.4),), _RING_BOXES[:1]),
    ContourCase("beyond the edge", (rectangle(4, columns=(-9.5, 4.5), rows=(3.5, 8.5)),), ((4, 0, 4, 4, 8),)),
    ContourCase(
        "first and last slice",
        (replace(_PATH, k=-0.4), replace(_PATH, k=7.4)),
        tuple((k, 3, 16, 4, 13) for k in (0, 7)),
    ),
)


def a_grid(folder: Path, kind: str) -> MadeSeries:
    """Make a series of 8 slices for the cases.

    Args:
        folder: Where it goes.
        kind: A name of ``ORIENTATIONS``, or ``tilted``: axial slices under a gantry of 18 degrees, whose
            truth holds the sheared grid (the files themselves stand for it by their number only).
    """
    if kind != "tilted":
        return a_series(folder, slices=8, orientation=kind)
    made = a_series(folder, slices=8)
    return replace(made, truth=Volume(made.truth.array, _tilted(made.geometry), made.truth.unit))


def _tilted(geometry: Geometry, degrees: float = 18.0) -> Geometry:
    matrix = geometry.matrix
    matrix[1, 2] = np.tan(np.radians(degrees)) * matrix[2, 2]
    return Geometry(geometry.shape, as_affine(matrix), geometry.frame_of_reference)


def contours_by_name(cases: Sequence[ContourCase]) -> dict[str, Sequence[Contour]]:
    """Give the contours of cases as ``an_rtstruct`` takes them."""
    return {case.name: case.contours for case in cases}
