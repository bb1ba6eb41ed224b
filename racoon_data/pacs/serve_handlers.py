"""What the embedded PACS does on each request: queries, retrievals and stores, with faults on purpose."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.presentation import build_context

from racoon_data.errors import DicomError, DiskFullError
from racoon_data.files.atomic import write_bytes
from racoon_data.pacs.attributes import flat_dataset, text_of
from racoon_data.pacs.catalog import LEVELS, known_at
from racoon_data.pacs.contexts import FIND_MODELS, LIMIT
from racoon_data.pacs.index import Stored
from racoon_data.pacs.matching import vr_of
from racoon_data.pacs.outgoing import StoredFile, outgoing, with_other_uid
from racoon_data.pacs.part10 import dataset_bytes, file_head, identity_of
from racoon_data.pacs.uids import instance_path

if TYPE_CHECKING:
    from racoon_data.pacs.serve import EmbeddedPacs

logger = logging.getLogger(__name__)

SUCCESS = 0x0000
PENDING = 0xFF00
CANCELLED = 0xFE00
OUT_OF_RESOURCES = 0xA700
DOES_NOT_MATCH = 0xA900
CANNOT_UNDERSTAND = 0xC000
DUPLICATE = 0x0111

Answer = tuple[int, Dataset | StoredFile | None]


def bound_to(pacs: EmbeddedPacs) -> list[tuple[Any, Callable[..., Any]]]:
    """Give the event handlers of one PACS, for pynetdicom's server."""
    return [
        (evt.EVT_REQUESTED, partial(_on_requested, pacs)),
        (evt.EVT_C_ECHO, lambda event: SUCCESS),
        (evt.EVT_C_FIND, partial(_on_find, pacs)),
        (evt.EVT_C_GET, partial(_on_get, pacs)),
        (evt.EVT_C_MOVE, partial(_on_move, pacs)),
        (evt.EVT_C_STORE, partial(_on_store, pacs)),
    ]


def _on_requested(pacs: EmbeddedPacs, event: Any) -> None:
    if pacs.faults.refuse_associations:
        event.assoc.acse.send_reject(0x01, 0x01, 0x01)
        event.assoc.kill()


def _request(pacs: EmbeddedPacs, event: Any) -> tuple[str, dict[str, str]] | None:
    """Read level and keys of a request; ``None`` where the level does not exist in its model."""
    if pacs.faults.close_queries:
        _cut(event)
    identifier = event.identifier
    level = text_of(identifier, "QueryRetrieveLevel")
    study_root = event.request.AffectedSOPClassUID in FIND_MODELS[1:]
    if level not in LEVELS or (study_root and level == "PATIENT"):
        return None
    return level, {keyword: text_of(identifier, keyword) for keyword in _flat_keywords(identifier)}


def _flat_keywords(identifier: Dataset) -> list[str]:
    keywords = [keyword_for_tag(tag) for tag in list(identifier.keys())]
    return [keyword for keyword in keywords if keyword and vr_of(keyword) != "SQ"]


def _on_find(pacs: EmbeddedPacs, event: Any) -> Iterator[Answer]:
    request = _request(pacs, event)
    if request is None:
        yield DOES_NOT_MATCH, None
        return
    level, keys = request
    plan = pacs.faults
    for done, row in enumerate(pacs.index.find(level, keys)):
        if event.is_cancelled:
            yield CANCELLED, None
            return
        if plan.cap_answers is not None and done >= plan.cap_answers:
            yield OUT_OF_RESOURCES, None
            return
        if plan.silent_cap is not None and done >= plan.silent_cap:
            return
        yield PENDING, _answer(pacs, level, keys, row)


def _answer(pacs: EmbeddedPacs, level: str, keys: dict[str, str], row: dict[str, str]) -> Dataset:
    known = known_at(level)
    values = {keyword: row.get(keyword, "") if keyword in known else "" for keyword in (*keys, *row)}
    for keyword in values:
        if keyword.endswith("RelatedInstances") and pacs.faults.lie_about_counts:
            values[keyword] = str(int(values[keyword] or 0) + pacs.faults.lie_about_counts)
    values |= {"QueryRetrieveLevel": level, "RetrieveAETitle": pacs.ae_title}
    values.pop("SpecificCharacterSet", None)
    return flat_dataset(values)


