"""Labels and segments made ready for writing: true codes for every part, or a refusal that says which is missing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from racoon_data.errors import SettingsError, UncodedItemError
from racoon_data.labels import BoxedMask, CodedConcept, Label, Segment, Terminology

_SCHEME_LENGTH = 16
_PLACEHOLDERS = frozenset({"", "n/a", "na", "none", "null", "unknown", "0"})

# ExplicitVR LO of SegmentLabel and TrackingID (PS3.5 6.2).
LABEL_LENGTH = 64


@dataclass(frozen=True, slots=True)
class Author:
    """Who outlined: an algorithm, a reader, or a reader with an algorithm.

    Attributes:
        algorithm: Name of the algorithm, empty where none was used.
        version: Its version.
        reader: Name of the reader, empty where none had a hand in it.
    """

    algorithm: str = ""
    version: str = ""
    reader: str = ""

    @property
    def kind(self) -> str:
        """SegmentAlgorithmType."""
        if not self.algorithm:
            return "MANUAL"
        return "SEMIAUTOMATIC" if self.reader else "AUTOMATIC"

    @property
    def name(self) -> str:
        """The algorithm where there is one, else the reader."""
        return self.algorithm or self.reader


def author_of(segments: Iterable[Segment], *, algorithm: str = "", version: str = "", reader: str = "") -> Author:
    """Name who outlined.

    Raises:
        SettingsError: Nobody is named, an algorithm comes without its version, or segments that an algorithm
            made come without its name.
    """
    if algorithm and not version:
        raise SettingsError("an algorithm without a version cannot be told from the next", hint="--algorithm-version")
    if not algorithm and not reader:
        raise SettingsError("nobody is named who outlined", hint="--algorithm with --algorithm-version, or --reader")
    made = [one.name for one in segments if one.algorithm in ("AUTOMATIC", "SEMIAUTOMATIC")]
    if made and not algorithm:
        raise SettingsError(f"an algorithm made segment {made[0]!r}", hint="name it: --algorithm, --algorithm-version")
    return Author(algorithm, version, reader)


@dataclass(frozen=True, slots=True, eq=False)
class Written:
    """One segment to be written.

    Attributes:
        segment: What it is, with codes; its number is the segment number of the new object.
        drawn: Where it is on the source grid, fractions counting from a half on.
        fractions: Fractions from 0 to 1 (float32), ``[k, j, i]``, where they are known.
    """

    segment: Segment
    drawn: BoxedMask
    fractions: npt.NDArray[np.float32] | None = None


def segment_of_label(label: Label, number: int) -> Segment:
    """Turn a label of a schema into a segment with the codes it is written with.

    Raises:
        UncodedItemError: The label has no category or no type.
    """
    written = dict(label.written)
    words = label.terminology[0] if label.terminology else Terminology()
    segment = Segment(
        number,
        label.name,
        category=written.get("category") or words.category,
        type=written.get("type") or words.type or _first(label.codes),
        type_modifier=written.get("type_modifier") or words.type_modifier or _first(label.type_modifiers),
        region=written.get("site") or words.region or _first(label.regions),
        region_modifier=written.get("laterality") or words.region_modifier,
    )
    require_codes(segment, hint=f'add "written": {{"category": ..., "type": ...}} to label {label.name!r}')
    return segment


def _first(concepts: Iterable[CodedConcept]) -> CodedConcept | None:
    return next(iter(concepts), None)


def require_codes(segment: Segment, *, hint: str) -> None:
    """Refuse a segment whose codes are absent, placeholders or too long to be written.

    Raises:
        UncodedItemError: It names the part and the segment.
    """
    parts = {"category": segment.category, "type": segment.type}
    missing = [part for part, code in parts.items() if code is None or is_dummy(code)]
    if missing:
        raise UncodedItemError(f"segment {segment.name!r} has no true code for its {' and '.join(missing)}", hint=hint)
    if segment.region_modifier is not None and segment.region is None:
        raise UncodedItemError(f"segment {segment.name!r} has a side and no anatomic site", hint=hint)
    optional = (segment.type_modifier, segment.region, segment.region_modifier)
    for code in (*parts.values(), *optional):
        if code is not None and (is_dummy(code) or len(code.scheme) > _SCHEME_LENGTH or not code.meaning):
            message = f"segment {segment.name!r} has a code that cannot be written: {code.scheme} {code.value}"
            raise UncodedItemError(message, hint="write value, scheme (16 letters at most) and meaning of a real code")


def is_dummy(code: CodedConcept) -> bool:
    """Tell whether a code stands for nothing: no value, ``N/A``, zeros and dots, or no scheme."""
    value = code.value.strip().casefold()
    return value in _PLACEHOLDERS or not code.scheme.strip() or not value.strip("0.")
