"""What the segments of a DICOM segmentation are: descriptions, codes, and which value means none."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pydicom

from racoon_data.annotations.codes import concept_of, first, items
from racoon_data.dicom.headers import number_of, text_of, value_of, whole_of
from racoon_data.errors import RacoonError, UncodedItemError
from racoon_data.labels import ItemIssue, Segment
from racoon_data.policies import Fractional

# The part of MaximumFractionalValue from which on a voxel belongs to a segment, by policy.
_PARTS = {Fractional.ANY: 0.0, Fractional.HALF: 0.5, Fractional.FULL: 1.0}

_BACKGROUND = ("DCM", "125040")
_PLACEHOLDERS = frozenset({"", "N/A"})


def issue(item: str, kind: type[RacoonError], message: str, *, is_left_out: bool = False) -> ItemIssue:
    """Say what is wrong with one item, under the code of a kind of error."""
    return ItemIssue(item, kind.code, message, is_left_out)


def described(dataset: pydicom.Dataset) -> dict[int, pydicom.Dataset]:
    """Give the description of every segment by number; of a number used twice the first one."""
    found: dict[int, pydicom.Dataset] = {}
    for item in items(dataset, "SegmentSequence"):
        found.setdefault(whole_of(item, "SegmentNumber"), item)
    return found


def segment_of(number: int, item: pydicom.Dataset | None) -> Segment:
    """Turn a description into a segment; what is absent or empty stays empty."""
    item = item if item is not None else pydicom.Dataset()
    kind = first(item, "SegmentedPropertyTypeCodeSequence")
    region = first(item, "AnatomicRegionSequence")
    return Segment(
        number,
        text_of(item, "SegmentLabel") or text_of(item, "SegmentDescription") or f"segment {number}",
        category=concept_of(item, "SegmentedPropertyCategoryCodeSequence"),
        type=concept_of(item, "SegmentedPropertyTypeCodeSequence"),
        type_modifier=concept_of(kind, "SegmentedPropertyTypeModifierCodeSequence"),
        region=concept_of(item, "AnatomicRegionSequence"),
        region_modifier=concept_of(region, "AnatomicRegionModifierSequence"),
        algorithm=text_of(item, "SegmentAlgorithmType"),
        tracking_uid=text_of(item, "TrackingUID"),
    )


def coding_issues(number: int, item: pydicom.Dataset | None) -> Iterator[ItemIssue]:
    """Name what a segment's description lacks; its mask is kept all the same."""
    name = f"segment {number}"
    if item is None:
        yield issue(name, UncodedItemError, "has frames and no description; it is named by its number")
        return
    kind = concept_of(item, "SegmentedPropertyTypeCodeSequence")
    if kind is None:
        yield issue(name, UncodedItemError, "has no property type code")
    elif kind.value.upper() in _PLACEHOLDERS:
        yield issue(name, UncodedItemError, f"has a property type without a code value, under {kind.scheme or 'none'}")


def backgrounds(dataset: pydicom.Dataset) -> frozenset[int]:
    """Give the values of a label map that mean no segment (PS3.3 C.8.20.2.3.2).

    The padding value does, and 0 too unless padding is another value and a segment 0 is described as
    something else than background.
    """
    padding = value_of(dataset, "PixelPaddingValue")
    if isinstance(padding, bytes):
        padding = int.from_bytes(padding[:2], "little" if dataset.original_encoding[1] else "big")
    zero = described(dataset).get(0)
    code = concept_of(zero, "SegmentedPropertyTypeCodeSequence") if zero is not None else None
    is_segment = zero is not None and padding not in (None, 0) and (code is None or code.key != _BACKGROUND)
    found = {padding & 0xFFFF} if isinstance(padding, int) else set()
    return frozenset(found if is_segment else {*found, 0})


def threshold_of(dataset: pydicom.Dataset, policy: Fractional) -> tuple[float, tuple[str, ...]]:
    """Give the lowest stored value that belongs to a fractional segment, and the sentences that say so."""
    most = number_of(dataset, "MaximumFractionalValue")
    part = _PARTS[policy]
    meaning = text_of(dataset, "SegmentationFractionalType").lower() or "fraction"
    wording = f"from {part} of the maximum on" if part else "wherever they are above zero"
    notes = [f"fractional values ({meaning}) count {wording}"]
    if not most:
        notes.append("MaximumFractionalValue is missing and was taken as 255")
    lowest = part * (most or 255.0)
    return max(lowest, float(np.nextafter(0, 1))), tuple(notes)
