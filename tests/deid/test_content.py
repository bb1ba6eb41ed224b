"""Reports are cleaned item by item: text and subject leave, measurements stay."""

from __future__ import annotations

import pydicom
import pytest
from pydicom.dataset import Dataset

from racoon_data.deid.door import Door
from tests.deid.samples import a_study, passed_one


def _code(value: str, meaning: str, scheme: str = "DCM") -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code


def _item(value_type: str, concept: tuple[str, str], **values: object) -> Dataset:
    item = Dataset()
    item.RelationshipType, item.ValueType = "CONTAINS", value_type
    item.ConceptNameCodeSequence = [_code(*concept)]
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


ITEMS = {
    "finding": _item("TEXT", ("121071", "Finding"), TextValue="Frau Muster, geb. 04.11.1956, klagt"),
    "tracking": _item("TEXT", ("112039", "Tracking Identifier"), TextValue="Herd 3 Muster"),
    "birth": _item("DATE", ("121031", "Subject Birth Date"), Date="19561104"),
    "subject": _item("PNAME", ("121029", "Subject Name"), PersonName="Muster^Erika"),
    "reader": _item("PNAME", ("121008", "Person Observer Name"), PersonName="Leser^Lena"),
    "date": _item("DATE", ("111060", "Study Date"), Date="20200317"),
    "time": _item("DATETIME", ("121125", "DateTime of Measurement"), DateTime="20200317101500.5+0100"),
    "uid": _item("UIDREF", ("112040", "Tracking Unique Identifier"), UID="1.2.3.4"),
    "answer": _item("CODE", ("121071", "Finding"), ConceptCodeSequence=[_code("1", "Muster Erika", "99X")]),
    "strange": _item("XNEW", ("121071", "Finding"), TextValue="Muster"),
}


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Dataset]:
    """A report with one item of each kind, cleaned, two containers deep."""
    from tests.deid.conftest import KEY, Profile, Pseudonymizer

    folder = tmp_path_factory.mktemp("content")
    path = a_study(folder).sr
    report = pydicom.dcmread(path)
    container = _item("CONTAINER", ("126010", "Imaging Measurements"))
    for number, item in enumerate(ITEMS.values()):
        item.ReferencedSegmentNumber = number + 1
    container.ContentSequence = list(ITEMS.values())
    outer = _item("CONTAINER", ("126010", "Imaging Measurements"), ContentSequence=[container])
    report.ContentSequence.append(outer)
    report.save_as(path)
    after = passed_one(path, Door(folder / "out", None, Profile(), Pseudonymizer(KEY)))
    names = list(ITEMS)
    inner = after.ContentSequence[-1].ContentSequence[0].ContentSequence
    return {names[int(item.ReferencedSegmentNumber) - 1]: item for item in inner}


def test_subject_items_and_unknown_forms_go(items: dict[str, Dataset]):
    """Birth dates are never shifted, and what nobody can read is not passed on."""
    assert {"birth", "subject", "strange"}.isdisjoint(items)
    assert len(items) == len(ITEMS) - 3


def test_free_text_becomes_a_dummy(items: dict[str, Dataset]):
    """The item stays, so that the tree keeps its form; its text goes."""
    assert items["finding"].TextValue == "ANON"


def test_lesion_names_stay_without_the_patient(items: dict[str, Dataset]):
    """A tracking identifier joins findings over time."""
    assert items["tracking"].TextValue == "Herd 3"


def test_names_become_reader_pseudonyms(items: dict[str, Dataset]):
    """The same reader is the same pseudonym in every report."""
    from tests.deid.conftest import KEY, Pseudonymizer

    assert str(items["reader"].PersonName) == Pseudonymizer(KEY).reader("Leser^Lena")


def test_dates_move_and_uids_are_mapped(items: dict[str, Dataset]):
    """Dates keep their time of day and zone; tracking UIDs join the SEG's."""
    from tests.deid.conftest import KEY, Pseudonymizer

    assert items["date"].Date != "20200317"
    assert items["time"].DateTime == f"{items['date'].Date}101500.5+0100"
    assert Pseudonymizer(KEY).uid("1.2.3.4") == items["uid"].UID


def test_a_name_in_a_code_goes(items: dict[str, Dataset]):
    """A private code whose meaning spells the patient keeps its value and loses its meaning."""
    code = items["answer"].ConceptCodeSequence[0]

    assert (code.CodeValue, code.CodingSchemeDesignator) == ("1", "99X")
    assert code.CodeMeaning == "ANON"
