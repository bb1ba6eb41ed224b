"""FHIR R4 bundles of the MII imaging module: observations, reports and imaging studies to findings."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

from racoon_data.annotations.tools.fhir_types import (
    concept_of,
    days_of,
    has_strange_unit,
    quantity_of,
    side_of,
    uids_of,
    value_of,
)
from racoon_data.annotations.tools.json_documents import Table, read_object, table_at, tables_at, text_at
from racoon_data.annotations.tools.trees import head_of
from racoon_data.errors import (
    AnnotationError,
    BrokenExportError,
    DanglingReferenceError,
    UncodedItemError,
    UnsupportedAnnotationError,
)
from racoon_data.labels import CodedConcept, Finding, ItemIssue
from racoon_data.outcomes import Outcome, outcome_of
from racoon_data.refs import FileRef, InstanceRef
from racoon_data.tool_exports import Look, Masks, Pointers, ToolExport, content_uid, name_in

_WITHDRAWN = frozenset({"entered-in-error", "cancelled"})
_UNNAMED = CodedConcept("", "", "")
_NOWHERE = InstanceRef("", "", "")
_READ = frozenset({"Observation", "DiagnosticReport", "ImagingStudy", "Patient", "BodyStructure", "Practitioner"})
# Resources of a bundle that carry no finding: passing them over loses nothing.
_BESIDE = frozenset(
    {"Device", "Organization", "Procedure", "ServiceRequest", "Encounter", "PractitionerRole", "Endpoint"}
)


@dataclass(frozen=True, slots=True)
class _Owner:
    """What findings must agree in to be one export."""

    patient: str
    study_uid: str
    accession: str
    reader: str
    day: date | None


@dataclass(slots=True)
class _Bundle:
    """A bundle being read.

    Attributes:
        path: The file.
        resources: Every resource under each name it may be referenced by.
        entries: Every resource once, in order.
        rows: Findings by owner.
        series: Series by owner.
        strange_units: Units that are no UCUM code, by owner.
        reports: The report each observation is a result of, by identity.
        outcomes: What was not read.
    """

    path: Path
    resources: dict[str, Table] = field(default_factory=dict)
    entries: list[Table] = field(default_factory=list)
    rows: dict[_Owner, list[Finding]] = field(default_factory=lambda: defaultdict(list))
    series: dict[_Owner, set[str]] = field(default_factory=lambda: defaultdict(set))
    strange_units: Counter[_Owner] = field(default_factory=Counter)
    reports: dict[int, Table] = field(default_factory=dict)
    outcomes: list[Outcome] = field(default_factory=list)

    def at(self, reference: Table, *, inside: Table | None = None) -> Table:
        """Follow a reference, contained resources included; an empty table where it leads nowhere."""
        target = text_at(reference, "reference")
        if target.startswith("#"):
            contained = tables_at(inside or {}, "contained")
            return next((one for one in contained if text_at(one, "id") == target[1:]), {})
        return self.resources.get(target) or self.resources.get("/".join(target.split("/")[-2:]), {})

    def refuse(self, place: str, error: AnnotationError) -> None:
        """Note that something was not read."""
        self.outcomes.append(outcome_of(error, ref=FileRef(name_in(self.path, place)), step="read"))


class FhirReader:
    """Reads bundles (and single resources) as JSON; FHIR XML is not read."""

    kind = "fhir"

    def claims(self, path: Path) -> bool:
        """Tell whether it is JSON with a resource type racoon reads."""
        if path.suffix.lower() != ".json":
            return False
        found = re.search(rb'"resourceType"\s*:\s*"(\w+)"', head_of(path))
        return found is not None and found[1].decode() in (_READ | {"Bundle"})

    def look(self, path: Path) -> Look:
        """Read observations and reports; a resource that cannot be read costs itself alone.

        Raises:
            BrokenExportError: It is no JSON, or a bundle without resources.
            UnsupportedAnnotationError: It holds neither observation nor report.
        """
        bundle = _opened(path)
        parents = _parents(bundle)
        observations = [one for one in bundle.entries if text_at(one, "resourceType") == "Observation"]
        reports = [one for one in bundle.entries if text_at(one, "resourceType") == "DiagnosticReport"]
        if not observations and not reports:
            raise UnsupportedAnnotationError(
                "the bundle holds neither Observation nor DiagnosticReport", hint="export both"
            )
        _require_members(bundle, [*observations, *reports])
        for place, resource in enumerate([*observations, *reports], start=1):
            name = f"{text_at(resource, 'resourceType')} {place}"
            try:
                _read(resource, bundle, parents.get(id(resource)), name)
            except AnnotationError as error:
                bundle.refuse(name, error)
        return Look(tuple(_exports(bundle)), tuple(bundle.outcomes))

    def masks(self, path: Path, export: ToolExport) -> Masks:
        """Give none: bundles hold findings."""
        return iter(())


def _opened(path: Path) -> _Bundle:
    document = read_object(path)
    bundle = _Bundle(path)
    is_bundle = text_at(document, "resourceType") == "Bundle"
    entries = tables_at(document, "entry") if is_bundle else [{"resource": document}]
    for place, entry in enumerate(entries, start=1):
        resource = table_at(entry, "resource")
        kind = text_at(resource, "resourceType")
        if kind not in _READ | _BESIDE:
            what = kind if re.fullmatch(r"[A-Z][A-Za-z]{2,40}", kind) else "without a type"
            bundle.refuse(f"entry {place}", UnsupportedAnnotationError(f"FHIR resource {what}", hint="it is left out"))
            continue
        bundle.entries.append(resource)
        for name in (text_at(entry, "fullUrl"), f"{kind}/{text_at(resource, 'id')}"):
            bundle.resources[name] = resource
    if not bundle.entries:
        raise BrokenExportError("the bundle holds no resource", hint="export it again")
    return bundle


def _parents(bundle: _Bundle) -> dict[int, Table]:
    """Say which observation each one is a member of: a lesion holds its measurements."""
    found: dict[int, Table] = {}
    for resource in bundle.entries:
        if text_at(resource, "resourceType") == "Observation":
            for member in tables_at(resource, "hasMember"):
                found.setdefault(id(bundle.at(member, inside=resource)), resource)
        for result in tables_at(resource, "result"):
            bundle.reports.setdefault(id(bundle.at(result, inside=resource)), resource)
    return found


def _require_members(bundle: _Bundle, resources: list[Table]) -> None:
    """List references to observations and studies that are not in the bundle."""
    for place, resource in enumerate(resources, start=1):
        for key in ("hasMember", "result", "derivedFrom", "imagingStudy"):
            lost = [
                one
                for one in tables_at(resource, key)
                if text_at(one, "reference") and not bundle.at(one, inside=resource)
            ]
            if lost:
                message = f"{len(lost)} reference(s) under {key} lead out of the bundle"
                error = DanglingReferenceError(message, hint="export the bundle with what it references")
                bundle.refuse(f"{text_at(resource, 'resourceType')} {place}", error)


def _read(resource: Table, bundle: _Bundle, parent: Table | None, name: str) -> None:
    if text_at(resource, "status") in _WITHDRAWN:
        raise UnsupportedAnnotationError(
            f"its status is {text_at(resource, 'status')}", hint="it was withdrawn and is left out"
        )
    owner = _owner(resource, bundle, parent)
    found = list(_judged(resource) if text_at(resource, "resourceType") == "DiagnosticReport" else _observed(resource))
    is_group = bool(tables_at(resource, "hasMember") or tables_at(resource, "result"))
    if not found and not is_group:
        raise BrokenExportError("it holds no value", hint="dataAbsentReason and empty observations give no finding")
    base = _base(resource, bundle, parent)
    for finding in found:
        bundle.rows[owner].append(_joined(base, finding))
    bundle.strange_units[owner] += sum(
        1 for part in (resource, *tables_at(resource, "component")) if has_strange_unit(part)
    )
    bundle.series[owner].update(uids_of(resource, "series"), uids_of(parent or {}, "series"))


def _joined(base: Finding, finding: Finding) -> Finding:
    return replace(base, concept=finding.concept, value=finding.value, unit=finding.unit, answer=finding.answer)


def _observed(resource: Table) -> Iterator[Finding]:
    """Give a row for the observation's own value and one for each component with a value."""
    for part in (resource, *tables_at(resource, "component")):
        concept = concept_of(table_at(part, "code")) or _UNNAMED
        if quantity := quantity_of(part):
            yield Finding(_NOWHERE, concept, *quantity)
        elif answered := value_of(part):
            yield Finding(_NOWHERE, concept, answered[0], answer=answered[1])


