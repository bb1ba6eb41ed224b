"""Codes and names made comparable: SNOMED RT to SNOMED CT, unusable codes, spelling of names."""

from __future__ import annotations

import re
import unicodedata

from racoon_data.dicom.snomed import srt_to_sct
from racoon_data.labels import CodedConcept

Key = tuple[str, str]

# Designators that mean a scheme under another name (PS3.16 table 8-1 and retired ones).
_SCHEMES = {"SNM3": "SRT", "99SDM": "SRT", "SNOMED": "SCT", "2.16.840.1.113883.6.96": "SCT", "RADLEX": "RADLEX"}
# Values that tools write where they have no code: RACOON's private scheme uses "N/A".
_NO_VALUE = frozenset({"", "n/a", "na", "none", "null", "unknown", "0"})
_DUMMY = re.compile(r"^0(\.0+)+$")
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue"})
_COUNTER = re.compile(r"[\s_#.\-]+\d{1,3}$")


def code_key(concept: CodedConcept | None) -> Key | None:
    """Give scheme and value for comparing, SNOMED RT translated to SNOMED CT.

    Source: the table of DICOM's own retired codes that pydicom carries (SRT to SCT).

    Returns:
        ``(scheme, value)``, or ``None`` where there is no concept or its value says nothing
        (``N/A``, as the private scheme ``RACOON`` writes, or an all-zero dummy).
    """
    if concept is None or _is_placeholder(concept.value):
        return None
    scheme = concept.scheme.strip().upper()
    scheme = _SCHEMES.get(scheme, scheme)
    value = concept.value.strip()
    if scheme == "SRT" and (modern := srt_to_sct().get(value)):
        return ("SCT", modern)
    return (scheme, value)


def _is_placeholder(value: str) -> bool:
    return value.strip().casefold() in _NO_VALUE or _DUMMY.match(value.strip()) is not None


def name_key(name: str) -> str:
    """Spell a name for comparing: letters and digits only, without case, umlauts written out.

    ``Ground-Glass Opacity``, ``ground_glass opacity`` and ``GroundGlassOpacity`` are one name, and so
    are ``Milchglastrübung`` and ``MILCHGLASTRUEBUNG``.
    """
    folded = unicodedata.normalize("NFKC", name).casefold().translate(_UMLAUTS)
    plain = unicodedata.normalize("NFKD", folded)
    return "".join(letter for letter in plain if letter.isalnum())


def name_keys(name: str) -> tuple[str, ...]:
    """Give the spellings to try for a segment name: as it is, then without a lesion counter (``GGO 2``)."""
    bare = _COUNTER.sub("", name.strip())
    return tuple(dict.fromkeys(key for key in (name_key(name), name_key(bare)) if key))
