"""Intensity steps: what is done to values, before resampling (N4) and after they lie on their final grid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk  # noqa: N813 - the library's own habit
from pydantic import Field, model_validator

from racoon_data.grid.components import components
from racoon_data.settings import Frozen
from racoon_data.volumes import Volume

BODY_HU = -500.0

Rounds = Annotated[int, Field(ge=1, le=500)]


class Clip(Frozen):
    """Hold values inside a range, in the volume's unit; an HU window that keeps HU."""

    kind: Literal["clip"]
    low: float
    high: float
    channel: str = ""

    @model_validator(mode="after")
    def _is_a_range(self) -> Clip:
        if not self.low < self.high:
            raise ValueError("low must be below high")
        return self


class Percentiles(Frozen):
    """Hold values between two percentiles of the volume."""

    kind: Literal["percentiles"]
    low: Annotated[float, Field(ge=0, le=100)] = 0.5
    high: Annotated[float, Field(ge=0, le=100)] = 99.5
    over: Literal["all", "nonzero", "body"] = "all"
    channel: str = ""

    @model_validator(mode="after")
    def _is_a_range(self) -> Percentiles:
        if not self.low < self.high:
            raise ValueError("low must be below high")
        return self


class Window(Frozen):
    """Map a display window to 0..1; values beyond it become 0 or 1."""

    kind: Literal["window"]
    center: float
    width: Annotated[float, Field(gt=0)]
    channel: str = ""


class ZScore(Frozen):
    """Shift and scale to mean 0 and standard deviation 1, measured over all voxels, those not 0, or the body."""

    kind: Literal["zscore"]
    over: Literal["all", "nonzero", "body"] = "all"
    channel: str = ""


class N4(Frozen):
    """Remove the slow shading of MR (Tustison 2010, doi 10.1109/TMI.2010.2046908), on the source grid.

    The field is estimated inside Otsu's mask on a grid ``shrink`` times coarser, and divided out at full size.
    """

    kind: Literal["n4"]
    shrink: Annotated[int, Field(ge=1, le=8)] = 4
    iterations: Annotated[tuple[Rounds, ...], Field(min_length=1, max_length=6)] = (50, 50, 30, 20)
    channel: str = ""


AnyStep = Clip | Percentiles | Window | ZScore | N4
Step = Annotated[AnyStep, Field(discriminator="kind")]


def apply(volume: Volume, steps: Sequence[AnyStep], *, channel: str, before: bool = False) -> Volume:
    """Apply the steps meant for a channel, in order.

    Args:
        volume: Image of any real dtype.
        steps: Steps; one without a channel name is meant for every channel.
        channel: Name of this channel.
        before: Those that go before resampling (N4), instead of those after it.

    Returns:
        The volume itself where no step is meant for it, else float32 values; the unit stays after ``clip``,
        ``percentiles`` and ``n4`` and becomes ``1`` after ``window`` and ``zscore``.
    """
    for step in meant_for(steps, channel=channel, before=before):
        volume = _applied(volume, step)
    return volume


def meant_for(steps: Sequence[AnyStep], *, channel: str, before: bool) -> tuple[AnyStep, ...]:
    """Give the steps of one channel, those before or those after resampling."""
    return tuple(one for one in steps if one.channel in ("", channel) and isinstance(one, N4) is before)


def _applied(volume: Volume, step: AnyStep) -> Volume:
    values = volume.array.astype(np.float32)
    match step:
        case Clip():
            return _like(volume, np.clip(values, np.float32(step.low), np.float32(step.high)))
        case Percentiles():
            low, high = np.percentile(_measured(values, step.over), [step.low, step.high])
            return _like(volume, np.clip(values, np.float32(low), np.float32(high)))
        case Window():
            scaled = (values - np.float32(step.center - step.width / 2)) / np.float32(step.width)
            return Volume(np.clip(scaled, np.float32(0), np.float32(1)), volume.geometry, "1")
        case ZScore():
            return Volume(_standard(values, step.over), volume.geometry, "1")
        case N4():
            return _like(volume, _unshaded(values, volume, step))


def _like(volume: Volume, values: npt.NDArray[Any]) -> Volume:
    return Volume(values.astype(np.float32, copy=False), volume.geometry, volume.unit)


def _measured(values: npt.NDArray[np.float32], over: str) -> npt.NDArray[np.float32]:
    """Give the voxels that are measured; all of them where the mask is empty."""
    if over == "all":
        return values
    inside = values[body_mask(values) if over == "body" else values != 0]
    return inside if inside.size else values


def body_mask(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Find the body in HU: the largest component above -500 HU."""
    numbered = components(np.ascontiguousarray(values > BODY_HU))
    sizes = np.bincount(numbered.ravel())
    sizes[0] = 0
    return np.asarray(numbered == sizes.argmax()) if sizes.any() else np.zeros(values.shape, dtype=np.bool_)


def _standard(values: npt.NDArray[np.float32], over: str) -> npt.NDArray[np.float32]:
    measured = _measured(values, over)
    mean, deviation = float(measured.mean(dtype=np.float64)), float(measured.std(dtype=np.float64))
    centred = values - np.float32(mean)
    # A constant volume has nothing to scale by; it becomes all zero.
    return centred / np.float32(deviation) if deviation > 0 else centred


def _unshaded(values: npt.NDArray[np.float32], volume: Volume, step: N4) -> npt.NDArray[np.float32]:
    image = sitk.GetImageFromArray(values)
    image.SetSpacing([float(mm) for mm in volume.geometry.spacing_mm])
    if not values.max() > values.min():
        return values
    with _one_thread():
        inside = sitk.OtsuThreshold(image, 0, 1)
        factors = [min(step.shrink, max(1, size // 8)) for size in image.GetSize()]
        corrector = sitk.N4BiasFieldCorrectionImageFilter()
        corrector.SetMaximumNumberOfIterations(list(step.iterations))
        # N4 works on logarithms: values below zero have none, so they are lifted for the estimate alone.
        lifted = sitk.Cast(image - float(min(values.min(), 0.0)), sitk.sitkFloat32)
        corrector.Execute(sitk.Shrink(lifted, factors), sitk.Shrink(inside, factors))
        field = sitk.GetArrayFromImage(corrector.GetLogBiasFieldAsImage(image))
    corrected: npt.NDArray[np.float32] = (values / np.exp(field)).astype(np.float32)
    return corrected


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let SimpleITK's functions run on one thread: workers run side by side, and sums come in one order."""
    before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before)
