"""Head images carry a face: told by body part, anatomic region and words of descriptions; marked, never removed."""

from __future__ import annotations

import re
from pathlib import Path

from racoon_data.dicom.headers import read_dataset, text_of
from racoon_data.dicom.opened import OpenedFile
from racoon_data.dicom.tree import Level

_MODALITIES = frozenset(("CT", "MR"))
# PS3.16 CID 4: regions whose pictures hold the skin of a face; a whole body has one too.
_PARTS = frozenset(
    ("HEAD", "HEADNECK", "BRAIN", "SKULL", "FACE", "ORBIT", "EYE", "EAR", "NOSE", "SINUS", "JAW", "MANDIBLE",
     "MAXILLA", "ZYGOMA", "TMJOINT", "TMJ", "IAC", "PITUITARY", "SELLA", "WHOLEBODY")
)  # fmt: skip
_CODES = frozenset(
    ("69536005", "12738006", "89546000", "89545001", "774007", "38266002", "363654007", "2095001",
     "T-D1100", "T-A0100", "T-11100", "T-D1200", "T-D1000", "T-D0010")
)  # fmt: skip
# English, German and Latin, as people name protocols; CCT and NNH are German for cranial CT and sinuses.
_WORDS = frozenset(
    ("head", "headneck", "brain", "skull", "face", "facial", "orbit", "orbita", "orbits", "sinus", "sinuses", "jaw",
     "mandible", "maxilla", "cranial", "cranium", "neuro", "kopf", "kopfhals", "schädel", "schaedel", "gehirn", "hirn",
     "gesicht", "kiefer", "nnh", "cct", "ccta", "craniale", "cerebrum", "wholebody", "ganzkörper", "ganzkoerper")
)  # fmt: skip
_TEXTS = ("ProtocolName", "SeriesDescription", "StudyDescription", "RequestedProcedureDescription")
_REGION, _CODE_VALUE = 0x00082218, 0x00080100
_LETTERS = re.compile(r"[^\W\d_]+")


def has_face(opened: OpenedFile) -> bool:
    """Tell whether a CT or MR image says that it shows a head; pixels are not looked at.

    Args:
        opened: The object, with its original descriptions.
    """
    if opened.text("Modality").upper() not in _MODALITIES or opened.pixels is None:
        return False
    if opened.text("RecognizableVisualFeatures") == "YES":
        return True
    parts = {part.upper().replace(" ", "").replace("_", "") for part in opened.texts("BodyPartExamined")}
    if parts & _PARTS or _region_codes(opened) & _CODES:
        return True
    words = (word.casefold() for keyword in _TEXTS for text in opened.texts(keyword) for word in _LETTERS.findall(text))
    return any(word in _WORDS for word in words)


def is_marked(path: Path) -> bool:
    """Tell whether a de-identified file is marked as showing a face."""
    return text_of(read_dataset(path, tags=["RecognizableVisualFeatures"]), "RecognizableVisualFeatures") == "YES"


def _region_codes(opened: OpenedFile) -> set[str]:
    node = opened.tree.root.nodes.get(_REGION)
    items: list[Level] = node.items or [] if node is not None else []
    found = (item.nodes.get(_CODE_VALUE) for item in items)
    return {opened.tree.texts(code)[0] for code in found if code is not None}
