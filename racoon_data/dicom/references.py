"""Annotation files and everything they point at, at any depth."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pydicom

from racoon_data.dicom.headers import read_dataset, text_of, value_of
from racoon_data.dicom.series import AnnotationFile
from racoon_data.refs import InstanceRef

ANNOTATION_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.66.4": "SEG",
    "1.2.840.10008.5.1.4.1.1.66.7": "SEG",
    "1.2.840.10008.5.1.4.1.1.481.3": "RTSTRUCT",
    "1.2.840.10008.5.1.4.1.1.88.11": "SR",
    "1.2.840.10008.5.1.4.1.1.88.22": "SR",
    "1.2.840.10008.5.1.4.1.1.88.33": "SR",
    "1.2.840.10008.5.1.4.1.1.88.34": "SR",
    "1.2.840.10008.5.1.4.1.1.88.35": "SR",
}

_REFERENCES = {
    pydicom.datadict.tag_for_keyword(keyword): keyword
    for keyword in (
        "ReferencedSOPInstanceUID",
        "SeriesInstanceUID",
        "FrameOfReferenceUID",
        "ReferencedFrameOfReferenceUID",
    )
}
_SHORT = 4096

MASKS = frozenset({"SEG", "RTSTRUCT"})


def annotation_file(path: Path) -> AnnotationFile:
    """Read what an annotation object is and what it references.

    Raises:
        NotDicomError: It is no DICOM file.
        UnreadableError: It cannot be parsed.
        TruncatedError: It ends too early.
        HostileFileError: The guard refuses its structure.
    """
    dataset = read_dataset(path)
    sop_class = text_of(dataset, "SOPClassUID")
    found = _found(dataset)
    frames = found["FrameOfReferenceUID"] | found["ReferencedFrameOfReferenceUID"]
    frames.discard("")
    frame = text_of(dataset, "FrameOfReferenceUID") or (frames.pop() if len(frames) == 1 else "")
    study, own_series = text_of(dataset, "StudyInstanceUID"), text_of(dataset, "SeriesInstanceUID")
    return AnnotationFile(
        path=path,
        ref=InstanceRef(study, own_series, text_of(dataset, "SOPInstanceUID")),
        sop_class_uid=sop_class,
        modality=ANNOTATION_CLASSES.get(sop_class, text_of(dataset, "Modality")),
        patient=text_of(dataset, "PatientID"),
        referenced_sops=frozenset(found["ReferencedSOPInstanceUID"] - {""}),
        referenced_series=frozenset(found["SeriesInstanceUID"] - {""}),
        frame_of_reference=frame or None,
    )


def _found(dataset: pydicom.Dataset) -> dict[str, set[str]]:
    """Collect what items of every sequence below the data set reference, without recursion.

    Structure sets repeat one reference under thousands of contours: equal bytes are parsed once.
    """
    found: dict[str, set[str]] = {keyword: set() for keyword in _REFERENCES.values()}
    waiting, seen = [(dataset, True)], set[bytes]()
    while waiting:
        parent, is_top = waiting.pop()
        for tag, element in list(parent.items()):
            if tag in _REFERENCES:
                if not is_top:
                    found[_REFERENCES[tag]].add(text_of(parent, _REFERENCES[tag]))
            elif _is_sequence(tag) and _is_new(element.value, seen):
                sequence = value_of(parent, pydicom.datadict.keyword_for_tag(tag))
                if isinstance(sequence, pydicom.Sequence):
                    waiting.extend((item, False) for item in sequence)
    return found


@cache
def _is_sequence(tag: int) -> bool:
    return bool(pydicom.datadict.dictionary_has_tag(tag) and pydicom.datadict.dictionary_VR(tag) == "SQ")


def _is_new(value: object, seen: set[bytes]) -> bool:
    """Tell whether the raw bytes of a short sequence come for the first time; what is parsed already is new."""
    if not isinstance(value, bytes) or len(value) > _SHORT:
        return True
    is_new = value not in seen
    seen.add(value)
    return is_new
