"""What a stored value means: rescaling, units and padding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from racoon_data.dicom.facts import Facts

KEYWORDS = (
    "Modality", "RescaleSlope", "RescaleIntercept", "RescaleType", "Units", "SUVType", "PixelPaddingValue",
    "PixelPaddingRangeLimit", "PixelRepresentation", "BitsAllocated", "PhotometricInterpretation",
)  # fmt: skip
RESCALE, REAL_WORLD, PHILIPS = "rescale", "real-world", "philips"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which values are wanted, where an image offers several.

    Attributes:
        values: ``rescale`` (modality transformation; a real-world value map only where there is none),
            ``real-world`` (the map where there is one) or ``philips`` (floating point values of Philips MR).
        is_colour: Keep colour images; they are refused otherwise.
    """

    values: str = RESCALE
    is_colour: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A lookup table: what each stored value from ``first`` on becomes; values beyond take the ends."""

    first: int
    values: npt.NDArray[Any]

    def look_up(self, stored: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Translate stored values ``[j, i]``."""
        index = np.clip(stored.astype(np.int64) - self.first, 0, len(self.values) - 1)
        return np.asarray(self.values[index])


@dataclass(frozen=True, slots=True, eq=False)
class Meaning:
    """How the stored values of one slice become real ones.

    Attributes:
        slope: Real value of one step.
        intercept: Real value of zero.
        unit: ``HU``, ``Bq/ml``, ``SUVbw``, another UCUM unit of a real-world value map, or ``1``.
        padding: Lowest and highest stored value that means "no image here", ``None`` where none is declared.
        table: Lookup table to use instead of slope and intercept.
        decisions: What was decided, in words.
    """

    slope: float = 1.0
    intercept: float = 0.0
    unit: str = "1"
    padding: tuple[int, int] | None = None
    table: Table | None = None
    decisions: tuple[str, ...] = ()


def plain_meaning(facts: Facts) -> Meaning:
    """Decide what the values of a slice mean from its plain attributes alone: rescale slope and intercept."""
    slope, intercept = facts.number("RescaleSlope"), facts.number("RescaleIntercept")
    decisions = ["RescaleSlope 0 read as 1"] if slope == 0 else []
    if facts.text("PhotometricInterpretation") == "MONOCHROME1":
        decisions.append("MONOCHROME1: values kept, only their display is inverted")
    return Meaning(slope or 1.0, intercept or 0.0, unit_of(facts), padding_of(facts), decisions=tuple(decisions))


def as_suv(meaning: Meaning, factor: float) -> Meaning:
    """Give the meaning whose real values are SUV (body weight): those of another one times a factor."""
    table = Table(meaning.table.first, meaning.table.values * factor) if meaning.table else None
    slope, intercept = meaning.slope * factor, meaning.intercept * factor
    decisions = (*meaning.decisions, "SUV, body weight")
    return Meaning(slope, intercept, "SUVbw", meaning.padding, table, decisions)


def unit_of(facts: Facts) -> str:
    """Say what a rescaled value means: HU for CT, PET Units (PS3.3 C.8.9.1.1.3), else 1."""
    modality = facts.text("Modality")
    if modality == "CT":
        return "HU" if facts.text("RescaleType") in ("", "HU") else "1"
    if modality != "PT":
        return "1"
    units, kind = facts.text("Units"), facts.text("SUVType")
    if units == "GML" and kind in ("", "BW"):
        return "SUVbw"
    return "Bq/ml" if units == "BQML" else "1"


def padding_of(facts: Facts) -> tuple[int, int] | None:
    """Give the range of stored padding values (PS3.3 C.7.5.1.1.2), read with the sign of the pixels."""
    bounds = [_with_sign(facts, name) for name in ("PixelPaddingValue", "PixelPaddingRangeLimit")]
    known = [bound for bound in bounds if bound is not None]
    return (min(known), max(known)) if bounds[0] is not None else None


def _with_sign(facts: Facts, keyword: str) -> int | None:
    """Read a US-or-SS value as the pixels are: some writers get its sign wrong."""
    number = facts.number(keyword)
    if number is None:
        return None
    wrapped = int(number) & 0xFFFF
    is_negative = facts.whole("PixelRepresentation") == 1 and wrapped >= 0x8000
    return wrapped - 0x10000 if is_negative else wrapped
