"""How three hospitals code the same three lesions: SNOMED CT, legacy SNOMED-RT, private names.

Codes and why:

- ground glass opacity: SCT 1217294009 (SNOMED CT since 2022) and, at the legacy site, DCM 112120
  (CID 6102 and 6104 of the standard), because SNOMED-RT had no code for it.
- consolidation: SCT 95436008 "Lung consolidation". No SNOMED-RT counterpart stands in the
  standard's tables (part 16) or in pydicom's SRT mapping, so the legacy site writes what such
  tools do, SRT M-01100 "Lesion", and the name decides.
- pleural effusion: SCT 60046008 (CID 645 and 8134), SRT D2-80100 in pydicom's mapping.
- the private site writes CodeValue ``N/A`` under scheme ``RACOON`` for everything, so that only
  names tell lesions apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from racoon_data.labels import CodedConcept
from racoon_data.testing.segmentations import ABNORMAL, LUNG

LABELS_PATH = Path(__file__).with_name("lung_labels.json")
CLASSES = ("ground_glass_opacity", "consolidation", "pleural_effusion")


@dataclass(frozen=True, slots=True)
class Coding:
    """The language of one hospital's annotation tool.

    Attributes:
        types: Property type by class.
        names: SegmentLabel by class.
        category: Property category.
        region: Anatomic region.
    """

    types: Mapping[str, CodedConcept]
    names: Mapping[str, str]
    category: CodedConcept
    region: CodedConcept


def _private(meaning: str) -> CodedConcept:
    return CodedConcept("N/A", "RACOON", meaning)


_ENGLISH = dict(zip(CLASSES, ("Ground glass opacity", "Consolidation", "Pleural effusion"), strict=True))
_GERMAN = dict(zip(CLASSES, ("Milchglastrübung", "Konsolidierung", "Pleuraerguss"), strict=True))

CODINGS: dict[str, Coding] = {
    "SCT": Coding(
        types={
            "ground_glass_opacity": CodedConcept("1217294009", "SCT", "Ground glass opacity"),
            "consolidation": CodedConcept("95436008", "SCT", "Lung consolidation"),
            "pleural_effusion": CodedConcept("60046008", "SCT", "Pleural effusion"),
        },
        names={name: f"Segment {number}" for number, name in enumerate(CLASSES, start=1)},
        category=ABNORMAL,
        region=LUNG,
    ),
    "SRT": Coding(
        types={
            "ground_glass_opacity": CodedConcept("112120", "DCM", "Ground glass opacity"),
            "consolidation": CodedConcept("M-01100", "SRT", "Lesion"),
            "pleural_effusion": CodedConcept("D2-80100", "SRT", "Pleural effusion"),
        },
        names=_ENGLISH,
        category=CodedConcept("M-01000", "SRT", "Morphologically Altered Structure"),
        region=CodedConcept("T-28000", "SRT", "Lung"),
    ),
    "RACOON": Coding(
        types={name: _private(meaning) for name, meaning in _GERMAN.items()},
        names=_GERMAN,
        category=_private("Befund"),
        region=_private("Lunge"),
    ),
}