def _on_get(pacs: EmbeddedPacs, event: Any) -> Iterator[Any]:
    stored = _asked_for(pacs, event)
    if stored is None:
        yield 1
        yield DOES_NOT_MATCH, None
        return
    yield len(stored)
    yield from _sent(pacs, event, stored, event.assoc.accepted_contexts)


def _on_move(pacs: EmbeddedPacs, event: Any) -> Iterator[Any]:
    address = pacs.destinations.get(str(event.move_destination or "").strip())
    if address is None:
        yield None, None
        return
    stored = _asked_for(pacs, event)
    kinds = sorted({(item.sop_class_uid, item.transfer_syntax) for item in stored or ()})
    contexts = [build_context(sop_class, syntax) for sop_class, syntax in kinds[:LIMIT]]
    yield (*address, {"contexts": contexts, "max_pdu": event.assoc.acceptor.maximum_length})
    if stored is None:
        yield 1
        yield DOES_NOT_MATCH, None
        return
    yield len(stored)
    yield from _sent(pacs, event, stored, contexts)


def _asked_for(pacs: EmbeddedPacs, event: Any) -> list[Stored] | None:
    request = _request(pacs, event)
    if request is None:
        return None
    stored = list(pacs.index.stored(*request))
    if stored and pacs.faults.unrequested:
        studies = {item.ref.study_uid for item in stored}
        others = [item for item in pacs.index.stored("STUDY", {}) if item.ref.study_uid not in studies]
        stored = others[: pacs.faults.unrequested] + stored
    return stored[: len(stored) - pacs.faults.drop_last] if pacs.faults.drop_last else stored


def _sent(pacs: EmbeddedPacs, event: Any, stored: list[Stored], contexts: list[Any]) -> Iterator[Answer]:
    plan = pacs.faults
    for position, item in enumerate(stored):
        if event.is_cancelled:
            yield CANCELLED, None
            return
        if position == plan.die_after:
            _cut(event)
            return
        if position == plan.hang_after:
            pacs.stopping.wait(plan.hang_s)
        file = outgoing(item, contexts)
        yield PENDING, with_other_uid(item, pacs.scratch) if position == plan.wrong_uid_at else file


def _cut(event: Any) -> None:
    """End the connection as a crash does: no abort, no release."""
    wrapped = event.assoc.dul.socket
    with suppress(OSError, AttributeError):
        wrapped.socket.shutdown(socket.SHUT_RDWR)
    event.assoc.kill()


def _on_store(pacs: EmbeddedPacs, event: Any) -> int:
    received = getattr(event.assoc, "racoon_received", 0)
    event.assoc.racoon_received = received + 1
    if pacs.faults.full_after is not None and received >= pacs.faults.full_after:
        return OUT_OF_RESOURCES
    try:
        return _store(pacs, event)
    except DiskFullError:
        return OUT_OF_RESOURCES
    except DicomError:
        return CANNOT_UNDERSTAND
    except Exception as error:  # noqa: BLE001 - the border to the peer: whatever it sent, it gets a status
        logger.error("unexpected %s while storing", type(error).__name__)
        return CANNOT_UNDERSTAND


def _store(pacs: EmbeddedPacs, event: Any) -> int:
    syntax = str(event.context.transfer_syntax)
    encoded = event.encoded_dataset(include_meta=False)
    identity = identity_of(encoded, syntax)
    command = (str(event.request.AffectedSOPClassUID), str(event.request.AffectedSOPInstanceUID))
    if command != (identity.sop_class_uid, identity.ref.sop_uid) or not identity.ref.study_uid:
        return DOES_NOT_MATCH
    with pacs.store_lock:
        present = pacs.index.stored("IMAGE", {"SOPInstanceUID": identity.ref.sop_uid})
        if present:
            return SUCCESS if _is_same(present[0].path, encoded) else DUPLICATE
        path = instance_path(pacs.folder / "received", identity.ref)
        write_bytes(path, file_head(*command, syntax) + encoded)
        pacs.index.add(path)
    return SUCCESS


def _is_same(path: Path, encoded: bytes) -> bool:
    with suppress(FileNotFoundError, DicomError):
        return dataset_bytes(path) == encoded
    return False
