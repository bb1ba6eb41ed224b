"""Left and right: does a label that names a side lie on it?"""

from __future__ import annotations

import re
from collections.abc import Iterator

from racoon_data.cases import QcIssue
from racoon_data.labels import Label
from racoon_data.qc import codes
from racoon_data.qc.facts import CaseFacts

# SNOMED CT, and SNOMED RT of older objects (DICOM CID 244).
_CODES = {"7771000": "left", "24028007": "right", "G-A101": "left", "G-A100": "right"}
_SIDES = {"left": "left", "links": "left", "linke": "left", "linker": "left", "linkes": "left"}
_SIDES |= {"right": "right", "rechts": "right", "rechte": "right", "rechter": "right", "rechtes": "right"}
# A whole body shows its own middle; a label may reach this far across it.
_ACROSS = 0.1


def side_of(label: Label) -> str:
    """Give ``left`` or ``right`` where a label's modifiers or its name say so, else nothing.

    Example:
        >>> side_of(Label(1, "lung_left", ()))
        'left'
    """
    tuples = [code for one in label.terminology for code in (one.type_modifier, one.region_modifier) if code]
    concepts = (*label.codes, *label.type_modifiers, *label.regions, *tuples)
    said = {_CODES[concept.value] for concept in concepts if concept.value in _CODES}
    said = said or {_SIDES[word] for word in re.split(r"[\W_]+", label.name.lower()) if word in _SIDES}
    return said.pop() if len(said) == 1 else ""


def wrong_side(facts: CaseFacts) -> Iterator[QcIssue]:
    """Find labels on the other side than they name.

    Needs a body with air on both sides, whose middle is the patient's; a crop around one organ tells nothing.
    """
    body = facts.measured.body
    if body is None or not body.is_whole:
        return
    for label in facts.stated.schema.labels:
        found, side = facts.measured.label(label.value), side_of(label)
        if found is None or not side:
            continue
        leftward_mm = found.centroid_mm[0] - body.middle_x_mm
        if (leftward_mm if side == "right" else -leftward_mm) > _ACROSS * body.width_mm:
            where = f"{abs(leftward_mm):.0f} mm {'left' if leftward_mm > 0 else 'right'} of the body's middle"
            yield codes.WRONG_SIDE.of(facts.ref, f"{label.name}: its centre lies {where}")
