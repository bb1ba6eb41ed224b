"""Annotation files and everything they point at, at any depth."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from racoon_data.dicom.series import AnnotationFile
from racoon_data.refs import InstanceRef

if TYPE_CHECKING:
    import pydicom

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

MASKS = frozenset({"SEG", "RTSTRUCT"})


def annotation_file(path: Path) -> AnnotationFile:
    """Read what an annotation object is and what it references.

    Raises:
        NotDicomError: It is no DICOM file.
        UnreadableError: It cannot be parsed.
        TruncatedError: It ends too early.
        HostileFileError: The guard refuses its structure.
    """
    from racoon_data.dicom.headers import read_dataset, text_of

    dataset = read_dataset(path)
    sop_class = text_of(dataset, "SOPClassUID")
    sops: set[str] = set()
    series: set[str] = set()
    frames: set[str] = set()
    for item in _items(dataset):
        sops.add(text_of(item, "ReferencedSOPInstanceUID"))
        series.add(text_of(item, "SeriesInstanceUID"))
        frames.update((text_of(item, "FrameOfReferenceUID"), text_of(item, "ReferencedFrameOfReferenceUID")))
    frames.discard("")
    frame = text_of(dataset, "FrameOfReferenceUID") or (frames.pop() if len(frames) == 1 else "")
    study, own_series = text_of(dataset, "StudyInstanceUID"), text_of(dataset, "SeriesInstanceUID")
    return AnnotationFile(
        path=path,
        ref=InstanceRef(study, own_series, text_of(dataset, "SOPInstanceUID")),
        sop_class_uid=sop_class,
        modality=ANNOTATION_CLASSES.get(sop_class, text_of(dataset, "Modality")),
        patient=text_of(dataset, "PatientID"),
        referenced_sops=frozenset(sops - {""}),
        referenced_series=frozenset(series - {""}),
        frame_of_reference=frame or None,
    )


def _items(dataset: pydicom.Dataset) -> Iterator[pydicom.Dataset]:
    """Every item of every sequence below the data set, without recursion."""
    import pydicom

    from racoon_data.dicom.headers import value_of

    waiting = [dataset]
    while waiting:
        parent = waiting.pop()
        for tag in parent.keys():  # noqa: SIM118  iterating a data set parses every element
            keyword = pydicom.datadict.keyword_for_tag(tag)
            if not keyword or pydicom.datadict.dictionary_VR(tag) != "SQ":
                continue
            sequence = value_of(parent, keyword)
            if isinstance(sequence, pydicom.Sequence):
                waiting.extend(sequence)
                yield from sequence
