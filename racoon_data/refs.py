"""Names of things on the walk: references to studies, series, instances, cases, and what was asked for."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

Attributes = Mapping[str, str]
_NONE: Attributes = MappingProxyType({})
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")


def is_uid(text: str) -> bool:
    """Tell whether text has the form of a UID (PS3.5 9.1): numbers and dots, at most 64 characters."""
    return len(text) <= 64 and _UID.fullmatch(text) is not None


def uid_of(*parts: object) -> str:
    """Make a valid DICOM UID from words: the same parts give the same UID in every process.

    The UID lies under the root ``2.25`` (a UUID as one number), so it can never be mistaken for one a
    vendor assigned.
    """
    digest = hashlib.sha256("\x1f".join(str(part) for part in parts).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:15], 'big')}"


@dataclass(frozen=True, slots=True, order=True)
class StudyRef:
    """One study, by its StudyInstanceUID."""

    study_uid: str

    def __str__(self) -> str:
        return f"study {self.study_uid}"


@dataclass(frozen=True, slots=True, order=True)
class SeriesRef:
    """One series of a study."""

    study_uid: str
    series_uid: str

    def __str__(self) -> str:
        return f"series {self.series_uid}"


@dataclass(frozen=True, slots=True, order=True)
class InstanceRef:
    """One SOP instance of a series."""

    study_uid: str
    series_uid: str
    sop_uid: str

    @property
    def series(self) -> SeriesRef:
        """The series this instance belongs to."""
        return SeriesRef(self.study_uid, self.series_uid)

    def __str__(self) -> str:
        return f"instance {self.sop_uid}"


@dataclass(frozen=True, slots=True, order=True)
class CaseRef:
    """One case of a dataset."""

    case_id: str

    def __str__(self) -> str:
        return f"case {self.case_id}"


@dataclass(frozen=True, slots=True, order=True)
class FileRef:
    """One file, by its path relative to the folder it came in."""

    name: str

    def __str__(self) -> str:
        return f"file {self.name}"


Ref = StudyRef | SeriesRef | InstanceRef | CaseRef | FileRef


@dataclass(frozen=True, slots=True)
class Query:
    """What to ask a PACS for.

    Attributes:
        level: ``PATIENT``, ``STUDY``, ``SERIES`` or ``IMAGE``.
        filters: DICOM keyword to matching value, with the standard's wildcards and ranges
            (``{"ModalitiesInStudy": "CT", "StudyDate": "20200101-20201231"}``).
    """

    level: str = "STUDY"
    filters: Attributes = field(default_factory=lambda: _NONE)


@dataclass(frozen=True, slots=True)
class Match:
    """One answer to a query.

    Attributes:
        ref: What was found: study, series or instance.
        attributes: DICOM keyword to value as text; multiple values joined by a backslash.
    """

    ref: StudyRef | SeriesRef | InstanceRef
    attributes: Attributes = field(default_factory=lambda: _NONE)


def safe_name(text: str) -> str:
    """Give a file or folder name for a UID of a stranger: itself where it is a UID, else its hash."""
    return text if is_uid(text) else f"uid-{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()[:40]}"
