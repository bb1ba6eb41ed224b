"""The guard and tolerant reading: strange but honest files pass, damaged and hostile ones do not."""

import struct
import zlib
from pathlib import Path

import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid

from racoon_data.dicom.headers import number_of, numbers_of, read_dataset, text_of, texts_of, whole_of
from racoon_data.dicom.walk import Limits
from racoon_data.errors import HostileFileError, NotDicomError, RacoonError, TruncatedError, UnreadableError

_HEAD = b"\0" * 128 + b"DICM"


def _meta(syntax: str) -> bytes:
    value = syntax.encode() + b"\0" * (len(syntax) % 2)
    return b"\x02\x00\x10\x00UI" + struct.pack("<H", len(value)) + value


def _small() -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, generate_uid()
    dataset.PatientID = "P1"
    dataset.Rows, dataset.Columns, dataset.BitsAllocated = 4, 4, 16
    dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 15, 1
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.PixelData = bytes(32)
    return dataset


def _save(path: Path, *, implicit: bool = False, **how: bool) -> Path:
    pydicom.dcmwrite(path, _small(), implicit_vr=implicit, little_endian=True, **how)
    return path


@pytest.mark.parametrize("implicit", [True, False])
def test_a_bare_data_set_is_read(tmp_path: Path, implicit: bool):
    """Without preamble, file meta and extension a file is still understood."""
    dataset = read_dataset(_save(tmp_path / "IM0001", implicit=implicit, enforce_file_format=False))

    assert dataset.PatientID == "P1"
    assert dataset.file_meta.TransferSyntaxUID == (ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian)


def test_a_cut_file_is_not_read_silently_short(tmp_path: Path):
    """A file cut anywhere inside its pixels is an error, with or without reading them."""
    path = _save(tmp_path / "a.dcm")
    path.write_bytes(path.read_bytes()[:-10])

    with pytest.raises(TruncatedError):
        read_dataset(path)


def test_pixels_shorter_than_the_header_claims_are_an_error(tmp_path: Path):
    """A well-formed element that holds too few pixels is caught."""
    dataset = _small()
    dataset.PixelData = bytes(30)
    pydicom.dcmwrite(tmp_path / "a.dcm", dataset, implicit_vr=False, little_endian=True)

    with pytest.raises(TruncatedError):
        read_dataset(tmp_path / "a.dcm")


@pytest.mark.parametrize("content", [b"", b"hello, this is a text file", b"PK\x03\x04" + bytes(200), b"\x08\x00" * 4])
def test_other_files_are_not_dicom(tmp_path: Path, content: bytes):
    """Text, archives and empty files are named as what they are."""
    path = tmp_path / "notes.txt"
    path.write_bytes(content)

    with pytest.raises(NotDicomError):
        read_dataset(path)


def _nested(depth: int) -> bytes:
    return b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * depth


HOSTILE = {
    "deep nesting": _nested(5000),
    "million empty elements": b"\x08\x00\x05\x00CS\0\0" * 500_000,
    "million empty items": b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\0\0\0\0" * 500_000,
    "claims": b"\x28\x00\x10\x00US\x02\0\xff\xff\x28\x00\x11\x00US\x02\0\xff\xff\x28\x00\x00\x01US\x02\0\x10\0"
    + b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0",
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_structure_is_refused(tmp_path: Path, name: str):
    """Bombs made of depth, of counts and of claims never reach the parser."""
    path = tmp_path / "bomb.dcm"
    path.write_bytes(_HEAD + _meta(ExplicitVRLittleEndian) + HOSTILE[name])

    with pytest.raises(HostileFileError):
        read_dataset(path)


def test_a_deflate_bomb_is_refused(tmp_path: Path):
    """A deflated data set is inflated only up to the limit."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = packer.compress(b"\x08\x00\x05\x00UT\0\0" + struct.pack("<I", 4 << 20) + bytes(4 << 20)) + packer.flush()
    path = tmp_path / "bomb.dcm"
    path.write_bytes(_HEAD + _meta("1.2.840.10008.1.2.1.99") + packed)

    with pytest.raises(HostileFileError):
        read_dataset(path, limits=Limits(inflated_bytes=1 << 20))


@pytest.mark.parametrize("length", [0xFFFFFFFE, 0x80000000])
def test_a_length_beyond_the_file_is_an_error(tmp_path: Path, length: int):
    """A value that claims gigabytes in a file of bytes is refused without reserving them."""
    path = tmp_path / "long.dcm"
    body = b"\xe0\x7f\x10\x00OB\0\0" + struct.pack("<I", length) + bytes(100)
    path.write_bytes(_HEAD + _meta(ExplicitVRLittleEndian) + body)

    with pytest.raises(TruncatedError):
        read_dataset(path)


def test_a_sequence_without_end_is_an_error(tmp_path: Path):
    """An undefined length without its delimiter does not lose elements silently."""
    path = tmp_path / "open.dcm"
    path.write_bytes(_HEAD + _meta(ExplicitVRLittleEndian) + _nested(1) + b"\x08\x00\x60\x00CS\x02\0CT")

    with pytest.raises(TruncatedError):
        read_dataset(path)


def test_elements_that_do_not_nest_are_unreadable(tmp_path: Path):
    """A nested element that leaves its sequence is refused."""
    inner = b"\xfe\xff\x00\xe0\x08\0\0\0\x08\x00\x60\x00CS\x20\0"
    body = b"\x08\x00\x40\x11SQ\0\0" + struct.pack("<I", len(inner)) + inner + bytes(100)
    path = tmp_path / "odd.dcm"
    path.write_bytes(_HEAD + _meta(ExplicitVRLittleEndian) + body)

    with pytest.raises(UnreadableError):
        read_dataset(path)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, 700), at=st.integers(128, 690), byte=st.integers(0, 255))
def test_damage_never_escapes_as_a_foreign_error(tmp_path: Path, cut: int, at: int, byte: int):
    """Whatever byte is changed and wherever the file is cut, the answer is a data set or a racoon error."""
    whole = bytearray(_save(tmp_path / "a.dcm").read_bytes())
    whole[min(at, len(whole) - 1)] = byte
    path = tmp_path / "b.dcm"
    path.write_bytes(bytes(whole[: len(whole) - cut]) if cut < len(whole) else b"")

    try:
        seen: object = text_of(read_dataset(path), "PatientID")
    except RacoonError as error:
        seen = error.code

    assert isinstance(seen, str)


def test_values_are_read_without_surprises():
    """Empty, absent and malformed values give nothing instead of an exception."""
    dataset = FileDataset("", {}, file_meta=FileMetaDataset())
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    dataset.PatientID = ""
    dataset.InstanceNumber = "7"
    dataset.PixelSpacing = [0.5, 0.25]
    dataset.SliceThickness = None

    assert texts_of(dataset, "ImageType") == ("ORIGINAL", "PRIMARY")
    assert text_of(dataset, "ImageType") == "ORIGINAL\\PRIMARY"
    assert (text_of(dataset, "PatientID"), whole_of(dataset, "InstanceNumber")) == ("", 7)
    assert numbers_of(dataset, "PixelSpacing", count=2) == (0.5, 0.25)
    assert numbers_of(dataset, "PixelSpacing", count=3) is None
    assert number_of(dataset, "SliceThickness") is None
