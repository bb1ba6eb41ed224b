"""The four levels of the embedded PACS as SQL: tables, columns, computed counts, queries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

LEVELS = ("PATIENT", "STUDY", "SERIES", "IMAGE")

UNIQUE_KEY = {
    "PATIENT": "PatientID",
    "STUDY": "StudyInstanceUID",
    "SERIES": "SeriesInstanceUID",
    "IMAGE": "SOPInstanceUID",
}

COLUMNS: dict[str, tuple[str, ...]] = {
    "PATIENT": ("PatientID", "PatientName", "PatientBirthDate", "PatientSex"),
    "STUDY": (
        "StudyInstanceUID", "StudyDate", "StudyTime", "AccessionNumber", "StudyID", "StudyDescription",
        "ReferringPhysicianName",
    ),
    "SERIES": (
        "SeriesInstanceUID", "Modality", "SeriesNumber", "SeriesDescription", "SeriesDate", "SeriesTime",
        "BodyPartExamined", "ProtocolName", "FrameOfReferenceUID",
    ),
    "IMAGE": (
        "SOPInstanceUID", "SOPClassUID", "InstanceNumber", "AcquisitionNumber", "NumberOfFrames", "Rows", "Columns",
        "ContentDate", "ContentTime",
    ),
}  # fmt: skip

KEYWORDS = tuple(keyword for level in LEVELS for keyword in COLUMNS[level])

_TABLE = {"PATIENT": "patients", "STUDY": "studies", "SERIES": "series", "IMAGE": "instances"}

_STUDY_SERIES = "FROM series x WHERE x.StudyInstanceUID = studies.StudyInstanceUID"
_STUDY_IMAGES = (
    "FROM instances y JOIN series x USING (SeriesInstanceUID) WHERE x.StudyInstanceUID = studies.StudyInstanceUID"
)
_PATIENT_STUDIES = "FROM studies w WHERE w.PatientID = patients.PatientID"

# Level at which an attribute is computed, and how.
COMPUTED: dict[str, tuple[str, str]] = {
    "NumberOfPatientRelatedStudies": ("PATIENT", f"(SELECT COUNT(*) {_PATIENT_STUDIES})"),
    "NumberOfPatientRelatedSeries": (
        "PATIENT",
        "(SELECT COUNT(*) FROM series x JOIN studies w USING (StudyInstanceUID)"
        " WHERE w.PatientID = patients.PatientID)",
    ),
    "NumberOfPatientRelatedInstances": (
        "PATIENT",
        "(SELECT COUNT(*) FROM instances y JOIN series x USING (SeriesInstanceUID) JOIN studies w USING"
        " (StudyInstanceUID) WHERE w.PatientID = patients.PatientID)",
    ),
    "ModalitiesInStudy": (
        "STUDY",
        f"(SELECT GROUP_CONCAT(m, '\\') FROM (SELECT DISTINCT x.Modality AS m {_STUDY_SERIES} ORDER BY m))",
    ),
    "SOPClassesInStudy": (
        "STUDY",
        f"(SELECT GROUP_CONCAT(c, '\\') FROM (SELECT DISTINCT y.SOPClassUID AS c {_STUDY_IMAGES} ORDER BY c))",
    ),
    "NumberOfStudyRelatedSeries": ("STUDY", f"(SELECT COUNT(*) {_STUDY_SERIES})"),
    "NumberOfStudyRelatedInstances": ("STUDY", f"(SELECT COUNT(*) {_STUDY_IMAGES})"),
    "NumberOfSeriesRelatedInstances": (
        "SERIES",
        "(SELECT COUNT(*) FROM instances y WHERE y.SeriesInstanceUID = series.SeriesInstanceUID)",
    ),
}

_PARENT = {"STUDY": "PatientID", "SERIES": "StudyInstanceUID", "IMAGE": "SeriesInstanceUID"}


def _table(level: str) -> str:
    columns = [f"\"{name}\" TEXT NOT NULL DEFAULT ''" for name in COLUMNS[level][1:]]
    if level in _PARENT:
        columns.append(f"{_PARENT[level]} TEXT NOT NULL")
    if level == "IMAGE":
        columns += ["TransferSyntaxUID TEXT NOT NULL", "path TEXT NOT NULL"]
    return f"CREATE TABLE {_TABLE[level]} ({UNIQUE_KEY[level]} TEXT PRIMARY KEY, {', '.join(columns)}) WITHOUT ROWID;"


SCHEMA = "\n".join(
    (
        *(_table(level) for level in LEVELS),
        "CREATE TABLE files (path TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER, sop_uid TEXT) WITHOUT ROWID;",
        "CREATE INDEX studies_by_patient ON studies (PatientID);",
        "CREATE INDEX studies_by_date ON studies (StudyDate);",
        "CREATE INDEX studies_by_accession ON studies (AccessionNumber);",
        "CREATE INDEX series_by_study ON series (StudyInstanceUID, Modality);",
        "CREATE INDEX instances_by_series ON instances (SeriesInstanceUID, SOPClassUID);",
    )
)

PRUNE = (
    "DELETE FROM series WHERE SeriesInstanceUID NOT IN (SELECT SeriesInstanceUID FROM instances)",
    "DELETE FROM studies WHERE StudyInstanceUID NOT IN (SELECT StudyInstanceUID FROM series)",
    "DELETE FROM patients WHERE PatientID NOT IN (SELECT PatientID FROM studies)",
)


@cache
def insert_statement(level: str) -> str:
    """Give the INSERT of one level: columns, parent key, and for images syntax and path; the first one stays."""
    names = [f'"{name}"' for name in COLUMNS[level]]
    names += [_PARENT[level]] if level in _PARENT else []
    names += ["TransferSyntaxUID", "path"] if level == "IMAGE" else []
    marks = ", ".join("?" * len(names))
    return f"INSERT OR IGNORE INTO {_TABLE[level]} ({', '.join(names)}) VALUES ({marks})"


@dataclass(frozen=True, slots=True)
class Select:
    """A query in SQL.

    Attributes:
        sql: The statement.
        parameters: Its values.
        keywords: DICOM keyword of each result column.
    """

    sql: str
    parameters: tuple[str, ...]
    keywords: tuple[str, ...]


def known_at(level: str) -> tuple[str, ...]:
    """List the keywords that exist at a level: its own columns, those above, and the computed ones."""
    above = LEVELS[: LEVELS.index(level) + 1]
    computed = tuple(keyword for keyword, (where, _) in COMPUTED.items() if where in above)
    return tuple(keyword for each in above for keyword in COLUMNS[each]) + computed


def select(level: str, keys: Mapping[str, str], *, extra: tuple[str, ...] = ()) -> Select:
    """Build the query of one level.

    Exact values of indexed keys and StudyDate ranges go into SQL; the rest is matched by the caller.

    Args:
        level: PATIENT, STUDY, SERIES or IMAGE.
        keys: Query keys; unknown keywords are left out.
        extra: Further image columns, such as ``path``.
    """
    names = tuple(name for name in known_at(level) if name in keys)
    columns = [COMPUTED[name][1] if name in COMPUTED else f'{_owner(name)}."{name}"' for name in names]
    columns += [f"instances.{name}" for name in extra]
    source = _TABLE[level]
    for above in reversed(LEVELS[: LEVELS.index(level)]):
        source += f" JOIN {_TABLE[above]} USING ({UNIQUE_KEY[above]})"
    where, parameters = _where(level, keys)
    sql = f"SELECT {', '.join(columns) or '1'} FROM {source}{where} ORDER BY {_TABLE[level]}.{UNIQUE_KEY[level]}"
    return Select(sql, parameters, names + extra)


def _owner(keyword: str) -> str:
    return next(_TABLE[level] for level in LEVELS if keyword in COLUMNS[level])


def _where(level: str, keys: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    clauses: list[str] = []
    parameters: list[str] = []
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "PatientID", "AccessionNumber"):
        value = keys.get(keyword, "").strip()
        if value and keyword in known_at(level) and not any(letter in value for letter in "*?"):
            values = value.split("\\")[:500]
            if len(values) == len(value.split("\\")):
                clauses.append(f"{_owner(keyword)}.{keyword} IN ({', '.join('?' * len(values))})")
                parameters += values
    return (f" WHERE {' AND '.join(clauses)}" if clauses else ""), tuple(parameters)
