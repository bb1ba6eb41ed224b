"""Query and retrieve requests as the embedded PACS reads them."""

from __future__ import annotations

import socket
from contextlib import suppress
from io import BytesIO
from typing import Any

from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom.dsutils import decode

from racoon_data.dicom.guard import walk_encoded
from racoon_data.errors import DicomError
from racoon_data.pacs.attributes import text_of
from racoon_data.pacs.catalog import LEVELS
from racoon_data.pacs.matching import vr_of
from racoon_data.pacs.negotiating import UNPARSABLE

# P-DATA-TF with a length of 2**32 - 1, then the start of a first item.
_GIANT_PDU = b"\4\0\xff\xff\xff\xff" + b"\xff\xff\xff\xfb\1\2" + bytes(64)
STUDY_ROOT = "1.2.840.10008.5.1.4.1.2.2."


def identifier_in(encoded: BytesIO, syntax: UID) -> Dataset | None:
    """Read a request's identifier, ``None`` where the guard refuses it or it cannot be parsed."""
    try:
        walk_encoded(encoded.getvalue(), syntax)
        return decode(encoded, syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated)
    except (DicomError, *UNPARSABLE):
        return None


def request_of(identifier: Dataset | None, model: str) -> tuple[str, dict[str, str]] | None:
    """Read level and keys of a request.

    Args:
        identifier: The request's identifier, ``None`` where it cannot be read.
        model: SOP class of the request; Study Root has no patient level.

    Returns:
        Level and flat keys as text, or ``None`` where the level does not exist in the model.
    """
    if identifier is None:
        return None
    level = text_of(identifier, "QueryRetrieveLevel")
    if level not in LEVELS or (level == "PATIENT" and model.startswith(STUDY_ROOT)):
        return None
    keywords = [keyword_for_tag(tag) for tag in list(identifier.keys())]
    return level, {name: text_of(identifier, name) for name in keywords if name and vr_of(name) != "SQ"}


def break_off(association: Any, *, claim_giant: bool = False) -> None:
    """End a connection as a crash does: no abort, no release.

    Args:
        association: Whose connection.
        claim_giant: First send the head of a data PDU that claims 4 GiB.
    """
    connection: Any = getattr(association.dul.socket, "socket", None)
    with suppress(OSError, AttributeError):
        if claim_giant:
            connection.sendall(_GIANT_PDU)
        connection.shutdown(socket.SHUT_RDWR)
    association.kill()
    if connection is not None:
        connection.close()  # pynetdicom closes only what is still connected
