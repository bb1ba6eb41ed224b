"""The label file: a small JSON that says what NIfTI or NRRD masks show and which findings belong to them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from racoon_data.errors import BrokenExportError
from racoon_data.labels import CodedConcept, Finding, Segment
from racoon_data.refs import InstanceRef
from racoon_data.settings import Frozen
from racoon_data.tool_exports import LABELS

_CODES = ("category", "type", "type_modifier", "region", "region_modifier")
_FINDING_CODES = ("concept", "finding", "site", "laterality", "answer", "derivation", "method")
_FINDING_TEXTS = ("value", "unit", "tracking_uid", "tracking_id", "reader", "time_point")


class Concept(Frozen):
    """A code of a coding scheme."""

    value: str
    scheme: str
    meaning: str = ""


class Labelled(Frozen):
    """What one voxel value of a mask file shows."""

    value: Annotated[int, Field(ge=1)]
    name: Annotated[str, Field(min_length=1)]
    category: Concept | None = None
    type: Concept | None = None
    type_modifier: Concept | None = None
    region: Concept | None = None
    region_modifier: Concept | None = None
    algorithm: str = ""
    tracking_uid: str = ""


class MaskFile(Frozen):
    """One NIfTI or NRRD file beside the label file; overlapping labels stand in different files."""

    file: Annotated[str, Field(min_length=1)]
    labels: Annotated[tuple[Labelled, ...], Field(min_length=1)]


class Row(Frozen):
    """One measurement or evaluation."""

    concept: Concept
    value: str = ""
    unit: str = ""
    finding: Concept | None = None
    site: Concept | None = None
    laterality: Concept | None = None
    answer: Concept | None = None
    derivation: Concept | None = None
    method: Concept | None = None
    tracking_uid: str = ""
    tracking_id: str = ""
    reader: str = ""
    time_point: str = ""
    referenced_sops: tuple[str, ...] = ()


class LabelFile(Frozen):
    """Masks and findings of one reader on one series or study."""

    format: Literal["racoon-labels"]
    schema_version: Literal["1.0"]
    patient: str = ""
    study_uid: str = ""
    accession: str = ""
    series_uids: tuple[str, ...] = ()
    sop_uids: tuple[str, ...] = ()
    frame_of_reference: str = ""
    uid: str = ""
    kind: str = ""
    reader: str = ""
    masks: tuple[MaskFile, ...] = ()
    findings: tuple[Row, ...] = ()
    notes: tuple[str, ...] = ()


def load_label_file(path: Path) -> LabelFile:
    """Read and check a label file.

    Raises:
        BrokenExportError: It is no JSON or does not fit its schema; the message names the key.
    """
    try:
        return LabelFile.model_validate_json(path.read_bytes())
    except OSError as error:
        raise BrokenExportError(
            f"{path.name} cannot be read: {error.strerror}", hint="name a file you may read"
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = "/".join(str(part) for part in first["loc"]) or "the file"
        what = "there is no such key" if first["type"] == "extra_forbidden" else first["msg"]
        hint = "racoon schema show label-file lists every key"
        raise BrokenExportError(f"{where}: {what}", hint=hint) from error


def to_json(document: LabelFile) -> dict[str, Any]:
    """Give a label file as JSON, what is empty left out."""
    loaded: dict[str, Any] = json.loads(document.model_dump_json(exclude_defaults=True))
    return {"format": LABELS, "schema_version": document.schema_version, **loaded}


def concept_part(concept: CodedConcept | None) -> Concept | None:
    """Write a concept down."""
    return None if concept is None else Concept(value=concept.value, scheme=concept.scheme, meaning=concept.meaning)


def _concept(part: Concept | None) -> CodedConcept | None:
    return None if part is None else CodedConcept(part.value, part.scheme, part.meaning)


def labelled(segment: Segment, *, value: int) -> Labelled:
    """Write a segment down under a voxel value."""
    codes = {name: concept_part(getattr(segment, name)) for name in _CODES}
    return Labelled(
        value=value, name=segment.name, algorithm=segment.algorithm, tracking_uid=segment.tracking_uid, **codes
    )


def segment_of(part: Labelled, *, number: int) -> Segment:
    """Read a segment back."""
    codes = {name: _concept(getattr(part, name)) for name in _CODES}
    return Segment(number, part.name, algorithm=part.algorithm, tracking_uid=part.tracking_uid, **codes)


def row_of(finding: Finding) -> Row:
    """Write a finding down; its source is the file itself."""
    codes = {name: concept_part(getattr(finding, name)) for name in _FINDING_CODES}
    texts = {name: getattr(finding, name) for name in _FINDING_TEXTS}
    return Row.model_validate({**codes, **texts, "referenced_sops": finding.referenced_sops})


def finding_of(row: Row, source: InstanceRef) -> Finding:
    """Read a finding back."""
    codes: dict[str, Any] = {name: _concept(getattr(row, name)) for name in _FINDING_CODES if name != "concept"}
    concept = CodedConcept(row.concept.value, row.concept.scheme, row.concept.meaning)
    texts = {name: getattr(row, name) for name in _FINDING_TEXTS}
    return replace(Finding(source, concept, referenced_sops=row.referenced_sops), **codes, **texts)
