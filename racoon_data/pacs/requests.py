"""Query and retrieve requests as the embedded PACS reads them."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Any

from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset

from racoon_data.pacs.attributes import text_of
from racoon_data.pacs.catalog import LEVELS
from racoon_data.pacs.matching import vr_of

STUDY_ROOT = "1.2.840.10008.5.1.4.1.2.2."


def request_of(identifier: Dataset, model: str) -> tuple[str, dict[str, str]] | None:
    """Read level and keys of a request.

    Args:
        identifier: The request's identifier.
        model: SOP class of the request; Study Root has no patient level.

    Returns:
        Level and flat keys as text, or ``None`` where the level does not exist in the model.
    """
    level = text_of(identifier, "QueryRetrieveLevel")
    if level not in LEVELS or (level == "PATIENT" and model.startswith(STUDY_ROOT)):
        return None
    keywords = [keyword_for_tag(tag) for tag in list(identifier.keys())]
    return level, {name: text_of(identifier, name) for name in keywords if name and vr_of(name) != "SQ"}


def cut(association: Any) -> None:
    """End a connection as a crash does: no abort, no release."""
    with suppress(OSError, AttributeError):
        association.dul.socket.socket.shutdown(socket.SHUT_RDWR)
    association.kill()
