"""Points and open lines of a structure set: rows of the table, and on request the voxels they touch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from racoon_data.annotations.contour_items import OpenContour
from racoon_data.annotations.contours import ijk_of
from racoon_data.annotations.regions import mark_touched, sampled
from racoon_data.geometry import Geometry
from racoon_data.labels import BoxedMask, CodedConcept, Finding, Segment
from racoon_data.refs import InstanceRef


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
        missed += not mark_touched(sampled(ijk_of(line.points_lps, geometry)), geometry, whole)
    return BoxedMask(geometry.array_shape, (0, 0, 0), whole), missed
