"""All hard cases: synthetic ones, and real series where they are here."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pydicom

from racoon_data.files.nifti import read_nifti
from racoon_data.geometry import Geometry, as_affine
from racoon_data.testing import encoding_cases, frame_cases, mosaic_cases, value_cases
from racoon_data.testing.hard_cases import HardCase
from racoon_data.volumes import Volume


def all_cases() -> tuple[HardCase, ...]:
    """Give every synthetic case."""
    return (*_series_cases(), *value_cases.CASES, *encoding_cases.CASES, *frame_cases.CASES, *mosaic_cases.CASES)


def _series_cases() -> tuple[HardCase, ...]:
    if find_spec("racoon_data.testing.series_cases") is None:
        return ()
    cases: tuple[HardCase, ...] = import_module("racoon_data.testing.series_cases").CASES
    return cases


def real_cases() -> tuple[HardCase, ...]:
    """Give the public series of ``RACOON_REAL_DATA``, none where it is not set."""
    root = os.environ.get("RACOON_REAL_DATA")
    if not root:
        return ()
    found = [HardCase("gantry tilt of 18.5 degrees, Philips", "real series", partial(_by_headers, Path(root) / "tilt"))]
    for patient in sorted((Path(root) / "sts").glob("STS_*")):
        for folder, image in _pairs(patient):
            make: Callable[[Path], tuple[Volume, ...]] = partial(_by_reference, folder, image)
            found.append(HardCase(f"{patient.name} {folder.name}", "real series", make))
    return tuple(found)


def _pairs(patient: Path) -> list[tuple[Path, Path]]:
    """Folders of DICOM images with the reference an independent tool wrote."""
    folders = sorted((patient / "dicom").iterdir())
    return [(folder, patient / "nifti" / f"{folder.name}_image.nii.gz") for folder in folders]


def _copied(source: Path, folder: Path) -> None:
    for path in source.rglob("*"):
        if path.is_file() and path.name not in ("LICENSE", "DIRFILE"):
            shutil.copy(path, folder / path.name)


def _by_reference(source: Path, image: Path, folder: Path) -> tuple[Volume, ...]:
    _copied(source, folder)
    array, geometry = read_nifti(image)
    return (Volume(array, geometry),)


def _by_headers(source: Path, folder: Path) -> tuple[Volume, ...]:
    """Truth from headers alone, by pydicom: slices in order of height, the affine through the first and last."""
    _copied(source, folder)
    slices = [pydicom.dcmread(path) for path in folder.iterdir()]
    slices.sort(key=lambda one: float(one.ImagePositionPatient[2]))
    row, column = np.array(slices[0].ImageOrientationPatient[:3]), np.array(slices[0].ImageOrientationPatient[3:])
    first, last = (np.array(one.ImagePositionPatient, dtype=float) for one in (slices[0], slices[-1]))
    matrix = np.eye(4)
    matrix[:3, 0] = row * float(slices[0].PixelSpacing[1])
    matrix[:3, 1] = column * float(slices[0].PixelSpacing[0])
    matrix[:3, 2] = (last - first) / (len(slices) - 1)
    matrix[:3, 3] = first
    array = np.stack([one.pixel_array * float(one.RescaleSlope) + float(one.RescaleIntercept) for one in slices])
    size = (array.shape[2], array.shape[1], array.shape[0])
    return (Volume(array, Geometry(size, as_affine(matrix))),)
