"""The grid a DICOM segmentation was made on, from its frames: to link it by geometry and to resample it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from racoon_data.annotations.frames import WATCHED, Frame, frames_of, slice_step_mm
from racoon_data.dicom.guard import scan
from racoon_data.dicom.headers import read_dataset, text_of, whole_of
from racoon_data.errors import GridMismatchError
from racoon_data.geometry import Geometry, as_affine

# Positions are often written with two decimals.
_STEP_TOLERANCE = 0.05


def seg_grid(path: Path) -> Geometry:
    """Lay a regular grid through the frames of a segmentation.

    Args:
        path: The SEG file.

    Raises:
        GridMismatchError: Its frames name no planes, turn against one another, or are unevenly spaced.
        DicomError: The file cannot be parsed.
    """
    scanned = scan(path, watch=WATCHED)
    dataset = read_dataset(path, is_scanned=True)
    frames = frames_of(dataset, scanned)
    first = frames[0]
    if any(one.position_lps is None or one.cosines != first.cosines for one in frames):
        raise _no_grid("its frames name no planes, or turn against one another")
    if first.cosines is None or first.pixel_spacing_mm is None:
        raise _no_grid("its frames do not say how they lie")
    right, down = np.array(first.cosines[:3]), np.array(first.cosines[3:])
    normal = np.cross(right, down)
    heights = np.array([normal @ np.array(one.position_lps) for one in frames])
    step, count = _steps(heights, slice_step_mm(dataset))
    lowest = np.array(frames[int(heights.argmin())].position_lps)
    matrix = np.eye(4)
    matrix[:3, 0], matrix[:3, 1] = right * first.pixel_spacing_mm[1], down * first.pixel_spacing_mm[0]
    matrix[:3, 2], matrix[:3, 3] = normal * step, lowest
    shape = (whole_of(dataset, "Columns"), whole_of(dataset, "Rows"), count)
    _require_straight(frames, heights, lowest, normal)
    return Geometry(shape, as_affine(matrix), text_of(dataset, "FrameOfReferenceUID") or None)


def _steps(heights: np.ndarray, declared: float | None) -> tuple[float, int]:
    """Give the distance of slices and how many there are; absent ones are counted."""
    levels = np.unique(np.round(heights, 3))
    if len(levels) < 2:
        return (declared or 1.0), 1
    step = float(np.diff(levels).min())
    step = declared if declared and abs(step / declared - round(step / declared)) < _STEP_TOLERANCE else step
    count = (levels[-1] - levels[0]) / step
    places = (levels - levels[0]) / step
    if np.abs(places - np.rint(places)).max() > _STEP_TOLERANCE:
        raise _no_grid("its frames are unevenly spaced")
    return step, round(count) + 1


def _require_straight(frames: tuple[Frame, ...], heights: np.ndarray, lowest: np.ndarray, normal: np.ndarray) -> None:
    for frame, height in zip(frames, heights, strict=True):
        beside = np.array(frame.position_lps) - lowest - normal * (height - heights.min())
        if float(np.linalg.norm(beside)) > _STEP_TOLERANCE:
            raise _no_grid("its frames do not stand one above the other")


def _no_grid(why: str) -> GridMismatchError:
    return GridMismatchError(f"the segmentation has no grid of its own: {why}", hint="export it from its series again")
