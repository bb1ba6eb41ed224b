"""Policies of reading: what a person decides where an annotation file leaves its meaning open."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Nesting(StrEnum):
    """What a plain CLOSED_PLANAR contour inside another one means; the standard leaves it open.

    ``XOR`` makes it a hole, as most systems mean it; ``UNION`` joins it with what is around.
    """

    XOR = "xor"
    UNION = "union"


class OpenContours(StrEnum):
    """What becomes of points and open lines: rows of the table only, or masks of the voxels they touch too."""

    ROWS = "rows"
    MASKS = "masks"


class Fractional(StrEnum):
    """From which part of the maximum on a fractional value belongs to the segment: above zero, half, or all."""

    ANY = "any"
    HALF = "half"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class ReadingPolicies:
    """Choices made while reading annotations; each that decided something is recorded in the notes.

    Attributes:
        nesting: What nested plain contours mean.
        open_contours: What becomes of points and open lines.
        fill_gaps: Up to so many slices in a row without a contour are interpolated between the contoured
            slices around them; 0 leaves them empty.
        fractional: From where on a value of a fractional segmentation counts.
    """

    nesting: Nesting = Nesting.XOR
    open_contours: OpenContours = OpenContours.ROWS
    fill_gaps: int = 0
    fractional: Fractional = Fractional.HALF


DEFAULT_POLICIES = ReadingPolicies()
