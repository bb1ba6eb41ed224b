"""Push: send files to a peer by C-STORE, one outcome each."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from pynetdicom.association import Association

from racoon_data.errors import NotDicomError, PacsError, PacsRefusedError
from racoon_data.events import OnEvent, ignore
from racoon_data.outcomes import Outcome
from racoon_data.pacs.associations import associated, lost
from racoon_data.pacs.contexts import push_batches
from racoon_data.pacs.part10 import FileHead, read_file_head
from racoon_data.pacs.peer import PacsNode
from racoon_data.pacs.statuses import IS_STORE_WARNING, SUCCESS
from racoon_data.refs import FileRef
from racoon_data.runner.run import run_items


def push(node: PacsNode, paths: Sequence[Path], *, on_event: OnEvent = ignore) -> tuple[Outcome, ...]:
    """Send files as they are, without re-encoding.

    Args:
        node: The peer.
        paths: DICOM files.
        on_event: Listener; one ``push`` event per file.

    Returns:
        One outcome per file, in order: done where the peer stored it, skipped where it is not DICOM.

    Raises:
        PacsUnreachableError: No connection could be opened.
        PacsRefusedError: The peer rejected the association.
        PacsTimeoutError: The peer did not answer the association request.
    """
    with ExitStack() as stack:
        sender = _Sender(node, stack, paths)
        items = [(FileRef(path.name), path) for path in paths]
        return tuple(result.outcome for result in run_items("push", items, sender.send, on_event=on_event))


class _Sender:
    """Sends files over as few associations as their kinds need, opened when first used."""

    def __init__(self, node: PacsNode, stack: ExitStack, paths: Sequence[Path]) -> None:
        self._node = node
        self._stack = stack
        self._batches = push_batches(_kinds(paths))
        self._open: dict[int, Association] = {}
        if self._batches:
            self._association(0)

    def _association(self, number: int) -> Association:
        current = self._open.get(number)
        if current is None or not current.is_established:
            current = self._stack.enter_context(associated(self._node, self._batches[number]))
            self._open[number] = current
        return current

    def send(self, path: Path) -> None:
        """Send one file."""
        head = read_file_head(path)
        association = self._association(self._batch_of(head))
        kind = (head.sop_class_uid, head.transfer_syntax)
        if kind not in {(cx.abstract_syntax, cx.transfer_syntax[0]) for cx in association.accepted_contexts}:
            hint = "the peer accepts neither this kind of object nor, perhaps, this encoding"
            raise PacsRefusedError(f"not accepted: SOP class {kind[0]}, transfer syntax {kind[1]}", hint=hint)
        waiting_since = time.monotonic()
        status = association.send_c_store(path).get("Status")
        if status is None:
            raise lost(self._node, association, "C-STORE", time.monotonic() - waiting_since)
        if status != SUCCESS and status not in IS_STORE_WARNING:
            raise PacsError(f"C-STORE: the peer answered status 0x{status:04X}", hint="the peer's log says more")

    def _batch_of(self, head: FileHead) -> int:
        for number, contexts in enumerate(self._batches):
            if any(
                (cx.abstract_syntax, cx.transfer_syntax[0]) == (head.sop_class_uid, head.transfer_syntax)
                for cx in contexts
            ):
                return number
        raise PacsError("the file changed while it was being sent", hint="run again")


def _kinds(paths: Sequence[Path]) -> Iterator[tuple[str, str]]:
    for path in paths:
        try:
            head = read_file_head(path)
        except (NotDicomError, OSError):
            continue
        yield head.sop_class_uid, head.transfer_syntax
