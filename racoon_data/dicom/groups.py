"""Functional groups of multi-frame images: what is shared, what is each frame's own (PS3.3 C.7.6.16)."""

from __future__ import annotations

from collections.abc import Iterator

import pydicom

from racoon_data.dicom.headers import value_of
from racoon_data.dicom.mappings import SEQUENCES

_SHARED, _OWN = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"


def groups_of(dataset: pydicom.Dataset, frame: int) -> tuple[pydicom.Dataset, ...]:
    """Give the functional groups of one frame: the shared ones, then its own, which win."""
    shared = value_of(dataset, _SHARED) or ()
    own = value_of(dataset, _OWN) or ()
    return (*shared[:1], *own[frame : frame + 1])


def items_of(groups: pydicom.Dataset) -> Iterator[tuple[str, pydicom.Dataset]]:
    """Give keyword and first item of each public group that has one."""
    for tag in list(groups.keys()):
        keyword = pydicom.datadict.keyword_for_tag(tag)
        sequence = value_of(groups, keyword) if keyword else None
        if isinstance(sequence, pydicom.Sequence):
            yield keyword, sequence[0]


def frame_context(dataset: pydicom.Dataset, frame: int) -> pydicom.Dataset:
    """Give a data set that holds what decides the meaning of one frame's values, wherever it stood."""
    groups = groups_of(dataset, frame)
    if not groups:
        return dataset
    context = pydicom.Dataset()
    for source in (dataset, *groups):
        for keyword in SEQUENCES:
            if value_of(source, keyword):
                context[keyword] = source[keyword]
    for group in groups:
        for keyword, item in items_of(group):
            if keyword == "PixelValueTransformationSequence":
                context.update({element.tag: element for element in item})
    return context
