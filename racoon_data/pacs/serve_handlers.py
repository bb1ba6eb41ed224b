"""What the embedded PACS does on queries and stores, with faults on purpose."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from pydicom.charset import convert_encodings
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import evt

from racoon_data.errors import DiskFullError
from racoon_data.files.atomic import storage_errors
from racoon_data.pacs.attributes import flat_dataset, put
from racoon_data.pacs.catalog import known_at
from racoon_data.pacs.part10 import FileHead, file_head
from racoon_data.pacs.requests import break_off, identifier_in, request_of
from racoon_data.pacs.serve_faults import answers
from racoon_data.pacs.serve_store import incoming, keep
from racoon_data.pacs.statuses import (
    CANCELLED,
    DOES_NOT_MATCH,
    NOT_AUTHORISED,
    OUT_OF_RESOURCES,
    PENDING,
    PROCESSING_FAILURE,
    SUCCESS,
)

if TYPE_CHECKING:
    from racoon_data.pacs.serve import EmbeddedPacs

logger = logging.getLogger(__name__)


Answer = tuple[int, Dataset | None]


def bound_to(pacs: EmbeddedPacs) -> list[tuple[Any, Callable[..., Any]]]:
    """Give the event handlers of one PACS, for pynetdicom's server."""
    return [
        (evt.EVT_REQUESTED, partial(_on_requested, pacs)),
        (evt.EVT_C_ECHO, lambda event: SUCCESS),
        (evt.EVT_C_FIND, partial(_on_find, pacs)),
        (evt.EVT_C_STORE, partial(_on_store, pacs)),
    ]


def _on_requested(pacs: EmbeddedPacs, event: Any) -> None:
    if pacs.faults.refuse_associations:
        event.assoc.acse.send_reject(0x01, 0x01, 0x01)
        event.assoc.kill()


def _on_find(pacs: EmbeddedPacs, event: Any) -> Iterator[Answer]:
    plan = pacs.faults
    if plan.close_queries:
        break_off(event.assoc)
        return
    identifier = identifier_in(event.request.Identifier, UID(event.context.transfer_syntax))
    request = request_of(identifier, str(event.request.AffectedSOPClassUID))
    if request is None:
        yield DOES_NOT_MATCH, None
        return
    level, keys = request
    for row in answers(pacs, level, keys):
        if event.is_cancelled and not plan.ignore_cancel:
            yield CANCELLED, None
            return
        if row is None:
            yield OUT_OF_RESOURCES, None
            return
        yield PENDING, _answer(pacs, (level, keys, row), UID(event.context.transfer_syntax))


def _answer(pacs: EmbeddedPacs, found: tuple[str, dict[str, str], dict[str, str]], syntax: UID) -> Dataset:
    level, keys, row = found
    known = known_at(level)
    values = {keyword: row.get(keyword, "") if keyword in known else "" for keyword in (*keys, *row)}
    values |= {"QueryRetrieveLevel": level, "RetrieveAETitle": pacs.ae_title}
    values.pop("SpecificCharacterSet", None)
    answer = flat_dataset(values)
    if pacs.faults.character_set:
        put(answer, "SpecificCharacterSet", pacs.faults.character_set)
    # The values' bytes are final: pydicom is not to encode them for the character set that is claimed.
    claimed = convert_encodings(pacs.faults.character_set or "ISO_IR 192")
    answer.set_original_encoding(syntax.is_implicit_VR, syntax.is_little_endian, claimed)
    return answer


def _on_store(pacs: EmbeddedPacs, event: Any) -> int:
    received = getattr(event.assoc, "racoon_received", 0)
    event.assoc.racoon_received = received + 1
    if pacs.faults.full_after is not None and received >= pacs.faults.full_after:
        return OUT_OF_RESOURCES
    try:
        return _store(pacs, event)
    except DiskFullError:
        return OUT_OF_RESOURCES
    except Exception as error:  # noqa: BLE001 - the border to the peer: whatever it sent, it gets a status
        logger.error("unexpected %s while storing", type(error).__name__)
        return PROCESSING_FAILURE


def _store(pacs: EmbeddedPacs, event: Any) -> int:
    if pacs.is_read_only:
        return NOT_AUTHORISED
    request = event.request
    syntax = str(event.context.transfer_syntax)
    head = FileHead(str(request.AffectedSOPClassUID), str(request.AffectedSOPInstanceUID), syntax)
    with incoming(pacs) as partial, storage_errors("an instance"):
        with partial.open("wb") as stream:
            stream.write(file_head(head.sop_class_uid, head.sop_uid, syntax))
            stream.write(event.encoded_dataset(include_meta=False))
        return keep(pacs, partial, head)
