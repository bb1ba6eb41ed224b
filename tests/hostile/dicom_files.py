"""Hostile DICOM files, each made of as few bytes as its trick needs."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage

EXPLICIT, IMPLICIT, DEFLATED = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99"
RLE, JPEG, JPEG_LS, JPEG_2000 = (f"1.2.840.10008.1.2.{tail}" for tail in ("5", "4.70", "4.80", "4.90"))
_SEG, _SR, _RTSTRUCT = (f"1.2.840.10008.5.1.4.1.1.{tail}" for tail in ("66.4", "88.33", "481.3"))
_OPEN_SEQUENCE = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff"
_OPEN_ITEM = b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
_EMPTY_ITEM = b"\xfe\xff\x00\xe0\0\0\0\0"
_END = b"\xfe\xff\xdd\xe0\0\0\0\0"
Maker = Callable[[], bytes]


def short(tag: int, vr: str, value: bytes) -> bytes:
    """Encode one element with a two-byte length."""
    value += b"\0" * (len(value) % 2)
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr.encode(), len(value)) + value


def long(tag: int, vr: str, length: int, value: bytes = b"") -> bytes:
    """Encode one element with a four-byte length that may lie."""
    return struct.pack("<HH2sHI", tag >> 16, tag & 0xFFFF, vr.encode(), 0, length) + value


def part10(body: bytes, syntax: str = EXPLICIT, *, sop_class: str = CTImageStorage, sop: str = "2.25.99.3") -> bytes:
    """Put preamble and file meta information before a data set."""
    meta = short(0x00020002, "UI", sop_class.encode()) + short(0x00020003, "UI", sop.encode())
    meta += short(0x00020010, "UI", syntax.encode())
    return bytes(128) + b"DICM" + short(0x00020000, "UL", struct.pack("<I", len(meta))) + meta + body


def identity(*, sop_class: str = CTImageStorage, sop: str = "2.25.99.3", modality: bytes = b"CT") -> bytes:
    """Encode what names an instance: groups 0008 to 0020."""
    return (
        short(0x00080016, "UI", sop_class.encode())
        + short(0x00080018, "UI", sop.encode())
        + short(0x00080060, "CS", modality)
        + short(0x00100010, "PN", b"Doe^Hostile")
        + short(0x00100020, "LO", b"HOSTILE-1")
        + short(0x0020000D, "UI", b"2.25.99.1")
        + short(0x0020000E, "UI", b"2.25.99.2")
    )


def _sizes(rows: int = 65535, columns: int = 65535, frames: bytes = b"", bits: int = 16) -> bytes:
    return (
        short(0x00280002, "US", b"\1\0")
        + short(0x00280004, "CS", b"MONOCHROME2")
        + (short(0x00280008, "IS", frames) if frames else b"")
        + short(0x00280010, "US", struct.pack("<H", rows))
        + short(0x00280011, "US", struct.pack("<H", columns))
        + short(0x00280100, "US", struct.pack("<H", bits))
        + short(0x00280101, "US", struct.pack("<H", bits))
        + short(0x00280102, "US", struct.pack("<H", bits - 1))
        + short(0x00280103, "US", b"\0\0")
    )


def _fragment(size: int) -> bytes:
    return (
        long(0x7FE00010, "OB", 0xFFFFFFFF) + _EMPTY_ITEM + b"\xfe\xff\x00\xe0" + struct.pack("<I", size) + bytes(size)
    )


def _deflated(body: bytes, zeros: int) -> bytes:
    """Deflate a body and one element of zeros, without ever holding them inflated."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    parts = [packer.compress(body + long(0x7FE00010, "OB", zeros))]
    block = bytes(1 << 20)
    parts += [packer.compress(block) for _ in range(zeros >> 20)]
    return b"".join((*parts, packer.flush()))


def _nested(depth: int) -> bytes:
    return (_OPEN_SEQUENCE + _OPEN_ITEM) * depth


def _nested_lengths(depth: int) -> bytes:
    body = short(0x00081150, "UI", b"1.2.3.4")
    for _ in range(depth):
        body = b"\xfe\xff\x00\xe0" + struct.pack("<I", len(body)) + body
        body = long(0x00081140, "SQ", len(body), body)
    return body


def _in_file_meta(count: int) -> bytes:
    return bytes(128) + b"DICM" + b"\x02\x00\x02\x00UI\0\0" * count + identity()


def _saved(dataset: Dataset, syntax: str = EXPLICIT) -> bytes:
    buffer = pydicom.filebase.DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    pydicom.filewriter.write_dataset(buffer, dataset)
    return part10(buffer.getvalue(), syntax, sop_class=str(dataset.SOPClassUID))


