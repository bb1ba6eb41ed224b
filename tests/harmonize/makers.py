"""Series, segments, annotations and cases as plain values."""

from __future__ import annotations

from typing import Any

import numpy as np

from racoon_data.cases import Acquisition, Case, Channel
from racoon_data.dicom.series import Series, SliceHeader
from racoon_data.geometry import Geometry
from racoon_data.harmonize.label_schema import schema_from
from racoon_data.labels import Annotation, CodedConcept, LabelMap, LabelSchema, Mask, Segment, SegmentMask
from racoon_data.refs import CaseRef, InstanceRef, SeriesRef
from racoon_data.volumes import Volume

DOCUMENT: dict[str, Any] = {
    "schema_version": "1.0",
    "name": "lung-lesions",
    "version": "1.0.0",
    "labels": [
        {
            "value": 1,
            "name": "effusion",
            "codes": [{"value": "60046008", "scheme": "SCT", "meaning": "Pleural effusion"}],
            "synonyms": ["pleural effusion", "Pleuraerguß"],
            "priority": 1,
        },
        {
            "value": 2,
            "name": "consolidation",
            "codes": [{"value": "95436008", "scheme": "SCT"}],
            "synonyms": ["Cons", "Konsolidierung"],
            "priority": 3,
        },
        {
            "value": 3,
            "name": "ggo",
            "codes": [{"value": "1217294009", "scheme": "SCT"}],
            "synonyms": ["Ground Glass Opacity", "Milchglastrübung"],
            "priority": 2,
        },
    ],
}

EFFUSION = CodedConcept("60046008", "SCT", "Pleural effusion")
CONSOLIDATION = CodedConcept("95436008", "SCT", "Consolidation")
TISSUE = CodedConcept("T-D0050", "SRT", "Tissue")


def a_schema(**first_label: Any) -> LabelSchema:
    """Make the three-label schema; keywords change its first label."""
    labels = [{**DOCUMENT["labels"][0], **first_label}, *DOCUMENT["labels"][1:]]
    return schema_from({**DOCUMENT, "labels": labels})


def a_series(uid: str = "1.2.1", *, slices: int = 10, part: str = "", **acquisition: Any) -> Series:
    """Make a series of headers; keywords go to its Acquisition."""
    header = SliceHeader(None, "1.9", 4, 4, (0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1))  # type: ignore[arg-type]
    how = Acquisition(**{"modality": "CT", **acquisition})
    return Series(SeriesRef("1.2", uid), "p", "", "1.2.3", (header,) * slices, how, part)


def an_annotation(*masks: tuple[Segment, Mask], geometry: Geometry, reader: str = "", uid: str = "1.5") -> Annotation:
    """Make an annotation from segments and masks."""
    found = tuple(SegmentMask(segment, mask) for segment, mask in masks)
    image = SeriesRef("1.2", "1.2.1")
    return Annotation(InstanceRef("1.2", "1.4", uid), "seg", image, geometry, found, reader=reader)


def a_segment(name: str = "lesion", kind: CodedConcept | None = None, **parts: Any) -> Segment:
    """Make a segment with a name and a property type."""
    return Segment(1, name, type=kind, **parts)


def a_channel(volume: Volume, name: str = "CT", uid: str = "1.2.1") -> Channel:
    """Make a channel around a volume."""
    return Channel(name, volume, SeriesRef("1.2", uid), Acquisition(modality=name))


def a_case(volume: Volume, labels: np.ndarray | None = None, *more: Channel, **parts: Any) -> Case:
    """Make a case of one channel or more, labels on the first one's grid."""
    label_map = None if labels is None else LabelMap(labels.astype(np.uint8), volume.geometry, ("ggo",))
    return Case(CaseRef("case-1"), "p", (a_channel(volume), *more), label_map, **parts)
