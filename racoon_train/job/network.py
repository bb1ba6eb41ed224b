"""Which network a job trains, with arguments that fit it."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from racoon_data.settings import Frozen

Positive = Annotated[int, Field(ge=1)]


class NetworkSettings(Frozen):
    """A network by name, with its arguments; the class count follows from the labels.

    Attributes:
        name: MONAI's UNet (small, for CPUs) or DynUNet (the network of nnU-Net, for GPUs), in two or three dimensions.
        in_channels: Image channels.
        channels: Feature maps by level; each level halves the grid.
        residual_units: UNet: residual units a level. DynUNet: 0 for plain blocks as in nnU-Net, else residual ones.
        norm: Normalisation; ``group`` suits training with differential privacy.
        deep_supervision: DynUNet: outputs at lower resolutions that are trained too.
        dropout: Share of feature maps dropped in training.
    """

    name: Literal["unet2d", "unet3d", "dynunet2d", "dynunet3d"] = "unet2d"
    in_channels: Positive = 1
    channels: Annotated[tuple[Positive, ...], Field(min_length=2, max_length=8)] = (8, 16, 32, 64)
    residual_units: Annotated[int, Field(ge=0, le=8)] = 1
    norm: Literal["instance", "batch", "group"] = "instance"
    deep_supervision: Annotated[int, Field(ge=0)] = 0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @property
    def dimensions(self) -> int:
        """2 for a network of slices, 3 for one of volumes."""
        return int(self.name[-2])

    @property
    def is_dynunet(self) -> bool:
        """Tell a DynUNet from a UNet."""
        return self.name.startswith("dynunet")

    @property
    def multiple(self) -> int:
        """A grid must be divisible by this: the network halves it once a level."""
        return 1 << (len(self.channels) - 1)

    @model_validator(mode="after")
    def _arguments_fit(self) -> Self:
        if self.deep_supervision and not self.is_dynunet:
            raise ValueError("deep_supervision needs a dynunet")
        if self.is_dynunet and len(self.channels) < 3:
            raise ValueError("a dynunet needs three channels or more")
        if self.deep_supervision > max(0, len(self.channels) - 2):
            raise ValueError(f"deep_supervision is at most {len(self.channels) - 2} with these channels")
        return self
