"""FHIR data types as findings need them: concepts, quantities, answers, days and DICOM UIDs in extensions."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from racoon_data.annotations.tools.json_documents import Table, table_at, tables_at, text_at
from racoon_data.labels import CodedConcept

_SYSTEMS = {
    "http://snomed.info/sct": "SCT",
    "http://loinc.org": "LN",
    "http://dicom.nema.org/resources/ontology/DCM": "DCM",
    "http://radlex.org": "RADLEX",
    "http://www.radlex.org": "RADLEX",
    "http://unitsofmeasure.org": "UCUM",
}
_UCUM = "http://unitsofmeasure.org"
_SIDES = frozenset({"24028007", "7771000", "51440002"})
# Extensions of the MII imaging module that link an observation to its image; both spellings of the series UID.
_EXTENSIONS = {
    "series": ("mii-ex-bildgebung-series-uid", "mii-ex-bildgebung-serie-uid"),
    "sop": ("mii-ex-bildgebung-sop-instanz-uid",),
}


def concept_of(value: Table) -> CodedConcept | None:
    """Read a CodeableConcept, its SNOMED CT coding first; words without a code are a private concept.

    Returns:
        The concept, ``None`` where it says nothing.
    """
    codings = [one for one in tables_at(value, "coding") if text_at(one, "code")]
    known = {text_at(one, "system"): one for one in reversed(codings)}
    chosen = next((known[system] for system in _SYSTEMS if system in known), codings[0] if codings else None)
    if chosen is None:
        text = text_at(value, "text")
        return CodedConcept("", "", text) if text else None
    system = text_at(chosen, "system")
    scheme = _SYSTEMS.get(system, system.removeprefix("urn:oid:"))
    return CodedConcept(text_at(chosen, "code"), scheme, text_at(chosen, "display") or text_at(value, "text"))


def quantity_of(part: Table) -> tuple[str, str] | None:
    """Read a quantity or a number as value and UCUM unit, ``None`` where there is none.

    A unit that is no UCUM code is kept as written.
    """
    quantity = table_at(part, "valueQuantity")
    if value := text_at(quantity, "value"):
        code = text_at(quantity, "code") if text_at(quantity, "system") in (_UCUM, "") else ""
        return (text_at(quantity, "comparator") + value, code or text_at(quantity, "unit"))
    number = text_at(part, "valueInteger")
    return (number, "1") if number else None


def has_strange_unit(part: Table) -> bool:
    """Tell whether a quantity names its unit outside UCUM, or in words alone."""
    quantity = table_at(part, "valueQuantity")
    has_code = text_at(quantity, "code") != "" and text_at(quantity, "system") in (_UCUM, "")
    return text_at(quantity, "value") != "" and text_at(quantity, "unit") != "" and not has_code


def value_of(part: Table) -> tuple[str, CodedConcept | None] | None:
    """Read a coded, written or yes-no answer as text and code, ``None`` where there is none."""
    if answer := concept_of(table_at(part, "valueCodeableConcept")):
        return (answer.meaning or answer.value, answer if answer.value else None)
    text = text_at(part, "valueString") or text_at(part, "valueBoolean")
    return (text, None) if text else None


def side_of(part: Table) -> CodedConcept | None:
    """Find left, right or both among the qualifiers of a body site or body structure."""
    qualifiers = (*tables_at(part, "locationQualifier"), part)
    codings = [one for qualifier in qualifiers for one in tables_at(qualifier, "coding")]
    found = next((one for one in codings if text_at(one, "code") in _SIDES), None)
    return CodedConcept(text_at(found, "code"), "SCT", text_at(found, "display")) if found else None


def days_of(resource: Table) -> date | None:
    """Read the day an observation is about, ``None`` where it does not say one exactly."""
    for key in ("effectiveDateTime", "effectiveInstant", "issued"):
        try:
            return date.fromisoformat(text_at(resource, key)[:10])
        except ValueError:
            continue
    return None


def uids_of(resource: Table, what: str) -> Iterator[str]:
    """Go through the ``series`` or ``sop`` UIDs that extensions of an observation hold."""
    for one in tables_at(resource, "extension"):
        if text_at(one, "url").rpartition("/")[2] in _EXTENSIONS[what]:
            for key in ("valueId", "valueOid", "valueString", "valueUri"):
                if uid := text_at(one, key).removeprefix("urn:oid:"):
                    yield uid
