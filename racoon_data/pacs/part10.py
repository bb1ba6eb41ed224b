"""Encoded data sets to files and back without decoding pixels: file meta, identity, offsets."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import read_dataset, read_file_meta_info
from pydicom.tag import BaseTag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from racoon_data import __version__
from racoon_data.errors import NotDicomError, UnreadableError
from racoon_data.pacs.attributes import text_of
from racoon_data.refs import FileRef, InstanceRef

# Derived once from a random UUID (PS3.5 B.2): names the files racoon writes.
IMPLEMENTATION_UID = UID("2.25.43634698749562933447769990664470219997")
IMPLEMENTATION_NAME = f"RACOON_{__version__}".replace(".", "_")[:16]
_PREAMBLE = b"\0" * 128 + b"DICM" + b"\2\0\0\0UL\4\0"
_LAST_IDENTITY_TAG = 0x0020000E
_UNPARSABLE = (
    struct.error,
    EOFError,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    RuntimeError,
    OverflowError,
    zlib.error,
    InvalidDicomError,
    BytesLengthException,
)


@dataclass(frozen=True, slots=True)
class Identity:
    """What an encoded data set says it is.

    Attributes:
        ref: Study, series and instance UIDs, empty where absent.
        sop_class_uid: SOPClassUID.
    """

    ref: InstanceRef
    sop_class_uid: str


def identity_of(encoded: bytes, transfer_syntax: str) -> Identity:
    """Read the identifying UIDs from the head of an encoded data set.

    Args:
        encoded: The data set as it travelled.
        transfer_syntax: UID of its encoding.

    Raises:
        UnreadableError: The head cannot be parsed.
    """
    syntax = UID(transfer_syntax)
    try:
        if syntax == DeflatedExplicitVRLittleEndian:
            encoded = zlib.decompressobj(-zlib.MAX_WBITS).decompress(encoded, 1 << 20)
        head = read_dataset(
            BytesIO(encoded), syntax.is_implicit_VR, syntax.is_little_endian, stop_when=_is_past_identity
        )
        return _identity(head)
    except _UNPARSABLE as error:
        raise UnreadableError("the data set cannot be parsed", hint="the sender's file is damaged") from error


def _is_past_identity(tag: BaseTag, vr: str | None, length: int) -> bool:
    return int(tag) > _LAST_IDENTITY_TAG


def _identity(head: Dataset) -> Identity:
    study, series, sop = (text_of(head, f"{level}InstanceUID") for level in ("Study", "Series", "SOP"))
    return Identity(InstanceRef(study, series, sop), text_of(head, "SOPClassUID"))


def file_head(sop_class_uid: str, sop_uid: str, transfer_syntax: str) -> bytes:
    """Write preamble and file meta information for a data set (PS3.10 7.1), the same bytes each time."""
    body = b"".join(
        (
            b"\2\0\1\0OB\0\0\2\0\0\0\0\1",
            _meta(0x0002, b"UI", sop_class_uid),
            _meta(0x0003, b"UI", sop_uid),
            _meta(0x0010, b"UI", transfer_syntax),
            _meta(0x0012, b"UI", IMPLEMENTATION_UID),
            _meta(0x0013, b"SH", IMPLEMENTATION_NAME),
        )
    )
    return _PREAMBLE + struct.pack("<I", len(body)) + body


def _meta(element: int, vr: bytes, text: str) -> bytes:
    raw = text.encode("ascii", "replace")[:0xFFFE]
    raw += (b"\0" if vr == b"UI" else b" ") * (len(raw) % 2)
    return struct.pack("<HH2sH", 2, element, vr, len(raw)) + raw


@dataclass(frozen=True, slots=True)
class FileHead:
    """The file meta information of a DICOM file.

    Attributes:
        sop_class_uid: MediaStorageSOPClassUID.
        sop_uid: MediaStorageSOPInstanceUID.
        transfer_syntax: TransferSyntaxUID.
    """

    sop_class_uid: str
    sop_uid: str
    transfer_syntax: str


def read_file_head(path: Path) -> FileHead:
    """Read the file meta information.

    Raises:
        NotDicomError: The file is not DICOM, or its meta information lacks what sending needs.
    """
    try:
        meta = read_file_meta_info(path)
    except _UNPARSABLE as error:
        raise NotDicomError("the file is not DICOM", ref=FileRef(path.name)) from error
    names = ("MediaStorageSOPClassUID", "MediaStorageSOPInstanceUID", "TransferSyntaxUID")
    head = FileHead(*(text_of(meta, name) for name in names))
    if not (head.sop_class_uid and head.sop_uid and head.transfer_syntax):
        raise NotDicomError("the file meta information is incomplete", ref=FileRef(path.name))
    return head


def data_set_at(path: Path) -> int:
    """Give the position of the encoded data set behind the file meta information.

    Raises:
        NotDicomError: The file is not DICOM, or its meta information has no length.
    """
    with path.open("rb") as stream:
        stream.seek(132)
        element = stream.read(12)
    if len(element) == 12 and element[:4] == b"\2\0\0\0":
        return 144 + int(struct.unpack("<I", element[8:12])[0])
    raise NotDicomError("the file meta information has no group length", ref=FileRef(path.name))


def dataset_bytes(path: Path) -> bytes:
    """Read the encoded data set behind the file meta information."""
    with path.open("rb") as stream:
        stream.seek(data_set_at(path))
        return stream.read()
