"""The index's fast reader gives what the tolerant reader gives, or steps aside."""

from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import ImplicitVRLittleEndian

from racoon_data.errors import RacoonError
from racoon_data.pacs.index import _slow_values
from racoon_data.pacs.quick import quick_values

KEPT = "PatientName"


def both(path):
    """What the fast and the tolerant reader say."""
    return quick_values(path, path.stat().st_size), _slow_values(path)


def test_made_files_read_alike(archive):
    """CT and MR with umlauts, explicit: every value is the same."""
    for made in (archive.ct, archive.ct_thick, archive.mr):
        for path in made.paths:
            quick, slow = both(path)
            assert quick == slow


@pytest.mark.parametrize("charset", ["ISO_IR 100", "ISO_IR 192", "ISO_IR 144", "\\ISO 2022 IR 87"])
def test_encodings_and_character_sets_read_alike(archive, tmp_path, charset):
    """Implicit little endian, character sets of all kinds, and a sequence of undefined length before the values."""
    name = {"ISO_IR 144": "Люксембург", "\\ISO 2022 IR 87": "Yamada^Tarou=山田^太郎"}.get(charset, "Müller^Jörg")
    dataset = dcmread(archive.ct.paths[0])
    dataset.SpecificCharacterSet = charset.split("\\") if "\\" in charset else charset
    dataset.PatientName = name
    dataset.ReferencedStudySequence = [dcmread(archive.mr.paths[0], specific_tags=["StudyInstanceUID"])]
    dataset["ReferencedStudySequence"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    dataset.save_as(tmp_path / "one.dcm", implicit_vr=True, little_endian=True)
    quick, slow = both(tmp_path / "one.dcm")

    assert quick == slow
    assert quick[KEPT] == name


def test_what_is_cut_or_strange_is_left_to_the_other(archive, tmp_path):
    """A file that ends too early, and one that is no DICOM, are not answered here."""
    whole = archive.ct.paths[0].read_bytes()
    for end in (len(whole) - 2, 600, 140, 10, 0):
        (tmp_path / "cut.dcm").write_bytes(whole[:end])
        assert quick_values(tmp_path / "cut.dcm", end) is None
    (tmp_path / "text.txt").write_text("not DICOM" * 100)
    assert quick_values(tmp_path / "text.txt", 900) is None


@pytest.mark.real
def test_real_files_read_alike(real_data):
    """Where the fast reader answers for a public file, it says what the tolerant reader says."""
    answered = 0
    for path in sorted(Path(real_data).rglob("*"))[:400]:
        if not path.is_file() or path.stat().st_size < 200:
            continue
        quick = quick_values(path, path.stat().st_size)
        if quick is not None:
            try:
                slow = _slow_values(path)
            except RacoonError:
                continue
            assert quick == slow
            answered += 1
    assert answered > 100
