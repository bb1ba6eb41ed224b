"""Whatever bytes a file holds, a reader ends with an annotation, an outcome or an error that has a name."""

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from racoon_data.annotations.tools.aim import AimReader
from racoon_data.annotations.tools.dcmqi import DcmqiReader
from racoon_data.annotations.tools.fhir import FhirReader
from racoon_data.annotations.tools.labelled import LabelFileReader
from racoon_data.annotations.tools.mitk import MitkReader
from racoon_data.annotations.tools.slicer import SlicerReader
from racoon_data.errors import AnnotationError
from racoon_data.files.nifti import write_nifti
from tests.annotations.tools.makers import a_label_file, a_mitk_stack, slicer_keys, write_json, write_nrrd
from tests.annotations.tools.test_aim import AIM
from tests.annotations.tools.test_fhir import LESION, PATIENT, REPORT, SIDE, STUDY, VOLUME
from tests.annotations.tools.test_label_volumes import GRID, ONE, TWO

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 10**20),
    st.floats(),
    st.text(max_size=6),
    st.just([]),
    st.just({}),
    st.just([[]]),
    st.just([{}]),
)


def documents(tmp_path):
    """A good JSON document of every kind with its reader and path; volumes lie beside them."""
    write_nifti(tmp_path / "p.nii.gz", ONE.astype(np.uint8), GRID)
    code = {"CodeValue": "1", "CodingSchemeDesignator": "SCT", "CodeMeaning": "x"}
    segment = {"labelID": 1, "SegmentLabel": "x", "SegmentedPropertyTypeCodeSequence": code}
    entries = [{"resource": one} for one in (PATIENT, STUDY, SIDE, LESION, VOLUME, REPORT)]
    return {
        MitkReader: a_mitk_stack(tmp_path / "m", {"one": ONE, "two": TWO}, GRID),
        LabelFileReader: a_label_file(tmp_path / "l", {"one": ONE}, GRID),
        DcmqiReader: write_json(tmp_path / "p.json", {"segmentAttributes": [[segment]]}),
        FhirReader: write_json(tmp_path / "f.json", {"resourceType": "Bundle", "entry": entries}),
    }


def places(value, path=()):
    """Every place of a JSON document."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from places(one, (*path, key))


def bent(document, path, value):
    """A copy of a document with another value at one place."""
    copy = json.loads(json.dumps(document))
    if not path:
        return value
    place = copy
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return copy


def is_named(reader, path):
    """Read everything of a file; only errors with a name and a remedy may come out."""
    try:
        exports = reader.look(path).exports
        return all(
            drawn.mask.shape == export.grid.array_shape for export in exports for drawn in reader.masks(path, export)
        )
    except AnnotationError as error:
        return bool(error.code and error.hint)


@pytest.mark.parametrize("kind", [MitkReader, LabelFileReader, DcmqiReader, FhirReader])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_value_in_any_place(tmp_path, kind, data):
    """One wrong value anywhere in the JSON never ends in an unexpected exception."""
    path = documents(tmp_path)[kind]
    document = json.loads(path.read_text())
    place = data.draw(st.sampled_from(sorted(places(document), key=str)))
    path.write_text(json.dumps(bent(document, place, data.draw(VALUES))))

    assert is_named(kind(), path)


@pytest.mark.parametrize("kind", ["nrrd", "aim"])
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_byte_in_any_place(tmp_path, kind, data):
    """Bytes changed, cut or doubled anywhere in a NRRD or AIM file never end in an unexpected exception."""
    if kind == "nrrd":
        keys = slicer_keys({"Name": "one", "LabelValue": 1, "Layer": 0, "Extent": "0 8 0 6 0 4"})
        path = write_nrrd(tmp_path / "a.seg.nrrd", ONE.astype(np.uint8), GRID, keys=keys)
    else:
        path = tmp_path / "a.xml"
        path.write_text(AIM)
    raw = bytearray(path.read_bytes())
    start = data.draw(st.integers(0, len(raw) - 1))
    stop = data.draw(st.integers(start, min(start + 9, len(raw))))
    raw[start:stop] = data.draw(st.binary(max_size=9))
    path.write_bytes(raw)

    assert is_named(SlicerReader() if kind == "nrrd" else AimReader(), path)
