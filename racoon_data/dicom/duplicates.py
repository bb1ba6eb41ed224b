"""A slice that is there twice, under two UIDs: the same place, the same attributes, the same pixels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from racoon_data.dicom.images import Image
from racoon_data.dicom.pixels import read_pixels
from racoon_data.errors import DicomError

# What tells copies apart and says nothing about the slice.
_NAMES = frozenset(("SOPInstanceUID", "MediaStorageSOPInstanceUID", "InstanceNumber"))


def repeated(ordered: Sequence[Image]) -> tuple[Image, ...]:
    """List the slices that repeat the one before in every respect but their names.

    Only neighbours in exactly one place are compared, so an ordinary stack costs nothing. Slices that differ in any
    attribute racoon reads, or in one pixel, are not listed: they are no copies, and the series will be refused.

    Args:
        ordered: One stack, ascending along its normal.
    """
    found: list[Image] = []
    kept = ordered[0] if ordered else None
    for before, image in pairwise(ordered):
        if before not in found:
            kept = before
        if kept is not None and _is_same(kept, image):
            found.append(image)
    return tuple(found)


def _is_same(one: Image, other: Image) -> bool:
    is_one_place = one.header.position_lps == other.header.position_lps
    if not is_one_place or one.header.frame is not None or other.header.frame is not None:
        return False
    return _told(one) == _told(other) and _has_same_pixels(one, other)


def _told(image: Image) -> tuple[object, ...]:
    facts = image.facts
    raw = {keyword: value for keyword, value in facts.raw.items() if keyword not in _NAMES}
    return raw, dict(facts.private), facts.sequences, dict(facts.values)


def _has_same_pixels(one: Image, other: Image) -> bool:
    try:
        return bool(np.array_equal(read_pixels(one.header).stored, read_pixels(other.header).stored))
    except DicomError:
        return False
