"""Items of structured content: which text, names and whole items of a report may stay."""

from __future__ import annotations

from dataclasses import dataclass

from racoon_data.deid.actions import Action, Decision
from racoon_data.deid.table import report_concepts
from racoon_data.dicom.tree import Level, Tree

_TEXT_VALUE, _PERSON_NAME = 0x0040A160, 0x0040A123
_VALUE_TYPE, _CONCEPT_NAME = 0x0040A040, 0x0040A043
_SCHEME, _CODE = 0x00080102, 0x00080100
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


@dataclass(frozen=True, slots=True)
class Content:
    """What a data set says of itself as a content item.

    Attributes:
        value_type: Its ValueType.
        concept: Its concept name as ``scheme code``, empty where it has none.
    """

    value_type: str
    concept: str


def content_of(tree: Tree, level: Level) -> Content | None:
    """Read what a data set says of itself as a content item, ``None`` where it is none: it has no ValueType."""
    if (kind := level.nodes.get(_VALUE_TYPE)) is None:
        return None
    names = level.nodes.get(_CONCEPT_NAME)
    name = names.items[0] if names is not None and names.items else None
    concept = f"{_text(tree, name, _SCHEME)} {_text(tree, name, _CODE)}" if name is not None else ""
    return Content(tree.texts(kind)[0], concept)


def _text(tree: Tree, level: Level, tag: int) -> str:
    node = level.nodes.get(tag)
    return tree.texts(node)[0] if node is not None else ""


def is_to_go(content: Content | None) -> bool:
    """Tell whether a content item leaves the report: the subject's identity, or a form nobody knows."""
    if content is None:
        return False
    return content.concept in report_concepts()[1] or content.value_type not in _VALUE_TYPES


def item_decision(tag: int, content: Content | None) -> Decision | None:
    """Decide on the values of a content item by its concept; ``None`` leaves the decision to the tag."""
    if content is None:
        return None
    if tag == _TEXT_VALUE:
        if content.concept in report_concepts()[0]:
            return Decision(Action.SCRUB, "names a lesion, an algorithm or a device model", Action.DUMMY)
        return Decision(Action.DUMMY, "free text of a report")
    if tag == _PERSON_NAME:
        return Decision(Action.READER, "who read is told by a keyed pseudonym", Action.DUMMY)
    return None
