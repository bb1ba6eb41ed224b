"""Instances on their way out: sent as they lie on disk, decoded only where the receiver wants another encoding."""

from __future__ import annotations

from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom.association import Association

from racoon_data.dicom.headers import read_dataset
from racoon_data.errors import DicomError
from racoon_data.pacs.index import Stored

NO_ANSWER = -1


def send_stored(association: Association, item: Stored, message_id: int) -> int:
    """Send one instance by C-STORE.

    Args:
        association: Where to; its accepted contexts decide on the encoding.
        item: The instance.
        message_id: DIMSE message identifier.

    Returns:
        The receiver's status, or ``NO_ANSWER`` where the instance could not be sent.
    """
    try:
        status = association.send_c_store(_outgoing(association, item), msg_id=message_id)
    except (ValueError, RuntimeError, AttributeError, OSError, DicomError):
        return NO_ANSWER  # no accepted context fits, the association is gone, or the file is
    return int(status.get("Status", NO_ANSWER))


def _outgoing(association: Association, item: Stored) -> Path | Dataset:
    syntaxes = {
        str(context.transfer_syntax[0])
        for context in association.accepted_contexts
        if context.abstract_syntax == item.sop_class_uid
    }
    if item.transfer_syntax in syntaxes or not syntaxes or UID(item.transfer_syntax).is_compressed:
        return item.path
    return read_dataset(item.path, pixels=True)
