"""Points and open lines of a structure set: rows of the table, and on request the voxels they touch."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from racoon_data.annotations.contour_items import OpenContour
from racoon_data.annotations.contours import ijk_of
from racoon_data.geometry import Geometry
from racoon_data.labels import BoxedMask, CodedConcept, Finding, Segment
from racoon_data.refs import InstanceRef

# Steps along a line between two voxels: fine enough to enter every voxel it crosses by a tenth.
_STEPS_PER_VOXEL = 10


def open_rows(lines: Sequence[OpenContour], segment: Segment, *, source: InstanceRef, reader: str) -> Iterator[Finding]:
    """Give one row for each point or open line of an ROI.

    The row's value lists the coordinates (mm, LPS) as ``x y z`` after each other, its region the geometric type.
    """
    for line in lines:
        yield Finding(
            source,
            CodedConcept("", "", "Coordinates"),
            value=" ".join(f"{value:.6g}" for value in line.points_lps.reshape(-1)),
            unit="mm",
            finding=segment.type,
            site=segment.region,
            laterality=segment.region_modifier,
            tracking_uid=segment.tracking_uid,
            tracking_id=segment.name,
            reader=reader,
            referenced_sops=tuple(sorted(line.sop_uids)),
            group_kind="contour",
            region=line.kind,
        )


def with_open(lines: Sequence[OpenContour], geometry: Geometry, mask: BoxedMask) -> tuple[BoxedMask, int]:
    """Add the voxels that points lie in and open lines pass through.

    Args:
        lines: Points and open lines.
        geometry: The image grid.
        mask: What closed contours of the ROI hold.

    Returns:
        The mask with them, and how many of them touch no voxel of the image.
    """
    whole, missed = mask.whole(), 0
    for line in lines:
        ijk = np.rint(_sampled(ijk_of(line.points_lps, geometry))).astype(np.int64)
        i, j, k = ijk[((ijk >= 0) & (ijk < np.array(geometry.shape))).all(axis=1)].T
        whole[k, j, i] = True
        missed += not len(k)
    return BoxedMask(geometry.array_shape, (0, 0, 0), whole), missed


def _sampled(ijk: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Place points along a line densely enough that no voxel it crosses is skipped."""
    steps = [np.linspace(a, b, 2 + int(np.abs(b - a).max() * _STEPS_PER_VOXEL)) for a, b in itertools.pairwise(ijk)]
    return np.concatenate([ijk, *steps])
