"""Coded items of DICOM annotations to CodedConcept, tolerating what templates and old tools write."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pydicom

from racoon_data.annotations.slice_names import SourceImage
from racoon_data.dicom.headers import text_of, texts_of, value_of
from racoon_data.dicom.snomed import srt_to_sct
from racoon_data.labels import CodedConcept

_VALUES = ("CodeValue", "LongCodeValue", "URNCodeValue")
# Designators of SNOMED RT and CT under older names (PS3.16 table 8-1).
_SRT = frozenset({"SRT", "SNM3", "99SDM"})
_SCT = frozenset({"SCT", "SNOMED", "2.16.840.1.113883.6.96"})
# Public schemes that imaging codes come from (PS3.16 table 8-1); any other is somebody's own.
_PUBLIC = _SRT | _SCT | {
    "DCM", "UCUM", "LN", "UMLS", "FMA", "NCIt", "NCIT", "RADLEX", "IBSI", "BARI", "BI", "ACR", "MDC", "UBERON",
    "ICD10", "I10", "ICDO3", "ICD11", "ISO3166_1", "ISO639_1", "ISO639_2", "ISO_OID", "RFC5646", "RXNORM", "MSH",
    "NEU", "ITIS_TSN", "PUBCHEM_CID", "GMDN", "HPO", "MGI", "CD8", "DICOS", "UPC", "CPT4", "C4", "C5", "POS",
}  # fmt: skip
_NO_VALUE = frozenset({"", "N/A", "NA", "NONE", "UNKNOWN"})


def items(dataset: pydicom.Dataset | None, keyword: str) -> Iterator[pydicom.Dataset]:
    """Go through the items of a sequence; absent or empty gives none."""
    sequence = value_of(dataset, keyword) if dataset is not None else None
    if isinstance(sequence, pydicom.Sequence):
        yield from sequence


def first(dataset: pydicom.Dataset | None, keyword: str) -> pydicom.Dataset | None:
    """Give the first item of a sequence, ``None`` where there is none."""
    return next(items(dataset, keyword), None)


def source_image(item: pydicom.Dataset) -> SourceImage:
    """Read the image an item of references points at, with the frames it names."""
    numbers = (text for text in texts_of(item, "ReferencedFrameNumber") if text.isdigit())
    return SourceImage(text_of(item, "ReferencedSOPInstanceUID"), tuple(map(int, numbers)))


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


def modern(concept: CodedConcept) -> CodedConcept:
    """Give a concept under its current scheme: SNOMED RT becomes SNOMED CT where a successor is known.

    Example:
        >>> modern(CodedConcept("T-62000", "SRT", "Liver"))
        CodedConcept(value='10200004', scheme='SCT', meaning='Liver')
    """
    if concept.scheme in _SRT and (successor := srt_to_sct().get(concept.value)):
        return replace(concept, value=successor, scheme="SCT")
    return replace(concept, scheme="SCT") if concept.scheme in _SCT else concept


def is_retired(concept: CodedConcept) -> bool:
    """Tell whether a code is SNOMED RT without a known successor, once ``modern`` has tried."""
    return concept.scheme in _SRT


def is_private(concept: CodedConcept) -> bool:
    """Tell whether a code is somebody's own, or no code at all: other sites cannot know what it means."""
    return concept.scheme not in _PUBLIC or concept.value.upper() in _NO_VALUE
