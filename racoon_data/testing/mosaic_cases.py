"""Siemens mosaics, each with its truth."""

from __future__ import annotations

import math
import struct
from functools import partial
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from racoon_data.testing.hard_cases import HardCase
from racoon_data.testing.headers import file_meta, series_header
from racoon_data.testing.saving import save
from racoon_data.testing.series_plan import SeriesPlan
from racoon_data.testing.uids import made_uid
from racoon_data.volumes import Volume

_SLICES, _ROWS, _COLUMNS = 7, 24, 28


def _csa(values: dict[str, list[str]]) -> bytes:
    """Build a CSA2 header of numbers."""
    parts = [b"SV10\x04\x03\x02\x01", struct.pack("<II", len(values), 77)]
    for name, texts in values.items():
        parts.append(struct.pack("<64si4siii", name.encode(), len(texts), b"FD\0\0", 4, len(texts), 77))
        for text in texts:
            data = text.encode() + b"\0"
            parts.append(struct.pack("<4i", len(data), len(data), 77, len(data)) + data + bytes(-len(data) % 4))
    return b"".join(parts)


def _mosaic(folder: Path, times: int, orientation: str, *, has_header: bool = True) -> tuple[Volume, ...]:
    plan = SeriesPlan(
        slices=_SLICES,
        rows=_ROWS,
        columns=_COLUMNS,
        orientation=orientation,
        modality="MR",
        manufacturer="SIEMENS",
        image_type=("ORIGINAL", "PRIMARY", "M", "MOSAIC"),
    )
    tiles = math.ceil(math.sqrt(_SLICES))
    truths = []
    for n in range(times):
        stored = plan.stored() + np.int16(100 * n)
        one = _file(plan, stored, tiles, n)
        if not has_header:
            del one[0x00291010]
        folder.mkdir(parents=True, exist_ok=True)
        save(one, folder / f"{n}.dcm")
        truths.append(Volume(stored.astype(np.float64), plan.geometry, "1"))
    return tuple(truths) if has_header else ()


def _file(plan: SeriesPlan, stored: np.ndarray[tuple[int, ...], np.dtype[np.int16]], tiles: int, n: int) -> Dataset:
    one = series_header(plan)
    one.SOPInstanceUID = made_uid(plan.series, "mosaic", n)
    one.InstanceNumber = one.AcquisitionNumber = n + 1
    one.AcquisitionTime = f"1015{2 * n:02d}"
    one.Rows, one.Columns = tiles * _ROWS, tiles * _COLUMNS
    one.SpacingBetweenSlices = plan.spacing_mm[2]
    large = np.zeros((one.Rows, one.Columns), dtype="<i2")
    for k, plane in enumerate(stored):
        row, column = divmod(k, tiles)
        large[row * _ROWS : (row + 1) * _ROWS, column * _COLUMNS : (column + 1) * _COLUMNS] = plane
    matrix = plan.geometry.matrix
    off = np.array([(one.Columns - _COLUMNS) / 2, (one.Rows - _ROWS) / 2, 0.0])
    one.ImagePositionPatient = [round(float(value), 6) for value in matrix[:3, 3] - matrix[:3, :3] @ off]
    normal = np.cross(plan.cosines[:3], plan.cosines[3:])
    header = {
        "NumberOfImagesInMosaic": [str(_SLICES)],
        "SliceNormalVector": [f"{value:.8f}" for value in normal],
        "ProtocolSliceNumber": ["0"],
    }
    block = one.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
    block.add_new(0x08, "CS", "IMAGE NUM 4")
    block.add_new(0x10, "OB", _csa(header))
    one.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0A, "US", _SLICES)
    one.PixelData = large.tobytes()
    one["PixelData"].VR = "OW"
    one.file_meta = file_meta(one)
    return one


CASES: tuple[HardCase, ...] = (
    HardCase("Siemens mosaic", "frames", partial(_mosaic, times=1, orientation="oblique")),
    HardCase("Siemens mosaic, three time points", "frames", partial(_mosaic, times=3, orientation="axial")),
    HardCase(
        "Siemens mosaic without its private header", "frames",
        partial(_mosaic, times=1, orientation="axial", has_header=False), "dicom.no_geometry",
    ),
)  # fmt: skip
