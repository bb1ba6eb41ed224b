"""What a user may choose about a conversion."""

from __future__ import annotations

from dataclasses import dataclass

from racoon_data.dicom.meaning import RESCALE, Wanted


@dataclass(frozen=True, slots=True)
class Choices:
    """Options of a conversion, handed to every volume.

    Attributes:
        values: Which values are written where an image offers several; see ``Wanted``.
        is_colour: Keep colour images; they are refused otherwise.
        is_suv: Write PET as SUV (body weight), or refuse it.
        is_time_joined: Write time points and diffusion weightings of one grid as one 4D file.
        is_regular: Write a resampled copy beside a tilted stack, and resample uneven ones from their true positions.
    """

    values: str = RESCALE
    is_colour: bool = True
    is_suv: bool = False
    is_time_joined: bool = True
    is_regular: bool = False

    @property
    def wanted(self) -> Wanted:
        """What the reader of pixels has to know."""
        return Wanted(self.values, self.is_colour)


DEFAULT = Choices()
