"""Regions of a report (SCOORD on an image, SCOORD3D in a frame of reference) to masks on the image grid."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from racoon_data.annotations.contours import OBLIQUE, OFF_PLANE, Contour, Points, draw, ijk_of
from racoon_data.annotations.ellipses import mark_ellipse
from racoon_data.annotations.slice_names import SliceNames, SourceImage
from racoon_data.errors import (
    AmbiguousReferenceError,
    AnnotationError,
    BrokenItemError,
    DanglingReferenceError,
    EmptyItemError,
    GridMismatchError,
    OutsideImageError,
)
from racoon_data.geometry import Geometry
from racoon_data.labels import Mask
from racoon_data.policies import Nesting

# Points a graphic type needs at least (PS3.3 C.18.6.1.2 and C.18.9.1.2).
_NEEDED = {"POINT": 1, "MULTIPOINT": 1, "POLYLINE": 2, "POLYGON": 3, "CIRCLE": 2, "ELLIPSE": 4, "ELLIPSOID": 6}
_FARTHEST = 1e5
_STEPS_PER_VOXEL = 10


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """One graphic of a report.

    Attributes:
        item: Where it stands, such as ``item 1.4.2``.
        kind: ``SCOORD`` or ``SCOORD3D``.
        graphic: Graphic type.
        points: Column and row in pixels from the top left corner of the image, shape (n, 2), or mm LPS, (n, 3).
        images: Images it was drawn on.
        frame_of_reference: Of a SCOORD3D.
    """

    item: str
    kind: str
    graphic: str
    points: Points
    images: tuple[SourceImage, ...] = ()
    frame_of_reference: str = ""

    @property
    def is_area(self) -> bool:
        """Tell whether it encloses something; a line whose ends meet does."""
        if self.graphic != "POLYLINE":
            return self.graphic not in ("POINT", "MULTIPOINT")
        return len(self.points) > 3 and bool((self.points[0] == self.points[-1]).all())


@dataclass(slots=True)
class Drawn:
    """What a group's regions cover.

    Attributes:
        areas: Voxels ``[k, j, i]`` inside closed graphics.
        lines: Voxels that points lie in and open lines pass through.
        issues: Region item, kind of error and what happened.
    """

    areas: Mask
    lines: Mask
    issues: list[tuple[str, type[AnnotationError], str]] = field(default_factory=list)


def complaint_about(graphic: str, points: Points, *, dimensions: int) -> str:
    """Say what is wrong with a graphic, nothing where it can be drawn.

    Args:
        graphic: Graphic type.
        points: All its numbers, flat.
        dimensions: Numbers per point.
    """
    if graphic not in _NEEDED:
        return f"has graphic type {graphic or 'none'}, which the standard does not know"
    if points.size % dimensions or not (np.abs(points) <= _FARTHEST).all():
        return "has coordinates that are no numbers or incomplete"
    if points.size // dimensions < _NEEDED[graphic]:
        return f"is a {graphic} of too few points"
    return ""


def draw_regions(
    regions: Sequence[Region], geometry: Geometry, slices: SliceNames, *, nesting: Nesting = Nesting.XOR
) -> Drawn:
    """Draw the regions of one measurement group on an image grid.

    Closed graphics hold the voxels whose centres lie inside or on them; points and open lines the voxels
    they touch. A SCOORD counts pixels from the corner of the first pixel, whose centre is (0.5, 0.5).

    Args:
        regions: The graphics.
        geometry: The image grid.
        slices: Which slices images and frames are.
        nesting: What closed lines inside others mean.
    """
    shape = geometry.array_shape
    drawn = Drawn(areas=np.zeros(shape, dtype=np.bool_), lines=np.zeros(shape, dtype=np.bool_))
    contours: list[Contour] = []
    for region in regions:
        for placed in _placed(region, geometry, slices, drawn):
            if not region.is_area:
                _mark_line(region, placed, geometry, drawn)
            elif region.graphic in ("POLYLINE", "POLYGON"):
                contours.append(Contour(is_xor=False, points_lps=placed))
                _check(region, [contours[-1]], geometry, drawn)
            else:
                _mark_round(region, placed, geometry, drawn)
    drawn.areas |= draw(contours, geometry, nesting=nesting)[0].whole()
    return drawn


def _placed(region: Region, geometry: Geometry, slices: SliceNames, drawn: Drawn) -> list[Points]:
    """Give the points in mm LPS, once for each frame it was drawn on; none, with an issue, where it lies elsewhere."""
    if region.kind == "SCOORD3D":
        frames = {region.frame_of_reference, geometry.frame_of_reference or ""} - {""}
        if len(frames) < 2:
            return [region.points]
        drawn.issues.append((region.item, GridMismatchError, "lies in another frame of reference and was not drawn"))
        return []
    found = slices.of_all(region.images)
    if not found:
        what = "was drawn on an image or frame that is not in this series and was not drawn"
        drawn.issues.append((region.item, DanglingReferenceError, what))
        return []
    if len(found) > 1 and not any(image.frames for image in region.images):
        what = "does not say which frame of its image it was drawn on and was not drawn"
        drawn.issues.append((region.item, AmbiguousReferenceError, what))
        return []
    return [_on_slice(region.points, k, geometry) for k in sorted(found)]


def _on_slice(points: Points, k: int, geometry: Geometry) -> Points:
    ijk = np.column_stack([points - 0.5, np.full(len(points), float(k))])
    placed: Points = ijk @ geometry.matrix[:3, :3].T + geometry.matrix[:3, 3]
    return placed


def _check(region: Region, contours: Sequence[Contour], geometry: Geometry, drawn: Drawn) -> None:
    """Say where a closed line is cut or left out; each is drawn once more with its group, where lines nest."""
    mask, counts = draw(contours, geometry)
    for what, count in sorted(counts.items()):
        kind = GridMismatchError if what in (OBLIQUE, OFF_PLANE) else OutsideImageError
        drawn.issues.append((region.item, kind, f"{count} line(s) {what}"))
    if not counts and not mask.piece.any():
        drawn.issues.append((region.item, EmptyItemError, "encloses no voxel centre of the image"))


def _mark_round(region: Region, points: Points, geometry: Geometry, drawn: Drawn) -> None:
    try:
        marked = mark_ellipse(region.graphic, points, geometry, drawn.areas)
    except ValueError as error:
        drawn.issues.append((region.item, BrokenItemError, f"{error} and was not drawn"))
        return
    if not marked:
        drawn.issues.append((region.item, EmptyItemError, "encloses no voxel centre of the image"))


def _mark_line(region: Region, points: Points, geometry: Geometry, drawn: Drawn) -> None:
    ijk = ijk_of(points, geometry)
    if not mark_touched(ijk if region.graphic == "MULTIPOINT" else sampled(ijk), geometry, drawn.lines):
        drawn.issues.append((region.item, OutsideImageError, "touches no voxel of the image"))


def sampled(ijk: Points) -> Points:
    """Place points along a line densely enough that no voxel it crosses by a tenth is skipped."""
    steps = [np.linspace(a, b, 2 + int(np.abs(b - a).max() * _STEPS_PER_VOXEL)) for a, b in itertools.pairwise(ijk)]
    return np.concatenate([ijk, *steps])


def mark_touched(ijk: Points, geometry: Geometry, mask: Mask) -> bool:
    """Mark the voxels that points (i, j, k) lie in; tells whether there is one on the image."""
    nearest = np.floor(ijk + 0.5).astype(np.int64)
    i, j, k = nearest[((nearest >= 0) & (nearest < np.array(geometry.shape))).all(axis=1)].T
    mask[k, j, i] = True
    return bool(len(k))
