"""Which network a job trains."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from racoon_data.settings import Frozen

Positive = Annotated[int, Field(ge=1)]


class NetworkSettings(Frozen):
    """A network by name, with its arguments; the class count follows from the labels."""

    name: Literal["unet2d"] = "unet2d"
    in_channels: Positive = 1
    channels: Annotated[tuple[int, ...], Field(min_length=2)] = (8, 16, 32, 64)
    residual_units: Annotated[int, Field(ge=0)] = 1
