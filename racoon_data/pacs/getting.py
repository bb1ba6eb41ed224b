"""C-GET of what is missing of one study, over our own link, in as many associations as its kinds need."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from pydicom.dataset import Dataset
from pynetdicom.dsutils import encode as encode_dataset
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet

from racoon_data.errors import PacsError, PacsLostError, PacsPausedError, PacsProtocolError, PacsRefusedError
from racoon_data.pacs import commands
from racoon_data.pacs.associations import NOT_REGISTERED_HINT
from racoon_data.pacs.attributes import flat_dataset
from racoon_data.pacs.channel import Accepted, Channel
from racoon_data.pacs.contexts import CLASSES_PER_GET, classes_for, is_private, retrieve_contexts, storage_roles
from racoon_data.pacs.expecting import Expectation
from racoon_data.pacs.landing import Refusal
from racoon_data.pacs.link import ReleasedError
from racoon_data.pacs.negotiating import channel_to
from racoon_data.pacs.peer import PacsNode
from racoon_data.pacs.receiving import Intake, Receiver
from racoon_data.pacs.statuses import IS_PENDING, NOT_AUTHORISED, SUCCESS
from racoon_data.refs import InstanceRef

logger = logging.getLogger(__name__)

GET_MODEL = StudyRootQueryRetrieveInformationModelGet
UIDS_PER_REQUEST = 100
_MEDIUM_PRIORITY = 0
_MESSAGE_ID = 1

Missing = Callable[[], Sequence[InstanceRef]]


def get(node: PacsNode, expected: Expectation, missing: Missing, receiver: Receiver) -> str:
    """Fetch what is missing and say why what still is did not come.

    Classes beyond what fits one association are fetched over further ones. A lost connection ends the attempt, a
    full disk the retrieval.

    Args:
        node: The peer.
        expected: What it lists.
        missing: Tells what is still missing.
        receiver: Takes what arrives.

    Raises:
        PacsRefusedError: The peer offers no retrieval by C-GET.
        PacsError: No association could be opened.
        StorageError: The disk is full; what arrived before is in the ledger.
    """
    refuse_private(node, expected, missing(), receiver)
    classes = wanted_classes(node, expected)
    reason = "the PACS did not send it"
    try:
        for start in range(0, len(classes), CLASSES_PER_GET):
            batch = classes[start : start + CLASSES_PER_GET]
            due = [ref for ref in missing() if expected.class_of.get(ref.sop_uid) in (None, "", *batch)]
            if due or not expected.instances:
                reason = _get_batch(node, batch, requests(expected, due), receiver) or reason
                receiver.journal.flush()
    finally:
        receiver.journal.flush()
    return reason


def wanted_classes(node: PacsNode, expected: Expectation) -> tuple[str, ...]:
    """Choose the classes to offer: those of the study, private ones only where the node lists them."""
    known = classes_for(expected.sop_classes, expected.modalities)
    allowed = tuple(uid for uid in known if not is_private(uid) or uid in node.private_classes)
    return allowed if expected.sop_classes else tuple(dict.fromkeys((*allowed, *node.private_classes)))


def refuse_private(node: PacsNode, expected: Expectation, due: Sequence[InstanceRef], receiver: Receiver) -> None:
    """Note instances of private classes that the node does not allow."""
    for ref in due:
        sop_class = expected.class_of.get(ref.sop_uid, "")
        if sop_class and is_private(sop_class) and sop_class not in node.private_classes:
            reason = f"private SOP class {sop_class[:64]} is not among private_classes of the node"
            receiver.journal.refused(ref, Refusal(NOT_AUTHORISED, reason))


def _get_batch(node: PacsNode, classes: Sequence[str], identifiers: Iterator[Dataset], receiver: Receiver) -> str:
    reason = ""
    contexts, roles = retrieve_contexts(GET_MODEL, classes), storage_roles(classes)
    with channel_to(node, contexts, roles=roles) as channel:
        context = channel.context_of(GET_MODEL)
        if context is None:
            hint = "set receive_port of the node to go by C-MOVE; or our AE title has no retrieve rights there"
            raise PacsRefusedError("the peer offers no retrieval by C-GET", ref=node, hint=hint)
        intake = Intake(receiver.spool, receiver.rule, on_end=receiver.note)
        try:
            for identifier in identifiers:
                reason = _get_one(channel, context, identifier, intake) or reason
        except PacsPausedError:
            raise
        except PacsError as error:
            logger.warning("retrieval was cut short: %s", error.message)
            reason = error.message
            channel.abort()
    return reason


def requests(expected: Expectation, due: Sequence[InstanceRef]) -> Iterator[Dataset]:
    """Ask for the whole study while nothing of it is here, else for the missing instances by name.

    Args:
        expected: What the peer lists.
        due: What is to come, in order.
    """
    study_uid = expected.ref.study_uid
    if len(due) == len(expected.instances):
        yield flat_dataset({"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": study_uid})
        return
    for series_uid, refs in groupby(due, key=lambda ref: ref.series_uid):
        uids = [ref.sop_uid for ref in refs]
        for start in range(0, len(uids), UIDS_PER_REQUEST):
            yield flat_dataset(
                {
                    "QueryRetrieveLevel": "IMAGE",
                    "StudyInstanceUID": study_uid,
                    "SeriesInstanceUID": series_uid,
                    "SOPInstanceUID": "\\".join(uids[start : start + UIDS_PER_REQUEST]),
                }
            )


def encoded_for(context: Accepted, dataset: Dataset) -> bytes:
    """Encode an identifier as a context demands."""
    encoded = encode_dataset(dataset, context.transfer_syntax == "1.2.840.10008.1.2", True)
    return bytes(encoded or b"")


def _get_one(channel: Channel, context: Accepted, identifier: Dataset, intake: Intake) -> str:
    """Send one C-GET and take what comes until its end; give the status as a reason where it is no success."""
    request = {
        commands.AFFECTED_CLASS: GET_MODEL,
        commands.FIELD: commands.C_GET,
        commands.MESSAGE_ID: _MESSAGE_ID,
        commands.PRIORITY: _MEDIUM_PRIORITY,
        commands.DATA_SET: commands.HAS_DATA_SET,
    }
    channel.send(context, request, encoded_for(context, identifier))
    has_heard = False
    while True:
        try:
            used, command = channel.message()
        except ReleasedError:
            channel.consent_to_release()
            raise PacsLostError("C-GET: the peer released the association without a status") from None
        except PacsLostError as error:
            hint = error.hint if has_heard else NOT_REGISTERED_HINT
            raise PacsLostError(f"C-GET: {error.message} without a status", hint=hint) from error
        has_heard = True
        if command.field == commands.C_STORE:
            intake.store(channel, used, command)
            _stop_where_full(channel, context, intake)
        elif command.field == commands.C_GET | commands.RESPONSE:
            if command.has_data_set:
                channel.small_data(used)
            status = command.number(commands.STATUS)
            if status not in IS_PENDING:
                return "" if status == SUCCESS else f"the PACS ended the retrieval with status 0x{status:04X}"
        else:
            raise PacsProtocolError(f"the peer sent a command 0x{command.field:04X} during C-GET")


def _stop_where_full(channel: Channel, context: Accepted, intake: Intake) -> None:
    """Ask the peer to stop when nothing more can be written, and leave."""
    if intake.error is None:
        return
    cancel = {
        commands.FIELD: commands.C_CANCEL,
        commands.ANSWERED_ID: _MESSAGE_ID,
        commands.DATA_SET: commands.NO_DATA_SET,
    }
    channel.send(context, cancel)
    raise intake.error
