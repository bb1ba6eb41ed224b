"""Filters of a query: at which level each is asked, and whether an answer really fits them."""

from __future__ import annotations

from collections.abc import Mapping

from racoon_data.pacs.catalog import COLUMNS, COMPUTED, LEVELS
from racoon_data.pacs.matching import matcher, vr_of

RETURN_KEYS: dict[str, tuple[str, ...]] = {
    "PATIENT": ("PatientID", "PatientName", "PatientBirthDate", "PatientSex"),
    "STUDY": (
        "StudyInstanceUID", "PatientID", "PatientName", "StudyDate", "StudyTime", "AccessionNumber",
        "StudyDescription", "ModalitiesInStudy", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances",
    ),
    "SERIES": (
        "StudyInstanceUID", "SeriesInstanceUID", "Modality", "SeriesNumber", "SeriesDescription",
        "NumberOfSeriesRelatedInstances",
    ),
    "IMAGE": ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "InstanceNumber"),
}  # fmt: skip

_SURE = frozenset({"UI", "DA", "TM", "CS", "IS"})
_IDENTIFIERS = frozenset({"PatientID", "AccessionNumber", "StudyID", "IssuerOfPatientID"})
_WILD = ("*", "?")


def level_of(keyword: str, asked: str) -> str:
    """Say at which level an attribute lives; one nobody knows belongs to the level that is asked."""
    for level in LEVELS:
        if keyword in COLUMNS[level]:
            return level
    return COMPUTED[keyword][0] if keyword in COMPUTED else asked


def down_to(level: str, filters: Mapping[str, str], *, asked: str) -> dict[str, str]:
    """Keep the filters that live at a level or above it."""
    allowed = LEVELS[: LEVELS.index(level) + 1]
    return {keyword: value for keyword, value in filters.items() if level_of(keyword, asked) in allowed}


def at(level: str, filters: Mapping[str, str], *, asked: str) -> dict[str, str]:
    """Keep the filters that live at one level."""
    return {keyword: value for keyword, value in filters.items() if level_of(keyword, asked) == level}


def is_exact(value: str) -> bool:
    """Tell whether a filter asks for one value: no wildcard, no list, not everything."""
    return bool(value.strip()) and not any(letter in value for letter in (*_WILD, "\\"))


def contradicts(filters: Mapping[str, str], values: Mapping[str, str]) -> bool:
    """Tell whether an answer is not what was asked for: some peers ignore a filter they do not support.

    Only kinds of filters are judged whose rules leave no room: dates, times, UIDs, codes, numbers and exact
    identifiers; a peer may be generous with names and descriptions. A value it does not return is not judged.
    """
    return any(_is_wrong(keyword, wanted, values.get(keyword, "")) for keyword, wanted in filters.items())


def _is_wrong(keyword: str, wanted: str, value: str) -> bool:
    if not wanted.strip() or not value.strip():
        return False
    if keyword in _IDENTIFIERS:
        return is_exact(wanted) and wanted.strip() != value.strip()
    if vr_of(keyword) not in _SURE:
        return False
    fits = matcher(keyword, wanted)
    return fits is not None and not fits(value)
