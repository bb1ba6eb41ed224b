"""Attributes become text whatever the character set claims."""

import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from racoon_data.pacs.attributes import flat_dataset, put, text_of


def an_answer(raw: bytes, charset: str) -> Dataset:
    """A data set with a raw patient name."""
    answer = Dataset()
    if charset:
        put(answer, "SpecificCharacterSet", charset)
    tag = Tag("PatientName")
    answer[tag] = RawDataElement(tag, "PN", len(raw), raw, 0, False, True)
    return answer


@pytest.mark.parametrize(
    ("raw", "charset"),
    [
        ("Müller^Jörg".encode(), "ISO_IR 192"),
        ("Müller^Jörg".encode("latin-1"), "ISO_IR 100"),
        ("Müller^Jörg".encode("latin-1"), ""),
        ("Müller^Jörg".encode(), ""),
        ("Müller^Jörg".encode("latin-1"), "ISO_IR 192"),
        ("Müller^Jörg".encode("latin-1"), "NO_SUCH_SET"),
    ],
)
def test_a_name_survives_its_character_set(raw, charset):
    """Declared rightly, wrongly, not at all or as nonsense: the name is read."""
    assert text_of(an_answer(raw, charset), "PatientName") == "Müller^Jörg"


def test_numbers_and_lists_become_text():
    """Binary numbers and several values are joined by a backslash."""
    answer = flat_dataset({"Rows": "512", "ModalitiesInStudy": "CT\\SEG", "StudyInstanceUID": "1.2.3"})

    assert [text_of(answer, name) for name in ("Rows", "ModalitiesInStudy", "StudyInstanceUID", "PatientID")] == [
        "512",
        "CT\\SEG",
        "1.2.3",
        "",
    ]
