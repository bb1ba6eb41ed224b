"""The one pass over a file: the same attributes as pydicom reads, on every kind of file, and the pixels' place."""

import struct
from pathlib import Path

import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.sequence import Sequence
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from racoon_data.dicom.facts import read_facts
from racoon_data.dicom.guard import scan
from racoon_data.dicom.headers import read_dataset, texts_of
from racoon_data.dicom.scanner import Unusual, scan_plain
from racoon_data.dicom.tags import TABLE
from racoon_data.errors import RacoonError, TruncatedError
from racoon_data.testing.makers import a_seg, a_series
from tests.dicom.edits import edit

_META = ("MediaStorageSOPClassUID", "TransferSyntaxUID")


def _as_numbers(values: tuple[str, ...]) -> tuple[object, ...]:
    try:
        return tuple(map(float, values))
    except ValueError:
        return values


def _differences(path: Path) -> list[str]:
    """Keywords that one pass reads otherwise than pydicom does."""
    facts, dataset = read_facts(path), read_dataset(path)
    wrong = []
    for keyword, (_, vr) in TABLE.items():
        if vr == "SQ":
            if (keyword in facts.sequences) != bool(dataset.get(keyword)):
                wrong.append(keyword)
        elif keyword not in ("TransferSyntaxUID", "PixelPaddingValue", "PixelPaddingRangeLimit"):
            source = dataset.file_meta if keyword in _META else dataset
            if _as_numbers(facts.texts(keyword)) != _as_numbers(texts_of(source, keyword)):
                wrong.append(keyword)
    return wrong


def test_the_table_is_the_dictionary():
    """Each tag and value representation stands as PS3.6 has it."""
    for keyword, (tag, vr) in TABLE.items():
        assert (tag_for_keyword(keyword), dictionary_VR(tag)[:2]) == (tag, vr)


@pytest.mark.parametrize("modality", ["CT", "MR", "PT"])
@pytest.mark.parametrize(
    "syntax", ["", ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian, "bare"]
)
def test_made_files_read_as_pydicom_reads_them(tmp_path: Path, modality: str, syntax: str):
    """Every encoding gives the values pydicom gives; native pixels are where the pass says."""
    made = a_series(tmp_path, slices=1, modality=modality, has_private_tags=True, description="Schädel")
    path = made.paths[0]
    one = pydicom.dcmread(path)
    pixels = one.PixelData
    if syntax == "bare":
        path.write_bytes(path.read_bytes()[132:])
    elif syntax:
        one.file_meta.TransferSyntaxUID = syntax
        pydicom.dcmwrite(path, one, enforce_file_format=True)

    facts = read_facts(path)

    assert _differences(path) == []
    assert facts.has_pixels
    if facts.pixels is not None:
        start, length = facts.pixels
        assert path.read_bytes()[start : start + length] == pixels


def test_nested_sequences_are_passed_through(tmp_path: Path):
    """Sequences with and without lengths, in both encodings, empty ones too, do not lose what follows them."""
    made = a_series(tmp_path, slices=1)
    item, inner = pydicom.Dataset(), pydicom.Dataset()
    inner.SeriesDescription, inner.Rows = "inner", 7
    item.ReferencedImageSequence = Sequence([inner, inner])
    for name, implicit in (("a", True), ("b", False)):
        for is_open in (True, False):
            one = pydicom.dcmread(made.paths[0])
            one.ReferencedStudySequence = Sequence([item, pydicom.Dataset(), item])
            one.ProcedureCodeSequence = Sequence([])
            one["ReferencedStudySequence"].is_undefined_length = is_open
            item["ReferencedImageSequence"].is_undefined_length = is_open
            if implicit:
                one.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
            path = tmp_path / f"{name}{is_open}.dcm"
            pydicom.dcmwrite(path, one, enforce_file_format=True)

            assert scan_plain(path).raw["Rows"] == b"\x20\x00"
            assert _differences(path) == []


def test_long_headers_are_read_on(tmp_path: Path):
    """A header of many kilobytes before the elements that matter is no obstacle."""
    made = a_series(tmp_path, slices=1)
    edit(made.paths, lambda one: one.add_new(0x00090010, "LO", "LONG"))
    edit(made.paths, lambda one: one.add_new(0x00091001, "OB", bytes(300_000)))

    assert scan_plain(made.paths[0]).raw["Columns"] == b"\x28\x00"
    assert _differences(made.paths[0]) == []


