"""Intensity steps: what is done to values after they lie on their final grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from racoon_data.settings import Frozen
from racoon_data.volumes import Volume


class Clip(Frozen):
    """Hold values inside a range, in the volume's unit."""

    kind: Literal["clip"]
    low: float
    high: float
    channel: str = ""

    @model_validator(mode="after")
    def _is_a_range(self) -> Clip:
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
    """Shift and scale to mean 0 and standard deviation 1 over the whole volume."""

    kind: Literal["zscore"]
    channel: str = ""


Step = Annotated[Clip | Window | ZScore, Field(discriminator="kind")]


def apply(volume: Volume, steps: Sequence[Clip | Window | ZScore], *, channel: str) -> Volume:
    """Apply the steps meant for a channel, in order.

    Args:
        volume: Image of any real dtype.
        steps: Steps; one without a channel name is meant for every channel.
        channel: Name of this channel.

    Returns:
        The volume itself where no step is meant for it, else float32 values; the unit stays after
        ``clip`` and becomes ``1`` after ``window`` and ``zscore``.
    """
    for step in steps:
        if step.channel in ("", channel):
            volume = _applied(volume, step)
    return volume


def _applied(volume: Volume, step: Clip | Window | ZScore) -> Volume:
    values = volume.array.astype(np.float32)
    if isinstance(step, Clip):
        return Volume(np.clip(values, np.float32(step.low), np.float32(step.high)), volume.geometry, volume.unit)
    if isinstance(step, Window):
        scaled = (values - np.float32(step.center - step.width / 2)) / np.float32(step.width)
        return Volume(np.clip(scaled, np.float32(0), np.float32(1)), volume.geometry, "1")
    mean, deviation = float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64))
    centred = values - np.float32(mean)
    # A constant volume has nothing to scale by; it becomes all zero.
    return Volume(centred / np.float32(deviation) if deviation > 0 else centred, volume.geometry, "1")
