"""Items of structured content: which text, names and whole items of a report may stay."""

from __future__ import annotations

from pydicom.dataset import Dataset

from racoon_data.deid.actions import Action, Decision
from racoon_data.deid.table import report_concepts

_TEXT_VALUE, _PERSON_NAME = 0x0040A160, 0x0040A123
_VALUE_TYPES = frozenset(
    (
        "CODE",
        "COMPOSITE",
        "CONTAINER",
        "DATE",
        "DATETIME",
        "IMAGE",
        "NUM",
        "NUMERIC",
        "PNAME",
        "SCOORD",
        "SCOORD3D",
        "TABLE",
        "TCOORD",
        "TEXT",
        "TIME",
        "UIDREF",
        "WAVEFORM",
    )
)


def concept_of(item: Dataset) -> str:
    """Give the concept name of a content item as ``scheme code``, empty where it has none."""
    names = item.get("ConceptNameCodeSequence")
    if not names:
        return ""
    return f"{names[0].get('CodingSchemeDesignator', '')} {names[0].get('CodeValue', '')}"


def is_content(item: Dataset) -> bool:
    """Tell whether a data set is a content item: it has a ValueType."""
    return "ValueType" in item


def is_to_go(item: Dataset) -> bool:
    """Tell whether a content item leaves the report: the subject's identity, or a form nobody knows."""
    if not is_content(item):
        return False
    return concept_of(item) in report_concepts()[1] or str(item.ValueType) not in _VALUE_TYPES


def item_decision(dataset: Dataset, tag: int) -> Decision | None:
    """Decide on the values of a content item by its concept; ``None`` leaves the decision to the tag."""
    if tag == _TEXT_VALUE and is_content(dataset):
        if concept_of(dataset) in report_concepts()[0]:
            return Decision(Action.SCRUB, "names a lesion, an algorithm or a device model", Action.DUMMY)
        return Decision(Action.DUMMY, "free text of a report")
    if tag == _PERSON_NAME and is_content(dataset):
        return Decision(Action.READER, "who read is told by a keyed pseudonym", Action.DUMMY)
    return None
