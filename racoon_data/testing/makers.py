"""Makers of synthetic DICOM: image series with known truth."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from racoon_data.refs import SeriesRef
from racoon_data.testing.bad_input import not_dicom, truncated
from racoon_data.testing.headers import file_meta, series_header
from racoon_data.testing.reports import Measured, an_sr
from racoon_data.testing.saving import save
from racoon_data.testing.segmentations import MadeSeg, SegStyle, a_seg
from racoon_data.testing.series_plan import MadeSeries, Person, SeriesOptions, SeriesPlan
from racoon_data.testing.structures import Contour, an_rtstruct, rectangle
from racoon_data.testing.uids import made_uid

__all__ = [
    "Contour",
    "MadeSeg",
    "MadeSeries",
    "Measured",
    "Person",
    "SegStyle",
    "SeriesPlan",
    "a_seg",
    "a_series",
    "an_rtstruct",
    "an_sr",
    "made_uid",
    "not_dicom",
    "rectangle",
    "truncated",
]


def a_series(folder: Path, **options: Unpack[SeriesOptions]) -> MadeSeries:
    """Write one image series as valid DICOM, one file a slice.

    Args:
        folder: Where its files go; made if absent. Give each series a folder of its own.
        options: Fields of ``SeriesPlan``, all with defaults.

    Returns:
        The files in ascending k, their references and the truth.

    Example:
        >>> made = a_series(tmp / "ct", slices=5, missing=[2], orientation="coronal")  # doctest: +SKIP
        >>> len(made.paths), made.truth.array.shape  # doctest: +SKIP
        (4, (5, 32, 40))
    """
    return write_series(folder, SeriesPlan(**options))


def write_series(folder: Path, plan: SeriesPlan) -> MadeSeries:
    """Write the series of a plan; see ``a_series``."""
    folder.mkdir(parents=True, exist_ok=True)
    header, stored = series_header(plan), plan.stored()
    kept = tuple(k for k in range(plan.slices) if k not in set(plan.missing))
    slices = [_slice(header, plan, k, stored[k]) for k in kept]
    paths = tuple(folder / f"IM{int(one.InstanceNumber):04d}.dcm" for one in slices)
    for one, path in zip(slices, paths, strict=True):
        save(one, path)
    sop_uids = tuple(str(one.SOPInstanceUID) for one in slices)
    return MadeSeries(SeriesRef(plan.study, plan.series), paths, sop_uids, kept, plan.truth_of(stored), plan)


def _slice(header: Dataset, plan: SeriesPlan, k: int, stored: npt.NDArray[Any]) -> Dataset:
    one = deepcopy(header)
    one.SOPInstanceUID = made_uid(plan.series, "slice", k)
    one.InstanceNumber = plan.slices - k if plan.is_numbered_backwards else k + 1
    position = plan.geometry.position_lps((0, 0, k))
    one.ImagePositionPatient = [round(value, 6) for value in position]
    normal = np.cross(plan.cosines[:3], plan.cosines[3:])
    one.SliceLocation = round(float(normal @ np.array(position)), 6)
    if plan.modality == "PT":
        one.ImageIndex = k + 1
    one.PixelData = stored.astype("<i2").tobytes()
    one["PixelData"].VR = "OW"
    one.file_meta = file_meta(one)
    return one
