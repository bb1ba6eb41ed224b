"""How a site trains: steps, patches, optimizer and intensity window."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from racoon_data.settings import Frozen

Positive = Annotated[int, Field(ge=1)]


class TrainingSettings(Frozen):
    """How a site trains: steps per round, patches, optimizer and intensity window (HU)."""

    rounds: Positive = 8
    local_steps: Positive = 40
    batch_size: Positive = 8
    patch: Positive = 96
    foreground_share: Annotated[float, Field(ge=0, le=1)] = 0.5
    window: tuple[float, float] = (-1000.0, 400.0)
    learning_rate: Annotated[float, Field(gt=0)] = 1e-2
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
