"""Storage commitment: ask a PACS whether it keeps what it was sent, and wait for its report (PS3.4 annex J)."""

from __future__ import annotations

import queue
import select
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.uid import UID, generate_uid
from pynetdicom.presentation import build_context

from racoon_data.dicom.guard import walk_encoded
from racoon_data.errors import DicomError, NotDicomError, PacsError, PacsLostError, PacsRefusedError, PacsTimeoutError
from racoon_data.pacs import commands
from racoon_data.pacs.accepting import COMMITMENT, Welcome
from racoon_data.pacs.channel import Accepted, Channel
from racoon_data.pacs.commands import Values
from racoon_data.pacs.landing import Announced, Refusal
from racoon_data.pacs.link import ReleasedError
from racoon_data.pacs.moving import addresses_of, listening_address
from racoon_data.pacs.negotiating import UNPARSABLE, channel_to
from racoon_data.pacs.part10 import FileHead, Identity, read_file_head
from racoon_data.pacs.peer import PacsNode
from racoon_data.pacs.querying import encoded_for
from racoon_data.pacs.receiving import Intake
from racoon_data.pacs.sending import answer_of
from racoon_data.pacs.statuses import CANNOT_UNDERSTAND, NOT_AUTHORISED, SUCCESS
from racoon_data.pacs.storage_scp import Limits, OnReport, StorageScp

_WELL_KNOWN = "1.2.840.10008.1.20.1.1"
_REQUEST = 1
_LOOK_S = 0.1


@dataclass(frozen=True, slots=True)
class Committed:
    """What a PACS says it keeps.

    Attributes:
        kept: SOPInstanceUIDs it has taken responsibility for.
        failed: Those it has not, with its reason (0x0112 means that it does not know the instance).
    """

    kept: frozenset[str]
    failed: dict[str, int] = field(default_factory=dict)


class _Nothing:
    """Takes no instance: only reports are expected."""

    def before(self, announced: Announced) -> Refusal | None:
        """Refuse."""
        return Refusal(NOT_AUTHORISED, "it was not asked for")

    def admit(self, announced: Announced, identity: Identity) -> Refusal:
        """Refuse."""
        return Refusal(NOT_AUTHORISED, "it was not asked for")


def commit(node: PacsNode, heads: Sequence[FileHead], *, wait_s: float = 60.0) -> Committed:
    """Ask whether instances are kept; the report may come on the same association or on one the PACS opens to us.

    Args:
        node: The PACS; it reports to our title at ``receive_port``.
        heads: What was sent.
        wait_s: Longest time until the report (seconds).

    Raises:
        PacsRefusedError: The PACS offers no storage commitment.
        PacsTimeoutError: No report came.
        PacsError: It answered another status than success.
    """
    transaction = generate_uid()
    reports: queue.Queue[Committed] = queue.Queue()

    def on_report(kind: int, data: bytes, syntax: str) -> int:
        report = _report(data, syntax, transaction)
        if report is None:
            return CANNOT_UNDERSTAND
        reports.put(report)
        return SUCCESS

    welcome = Welcome(
        node.calling_ae_title, callers=(node.ae_title,), hosts=addresses_of(node.host), is_either_enough=True
    )
    scp = StorageScp(
        welcome, Intake(Path(), _Nothing(), on_end=lambda end: None),
        address=(listening_address(node.host), node.receive_port), limits=Limits(4, node.timeout_s), tls=node.tls,
        on_report=on_report,
    )  # fmt: skip
    with scp, channel_to(node, [build_context(COMMITMENT)]) as channel:
        context = channel.context_of(COMMITMENT)
        if context is None:
            raise PacsRefusedError("the peer offers no storage commitment", ref=node, hint="its archive may")
        _ask(channel, context, heads, transaction)
        committed = _await(channel, reports, on_report, wait_s)
    if committed is None:
        hint = f"the PACS must know our title {node.calling_ae_title!r} with this machine's address and receive_port"
        raise PacsTimeoutError(f"no storage commitment report within {wait_s:g} s", ref=node, hint=hint)
    return committed


def commit_files(node: PacsNode, paths: Sequence[Path]) -> Committed:
    """Ask whether the instances of some files are kept; files that are not DICOM are passed over.

    Raises:
        PacsError: See :func:`commit`.
    """
    heads = []
    for path in paths:
        with suppress(NotDicomError):
            heads.append(read_file_head(path))
    return commit(node, heads) if heads else Committed(frozenset())


def _ask(channel: Channel, context: Accepted, heads: Sequence[FileHead], transaction: str) -> None:
    wanted = Dataset()
    wanted.TransactionUID = transaction
    wanted.ReferencedSOPSequence = [_item(head) for head in heads]
    request: Values = {
        commands.REQUESTED_CLASS: COMMITMENT,
        commands.FIELD: commands.N_ACTION,
        commands.MESSAGE_ID: 1,
        commands.DATA_SET: commands.HAS_DATA_SET,
        commands.REQUESTED_UID: _WELL_KNOWN,
        commands.ACTION_TYPE: _REQUEST,
    }
    channel.send(context, request, encoded_for(context, wanted))
    answer = answer_of(channel, "N-ACTION")
    if answer.has_data_set:
        channel.small_data(context)
    status = answer.number(commands.STATUS)
    if status != SUCCESS:
        raise PacsError(f"N-ACTION: the peer answered status 0x{status:04X}", hint="the peer's log says more")


def _item(head: FileHead) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = UID(head.sop_class_uid), UID(head.sop_uid)
    return item


def _await(channel: Channel, reports: queue.Queue[Committed], on_report: OnReport, wait_s: float) -> Committed | None:
    until, is_open = time.monotonic() + wait_s, True
    while time.monotonic() < until:
        with suppress(queue.Empty):
            return reports.get(timeout=_LOOK_S)
        if is_open and (channel.link.has_unread() or select.select([channel.link], [], [], 0)[0]):
            is_open = _read_report(channel, on_report)
    return None


def _read_report(channel: Channel, on_report: OnReport) -> bool:
    """Answer what the peer sends on our own association; tell whether that is still open."""
    try:
        context, command = channel.message()
    except ReleasedError:
        channel.consent_to_release()
        return False
    except PacsLostError:
        return False
    data = channel.small_data(context) if command.has_data_set else b""
    if command.field == commands.N_EVENT_REPORT:
        answer: Values = {
            commands.AFFECTED_CLASS: command.text(commands.AFFECTED_CLASS),
            commands.FIELD: commands.N_EVENT_REPORT | commands.RESPONSE,
            commands.ANSWERED_ID: command.number(commands.MESSAGE_ID),
            commands.DATA_SET: commands.NO_DATA_SET,
            commands.STATUS: on_report(0, data, context.transfer_syntax),
            commands.AFFECTED_UID: command.text(commands.AFFECTED_UID),
            commands.EVENT_TYPE: command.number(commands.EVENT_TYPE),
        }
        channel.send(context, answer)
    return True


def _report(data: bytes, syntax: str, transaction: str) -> Committed | None:
    """Read a report; ``None`` where it is none, or of another transaction."""
    try:
        walk_encoded(data, syntax)
        report = read_dataset(BytesIO(data), UID(syntax).is_implicit_VR, True)
        if report.TransactionUID != transaction:
            return None
        kept = frozenset(str(item.ReferencedSOPInstanceUID) for item in report.get("ReferencedSOPSequence", ()))
        failed = {
            str(item.ReferencedSOPInstanceUID): int(item.FailureReason) for item in report.get("FailedSOPSequence", ())
        }
    except (*UNPARSABLE, DicomError):
        return None
    return Committed(kept, failed)