def _judged(report: Table) -> Iterator[Finding]:
    concept = concept_of(table_at(report, "code")) or _UNNAMED
    for code in tables_at(report, "conclusionCode"):
        if answer := concept_of(code):
            yield Finding(_NOWHERE, concept, answer.meaning or answer.value, answer=answer)
    if text := text_at(report, "conclusion"):
        yield Finding(_NOWHERE, concept, text)


def _base(resource: Table, bundle: _Bundle, parent: Table | None) -> Finding:
    """Read what holds for all rows of a resource; a member takes from its parent what it does not say itself."""
    lesion = parent or {}
    whose = [one for one in (resource, lesion) if one]
    structures = [bundle.at(structure, inside=one) for one in whose for structure in _structures(one)]
    site = next((code for one in whose if (code := concept_of(table_at(one, "bodySite")))), None)
    site = site or next((code for one in structures if (code := concept_of(table_at(one, "location")))), None)
    side = next(
        (code for one in (*[table_at(one, "bodySite") for one in whose], *structures) if (code := side_of(one))), None
    )
    answered = value_of(lesion)
    finding = (answered[1] if answered else None) or concept_of(table_at(lesion, "code"))
    return Finding(
        _NOWHERE,
        _UNNAMED,
        finding=finding,
        site=site,
        laterality=side,
        method=concept_of(table_at(resource, "method")),
        tracking_uid=next((uid for one in reversed(whose) for uid in _identifiers(one)), ""),
        referenced_sops=tuple(dict.fromkeys(uid for one in whose for uid in uids_of(one, "sop"))),
    )


