"""What a job asks of a site's dataset and machine, before it may take part."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from racoon_data.settings import Frozen

Count = Annotated[int, Field(ge=0)]
Range = tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Requirements(Frozen):
    """What every site must have; a site that has not is refused before round 0, with the difference.

    Attributes:
        label_schema_sha256: Hash of the label schema, codes and synonyms included; none compares names and values only.
        recipe_sha256: Recipe the dataset was harmonized by; none where any will do.
        channels: Names of the channels in order; empty where their number is enough.
        annotated: Classes every site must have looked for.
        train_cases: Fewest cases to train on.
        test_cases: Fewest cases to test on.
        cases_per_class: Fewest training cases in which each class a site annotates was looked for.
        spacing_mm: Smallest and largest spacing along i, j and k.
        free_disk_gib: Free space at the site.
        gpu: The site needs a CUDA device.
    """

    label_schema_sha256: Sha256 | None = None
    recipe_sha256: Sha256 | None = None
    channels: tuple[str, ...] = ()
    annotated: tuple[str, ...] = ()
    train_cases: Count = 1
    test_cases: Count = 0
    cases_per_class: Count = 0
    spacing_mm: tuple[Range, Range, Range] | None = None
    free_disk_gib: Annotated[float, Field(ge=0)] = 0.0
    gpu: bool = False

    @model_validator(mode="after")
    def _ranges_rise(self) -> Self:
        if any(low > high for low, high in self.spacing_mm or ()):
            raise ValueError("a smallest spacing is above the largest")
        return self
