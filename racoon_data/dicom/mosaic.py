"""Siemens mosaics: one image that shows all slices of a volume side by side, cut into its slices."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom

from racoon_data.dicom.facts import Facts
from racoon_data.dicom.headers import read_dataset
from racoon_data.dicom.images import Image, slice_header
from racoon_data.dicom.quirks import quirk_number, quirk_value
from racoon_data.errors import NoGeometryError
from racoon_data.refs import SeriesRef

_HINT = "export the series as enhanced MR, or one image a slice"
_MOST_ELEMENTS = 128


def slices_of_mosaic(path: Path, facts: Facts) -> tuple[Image, ...]:
    """Describe every slice of a mosaic.

    Tiles go from left to right and from top to bottom, along the slice normal of the private CSA header. The
    image position is that of the whole mosaic as if it were one large slice around the same centre
    (nipy.org/nibabel/dicom/dicom_mosaic.html).

    Args:
        path: The file.
        facts: What sorting read of it.

    Raises:
        NoGeometryError: It does not say how many slices it has, how far apart or in which direction.
        DicomError: It cannot be read.
    """
    dataset = read_dataset(path)
    count, normal = _count_and_normal(dataset)
    whole = slice_header(path, facts)
    tiles = math.ceil(math.sqrt(count))
    step = facts.number("SpacingBetweenSlices") or facts.number("SliceThickness")
    if not step or whole.rows % tiles or whole.columns % tiles:
        raise NoGeometryError("a mosaic does not say how its slices lie", hint=_HINT)
    rows, columns = whole.rows // tiles, whole.columns // tiles
    between_rows, between_columns = whole.pixel_spacing_mm
    right = np.array(whole.row_direction) * between_columns * (whole.columns - columns) / 2
    down = np.array(whole.column_direction) * between_rows * (whole.rows - rows) / 2
    first = np.array(whole.position_lps) + right + down
    ref = SeriesRef(facts.text("StudyInstanceUID"), facts.text("SeriesInstanceUID"))
    images = []
    for n in range(count):
        x, y, z = (float(value) for value in first + n * step * normal)
        header = replace(whole, rows=rows, columns=columns, position_lps=(x, y, z), frame=n, tiles=tiles)
        images.append(Image(header, ref, facts))
    return tuple(images)


def _count_and_normal(dataset: pydicom.Dataset) -> tuple[int, np.ndarray[tuple[int, ...], np.dtype[np.float64]]]:
    raw = quirk_value(dataset, "siemens CSA image header")
    found = csa_values(raw) if isinstance(raw, bytes) else {}
    normal = np.array([float(text) for text in found.get("SliceNormalVector", ())[:3]])
    stated = found.get("NumberOfImagesInMosaic", ())
    count = int(quirk_number(dataset, "siemens images in mosaic") or (float(stated[0]) if stated else 0))
    if count < 1 or normal.shape != (3,) or abs(np.linalg.norm(normal) - 1) > 1e-3:
        raise NoGeometryError("a mosaic without its private header does not say how its slices lie", hint=_HINT)
    return count, normal


def csa_values(raw: bytes) -> dict[str, tuple[str, ...]]:
    """Read the texts of a CSA2 header (nipy.org/nibabel/dicom/siemens_csa.html), none where it is no such header."""
    try:
        return dict(_elements(raw)) if raw[:4] == b"SV10" else {}
    except (struct.error, ValueError):
        return {}


def _elements(raw: bytes) -> Iterator[tuple[str, tuple[str, ...]]]:
    (count,) = struct.unpack_from("<I", raw, 8)
    place = 16
    for _ in range(min(count, _MOST_ELEMENTS)):
        name, _, _, _, items, _ = struct.unpack_from("<64si4siii", raw, place)
        place += 84
        texts = []
        for _ in range(items):
            length = struct.unpack_from("<4i", raw, place)[1]
            if not 0 <= length <= len(raw):
                raise ValueError("an item is longer than its header")
            place += 16
            texts.append(raw[place : place + length].split(b"\0")[0].decode("ascii", "replace").strip())
            place += length + -length % 4
        yield name.split(b"\0")[0].decode("ascii", "replace"), tuple(text for text in texts if text)
