"""Query keys match as PS3.4 C.2.2.2 says."""

import pytest

from racoon_data.pacs.matching import matcher


@pytest.mark.parametrize(
    ("keyword", "key", "value", "expected"),
    [
        ("PatientID", "P1", "P1", True),
        ("PatientID", "P?", "P1", True),
        ("PatientID", "P?", "P12", False),
        ("PatientID", "p1", "P1", False),
        ("PatientID", "P.", "P1", False),
        ("StudyDescription", "*Thorax*", "CT Thorax nativ", True),
        ("PatientName", "müller*", "Müller^Jörg", True),
        ("PatientName", "MÜLLER^JÖRG", "Müller^Jörg", True),
        ("PatientName", "Muller*", "Müller^Jörg", False),
        ("PatientName", "Yamada*", "Yamada^Tarou=山田^太郎", True),
        ("PatientName", "山田*", "Yamada^Tarou=山田^太郎", True),
        ("PatientName", "Muster^Erika", "Muster^Erika^^", True),
        ("StudyDate", "20200101-20201231", "20200317", True),
        ("StudyDate", "20200101-20201231", "20210101", False),
        ("StudyDate", "-20200317", "20200317", True),
        ("StudyDate", "20200317-", "2020.03.17", True),
        ("StudyDate", "20200101-", "", False),
        ("StudyTime", "10-1230", "123059.999", True),
        ("StudyTime", "10-1230", "123100", False),
        ("StudyTime", "-235959", "235959.5", True),
        ("StudyInstanceUID", "1.2\\1.3", "1.3", True),
        ("StudyInstanceUID", "1.2\\1.3", "1.33", False),
        ("ModalitiesInStudy", "MR", "CT\\MR", True),
        ("Modality", "CT\\MR", "PT", False),
    ],
)
def test_a_key_matches(keyword, key, value, expected):
    """Wildcards, ranges, lists and names, each against one value."""
    test = matcher(keyword, key)

    assert test is not None
    assert test(value) is expected


@pytest.mark.parametrize("key", ["", "*", "  "])
def test_a_universal_key_tests_nothing(key):
    """An empty key, or a lone star, matches everything."""
    assert matcher("PatientID", key) is None
