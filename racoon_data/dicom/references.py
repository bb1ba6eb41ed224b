"""Annotation files and everything they point at, at any depth."""

from __future__ import annotations

from pathlib import Path

from racoon_data.dicom.guard import scan
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

MASKS = frozenset({"SEG", "RTSTRUCT"})

_SOP, _SERIES = 0x00081155, 0x0020000E
_FRAME, _REFERENCED_FRAME = 0x00200052, 0x30060024
_WATCHED = (_SOP, _SERIES, _FRAME, _REFERENCED_FRAME)
_OWN = (
    "SOPClassUID", "SOPInstanceUID", "Modality", "PatientID", "StudyInstanceUID", "SeriesInstanceUID",
    "FrameOfReferenceUID",
)  # fmt: skip


def annotation_file(path: Path) -> AnnotationFile:
    """Read what an annotation object is and what it references.

    Raises:
        NotDicomError: It is no DICOM file.
        UnreadableError: It cannot be parsed.
        TruncatedError: It ends too early.
        HostileFileError: The guard refuses its structure.
    """
    from racoon_data.dicom.headers import read_dataset, text_of

    scanned = scan(path, watch=_WATCHED)
    dataset = read_dataset(path, tags=_OWN, is_scanned=True)
    sop_class = text_of(dataset, "SOPClassUID")
    found: dict[int, set[str]] = {tag: set() for tag in _WATCHED}
    for one in scanned.trace:
        if one.depth:
            found[one.tag].add(one.raw.decode("ascii", "replace").strip("\0 "))
    sops, series = found[_SOP], found[_SERIES]
    frames = (found[_FRAME] | found[_REFERENCED_FRAME]) - {""}
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
