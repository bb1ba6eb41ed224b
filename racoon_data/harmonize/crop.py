"""Which box of an image is kept: around what is not zero, the body, or the labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from racoon_data.cases import Case
from racoon_data.geometry import SAME_GRID_MM, Geometry, as_affine
from racoon_data.grid.boxes import Box, boxes_of, carried, cut
from racoon_data.harmonize.intensity import body_mask
from racoon_data.harmonize.steps import step
from racoon_data.labels import IGNORE, Annotation, SegmentMask
from racoon_data.volumes import Volume


def crop(case: Case, kind: str, *, margin_mm: float) -> Case:
    """Cut a case to a box on the grid of its first channel; what lies on other grids is left for resampling.

    Args:
        case: Channels and labels, turned to their final orientation.
        kind: ``none``, ``nonzero``, ``body`` or ``labels``.
        margin_mm: Kept around the box on every side, as far as the image goes.

    Returns:
        The case with a step that names the box and the labelled voxels outside it; unchanged where there is nothing
        to find the box by.
    """
    grid = case.channels[0].volume.geometry
    found = _box(case, kind, grid)
    if kind == "none":
        return case
    if found is None:
        return replace(case, steps=(*case.steps, step("crop", kind=kind, box=None)))
    box = _widened(found, grid, margin_mm)
    channels = tuple(replace(one, volume=_cut_volume(one.volume, grid, box)) for one in case.channels)
    label_map, lost = case.label_map, 0
    if label_map is not None and label_map.geometry.same_grid(grid, tol_mm=SAME_GRID_MM):
        kept = np.ascontiguousarray(cut(label_map.array, box))
        lost = int(np.count_nonzero(label_map.array) - np.count_nonzero(kept))
        label_map = replace(label_map, array=kept, geometry=cut_geometry(label_map.geometry, box))
    done = step(
        "crop", kind=kind, margin_mm=margin_mm, box=[list(box.start), list(box.stop)], label_voxels_outside=lost
    )
    annotations = tuple(_cut_annotation(one, grid, box) for one in case.annotations)
    return replace(case, channels=channels, label_map=label_map, annotations=annotations, steps=(*case.steps, done))


def cut_geometry(grid: Geometry, box: Box) -> Geometry:
    """Give the grid of a box of voxels."""
    matrix = grid.matrix
    matrix[:3, 3] = grid.position_lps(box.start)
    return Geometry(box.shape, as_affine(matrix), grid.frame_of_reference)


def _box(case: Case, kind: str, grid: Geometry) -> Box | None:
    """Find the box on the first channel's grid."""
    if kind == "labels":
        label_map = case.label_map
        if label_map is None:
            return None
        named = ((label_map.array != 0) & (label_map.array != IGNORE)).view(np.uint8)
        box = boxes_of(named).get(1)
        to_grid = np.linalg.inv(grid.matrix) @ label_map.geometry.matrix
        is_same = label_map.geometry.same_grid(grid, tol_mm=SAME_GRID_MM)
        return box if box is None or is_same else carried(box, to_grid, grid.shape)
    if kind == "body":
        return boxes_of(body_mask(case.channels[0].volume.array).view(np.uint8)).get(1)
    images = [one.volume for one in case.channels if one.volume.geometry.same_grid(grid, tol_mm=SAME_GRID_MM)]
    return boxes_of(_any_nonzero([one.array for one in images]).view(np.uint8)).get(1)


def _any_nonzero(arrays: Sequence[npt.NDArray[Any]]) -> npt.NDArray[np.bool_]:
    found = arrays[0] != 0
    for array in arrays[1:]:
        found = np.logical_or(found, array != 0)
    return np.ascontiguousarray(found)


def _widened(box: Box, grid: Geometry, margin_mm: float) -> Box:
    voxels = np.ceil(margin_mm / np.array(grid.spacing_mm)).astype(int)
    start = np.maximum(np.array(box.start) - voxels, 0).tolist()
    stop = np.minimum(np.array(box.stop) + voxels, grid.shape).tolist()
    return Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))


def _cut_volume(volume: Volume, grid: Geometry, box: Box) -> Volume:
    if not volume.geometry.same_grid(grid, tol_mm=SAME_GRID_MM):
        return volume
    return Volume(np.ascontiguousarray(cut(volume.array, box)), cut_geometry(volume.geometry, box), volume.unit)


def _cut_annotation(annotation: Annotation, grid: Geometry, box: Box) -> Annotation:
    own = annotation.geometry
    if own is None or not own.same_grid(grid, tol_mm=SAME_GRID_MM):
        return annotation
    masks = tuple(SegmentMask(one.segment, np.ascontiguousarray(cut(one.mask, box))) for one in annotation.masks)
    return replace(annotation, masks=masks, geometry=cut_geometry(own, box))
