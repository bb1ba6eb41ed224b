"""FHIR bundles of the MII imaging module become findings; what does not is named."""

import json
from datetime import date

import pytest

from racoon_data.annotations.tools.fhir import FhirReader
from racoon_data.errors import BrokenExportError, HostileExportError, UnsupportedAnnotationError
from tests.annotations.tools.makers import write_json

MII = "https://www.medizininformatik-initiative.de/fhir/ext/modul-bildgebung/StructureDefinition/mii-ex-bildgebung-"


def sct(code, display):
    """A SNOMED CT concept."""
    return {"coding": [{"system": "http://snomed.info/sct", "code": code, "display": display}]}


def observation(name, **facts):
    """An observation of the profile."""
    return {
        "resourceType": "Observation",
        "id": name,
        "status": "final",
        "subject": {"reference": "Patient/p"},
        "effectiveDateTime": "2021-03-04T10:00:00+01:00",
        "derivedFrom": [{"reference": "ImagingStudy/s"}],
    } | facts


LESION = observation(
    "lesion",
    code=sct("404684003", "Finding"),
    valueCodeableConcept=sct("52988006", "Lesion"),
    bodySite=sct("39607008", "Lung")
    | {"extension": [{"url": "x", "valueReference": {"reference": "BodyStructure/b"}}]},
    hasMember=[{"reference": "Observation/volume"}],
    identifier=[{"system": "urn:dicom:uid", "value": "urn:oid:1.2.9.1"}],
)
VOLUME = observation(
    "volume",
    code=sct("118565006", "Volume"),
    valueQuantity={"value": 1.250, "unit": "ml", "system": "http://unitsofmeasure.org", "code": "ml"},
    extension=[
        {"url": MII + "series-uid", "valueId": "1.2.3.4"},
        {"url": MII + "sop-instanz-uid", "valueId": "1.2.3.4.5"},
    ],
)
STUDY = {
    "resourceType": "ImagingStudy",
    "id": "s",
    "identifier": [
        {"system": "urn:dicom:uid", "value": "urn:oid:1.2.3"},
        {"type": {"coding": [{"code": "ACSN"}]}, "value": "A-17"},
    ],
}
PATIENT = {
    "resourceType": "Patient",
    "id": "p",
    "name": [{"family": "Muster"}],
    "identifier": [{"value": "GKV"}, {"type": {"coding": [{"code": "MR"}]}, "value": "4711"}],
}
SIDE = {"resourceType": "BodyStructure", "id": "b", "locationQualifier": [sct("24028007", "Right")]}
REPORT = {
    "resourceType": "DiagnosticReport",
    "id": "r",
    "status": "final",
    "code": sct("4201000179104", "Imaging report"),
    "subject": {"reference": "Patient/p"},
    "issued": "2021-03-04T12:00:00Z",
    "imagingStudy": [{"reference": "ImagingStudy/s"}],
    "result": [{"reference": "Observation/lesion"}],
    "conclusionCode": [sct("17621005", "Normal")],
    "resultsInterpreter": [{"reference": "Practitioner/d"}],
}
DOCTOR = {"resourceType": "Practitioner", "id": "d", "name": [{"family": "Leser", "given": ["Lena"]}]}


def look(tmp_path, *resources, **bundle):
    """Read a bundle of resources."""
    entries = [{"resource": one} for one in resources]
    document = {"resourceType": "Bundle", "type": "collection", "entry": entries, **bundle}
    path = write_json(tmp_path / "bundle.json", document)
    assert FhirReader().claims(path)
    return FhirReader().look(path)


