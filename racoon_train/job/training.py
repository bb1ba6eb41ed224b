"""How a site trains: steps, patches, precision, optimizer, early stop and intensity window."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from racoon_data.settings import Frozen

Positive = Annotated[int, Field(ge=1)]
Millimetres = Annotated[float, Field(gt=0)]


class TrainingSettings(Frozen):
    """How a site trains.

    Attributes:
        rounds: Rounds of the federation.
        local_steps: Steps a site takes in a round.
        batch_size: Patches a step.
        patch: Edge of a patch in voxels, or its size as rows and columns, or as slices, rows and columns.
        foreground_share: Share of patches with a labelled voxel at their centre.
        window: Intensities (HU) that become 0 and 1.
        augmentation: ``light`` flips, shifts and scales; ``strong`` adds MONAI's rotation, zoom, noise, blur
            and contrast.
        learning_rate: At the first step; it falls along a cosine to 2 % of it.
        weight_decay: Of AdamW.
        precision: ``bf16`` and ``fp16`` are mixed precision; ``fp16`` is for CUDA and is fp32 on a CPU.
        gradient_clip: Longest gradient (L2 norm).
        overlap: Share of a window that its neighbour covers when a 3D network predicts.
        checkpoint_steps: Steps after which a site writes down where it stands, 0 for the ends of rounds only.
        validation_fold: Fold of the training cases that local training keeps back to choose its best round.
        patience: Rounds without a better validation after which local training stops, 0 for never.
        orientation: Axes of the network's grid, such as ``RAS``; ``native`` predicts on the axes that come.
        spacing_mm: Spacing (i, j, k) of the network's grid, which predictions are made on; none for that of the image.
    """

    rounds: Positive = 8
    local_steps: Positive = 40
    batch_size: Positive = 8
    patch: Positive | tuple[Positive, Positive] | tuple[Positive, Positive, Positive] = 96
    foreground_share: Annotated[float, Field(ge=0, le=1)] = 0.5
    window: tuple[float, float] = (-1000.0, 400.0)
    augmentation: Literal["none", "light", "strong"] = "light"
    learning_rate: Annotated[float, Field(gt=0)] = 1e-2
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    gradient_clip: Annotated[float, Field(gt=0)] = 12.0
    overlap: Annotated[float, Field(ge=0, lt=1)] = 0.5
    checkpoint_steps: Annotated[int, Field(ge=0)] = 0
    validation_fold: Annotated[int, Field(ge=0, le=4)] | None = None
    patience: Annotated[int, Field(ge=0)] = 0
    orientation: Annotated[str, Field(pattern=r"^([RLAPSI]{3}|native)$")] = "RAS"
    spacing_mm: tuple[Millimetres, Millimetres, Millimetres] | None = None

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.window[0] >= self.window[1]:
            raise ValueError("the window's first value must be below its second")
        if self.patience and self.validation_fold is None:
            raise ValueError("patience needs a validation_fold to judge by")
        return self
