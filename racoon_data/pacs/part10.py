"""Encoded data sets to files and back without decoding pixels: file meta, identity, offsets."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from pydicom.uid import UID

from racoon_data import __version__
from racoon_data.dicom.guard import walk_encoded
from racoon_data.dicom.walk import LIMITS, Walk
from racoon_data.errors import DicomError, NotDicomError, UnreadableError
from racoon_data.refs import FileRef, InstanceRef

# Derived once from a random UUID (PS3.5 B.2): names the files racoon writes.
IMPLEMENTATION_UID = UID("2.25.43634698749562933447769990664470219997")
IMPLEMENTATION_NAME = f"RACOON_{__version__}".replace(".", "_")[:16]
_PREAMBLE = b"\0" * 128 + b"DICM" + b"\2\0\0\0UL\4\0"
_LAST_IDENTITY_TAG = 0x0020000E
_IDENTITY_TAGS = (0x0020000D, _LAST_IDENTITY_TAG, 0x00080018, 0x00080016)
_META_TAGS = (0x00020002, 0x00020003, 0x00020010)
_MAX_META = 1 << 20


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
    try:
        head = walk_encoded(encoded, transfer_syntax, last=_LAST_IDENTITY_TAG)
    except DicomError as error:
        raise UnreadableError("the data set cannot be parsed", hint="the sender's file is damaged") from error
    study, series, sop, sop_class = (uid_in(head.raw(tag)) for tag in _IDENTITY_TAGS)
    return Identity(InstanceRef(study, series, sop), sop_class)


def uid_in(raw: bytes) -> str:
    """Give a UID as text, whatever bytes stand there."""
    return raw.strip(b"\0 ").decode("ascii", "backslashreplace")


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
    with path.open("rb") as stream:
        meta = Walk(stream.read(_MAX_META), "<", LIMITS)
    try:
        is_dicom = meta.data[128:132] == b"DICM" and meta.meta(132) < _MAX_META
    except DicomError as error:
        raise NotDicomError("the file is not DICOM", ref=FileRef(path.name)) from error
    if not is_dicom:
        raise NotDicomError("the file is not DICOM", ref=FileRef(path.name))
    head = FileHead(*(uid_in(meta.raw(tag)) for tag in _META_TAGS))
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