def _object(sop_class: str, modality: str) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.Modality = sop_class, "2.25.99.3", modality
    dataset.PatientID, dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "HOSTILE-1", "2.25.99.1", "2.25.99.2"
    return dataset


def _item(**values: object) -> Dataset:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


def _circular_sr() -> bytes:
    """A report whose items refer by reference to their own parents, and which names itself as its evidence."""
    dataset = _object(_SR, "SR")
    dataset.ValueType, dataset.ContinuityOfContent = "CONTAINER", "SEPARATE"
    back = _item(RelationshipType="CONTAINS", ReferencedContentItemIdentifier=[1])
    to_child = _item(RelationshipType="CONTAINS", ReferencedContentItemIdentifier=[1, 1, 1])
    child = _item(RelationshipType="CONTAINS", ValueType="CONTAINER", ContentSequence=Sequence([back, to_child]))
    itself = _item(ReferencedSOPClassUID=_SR, ReferencedSOPInstanceUID="2.25.99.3")
    series = _item(SeriesInstanceUID="2.25.99.2", ReferencedSOPSequence=Sequence([itself]))
    study = _item(StudyInstanceUID="2.25.99.1", ReferencedSeriesSequence=Sequence([series]))
    dataset.CurrentRequestedProcedureEvidenceSequence = Sequence([study])
    dataset.ContentSequence = Sequence([child])
    return _saved(dataset)


def _seg_of_gigabytes() -> bytes:
    dataset = _object(_SEG, "SEG")
    dataset.SegmentationType, dataset.SamplesPerPixel, dataset.BitsAllocated = "BINARY", 1, 1
    dataset.Rows = dataset.Columns = 65535
    dataset.NumberOfFrames, dataset.BitsStored, dataset.HighBit = 10_000, 1, 0
    dataset.PixelRepresentation, dataset.PhotometricInterpretation = 0, "MONOCHROME2"
    return _saved(dataset)[: -0 or None] + long(0x7FE00010, "OB", 16, bytes(16))


def _rtstruct_of_points() -> bytes:
    """Two hundred contours that claim to cover kilometres."""
    dataset = _object(_RTSTRUCT, "RTSTRUCT")
    contour = _item(ContourGeometricType="CLOSED_PLANAR", NumberOfContourPoints=4,
                    ContourData=[-1e9, -1e9, 0, 1e9, -1e9, 0, 1e9, 1e9, 0, -1e9, 1e9, 0])  # fmt: skip
    dataset.ROIContourSequence = Sequence([_item(ReferencedROINumber=1, ContourSequence=Sequence([contour] * 200))])
    dataset.StructureSetROISequence = Sequence(
        [_item(ROINumber=1, ROIName="x", ReferencedFrameOfReferenceUID="2.25.5")]
    )
    return _saved(dataset)


def _dicomdir() -> bytes:
    """A directory whose first record is its own next record and names a file outside the folder."""
    record = (
        long(0x00041400, "UL", 0)[:6] + b"\x04\0\0\0\0\0"
        + short(0x00041410, "US", b"\xff\xff")
        + short(0x00041430, "CS", b"IMAGE")
        + short(0x00041500, "CS", b"..\\..\\..\\canary")
        + short(0x00041511, "UI", b"2.25.99.3")
    )  # fmt: skip
    item = b"\xfe\xff\x00\xe0" + struct.pack("<I", len(record)) + record
    body = short(0x00080016, "UI", b"1.2.840.10008.1.3.10") + long(0x00041220, "SQ", len(item), item)
    return part10(body, sop_class="1.2.840.10008.1.3.10")


def _image(pixels: bytes, syntax: str = EXPLICIT, **sizes: int) -> bytes:
    return part10(identity() + _sizes(**sizes) + pixels, syntax)  # type: ignore[arg-type]


