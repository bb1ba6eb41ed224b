"""Files on their way out: sent as they lie on disk, decoded only where the receiver wants another encoding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import UID

from racoon_data.pacs.index import Stored


class StoredFile(type(Path())):  # type: ignore[misc]
    """A path that knows its SOPInstanceUID, which failure lists of C-GET and C-MOVE name."""

    SOPInstanceUID: str


def outgoing(item: Stored, contexts: list[Any]) -> StoredFile | Dataset:
    """Choose how to send an instance on an association.

    Args:
        item: The instance.
        contexts: Presentation contexts the receiver accepted.

    Returns:
        The file where its own encoding is accepted or cannot be changed; else the data set, which is
        written uncompressed in the accepted encoding.
    """
    syntaxes = [
        str(context.transfer_syntax[0]) for context in contexts if context.abstract_syntax == item.sop_class_uid
    ]
    if item.transfer_syntax in syntaxes or not syntaxes or UID(item.transfer_syntax).is_compressed:
        file = StoredFile(item.path)
        file.SOPInstanceUID = item.ref.sop_uid
        return file
    return dcmread(item.path)


def with_other_uid(item: Stored, scratch: Path) -> StoredFile:
    """Write a copy whose data set carries another SOPInstanceUID than its file meta information: a fault."""
    dataset = dcmread(item.path)
    dataset.SOPInstanceUID = f"{item.ref.sop_uid[:60]}.9"
    file = StoredFile(scratch / "wrong-uid.dcm")
    dataset.save_as(file, enforce_file_format=False)
    file.SOPInstanceUID = item.ref.sop_uid
    return file
