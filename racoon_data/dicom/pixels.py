"""Stored pixels of one image: decoded, checked, and rescaled to what they mean."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom

from racoon_data.dicom.headers import number_of, read_dataset, text_of, value_of, whole_of
from racoon_data.errors import UnsupportedPixelsError

_PACKAGES = {
    "1.2.840.10008.1.2.4.50": "pylibjpeg and pylibjpeg-libjpeg (pip install 'racoon[codecs,gpl-codecs]')",
    "1.2.840.10008.1.2.4.51": "pylibjpeg and pylibjpeg-libjpeg (pip install 'racoon[codecs,gpl-codecs]')",
    "1.2.840.10008.1.2.4.57": "python-gdcm (pip install 'racoon[codecs]')",
    "1.2.840.10008.1.2.4.70": "python-gdcm (pip install 'racoon[codecs]')",
    "1.2.840.10008.1.2.4.80": "python-gdcm (pip install 'racoon[codecs]')",
    "1.2.840.10008.1.2.4.81": "python-gdcm (pip install 'racoon[codecs]')",
    "1.2.840.10008.1.2.4.90": "pylibjpeg-openjpeg (pip install 'racoon[codecs]')",
    "1.2.840.10008.1.2.4.91": "pylibjpeg-openjpeg (pip install 'racoon[codecs]')",
    "1.2.840.10008.1.2.4.201": "pylibjpeg-openjpeg (pip install 'racoon[codecs]')",
    "1.2.840.10008.1.2.4.202": "pylibjpeg-openjpeg (pip install 'racoon[codecs]')",
    "1.2.840.10008.1.2.4.203": "pylibjpeg-openjpeg (pip install 'racoon[codecs]')",
}


@dataclass(frozen=True, slots=True, eq=False)
class Pixels:
    """Stored values of one slice and how they become real ones.

    Attributes:
        stored: Stored values ``[j, i]`` (rows, columns).
        slope: Rescale slope of this slice.
        intercept: Rescale intercept of this slice.
        unit: ``HU``, ``Bq/ml``, ``SUVbw`` or ``1``.
        padding: Lowest and highest stored value that means "no image here", ``None`` where none is declared.
    """

    stored: npt.NDArray[Any]
    slope: float
    intercept: float
    unit: str
    padding: tuple[int, int] | None

    @property
    def is_whole(self) -> bool:
        """Rescaled values are whole numbers."""
        return self.slope.is_integer() and self.intercept.is_integer()

    @property
    def is_padding(self) -> npt.NDArray[np.bool_]:
        """Where the slice holds padding ``[j, i]``."""
        if self.padding is None:
            return np.zeros(self.stored.shape, dtype=np.bool_)
        return (self.stored >= self.padding[0]) & (self.stored <= self.padding[1])


def read_pixels(path: Path, *, rows: int, columns: int) -> Pixels:
    """Read and decode one image.

    Args:
        path: A single-frame monochrome image.
        rows: Rows it must have.
        columns: Columns it must have.

    Raises:
        UnsupportedPixelsError: It is in colour, has a lookup table for its values, cannot be decoded
            here (the hint names the package that would help), or decodes to another shape.
        DicomError: It cannot be read.
    """
    dataset = read_dataset(path, pixels=True)
    if whole_of(dataset, "SamplesPerPixel") > 1 or value_of(dataset, "ModalityLUTSequence") is not None:
        raise UnsupportedPixelsError("colour and lookup tables are not read", hint="export plain grey values")
    slope, intercept = number_of(dataset, "RescaleSlope"), number_of(dataset, "RescaleIntercept")
    return Pixels(
        stored=decode(dataset, shape=(rows, columns)),
        slope=1.0 if slope is None or slope == 0 else slope,
        intercept=intercept or 0.0,
        unit=unit_of(dataset),
        padding=padding_of(dataset),
    )


def decode(dataset: pydicom.Dataset, *, shape: tuple[int, int]) -> npt.NDArray[Any]:
    """Decode the stored values of a single-frame image through pydicom and its plug-ins.

    Returns:
        Stored values ``[j, i]``.

    Raises:
        UnsupportedPixelsError: No decoder manages, or the result has another shape.
    """
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    package = _PACKAGES.get(syntax, "a new export in an uncompressed transfer syntax")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            array: npt.NDArray[Any] = dataset.pixel_array
    except (RuntimeError, ValueError, AttributeError, KeyError, IndexError, TypeError, OSError) as error:
        message = f"pixels in transfer syntax {syntax} cannot be decoded"
        raise UnsupportedPixelsError(message, hint=f"what may help: {package}") from error
    if array.shape != shape:
        found = "x".join(map(str, array.shape))
        raise UnsupportedPixelsError(f"the pixels decode to {found}, not {shape[0]}x{shape[1]}", hint=package)
    return array


def unit_of(dataset: pydicom.Dataset) -> str:
    """Say what a rescaled value means: HU for CT, PET Units (PS3.3 C.8.9.1.1.3), else 1."""
    modality = text_of(dataset, "Modality")
    if modality == "CT":
        return "HU" if text_of(dataset, "RescaleType") in ("", "HU") else "1"
    if modality != "PT":
        return "1"
    units, kind = text_of(dataset, "Units"), text_of(dataset, "SUVType")
    if units == "GML" and kind in ("", "BW"):
        return "SUVbw"
    return "Bq/ml" if units == "BQML" else "1"


def padding_of(dataset: pydicom.Dataset) -> tuple[int, int] | None:
    """Give the range of stored padding values (PS3.3 C.7.5.1.1.2), read with the sign of the pixels."""
    bounds = [_with_sign(dataset, name) for name in ("PixelPaddingValue", "PixelPaddingRangeLimit")]
    known = [bound for bound in bounds if bound is not None]
    return (min(known), max(known)) if bounds[0] is not None else None


def _with_sign(dataset: pydicom.Dataset, keyword: str) -> int | None:
    """Read a US-or-SS value as the pixels are: implicit files leave it raw, some writers get it wrong."""
    value = value_of(dataset, keyword)
    if isinstance(value, bytes):
        is_little = dataset.original_encoding[1]
        value = int.from_bytes(value[:2], "little" if is_little else "big")
    if not isinstance(value, int):
        return None
    wrapped = value & 0xFFFF
    is_negative = whole_of(dataset, "PixelRepresentation") == 1 and wrapped >= 0x8000
    return wrapped - 0x10000 if is_negative else wrapped