def test_annotation_objects_read_as_pydicom_reads_them(tmp_path: Path):
    """A SEG with its functional groups gives the same attributes."""
    made = a_series(tmp_path / "ct", slices=4)
    a_seg(tmp_path / "seg", made, {"lesion": made.truth.array > 0})

    (path,) = (tmp_path / "seg").iterdir()

    assert _differences(path) == []
    assert "PerFrameFunctionalGroupsSequence" in read_facts(path).sequences


def test_private_elements_keep_their_owner(tmp_path: Path):
    """Short private values come with the creator of their block."""
    made = a_series(tmp_path, slices=1, modality="MR")

    def add(one: pydicom.Dataset) -> None:
        block = one.private_block(0x0019, "SIEMENS MR HEADER", create=True)
        block.add_new(0x0C, "IS", "1000")

    edit(made.paths, add)

    private = read_facts(made.paths[0]).private

    assert private[0x00190010] == (b"LO", b"SIEMENS MR HEADER ")
    assert private[0x0019100C] == (b"IS", b"1000")


def test_short_pixels_and_open_fragments_are_errors(tmp_path: Path):
    """What is cut inside the pixels is named, native or in fragments."""
    native = a_series(tmp_path / "a", slices=1).paths[0]
    native.write_bytes(native.read_bytes()[:-50])
    packed = a_series(tmp_path / "b", slices=1).paths
    edit(packed, lambda one: one.compress("1.2.840.10008.1.2.5", generate_instance_uid=False))
    packed[0].write_bytes(packed[0].read_bytes()[:-8])

    for path in (native, packed[0]):
        with pytest.raises(TruncatedError):
            read_facts(path)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 2200), byte=st.integers(0, 255), cut=st.integers(0, 2800), is_cut=st.booleans())
def test_a_plain_answer_is_the_guards_answer(tmp_path: Path, at: int, byte: int, cut: int, is_cut: bool):
    """Whatever is damaged: where one pass gives values, the guard's own walk would have given the same."""
    made = tmp_path / "ct" / "IM0001.dcm"
    whole = bytearray((made if made.exists() else a_series(tmp_path / "ct", slices=1).paths[0]).read_bytes())
    whole[min(at, len(whole) - 1)] = byte
    path = tmp_path / "b.dcm"
    path.write_bytes(bytes(whole[: len(whole) - cut] if is_cut else whole))
    try:
        found = scan_plain(path)
    except Unusual:
        return
    wanted = {tag: keyword for keyword, (tag, vr) in TABLE.items() if vr != "SQ"}
    try:
        seen = scan(path, keep=wanted)
    except RacoonError:
        with pytest.raises(RacoonError):
            read_facts(path)
        return

    assert {wanted[tag]: raw for tag, raw in seen.kept.items()} == {key: raw for key, raw in found.raw.items() if raw}


@pytest.mark.timeout(20)
def test_bombs_end_in_the_guard(tmp_path: Path):
    """A million elements or levels end the pass early."""
    head = b"\0" * 128 + b"DICM" + b"\x02\x00\x10\x00UI" + struct.pack("<H", 20) + b"1.2.840.10008.1.2.1\0"
    for body in (
        b"\x08\x00\x05\x00CS\0\0" * 500_000,
        b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 5000,
    ):
        (tmp_path / "bomb").write_bytes(head + body)

        with pytest.raises(Unusual):
            scan_plain(tmp_path / "bomb")


@pytest.mark.real
def test_real_files_read_as_pydicom_reads_them(real_data: Path):
    """Public CT, MR, PET, SEG, RTSTRUCT and SR files give the values pydicom gives."""
    paths = sorted(path for path in real_data.rglob("*") if path.is_file() and path.read_bytes()[128:132] == b"DICM")
    few = [path for number, path in enumerate(paths) if number % 4 == 0 or "sts" not in path.parts]

    assert [(path.name, wrong) for path in few if (wrong := _differences(path))] == []
