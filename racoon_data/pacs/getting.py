"""C-GET of what is missing of one study."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from itertools import groupby

from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.association import Association

from racoon_data.errors import PacsError, PacsRefusedError
from racoon_data.pacs.associations import associated, lost
from racoon_data.pacs.attributes import flat_dataset
from racoon_data.pacs.contexts import classes_for, retrieve_contexts, storage_roles
from racoon_data.pacs.expecting import Expectation
from racoon_data.pacs.peer import PacsNode
from racoon_data.pacs.receiving import GET_MESSAGE_ID, GET_MODEL, Receiver
from racoon_data.pacs.statuses import IS_PENDING, SUCCESS
from racoon_data.refs import InstanceRef

logger = logging.getLogger(__name__)

_UIDS_PER_REQUEST = 100


def get(node: PacsNode, expected: Expectation, missing: Sequence[InstanceRef], receiver: Receiver) -> str:
    """Fetch on one association and say why what is still missing did not come.

    A lost connection ends the attempt, a full disk ends the retrieval.
    """
    classes = classes_for(expected.sop_classes, expected.modalities)
    contexts, roles = retrieve_contexts(GET_MODEL, classes), storage_roles(classes)
    handlers = [(evt.EVT_C_STORE, receiver.on_store)]
    reason = "the PACS did not send it"
    with associated(node, contexts, roles=roles, handlers=handlers) as association:
        if not any(context.abstract_syntax == GET_MODEL for context in association.accepted_contexts):
            hint = "the PACS allows only C-MOVE, or our AE title has no retrieve rights"
            raise PacsRefusedError("the peer offers no retrieval by C-GET", ref=node, hint=hint)
        try:
            for identifier in _requests(expected, missing):
                reason = _get_one(node, association, identifier, receiver) or reason
        except PacsError as error:
            logger.warning("retrieval of %s was cut short: %s", expected.ref, error.message)
            reason = error.message
        if receiver.error is not None:
            raise receiver.error
    return reason


def _requests(expected: Expectation, missing: Sequence[InstanceRef]) -> Iterator[Dataset]:
    """Ask for the whole study while nothing of it is here, else for the missing instances by name."""
    study_uid = expected.ref.study_uid
    if len(missing) == len(expected.instances):
        yield flat_dataset({"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": study_uid})
        return
    for series_uid, refs in groupby(missing, key=lambda ref: ref.series_uid):
        uids = [ref.sop_uid for ref in refs]
        for start in range(0, len(uids), _UIDS_PER_REQUEST):
            yield flat_dataset(
                {
                    "QueryRetrieveLevel": "IMAGE",
                    "StudyInstanceUID": study_uid,
                    "SeriesInstanceUID": series_uid,
                    "SOPInstanceUID": "\\".join(uids[start : start + _UIDS_PER_REQUEST]),
                }
            )


def _get_one(node: PacsNode, association: Association, identifier: Dataset, receiver: Receiver) -> str:
    """Send one C-GET and wait for its end; give the status as a reason where it is no success."""
    receiver.heard_at = time.monotonic()
    for status, _ in association.send_c_get(identifier, GET_MODEL, msg_id=GET_MESSAGE_ID):
        code = status.get("Status")
        if code is None:
            raise lost(node, association, "C-GET", time.monotonic() - receiver.heard_at)
        receiver.heard_at = time.monotonic()
        if code not in IS_PENDING and code != SUCCESS:
            return f"the PACS ended the retrieval with status 0x{code:04X}"
    return ""
