"""Push: send files to a peer by C-STORE, one outcome each; what arrived before is not sent again."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from racoon_data.errors import NotDicomError, PacsError, PacsLostError, PacsRefusedError
from racoon_data.events import OnEvent, ignore
from racoon_data.files.atomic import sha256_of
from racoon_data.outcomes import Outcome
from racoon_data.pacs.channel import Channel
from racoon_data.pacs.contexts import push_batches
from racoon_data.pacs.negotiating import channel_to
from racoon_data.pacs.part10 import FileHead, read_file_head
from racoon_data.pacs.peer import PacsNode
from racoon_data.pacs.sending import Sender
from racoon_data.pacs.statuses import IS_STORE_WARNING, SUCCESS
from racoon_data.refs import FileRef
from racoon_data.runner.run import run_items
from racoon_data.site.ledger import Ledger

STEP = "push"
_MAX_LOST = 3


def push(
    node: PacsNode, paths: Sequence[Path], *, on_event: OnEvent = ignore, ledger: Ledger | None = None
) -> tuple[Outcome, ...]:
    """Send files as they are, without re-encoding.

    Args:
        node: The peer.
        paths: DICOM files.
        on_event: Listener; one ``push`` event per file.
        ledger: Remembers what each node stored; a file of the same bytes is then not sent there again.

    Returns:
        One outcome per file, in order: done where the peer stored it, now or before; skipped where it is not DICOM.

    Raises:
        PacsUnreachableError: No connection could be opened.
        PacsRefusedError: The peer rejected the association.
        PacsTimeoutError: The peer did not answer the association request.
    """
    with ExitStack() as stack:
        sender = _Pusher(node, stack, paths, ledger)
        items = [(FileRef(path.name), path) for path in paths]
        return tuple(result.outcome for result in run_items(STEP, items, sender.send, on_event=on_event))


class _Pusher:
    """Sends files over as few associations as their kinds need, opened when first used."""

    def __init__(self, node: PacsNode, stack: ExitStack, paths: Sequence[Path], ledger: Ledger | None) -> None:
        self._node = node
        self._stack = stack
        self._ledger = ledger
        self._heads = _heads(paths)
        due = [path for path in self._heads if not self._is_stored(path)]
        kinds = {(self._heads[path].sop_class_uid, self._heads[path].transfer_syntax) for path in due}
        self._batches = push_batches(kinds)
        self._due = frozenset(due)
        self._lost = 0
        self._open: dict[int, tuple[ExitStack, Channel, Sender]] = {}
        if self._batches:
            self._channel(0)

    def _is_stored(self, path: Path) -> bool:
        if self._ledger is None:
            return False
        return self._ledger.recall(STEP, self._key(path), sha256_of(path)) is not None

    def _key(self, path: Path) -> str:
        return f"{self._node.name}/{self._heads[path].sop_uid}"

    def _channel(self, number: int) -> tuple[Channel, Sender]:
        if number not in self._open:
            if self._lost >= _MAX_LOST:
                raise PacsLostError(f"the peer was lost {self._lost} times in a row", hint="run again later")
            own = ExitStack()
            self._lost += 1
            channel = own.enter_context(channel_to(self._node, self._batches[number]))
            self._open[number] = (own, channel, Sender(channel))
            self._stack.callback(self._leave, number)
        return self._open[number][1:]

    def _leave(self, number: int) -> None:
        if number in self._open:
            self._open.pop(number)[0].close()

    def send(self, path: Path) -> None:
        """Send one file, unless the peer has it."""
        if path not in self._heads:
            read_file_head(path)  # says why it is not among them
        head = self._heads[path]
        if path not in self._due:
            return
        number = self._batch_of(head)
        channel, sender = self._channel(number)
        context = channel.context_of(head.sop_class_uid, head.transfer_syntax)
        if context is None:
            hint = "the peer accepts neither this kind of object nor, perhaps, this encoding"
            what = f"SOP class {head.sop_class_uid}, transfer syntax {head.transfer_syntax}"
            raise PacsRefusedError(f"not accepted: {what}", hint=hint)
        try:
            status = sender.send(path, head, context)
        except BaseException:
            channel.abort()
            self._leave(number)
            raise
        self._lost = 0
        if status != SUCCESS and status not in IS_STORE_WARNING:
            raise PacsError(f"C-STORE: the peer answered status 0x{status:04X}", hint="the peer's log says more")
        if self._ledger is not None:
            self._ledger.remember(STEP, self._key(path), sha256_of(path), {"status": status})
        if channel.pace is not None:
            channel.pace.step()

    def _batch_of(self, head: FileHead) -> int:
        kind = (head.sop_class_uid, head.transfer_syntax)
        for number, contexts in enumerate(self._batches):
            if any((cx.abstract_syntax, cx.transfer_syntax[0]) == kind for cx in contexts):
                return number
        raise PacsError("the file changed while it was being sent", hint="run again")


def _heads(paths: Sequence[Path]) -> dict[Path, FileHead]:
    heads = {}
    for path in paths:
        try:
            heads[path] = read_file_head(path)
        except (NotDicomError, OSError):
            continue
    return heads