# Refused by the guard: no parser may see a byte of them.
STRUCTURES: dict[str, Maker] = {
    "deflate bomb, 1 GiB": lambda: part10(_deflated(identity(), 1 << 30), DEFLATED),
    "deflate stream cut": lambda: part10(_deflated(identity(), 1 << 20)[:300], DEFLATED),
    "sequences 5,000 deep": lambda: part10(identity() + _nested(5000)),
    "sequences 1,500 deep, with lengths": lambda: part10(identity() + _nested_lengths(1500)),
    "sequences 5,000 deep before the UIDs": lambda: part10(_nested(5000) + identity()),
    "2 million empty items": lambda: part10(identity() + long(0x00321064, "SQ", 0xFFFFFFFF) + _EMPTY_ITEM * 2_000_000),
    "2 million empty items before the UIDs": lambda: part10(
        _OPEN_SEQUENCE + _EMPTY_ITEM * 2_000_000 + _END + identity()
    ),
    "1 million empty elements": lambda: part10(identity() + b"\x21\x00\x01\x00LO\0\0" * 1_000_000),
    "1 million empty file meta elements": lambda: _in_file_meta(1_000_000),
    "element of 4 GiB": lambda: part10(identity() + long(0x00420011, "OB", 0xFFFFFFFE, bytes(64))),
    "element of 2 GiB, a negative length": lambda: part10(identity() + long(0x00420011, "OB", 0x80000000, bytes(64))),
    "pixel data of 2 GiB": lambda: _image(long(0x7FE00010, "OW", 0x80000000, bytes(64)), rows=4, columns=4),
    "undefined length without an end": lambda: part10(identity() + _OPEN_SEQUENCE + _OPEN_ITEM),
    "undefined length of a text": lambda: part10(identity() + long(0x00204000, "UT", 0xFFFFFFFF, b"text" * 8)),
    "fragment of 4 GiB": lambda: _image(
        long(0x7FE00010, "OB", 0xFFFFFFFF) + _EMPTY_ITEM + b"\xfe\xff\x00\xe0\xfe\xff\xff\xff", RLE, rows=4, columns=4
    ),
    "fragment of undefined length": lambda: _image(
        long(0x7FE00010, "OB", 0xFFFFFFFF) + _EMPTY_ITEM + _OPEN_ITEM + bytes(64), RLE, rows=4, columns=4
    ),
    "value cut by the end of the file": lambda: part10(identity() + short(0x00204000, "LT", b"cut" * 40))[:-20],
    "pixels shorter than claimed": lambda: _image(long(0x7FE00010, "OW", 64, bytes(64)), rows=512, columns=512),
    "RLE claims 8 GiB": lambda: _image(_fragment(400_000) + _END, RLE),
    "JPEG 2000 claims 8 GiB": lambda: _image(_fragment(1000) + _END, JPEG_2000),
    "2 billion frames": lambda: part10(
        identity() + _sizes(64, 64, b"2000000000") + long(0x7FE00010, "OW", 64, bytes(64))
    ),
    "item longer than its sequence": lambda: part10(
        identity() + long(0x00321064, "SQ", 16, b"\xfe\xff\x00\xe0\xff\xff\xff\x7f" + bytes(8))
    ),
    "implicit VR, element of 4 GiB": lambda: part10(
        b"\x08\x00\x16\x00\x1a\0\0\0" + b"1.2.840.10008.5.1.4.1.1.2\0" + b"\x10\x00\x10\x00\xfe\xff\xff\xffabcd",
        IMPLICIT,
    ),
    "SEG of 5 TB": _seg_of_gigabytes,
}  # fmt: skip

# Well-formed: what they say is hostile.
CONTENTS: dict[str, Maker] = {
    "SOPInstanceUID ../../../escape": lambda: part10(
        identity(sop="../../../escape") + _sizes(4, 4) + long(0x7FE00010, "OW", 32, bytes(32)), sop="../../../escape"
    ),
    "SOPInstanceUID /tmp/escape": lambda: part10(
        identity(sop="/tmp/racoon-escape") + _sizes(4, 4) + long(0x7FE00010, "OW", 32, bytes(32)),
        sop="/tmp/racoon-escape",
    ),
    "JPEG that is noise": lambda: _image(_fragment(1000) + _END, JPEG, rows=512, columns=512),
    "JPEG-LS that is noise": lambda: _image(_fragment(1000) + _END, JPEG_LS, rows=512, columns=512),
    "RLE that ends early": lambda: _image(_fragment(64) + _END, RLE, rows=512, columns=512),
    "SR that refers to itself": _circular_sr,
    "RTSTRUCT of kilometres": _rtstruct_of_points,
    "DICOMDIR that leads out": _dicomdir,
    "no pixels at all, text that is script": lambda: part10(
        identity() + short(0x00204000, "LT", b"<script>$(touch escape)</script>`id`")
    ),
}  # fmt: skip


def write(folder: Path, name: str) -> Path:
    """Write one of the files; a DICOMDIR under its own name."""
    maker = STRUCTURES.get(name) or CONTENTS[name]
    path = folder / ("DICOMDIR" if name.startswith("DICOMDIR") else "hostile.dcm")
    path.write_bytes(maker())
    return path
