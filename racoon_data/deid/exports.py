"""Another tool's export through the door: identifiers become pseudonyms, days relative, free text stays behind."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from racoon_data.deid.identity import Identity
from racoon_data.deid.pseudonyms import Pseudonymizer
from racoon_data.errors import WithheldTextError
from racoon_data.labels import CodedConcept, Finding, ItemIssue, Segment
from racoon_data.refs import is_uid
from racoon_data.tool_exports import Pointers, ToolExport

_CODES = ("finding", "site", "laterality", "answer", "derivation", "method")
_SEGMENT_CODES = ("category", "type", "type_modifier", "region", "region_modifier")
_NUMBER = re.compile(r"[<>=~]{0,2}[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_CODE_VALUE = re.compile(r"[A-Za-z0-9._-]{1,40}")
_LONGEST_WORDS = 80


@dataclass(frozen=True, slots=True)
class ExportDoor:
    """What is known of the patient an export belongs to.

    Attributes:
        pseudonymizer: Names under the site's key.
        identity: The patient's own identifiers, from the header of the study.
        patient: The patient's pseudonym.
        uids: New UID by old one, for objects that passed the door.
        first_day: Day of the patient's first study; days are counted from it.
        has_new_uids: The profile replaces UIDs.
    """

    pseudonymizer: Pseudonymizer
    identity: Identity
    patient: str
    uids: Mapping[str, str]
    first_day: date | None = None
    has_new_uids: bool = True

    def uid(self, uid: str) -> str:
        """Give the new UID of an object, whether it passed the door or not."""
        if not uid or uid in self.uids:
            return self.uids.get(uid, "")
        return self.pseudonymizer.uid(uid) if self.has_new_uids else uid

    def words(self, text: str) -> str:
        """Take the patient's identifiers and UIDs out of words that stay, and cut them to 80 characters."""
        return self.identity.taken_out(text).strip()[:_LONGEST_WORDS]


def clean_export(export: ToolExport, door: ExportDoor) -> ToolExport:
    """Give an export as it may leave the hospital.

    Patient, study, series, instances, frame of reference and lesions are named as everything else behind the
    door; readers are pseudonyms; the day becomes days since the patient's first study. Numbers and codes
    stay, the words of a code only beside a code. Evaluations in words, tracking identifiers and time
    points stay only where the mapping file keeps them, and then without the patient's own identifiers.

    Args:
        export: As the tool wrote it; identified.
        door: What is known of its patient.

    Returns:
        The export, its ``day`` gone, with an issue for every kind of text left behind.
    """
    held = [_finding(one, export, door) for one in export.findings]
    findings = tuple(one for one in held if one is not None)
    withheld = len(held) - len(findings)
    issues = [*export.issues, *_withheld(export, withheld)]
    return replace(
        export,
        pointers=_pointers(export.pointers, door),
        segments=tuple(_segment(one, door) for one in export.segments),
        findings=findings,
        reader=_reader(export.reader, door),
        day=None,
        issues=tuple(issues),
    )


def _withheld(export: ToolExport, texts: int) -> Iterable[ItemIssue]:
    counts = {"evaluation(s) in words": texts}
    for name, words in (("tracking_id", "tracking identifier(s)"), ("time_point", "time point(s)")):
        if name not in export.kept_texts:
            counts[words] = sum(1 for one in export.findings if getattr(one, name))
    for what, count in counts.items():
        if count:
            message = f"{count} {what} were left behind at the door; the mapping file's [privacy] keep lets them pass"
            yield ItemIssue("report", WithheldTextError.code, message)


def _pointers(pointers: Pointers, door: ExportDoor) -> Pointers:
    frame = pointers.frame_of_reference
    return Pointers(
        patient=door.patient,
        study_uid=door.uid(pointers.study_uid),
        series_uids=frozenset(map(door.uid, pointers.series_uids)),
        sop_uids=frozenset(map(door.uid, pointers.sop_uids)),
        frame_of_reference=door.uid(frame) if frame else None,
    )


def _reader(name: str, door: ExportDoor) -> str:
    return door.pseudonymizer.reader(name) if name else ""


def _code(concept: CodedConcept | None, door: ExportDoor) -> CodedConcept | None:
    """Keep a code; words without one are free text."""
    if concept is None or not _CODE_VALUE.fullmatch(concept.value):
        return None
    return CodedConcept(door.words(concept.value), door.words(concept.scheme), door.words(concept.meaning))


def _segment(segment: Segment, door: ExportDoor) -> Segment:
    """Keep a segment's name without the patient's identifiers: labels are often told apart by name alone."""
    codes: dict[str, Any] = {name: _code(getattr(segment, name), door) for name in _SEGMENT_CODES}
    name = door.words(segment.name) or f"segment {segment.number}"
    algorithm = segment.algorithm if segment.algorithm in ("MANUAL", "SEMIAUTOMATIC", "AUTOMATIC") else ""
    tracking = door.uid(segment.tracking_uid) if is_uid(segment.tracking_uid) else ""
    return replace(Segment(segment.number, name), algorithm=algorithm, tracking_uid=tracking, **codes)


def _finding(finding: Finding, export: ToolExport, door: ExportDoor) -> Finding | None:
    """Clean a row; ``None`` where it is free text that does not pass."""
    concept = _code(finding.concept, door) or CodedConcept("", "")
    answer = _code(finding.answer, door)
    value = _value(finding, answer, export, door)
    if value is None:
        return None
    codes: dict[str, Any] = {name: _code(getattr(finding, name), door) for name in _CODES}
    return replace(
        finding,
        concept=concept,
        value=value,
        unit=door.words(finding.unit)[:16],
        tracking_uid=_tracking(finding, door),
        tracking_id=_kept("tracking_id", finding.tracking_id, export, door.words),
        time_point=_time_point(finding, export, door),
        reader=_reader(finding.reader, door),
        referenced_sops=tuple(map(door.uid, finding.referenced_sops)),
        referenced_segments=tuple((door.uid(sop), number) for sop, number in finding.referenced_segments),
        **codes,
    )


def _value(finding: Finding, answer: CodedConcept | None, export: ToolExport, door: ExportDoor) -> str | None:
    """Keep numbers with a unit and the words of a coded answer; other words only where the mapping keeps them."""
    if answer is not None:
        return answer.meaning or answer.value
    is_number = finding.answer is None and finding.unit and _NUMBER.fullmatch(finding.value)
    if not finding.value or is_number:
        return finding.value
    key = f"{finding.concept.scheme}:{finding.concept.value}"
    return door.words(finding.value) if key in export.kept_texts else None


def _tracking(finding: Finding, door: ExportDoor) -> str:
    """Name a lesion by its UID, else by patient and written identifier: the same over time, and no text."""
    if is_uid(finding.tracking_uid):
        return door.uid(finding.tracking_uid)
    written = finding.tracking_uid or finding.tracking_id
    return door.pseudonymizer.uid(f"{door.patient}/{written}") if written else ""


def _time_point(finding: Finding, export: ToolExport, door: ExportDoor) -> str:
    if kept := _kept("time_point", finding.time_point, export, door.words):
        return kept
    if export.day is None or door.first_day is None:
        return ""
    return f"day {(export.day - door.first_day).days}"


def _kept(name: str, text: str, export: ToolExport, words: Callable[[str], str]) -> str:
    return words(text) if name in export.kept_texts else ""
