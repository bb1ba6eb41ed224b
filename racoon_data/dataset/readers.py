"""Unfused readers: every outlined segment kept as it came, in as few label files as overlap allows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from racoon_data.dataset.layout import reader_path
from racoon_data.dataset.sidecar import segment_part
from racoon_data.files.case_sidecar import ReaderPart
from racoon_data.geometry import Geometry
from racoon_data.labels import Annotation, SegmentMask

_MAX_VALUE = 255


def reader_files(
    case_id: str, annotations: Sequence[Annotation]
) -> Iterator[tuple[ReaderPart, npt.NDArray[np.uint8], Geometry]]:
    """Lay out the masks of every reader.

    Args:
        case_id: The case.
        annotations: Annotations of the case; those without masks have no file.

    Yields:
        Path and legend of a file, its uint8 values ``[k, j, i]`` and its grid, by reader.
    """
    by_reader: dict[str, list[Annotation]] = defaultdict(list)
    for annotation in sorted(annotations, key=lambda annotation: annotation.source):
        by_reader[annotation.reader].append(annotation)
    for reader, own in sorted(by_reader.items()):
        for number, (geometry, layer) in enumerate(_layers(own)):
            segments = tuple(segment_part(mask.segment, value=value) for value, mask in enumerate(layer, start=1))
            path = reader_path(case_id, reader, number)
            yield ReaderPart(path=path, reader=reader, segments=segments), _values(layer, geometry), geometry


def _layers(annotations: Sequence[Annotation]) -> Iterator[tuple[Geometry, list[SegmentMask]]]:
    by_grid: dict[Geometry, list[SegmentMask]] = defaultdict(list)
    for annotation in annotations:
        if annotation.geometry is not None:
            by_grid[annotation.geometry].extend(annotation.masks)
    for geometry, masks in by_grid.items():
        for layer in without_overlap(masks):
            yield geometry, layer


def without_overlap(masks: Sequence[SegmentMask]) -> list[list[SegmentMask]]:
    """Share masks out to as few layers as greed finds, so that in a layer none covers another."""
    layers: list[tuple[npt.NDArray[np.bool_], list[SegmentMask]]] = []
    for mask in masks:
        for covered, layer in layers:
            if len(layer) < _MAX_VALUE and not (covered & mask.mask).any():
                covered |= mask.mask
                layer.append(mask)
                break
        else:
            layers.append((mask.mask.copy(), [mask]))
    return [layer for _, layer in layers]


def _values(layer: Sequence[SegmentMask], geometry: Geometry) -> npt.NDArray[np.uint8]:
    array = np.zeros(geometry.array_shape, dtype=np.uint8)
    for value, mask in enumerate(layer, start=1):
        array[mask.mask] = value
    return array
