"""Hard cases of values: bits, signs, slopes, tables, colours and units, each with its truth."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset

from racoon_data.dicom.pixels import RGB
from racoon_data.testing.hard_cases import HardCase
from racoon_data.testing.makers import MadeSeries, a_series
from racoon_data.volumes import Volume

Change = Callable[[Dataset, int], None]
Array = npt.NDArray[Any]
_TRACER_FACTOR = 70_000 / (300e6 * 2 ** (-3600 / 6586.2))


def rewritten(made: MadeSeries, change: Change) -> MadeSeries:
    """Change every file of a series: ``change`` gets its data set and its index k."""
    for k, path in zip(made.kept, made.paths, strict=True):
        dataset = pydicom.dcmread(path)
        change(dataset, k)
        dataset.save_as(path)
    return made


def _truth(made: MadeSeries, array: Array, unit: str = "") -> tuple[Volume, ...]:
    return (Volume(array, made.geometry, unit or made.truth.unit),)


def _with_pixels(stored: Array, **attributes: Any) -> Change:
    """Replace the pixels of each slice, and attributes that describe them."""

    def change(one: Dataset, k: int) -> None:
        for keyword, value in attributes.items():
            setattr(one, keyword, value)
        one.PixelData = np.ascontiguousarray(stored[k]).tobytes()
        one["PixelData"].VR = "OW" if one.BitsAllocated > 8 else "OB"

    return change


def _slopes(folder: Path) -> tuple[Volume, ...]:
    made = a_series(folder, slices=5, modality="PT", slope=0.37)
    slopes = 0.25 + 0.173 * np.arange(5)
    rewritten(made, lambda one, k: setattr(one, "RescaleSlope", str(round(slopes[k], 6))))
    return _truth(made, (made.plan.stored() * slopes[:, None, None]).astype(np.float32))


def _one_slope(folder: Path) -> tuple[Volume, ...]:
    made = a_series(folder, slices=4, modality="PT", slope=0.0431)
    return _truth(made, made.truth.array)


def _no_slope(folder: Path) -> tuple[Volume, ...]:
    made = a_series(folder, slices=4, intercept=0.0)

    def change(one: Dataset, k: int) -> None:
        del one.RescaleSlope, one.RescaleIntercept

    rewritten(made, change)
    return _truth(made, made.plan.stored())


def _twelve_signed(folder: Path) -> tuple[Volume, ...]:
    """Negative numbers in 12 bits, with nothing in the four bits above."""
    made = a_series(folder, slices=4)
    stored = (np.indices((4, 32, 40)).sum(axis=0) * 41 % 4096 - 2048).astype(np.int16)
    packed = (stored & 0x0FFF).astype("<u2")
    rewritten(made, _with_pixels(packed, BitsStored=12, HighBit=11, PixelRepresentation=1))
    return _truth(made, stored - 1024.0)


def _overlay_bits(folder: Path) -> tuple[Volume, ...]:
    """An old overlay in bit 12, as PS3.3 allowed until 2004."""
    made = a_series(folder, slices=4)
    stored = (np.indices((4, 32, 40)).sum(axis=0) * 37 % 4096).astype("<u2")
    drawn = np.zeros_like(stored)
    drawn[:, 8:24, 10:30] = 0x1000
    rewritten(made, _with_pixels(stored | drawn, BitsStored=12, HighBit=11, PixelRepresentation=0))
    return _truth(made, stored.astype(np.float64) - 1024.0)


def _high_bit(folder: Path) -> tuple[Volume, ...]:
    made = a_series(folder, slices=4)
    stored = (np.indices((4, 32, 40)).sum(axis=0) * 37 % 4096).astype("<u2")
    rewritten(made, _with_pixels(stored << 4, BitsStored=12, HighBit=15, PixelRepresentation=0))
    return _truth(made, stored.astype(np.float64) - 1024.0)


def _large_unsigned(folder: Path) -> tuple[Volume, ...]:
    made = a_series(folder, slices=4, modality="MR")
    stored = (np.indices((4, 32, 40)).sum(axis=0) * 901 % 65536).astype("<u2")
    rewritten(made, _with_pixels(stored, BitsStored=16, HighBit=15, PixelRepresentation=0))
    return _truth(made, stored.astype(np.float64))


def _eight_bits(folder: Path) -> tuple[Volume, ...]:
    made = a_series(folder, slices=4, modality="MR")
    stored = (np.indices((4, 32, 40)).sum(axis=0) * 7 % 256).astype(np.uint8)
    rewritten(made, _with_pixels(stored, BitsAllocated=8, BitsStored=8, HighBit=7, PixelRepresentation=0))
    return _truth(made, stored.astype(np.float64))


def _padded(pixels: Change, vr: str, value: int) -> Change:
    def change(one: Dataset, k: int) -> None:
        pixels(one, k)
        one.add_new("PixelPaddingValue", vr, value)

    return change


def _padding(folder: Path) -> tuple[Volume, ...]:
    made = a_series(folder, slices=4, intercept=0.0)
    stored = made.plan.stored()
    stored[:, :4, :] = -2000
    rewritten(made, _padded(_with_pixels(stored.astype("<i2")), "SS", -2000))
    return _truth(made, stored.astype(np.float64))


def _padding_above(folder: Path) -> tuple[Volume, ...]:
    """Padding 63536 in unsigned pixels would be the brightest value; it takes the lowest one."""
    made = a_series(folder, slices=4, intercept=-1024.0)
    stored = (np.indices((4, 32, 40)).sum(axis=0) * 11 % 3000).astype("<u2")
    padded = stored.copy()
    padded[:, :4, :] = 63536
    rewritten(made, _padded(_with_pixels(padded, PixelRepresentation=0), "US", 63536))
    real = stored - 1024.0
    real[:, :4, :] = real[:, 4:, :].min()
    return _truth(made, real)


def _lookup(folder: Path) -> tuple[Volume, ...]:
    """A table from 10 on; stored values beyond its ends take its ends."""
    made = a_series(folder, slices=4, intercept=0.0)
    stored = (np.indices((4, 32, 40)).sum(axis=0) * 3 % 200).astype("<u2")
    entries = [int(value) for value in np.linspace(0, 60_000, 128)]

    def change(one: Dataset, k: int) -> None:
        _with_pixels(stored, PixelRepresentation=0)(one, k)
        del one.RescaleSlope, one.RescaleIntercept, one.RescaleType
        table = Dataset()
        table.add_new("LUTDescriptor", "US", [len(entries), 10, 16])
        table.ModalityLUTType = "US"
        table.add_new("LUTData", "US", entries)
        one.ModalityLUTSequence = [table]

    rewritten(made, change)
    return _truth(made, np.array(entries)[np.clip(stored.astype(int) - 10, 0, 127)].astype(np.float64), "1")


def _inverted(folder: Path) -> tuple[Volume, ...]:
    made = a_series(folder, slices=4)
    rewritten(made, lambda one, k: setattr(one, "PhotometricInterpretation", "MONOCHROME1"))
    return _truth(made, made.truth.array)


def _colours() -> Array:
    k, j, i = np.indices((4, 32, 40))
    return np.stack([(5 * i + k) % 256, (7 * j) % 256, (i * j + 40 * k) % 256], axis=-1).astype(np.uint8)


def _rgb(folder: Path, *, is_planar: bool = False) -> tuple[Volume, ...]:
    made = a_series(folder, slices=4, modality="MR")
    colours = _colours()
    stored = np.moveaxis(colours, -1, 1) if is_planar else colours
    described = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": int(is_planar)}
    rewritten(made, _with_pixels(stored, BitsAllocated=8, BitsStored=8, HighBit=7, PixelRepresentation=0, **described))
    return _truth(made, np.ascontiguousarray(colours).view(RGB)[..., 0])


def _palette(folder: Path) -> tuple[Volume, ...]:
    made = a_series(folder, slices=4, modality="MR")
    index = (np.indices((4, 32, 40)).sum(axis=0) % 256).astype(np.uint8)
    tables = {"Red": np.arange(256), "Green": np.arange(256)[::-1], "Blue": np.arange(256) // 2}

    def change(one: Dataset, k: int) -> None:
        eight = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "PixelRepresentation": 0}
        _with_pixels(index, PhotometricInterpretation="PALETTE COLOR", **eight)(one, k)
        for name, table in tables.items():
            one.add_new(f"{name}PaletteColorLookupTableDescriptor", "US", [256, 0, 16])
            data = (table.astype("<u2") << 8).tobytes()
            one.add_new(f"{name}PaletteColorLookupTableData", "OW", data)

    rewritten(made, change)
    colours = np.stack([tables[name][index] for name in tables], axis=-1).astype(np.uint8)
    return _truth(made, np.ascontiguousarray(colours).view(RGB)[..., 0])


def _refused_colour(folder: Path) -> tuple[Volume, ...]:
    _rgb(folder)
    return ()


def _real_world(folder: Path, *, table: bool) -> tuple[Volume, ...]:
    made = a_series(folder, slices=4, modality="MR")
    stored = made.plan.stored()
    entries = [float(value) for value in np.sqrt(np.arange(int(stored.max()) + 1))]

    def change(one: Dataset, k: int) -> None:
        unit, item = Dataset(), Dataset()
        unit.CodeValue, unit.CodingSchemeDesignator, unit.CodeMeaning = "ms", "UCUM", "millisecond"
        item.MeasurementUnitsCodeSequence = [unit]
        item.LUTLabel, item.LUTExplanation = "T2", "T2"
        item.add_new("RealWorldValueFirstValueMapped", "US", 0)
        item.add_new("RealWorldValueLastValueMapped", "US", int(stored.max()))
        if table:
            item.RealWorldValueLUTData = entries
        else:
            item.RealWorldValueSlope, item.RealWorldValueIntercept = 0.25, -2.0
        one.RealWorldValueMappingSequence = [item]

    rewritten(made, change)
    return _truth(made, np.array(entries)[stored] if table else stored * 0.25 - 2.0, "ms")


def _philips(folder: Path) -> tuple[Volume, ...]:
    made = a_series(folder, slices=4, modality="MR", manufacturer="Philips Medical Systems")

    def change(one: Dataset, k: int) -> None:
        one.RescaleSlope, one.RescaleIntercept, one.RescaleType = 1.5, 0, "normalized"
        block = one.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
        block.add_new(0x0D, "FL", 0.0)
        block.add_new(0x0E, "FL", 0.025)

    rewritten(made, change)
    return _truth(made, made.plan.stored() * 1.5)


def _suv(folder: Path) -> tuple[Volume, ...]:
    made = a_series(folder, slices=4, modality="PT", slope=0.37)
    return _truth(made, (made.truth.array * _TRACER_FACTOR).astype(np.float32), "SUVbw")


def _suv_without_weight(folder: Path) -> tuple[Volume, ...]:
    rewritten(a_series(folder, slices=4, modality="PT"), lambda one, k: delattr(one, "PatientWeight"))
    return ()


def _short(folder: Path) -> tuple[Volume, ...]:
    rewritten(a_series(folder, slices=4), lambda one, k: setattr(one, "PixelData", one.PixelData[:-200]))
    return ()


def _long(folder: Path) -> tuple[Volume, ...]:
    rewritten(a_series(folder, slices=4), lambda one, k: setattr(one, "PixelData", one.PixelData * 2))
    return ()


CASES: tuple[HardCase, ...] = (
    HardCase("a slope for each slice", "values", _slopes),
    HardCase("one fractional slope", "values", _one_slope),
    HardCase("no rescale slope", "values", _no_slope),
    HardCase("12 signed bits, sign not carried up", "values", _twelve_signed),
    HardCase("12 bits with an overlay above", "values", _overlay_bits),
    HardCase("12 bits at the upper end (high bit 15)", "values", _high_bit),
    HardCase("unsigned values above 32767", "values", _large_unsigned),
    HardCase("8 bits", "values", _eight_bits),
    HardCase("padding value below the image", "values", _padding),
    HardCase("padding value above the image", "values", _padding_above),
    HardCase("modality lookup table", "values", _lookup),
    HardCase("MONOCHROME1", "values", _inverted),
    HardCase("RGB", "values", _rgb),
    HardCase("RGB by plane", "values", lambda folder: _rgb(folder, is_planar=True)),
    HardCase("PALETTE COLOR", "values", _palette),
    HardCase("colour that is not wanted", "values", _refused_colour, "dicom.unsupported_pixels", ("--colour=refuse",)),
    HardCase("real-world value map, linear", "values", lambda folder: _real_world(folder, table=False)),
    HardCase("real-world value map, table", "values", lambda folder: _real_world(folder, table=True)),
    HardCase("Philips display values", "values", _philips),
    HardCase("PET as SUV", "values", _suv, options=("--suv",)),
    HardCase("PET as SUV without weight", "values", _suv_without_weight, "convert.no_suv", ("--suv",)),
    HardCase("pixel data that end early", "values", _short, "dicom.truncated"),
    HardCase("pixel data of two frames in one", "values", _long, "dicom.frame_count"),
)
