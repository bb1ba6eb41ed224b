"""Hard cases of conversion: a maker each, with the truth it was made from, and what has to come of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from racoon_data.volumes import Volume


@dataclass(frozen=True, slots=True)
class HardCase:
    """One thing converters get wrong.

    Attributes:
        name: What it is, such as ``12 bits with overlay bits above``.
        topic: ``geometry``, ``splits``, ``values``, ``encoding`` or ``frames``.
        make: Writes the files into a folder and gives the truth: one volume of real values for each
            volume (and time point) that has to come out; none where all has to be refused.
        refusal: Error code of the refusal that has to be given, empty where none has to.
        options: Options of ``racoon convert`` the case is about.
    """

    name: str
    topic: str
    make: Callable[[Path], tuple[Volume, ...]]
    refusal: str = ""
    options: tuple[str, ...] = ()
