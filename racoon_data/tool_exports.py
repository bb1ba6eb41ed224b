"""What another tool exported: whom and what it points at, its findings, and masks on a grid of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from racoon_data.geometry import Geometry
from racoon_data.labels import Finding, ItemIssue, Mask, Segment
from racoon_data.outcomes import Outcome

# What a label file (``files/label_file``) says it is, and how its name ends.
LABELS, LABELS_SUFFIX = "racoon-labels", ".labels.json"


@dataclass(frozen=True, slots=True)
class Pointers:
    """Whom and which images an export names; empty where it says nothing.

    Attributes:
        patient: PatientID.
        study_uid: StudyInstanceUID.
        accession: AccessionNumber.
        series_uids: SeriesInstanceUIDs.
        sop_uids: SOPInstanceUIDs of images or of other annotations.
        frame_of_reference: FrameOfReferenceUID.
    """

    patient: str = ""
    study_uid: str = ""
    accession: str = ""
    series_uids: frozenset[str] = frozenset()
    sop_uids: frozenset[str] = frozenset()
    frame_of_reference: str | None = None


@dataclass(frozen=True, slots=True)
class ToolExport:
    """One annotation in a file of another tool.

    Attributes:
        uid: What it is called where DICOM has a SOPInstanceUID; derived from its content.
        kind: Name of the format, such as ``mitk``.
        pointers: Whom and what it points at.
        grid: The masks' own grid, ``None`` without masks.
        segments: What its masks show, in order of ``number``.
        findings: Rows of a report.
        reader: Who made it, as written.
        day: When it was made, ``None`` where it does not say; never written anywhere.
        notes: What was repaired, as sentences without patient values.
        issues: Items that are broken, left out or suspicious, each with a code.
        kept_texts: Which of its written texts may leave the hospital: ``tracking_id``, ``time_point``, or
            ``scheme:value`` of the concept of an evaluation in words.
    """

    uid: str
    kind: str
    pointers: Pointers = Pointers()
    grid: Geometry | None = None
    segments: tuple[Segment, ...] = ()
    findings: tuple[Finding, ...] = ()
    reader: str = ""
    day: date | None = None
    notes: tuple[str, ...] = ()
    issues: tuple[ItemIssue, ...] = ()
    kept_texts: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Look:
    """What a file of another tool holds, before any mask is read.

    Attributes:
        exports: Annotations, in order of the file.
        outcomes: One outcome for everything in the file that was not read, or read in part.
        companions: Further files the annotations consist of, such as their volumes.
    """

    exports: tuple[ToolExport, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    companions: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class OwnMask:
    """A mask as the tool stored it.

    Attributes:
        number: ``Segment.number`` it belongs to; minus the stored value where no segment describes it, so that
            nothing is left out unseen.
        mask: Boolean array ``[k, j, i]`` on the export's own grid.
    """

    number: int
    mask: Mask


Masks = Iterator[OwnMask]


def content_uid(*facts: str | bytes) -> str:
    """Derive a UID (``2.25.`` and 128 bits) from content: the same content gives the same UID.

    Example:
        >>> content_uid("a", b"b") == content_uid("a", b"b"), content_uid("ab") == content_uid("a", b"b")
        (True, False)
    """
    digest = hashlib.sha256()
    for fact in facts:
        data = fact.encode("utf-8", "surrogatepass") if isinstance(fact, str) else fact
        digest.update(len(data).to_bytes(8, "big") + data)
    return f"2.25.{int.from_bytes(digest.digest()[:16], 'big')}"


def name_in(path: Path, place: int | str = "") -> str:
    """Name a place in a file for messages: the file's own name and what stands behind ``#``."""
    return f"{path.name}#{place}" if place != "" else path.name