def test_a_bundle_of_the_profile_is_read_whole(tmp_path):
    """A lesion with its volume and the report over it: codes, unit, place, tracking, image, patient and reader."""
    found = look(tmp_path, PATIENT, STUDY, SIDE, DOCTOR, LESION, VOLUME, REPORT)

    assert found.outcomes == ()
    observed, reported = found.exports
    pointers = observed.pointers
    assert (pointers.patient, pointers.study_uid, pointers.accession) == ("4711", "1.2.3", "A-17")
    assert (pointers.series_uids, pointers.sop_uids) == ({"1.2.3.4"}, {"1.2.3.4.5"})
    assert observed.day == date(2021, 3, 4)
    lesion, volume = observed.findings
    assert (lesion.concept.value, lesion.answer.value, lesion.site.value) == ("404684003", "52988006", "39607008")
    assert (volume.concept.key, volume.value, volume.unit) == (("SCT", "118565006"), "1.25", "ml")
    assert (volume.finding.value, volume.site.value, volume.laterality.value) == ("52988006", "39607008", "24028007")
    assert {lesion.tracking_uid, volume.tracking_uid} == {"1.2.9.1"}
    assert (reported.reader, reported.findings[0].answer.value) == ("Leser^Lena", "17621005")


def test_components_are_rows_of_their_own(tmp_path):
    """Long and short axis in one observation are two findings."""
    part = {"valueQuantity": {"value": 9, "system": "http://unitsofmeasure.org", "code": "mm", "unit": "mm"}}
    both = observation(
        "d",
        code=sct("81827009", "Diameter"),
        component=[{"code": sct("103339001", "Long axis"), **part}, {"code": sct("103340004", "Short axis"), **part}],
    )

    found = look(tmp_path, PATIENT, STUDY, both)

    assert [(one.concept.value, one.value) for one in found.exports[0].findings] == [
        ("103339001", "9"),
        ("103340004", "9"),
    ]


def test_private_units_and_codes_are_kept_and_listed(tmp_path):
    """A unit in words and a concept without a code stay as written, and an issue says so."""
    odd = observation("o", code={"text": "Tumor load"}, valueQuantity={"value": 3, "unit": "boxes"})

    export = look(tmp_path, PATIENT, STUDY, odd).exports[0]

    assert (export.findings[0].value, export.findings[0].unit, export.findings[0].concept.meaning) == (
        "3",
        "boxes",
        "Tumor load",
    )
    assert {one.code for one in export.issues} == {"annotation.uncoded"}


COUNT = {"code": sct("1", "x"), "valueInteger": 1}
OTHER = STUDY | {"id": "t", "identifier": [{"system": "urn:dicom:uid", "value": "urn:oid:9.9"}]}


def derived(*names):
    """References to studies."""
    return [{"reference": f"ImagingStudy/{name}"} for name in names]


@pytest.mark.parametrize(
    ("resources", "code"),
    [
        ([observation("o", **COUNT | {"status": "entered-in-error"})], "annotation.unsupported"),
        ([observation("o", code=sct("1", "x"), dataAbsentReason=sct("2", "y"))], "annotation.broken_export"),
        ([observation("o", **COUNT, derivedFrom=derived("no"))], "annotation.dangling_reference"),
        ([{"resourceType": "Immunization"}], "annotation.unsupported"),
        ([{}], "annotation.unsupported"),
        ([OTHER, observation("o", **COUNT, derivedFrom=derived("s", "t"))], "annotation.broken_export"),
    ],
)
def test_a_resource_that_cannot_be_read_costs_itself_alone(tmp_path, resources, code):
    """Withdrawn, empty, dangling, unknown and ambiguous resources are findings of their own; the others are read."""
    found = look(tmp_path, PATIENT, STUDY, SIDE, LESION, VOLUME, *resources)

    assert [one.code for one in found.outcomes] == [code]
    assert sum(len(one.findings) for one in found.exports) >= 2


def test_broken_bundles_are_named_errors(tmp_path):
    """No resource, nothing with findings, cut JSON and a bomb."""
    with pytest.raises(BrokenExportError):
        look(tmp_path)
    with pytest.raises(UnsupportedAnnotationError):
        look(tmp_path, PATIENT)
    path = tmp_path / "cut.json"
    path.write_text(json.dumps({"resourceType": "Bundle", "entry": [{"resource": VOLUME}]})[:-9])
    with pytest.raises(BrokenExportError):
        FhirReader().look(path)
    path.write_text('{"resourceType": "Bundle", "entry": ' + "[" * 9999 + "]" * 9999 + "}")
    with pytest.raises(HostileExportError):
        FhirReader().look(path)
