"""Meanings that stand in sequences and private elements: lookup tables, real-world value maps, Philips scales."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom

from racoon_data.dicom.headers import number_of, numbers_of, text_of, value_of
from racoon_data.dicom.meaning import PHILIPS, REAL_WORLD, Meaning, Table, Wanted
from racoon_data.dicom.quirks import philips_scale
from racoon_data.errors import UnsupportedPixelsError

_KNOWN_UNITS = {"[hnsf'U]": "HU", "Bq/ml": "Bq/ml", "g/ml{SUVbw}": "SUVbw", "{SUVbw}g/ml": "SUVbw", "1": "1"}
SEQUENCES = ("ModalityLUTSequence", "RealWorldValueMappingSequence")


def mapped_meaning(plain: Meaning, dataset: pydicom.Dataset, wanted: Wanted, *, is_signed: bool) -> Meaning:
    """Decide what the values of a slice mean where there is more than a plain rescale.

    Args:
        plain: What the plain attributes say.
        dataset: Holds the sequences and private elements of the slice.
        wanted: Which values, where there are several.
        is_signed: Stored values are two's complement.

    Raises:
        UnsupportedPixelsError: A lookup table or map is broken.
    """
    has_rescale = value_of(dataset, "RescaleSlope") is not None
    made = (
        _real_world(dataset, wanted, has_other=has_rescale or "ModalityLUTSequence" in dataset)
        or _table(dataset, is_signed=is_signed)
        or _philips(plain, dataset, wanted)
    )
    if made is None:
        return plain
    return replace(made, padding=plain.padding, decisions=(*plain.decisions, *made.decisions))


def _real_world(dataset: pydicom.Dataset, wanted: Wanted, *, has_other: bool) -> Meaning | None:
    """The real-world value map (PS3.3 C.7.6.16.2.11), where it is wanted or nothing else gives a meaning."""
    if wanted.values != REAL_WORLD and has_other:
        return None
    maps = value_of(dataset, "RealWorldValueMappingSequence")
    if not maps:
        return None
    item = maps[0]
    unit, label = _unit_code(item), text_of(item, "LUTLabel")
    more = f", the first of {len(maps)}" if len(maps) > 1 else ""
    decisions = (f"real-world value map {label or '1'} in {unit}{more}",)
    data = value_of(item, "RealWorldValueLUTData")
    if data is not None:
        values = np.atleast_1d(np.array(data, dtype=np.float64))
        return Meaning(unit=unit, table=Table(_first_mapped(item), values), decisions=decisions)
    slope, intercept = number_of(item, "RealWorldValueSlope"), number_of(item, "RealWorldValueIntercept")
    if slope is None or intercept is None:
        raise UnsupportedPixelsError("a real-world value map has neither table nor slope", hint="use --values rescale")
    return Meaning(slope, intercept, unit, decisions=decisions)


def _first_mapped(item: pydicom.Dataset) -> int:
    for keyword in ("RealWorldValueFirstValueMapped", "DoubleFloatRealWorldValueFirstValueMapped"):
        if (first := number_of(item, keyword)) is not None:
            return int(first)
    raise UnsupportedPixelsError("a real-world value map does not say where it begins", hint="use --values rescale")


def _unit_code(item: pydicom.Dataset) -> str:
    codes = value_of(item, "MeasurementUnitsCodeSequence")
    code = text_of(codes[0], "CodeValue") if codes else ""
    return _KNOWN_UNITS.get(code, code or "1")


def _table(dataset: pydicom.Dataset, *, is_signed: bool) -> Meaning | None:
    """The modality lookup table (PS3.3 C.11.1)."""
    sequence = value_of(dataset, "ModalityLUTSequence")
    if not sequence:
        return None
    item = sequence[0]
    descriptor = numbers_of(item, "LUTDescriptor", count=3)
    data = value_of(item, "LUTData")
    if descriptor is None or data is None:
        raise UnsupportedPixelsError("the modality lookup table is incomplete", hint="ask for a new export")
    count, first = int(descriptor[0]) or 65536, int(descriptor[1])
    if is_signed and first >= 0x8000:
        first -= 0x10000
    values = _entries(data, dataset)
    if len(values) < count:
        raise UnsupportedPixelsError("the modality lookup table is shorter than it says", hint="ask for a new export")
    kind = text_of(item, "ModalityLUTType")
    decisions = (f"modality lookup table of {count} entries, type {kind or 'unspecified'}",)
    return Meaning(unit="HU" if kind == "HU" else "1", table=Table(first, values[:count]), decisions=decisions)


def _entries(data: Any, dataset: pydicom.Dataset) -> npt.NDArray[np.int32]:
    if isinstance(data, bytes):
        order = "<" if dataset.original_encoding[1] is not False else ">"
        return np.frombuffer(data[: len(data) // 2 * 2], dtype=f"{order}u2").astype(np.int32)
    return np.atleast_1d(np.array(data, dtype=np.int32))


def _philips(plain: Meaning, dataset: pydicom.Dataset, wanted: Wanted) -> Meaning | None:
    """Display values or floating point values of Philips MR: which was taken stands in the decisions."""
    scale = philips_scale(dataset)
    if scale is None:
        return None
    if wanted.values != PHILIPS:
        return replace(plain, decisions=(_PHILIPS_DISPLAY,))
    divisor = plain.slope * scale
    return replace(plain, slope=1 / scale, intercept=plain.intercept / divisor, decisions=(_PHILIPS_FLOATING,))


_PHILIPS_DISPLAY = "Philips display values (rescale slope and intercept), not floating point values"
_PHILIPS_FLOATING = "Philips floating point values (private scale slope), not display values"