def _structures(resource: Table) -> list[Table]:
    found = [table_at(one, "valueReference") for one in tables_at(table_at(resource, "bodySite"), "extension")]
    return [one for one in found if one]


def _identifiers(resource: Table) -> Iterator[str]:
    for one in tables_at(resource, "identifier"):
        value = text_at(one, "value")
        if text_at(one, "system") == "urn:dicom:uid" or value.startswith("urn:oid:"):
            yield value.removeprefix("urn:oid:")


def _owner(resource: Table, bundle: _Bundle, parent: Table | None) -> _Owner:
    subject = table_at(resource, "subject") or table_at(parent or {}, "subject")
    studies = _studies(resource, bundle) or _studies(parent or {}, bundle) or _reported(resource, bundle)
    uids = {next(_identifiers(one), "") for one in studies} - {""}
    if len(uids) > 1:
        raise BrokenExportError(f"it is derived from {len(uids)} studies", hint="a finding belongs to one study")
    numbers = {number for one in studies if (number := _accession(one))}
    person = _patient(subject, bundle, resource)
    days = days_of(resource) or days_of(parent or {})
    accession = numbers.pop() if len(numbers) == 1 else ""
    return _Owner(
        person, next(iter(uids), ""), accession, _reader(resource, bundle) or _reader(parent or {}, bundle), days
    )


def _studies(resource: Table, bundle: _Bundle) -> list[Table]:
    found = []
    for key in ("derivedFrom", "imagingStudy", "partOf"):
        for reference in tables_at(resource, key):
            target = bundle.at(reference, inside=resource)
            if text_at(target, "resourceType") == "ImagingStudy":
                found.append(target)
            elif one := table_at(reference, "identifier"):
                found.append({"identifier": [one]})
    return found


def _reported(resource: Table, bundle: _Bundle) -> list[Table]:
    """Take the studies of the report an observation is a result of."""
    report = bundle.reports.get(id(resource))
    return _studies(report, bundle) if report is not None else []


def _accession(study: Table) -> str:
    for one in tables_at(study, "identifier"):
        if any(text_at(code, "code") == "ACSN" for code in tables_at(table_at(one, "type"), "coding")):
            return text_at(one, "value")
    return ""


def _patient(subject: Table, bundle: _Bundle, resource: Table) -> str:
    own = text_at(table_at(subject, "identifier"), "value")
    numbers = tables_at(bundle.at(subject, inside=resource), "identifier")
    medical = [
        one for one in numbers if any(text_at(c, "code") == "MR" for c in tables_at(table_at(one, "type"), "coding"))
    ]
    return own or next((text_at(one, "value") for one in (*medical, *numbers)), "")


def _reader(resource: Table, bundle: _Bundle) -> str:
    for key in ("performer", "resultsInterpreter"):
        for reference in tables_at(resource, key):
            name: Any = next(iter(tables_at(bundle.at(reference, inside=resource), "name")), {})
            given = name.get("given")
            parts = [text_at(name, "family"), *(given if isinstance(given, list) else [])]
            text = "^".join(str(part) for part in parts if part)
            if found := text or text_at(reference, "display"):
                return found
    return ""


def _exports(bundle: _Bundle) -> Iterator[ToolExport]:
    data = bundle.path.read_bytes()
    for number, (owner, found) in enumerate(bundle.rows.items(), start=1):
        uid = content_uid(FhirReader.kind, data, str(number))
        source = InstanceRef(owner.study_uid, "", uid)
        sops = frozenset(sop for finding in found for sop in finding.referenced_sops)
        series = frozenset(bundle.series[owner])
        yield ToolExport(
            uid,
            FhirReader.kind,
            Pointers(owner.patient, owner.study_uid, owner.accession, series, sops),
            findings=tuple(replace(finding, source=source, reader=owner.reader) for finding in found),
            reader=owner.reader,
            day=owner.day,
            issues=tuple(_issues(bundle, owner)),
        )


def _issues(bundle: _Bundle, owner: _Owner) -> Iterator[ItemIssue]:
    if strange := bundle.strange_units[owner]:
        yield ItemIssue("report", UncodedItemError.code, f"{strange} unit(s) are no UCUM codes and kept as written")
    if unnamed := sum(1 for one in bundle.rows[owner] if not one.concept.value):
        yield ItemIssue("report", UncodedItemError.code, f"{unnamed} finding(s) have no coded concept")
