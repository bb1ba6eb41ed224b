"""Coded items of DICOM annotations to CodedConcept, tolerating what templates and old tools write."""

from __future__ import annotations

from collections.abc import Iterator

import pydicom

from racoon_data.dicom.headers import text_of, value_of
from racoon_data.labels import CodedConcept

_VALUES = ("CodeValue", "LongCodeValue", "URNCodeValue")


def items(dataset: pydicom.Dataset | None, keyword: str) -> Iterator[pydicom.Dataset]:
    """Go through the items of a sequence; absent or empty gives none."""
    sequence = value_of(dataset, keyword) if dataset is not None else None
    if isinstance(sequence, pydicom.Sequence):
        yield from sequence


def first(dataset: pydicom.Dataset | None, keyword: str) -> pydicom.Dataset | None:
    """Give the first item of a sequence, ``None`` where there is none."""
    return next(items(dataset, keyword), None)


def concept_of(dataset: pydicom.Dataset | None, keyword: str) -> CodedConcept | None:
    """Read the first code of a code sequence.

    A private code whose value is ``N/A`` or missing is kept as it stands: its scheme and meaning still
    name something.

    Returns:
        The concept, ``None`` where the sequence is absent or its item says nothing.
    """
    item = first(dataset, keyword)
    if item is None:
        return None
    value = next((text for name in _VALUES if (text := text_of(item, name))), "")
    concept = CodedConcept(value, text_of(item, "CodingSchemeDesignator"), text_of(item, "CodeMeaning"))
    return concept if concept.value or concept.meaning else None
