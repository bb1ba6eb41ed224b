"""What sites may tell of their data before they train: bins that are the same everywhere, and the smallest cell."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from racoon_data.settings import Frozen


class StatisticsSettings(Frozen):
    """The bins of the federated fingerprint; sums over sites are exact because every site uses the same.

    Attributes:
        low: Lower edge of the first intensity bin, in the image's unit; lower values count into it.
        high: Upper edge of the last one; higher values count into it.
        bins: Number of intensity bins of equal width: 1 HU each as it stands.
        spacing_mm: Width of a spacing cell.
        size: Width of a size cell, in voxels.
        smallest: Fewest patients behind anything that leaves a site.
    """

    low: float = -1024.0
    high: float = 3072.0
    bins: Annotated[int, Field(ge=2, le=65536)] = 4096
    spacing_mm: Annotated[float, Field(gt=0)] = 0.05
    size: Annotated[int, Field(ge=1)] = 8
    smallest: Annotated[int, Field(ge=2)] = 10

    @model_validator(mode="after")
    def _has_a_range(self) -> Self:
        if self.low >= self.high:
            raise ValueError("the first bin's edge must be below the last one's")
        return self

    @property
    def width(self) -> float:
        """Width of an intensity bin."""
        return (self.high - self.low) / self.bins
