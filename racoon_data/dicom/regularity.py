"""Is a series a regular volume? Simple answers, one for each way it may not be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from racoon_data.dicom.series import Series, SliceHeader

_ORIENTATION, _SPACING_MM, _PLACE_MM = 1e-4, 1e-4, 1e-3


def checks_of(stacks: Sequence[Series]) -> dict[str, bool]:
    """Answer the questions that the geometry checks of the Imaging Data Commons ask of a series.

    Returns:
        ``one_orientation``, ``one_pixel_spacing``, ``one_matrix``, ``unique_positions``, ``uniform_spacing``
        (within 5 % of the slice distance), ``aligned_along_normal`` (no gantry tilt, no shift in the plane) and
        ``axis_aligned``.
    """
    headers = stacks[0].slices
    positions = np.array([header.position_lps for header in headers])
    normal = np.cross(headers[0].row_direction, headers[0].column_direction)
    heights = np.sort(positions @ normal)
    steps = np.diff(heights)
    across = positions - np.outer(positions @ normal, normal)
    directions = np.abs([*headers[0].row_direction, *headers[0].column_direction])
    return {
        "one_orientation": _is_one([(*one.row_direction, *one.column_direction) for one in headers], _ORIENTATION),
        "one_pixel_spacing": _is_one([one.pixel_spacing_mm for one in headers], _SPACING_MM),
        "one_matrix": len({_matrix(one) for one in headers}) == 1,
        "unique_positions": not steps.size or bool(steps.min() > _PLACE_MM),
        "uniform_spacing": not steps.size or bool(np.ptp(steps) <= max(0.05 * float(np.median(steps)), 0.01)),
        "aligned_along_normal": bool(np.ptp(across, axis=0).max() <= 0.1),
        "axis_aligned": bool(((directions < _ORIENTATION) | (directions > 1 - _ORIENTATION)).all()),
    }


def _matrix(header: SliceHeader) -> tuple[int, int]:
    return header.rows, header.columns


def _is_one(values: Sequence[Sequence[float]], tolerance: float) -> bool:
    return bool(np.ptp(np.array(values), axis=0).max() <= tolerance)
