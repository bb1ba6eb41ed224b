"""Slices to one array: each slice by its own rescaling, whole numbers kept whole, memory of about one volume."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from racoon_data.dicom.meaning import RESCALE, Wanted
from racoon_data.dicom.native import read_plain
from racoon_data.dicom.pixels import Pixels, read_pixels
from racoon_data.dicom.series import Series
from racoon_data.errors import InconsistentSeriesError, UnsupportedPixelsError
from racoon_data.geometry import Geometry
from racoon_data.volumes import Volume

Array = npt.NDArray[Any]
_INT16, _UINT16 = np.iinfo(np.int16), np.iinfo(np.uint16)
_EXPORT_AGAIN = "retrieve the series again, or ask the sender for a new export"


@dataclass(frozen=True, slots=True, eq=False)
class Stacked:
    """A volume as it is written: numbers, and the scale that makes them real.

    Attributes:
        array: Numbers ``[k, j, i]``: int16, uint16, int32, float32, or red, green and blue bytes.
        geometry: The grid.
        unit: What a real value means.
        slope: Real value of one step.
        intercept: Real value of zero.
        decisions: What was decided about values on the way, in words.
    """

    array: Array
    geometry: Geometry
    unit: str = "1"
    slope: float = 1.0
    intercept: float = 0.0
    decisions: tuple[str, ...] = ()

    @property
    def volume(self) -> Volume:
        """The same as real values: int16 or int32 where they are whole, else float32."""
        if (self.slope, self.intercept) != (1.0, 0.0):
            return Volume((self.array * self.slope + self.intercept).astype(np.float32), self.geometry, self.unit)
        array = self.array.astype(np.int32) if self.array.dtype == np.uint16 else self.array
        return Volume(array, self.geometry, self.unit)


def fill(series: Series, geometry: Geometry, wanted: Wanted) -> Stacked:
    """Read every slice into one array.

    Whole-number rescaling gives whole real values. One slope for all slices keeps the stored whole numbers
    and hands the slope on, where single precision, as NIfTI keeps it, loses nothing a float32 voxel would
    keep. Anything else gives float32. Padding keeps its value where that is below the image; padding above
    the image takes the lowest image value.

    Raises:
        InconsistentSeriesError: Slices differ in unit, or only some are in colour.
        UnsupportedPixelsError: A slice cannot be decoded, or values are not finite.
        DicomError: A file cannot be read.
    """
    if wanted.values == RESCALE and (found := read_plain(series)) is not None:
        values, plain = found
        return Stacked(values.array, geometry, plain.meaning.unit, *values.scale, plain.meaning.decisions)
    filling = _Filling(geometry)
    for k, header in enumerate(series.slices):
        filling.add(k, read_pixels(header, wanted))
    return filling.done()


@dataclass(slots=True)
class _Filling:
    """An array that is being filled; its type grows only when a slice needs it."""

    geometry: Geometry
    out: Array = field(default_factory=lambda: np.empty(0, dtype=np.int16))
    scale: tuple[float, float] | None = None
    units: set[str] = field(default_factory=set)
    decisions: set[str] = field(default_factory=set)
    padded: dict[int, npt.NDArray[np.bool_]] = field(default_factory=dict)

    def add(self, k: int, pixels: Pixels) -> None:
        """Put one slice into its place."""
        if not self.units:
            self._begin(pixels)
        self.units.add(pixels.meaning.unit)
        self.decisions.update((*pixels.decisions, *pixels.meaning.decisions))
        self._scale_with(k, pixels)
        values = self._values(pixels)
        self._widen(k, values)
        self.out[k] = values
        if (mask := pixels.is_padding) is not None and mask.any():
            self.padded[k] = mask

    def _begin(self, pixels: Pixels) -> None:
        if not pixels.is_colour and pixels.keeps_scale:
            self.scale = (pixels.meaning.slope, pixels.meaning.intercept)
        is_whole = self.scale is not None or pixels.is_whole
        plain: np.dtype[Any] = np.dtype(np.int16 if is_whole else np.float32)
        dtype = pixels.stored.dtype if pixels.is_colour else plain
        self.out = np.empty(self.geometry.array_shape, dtype=dtype)

    def _scale_with(self, k: int, pixels: Pixels) -> None:
        """Give the common scale up where a slice has another."""
        if self.scale is None or (
            pixels.keeps_scale and (pixels.meaning.slope, pixels.meaning.intercept) == self.scale
        ):
            return
        slope, intercept = self.scale
        self.scale = None
        so_far = self.out[:k]
        self.out = np.empty(self.geometry.array_shape, dtype=np.float32)
        self.out[:k] = so_far * slope + intercept

    def _values(self, pixels: Pixels) -> Array:
        if self.scale is not None or pixels.is_colour:
            return pixels.stored
        return pixels.real()

    def _widen(self, k: int, values: Array) -> None:
        """Choose the smallest type that keeps every value so far."""
        if (self.out.dtype.names is None) != (values.dtype.names is None):
            raise InconsistentSeriesError("only some slices are in colour", hint=_EXPORT_AGAIN)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise UnsupportedPixelsError("rescaled values are not finite", hint=_EXPORT_AGAIN)
        wider = _wider(self.out.dtype, values)
        if wider != self.out.dtype:
            grown = np.empty(self.geometry.array_shape, dtype=wider)
            grown[:k] = self.out[:k]
            self.out = grown

    def done(self) -> Stacked:
        """Give what was filled."""
        if len(self.units) > 1:
            raise InconsistentSeriesError(f"slices differ in unit: {', '.join(sorted(self.units))}", hint=_EXPORT_AGAIN)
        _lower_padding(self.out, self.padded)
        slope, intercept = self.scale or (1.0, 0.0)
        narrowed = _narrow(self.out)
        return Stacked(narrowed, self.geometry, self.units.pop(), slope, intercept, tuple(sorted(self.decisions)))


def _wider(dtype: np.dtype[Any], values: Array) -> np.dtype[Any]:
    if dtype.names is not None or dtype == np.float32:
        return dtype
    if values.dtype.kind == "f":
        return np.dtype(np.float32)
    if dtype == np.int16 and values.dtype != np.int16:
        is_inside = values.min() >= _INT16.min and values.max() <= _INT16.max
        return dtype if is_inside else np.dtype(np.int32)
    return dtype


def _lower_padding(out: Array, padded: dict[int, npt.NDArray[np.bool_]]) -> None:
    """Give padding that would stand above the image the lowest image value."""
    if not padded or out.dtype.names is not None:
        return
    lows, highs = [], []
    for k, plane in enumerate(out):
        image = plane[~padded[k]] if k in padded else plane
        if image.size:
            lows.append(image.min())
            highs.append(image.max())
    if not lows:
        return
    for k, mask in padded.items():
        is_above = mask & (out[k] > max(highs))
        out[k][is_above] = min(lows)


def _narrow(out: Array) -> Array:
    """Keep whole numbers in 16 bits where they fit."""
    if out.dtype != np.int32:
        return out
    low, high = out.min(), out.max()
    if low >= _INT16.min and high <= _INT16.max:
        return out.astype(np.int16)
    return out.astype(np.uint16) if low >= 0 and high <= _UINT16.max else out
