"""C-STORE over our own link: files go out as they lie on disk, read straight into the send buffer."""

from __future__ import annotations

import os
from pathlib import Path

from racoon_data.errors import PacsError, PacsLostError, PacsProtocolError, UnreadableError
from racoon_data.pacs import commands
from racoon_data.pacs.channel import Accepted, Channel
from racoon_data.pacs.commands import Command, Values
from racoon_data.pacs.link import ReleasedError, fragment_head
from racoon_data.pacs.part10 import FileHead, data_set_at
from racoon_data.refs import FileRef

_BUFFER = 256 * 1024
_HEAD = len(fragment_head(1, 0, 0))
_MEDIUM_PRIORITY = 0
_LAST = 2


class Sender:
    """Sends files over one channel.

    The buffer holds several PDUs with their heads in place; one scattered read fills their bodies and one
    send takes them out, however small the PDUs are that the peer takes.
    """

    def __init__(self, channel: Channel) -> None:
        """Prepare the buffer for the peer's longest PDU."""
        self._channel = channel
        self._room = channel.peer_max - 6
        self._step = self._room + _HEAD
        self._buffer = memoryview(bytearray(max(1, _BUFFER // self._step) * self._step))
        self._message_id = 0

    def send(self, path: Path, head: FileHead, context: Accepted) -> int:
        """Send one file and wait for the answer.

        Args:
            path: The file.
            head: Its file meta information.
            context: The accepted context of its class and encoding.

        Returns:
            The peer's status.

        Raises:
            PacsError: The connection is gone, silent or no DICOM.
            UnreadableError: The file changed while it was being sent; the association is cut.
        """
        self._message_id = self._message_id % 0xFFFF + 1
        start = data_set_at(path)
        with path.open("rb", buffering=0) as stream:
            size = os.fstat(stream.fileno()).st_size - start
            if size <= 0:
                raise UnreadableError("the file holds no data set", ref=FileRef(path.name), hint="send another copy")
            self._request(head, context)
            self._pour(stream.fileno(), start, size, context.number)
        return self._answer()

    def _request(self, head: FileHead, context: Accepted) -> None:
        request: Values = {
            commands.AFFECTED_CLASS: head.sop_class_uid,
            commands.FIELD: commands.C_STORE,
            commands.MESSAGE_ID: self._message_id,
            commands.PRIORITY: _MEDIUM_PRIORITY,
            commands.DATA_SET: commands.HAS_DATA_SET,
            commands.AFFECTED_UID: head.sop_uid,
        }
        self._channel.send(context, request)

    def _pour(self, descriptor: int, at: int, left: int, context: int) -> None:
        """Send a stretch of a file as P-DATA, several PDUs at a time."""
        while left:
            slots, end, taken = [], 0, 0
            while taken < left and end + _HEAD < len(self._buffer):
                count = min(self._room, left - taken)
                self._buffer[end : end + _HEAD] = fragment_head(context, _LAST * (taken + count == left), count)
                slots.append(self._buffer[end + _HEAD : end + _HEAD + count])
                end += _HEAD + count
                taken += count
            if os.preadv(descriptor, slots, at) != taken:
                self._channel.abort()
                raise UnreadableError("the file changed while it was being sent", hint="run again")
            self._channel.link.send(self._buffer[:end])
            at += taken
            left -= taken

    def _answer(self) -> int:
        command = answer_of(self._channel, "C-STORE")
        if command.field != commands.C_STORE | commands.RESPONSE or command.has_data_set:
            raise PacsProtocolError("the peer answered C-STORE with another message", hint="a damaged stream")
        self._channel.link.note_progress()
        return command.number(commands.STATUS)


def answer_of(channel: Channel, what: str) -> Command:
    """Wait for the peer's answer to a request.

    Args:
        channel: The association.
        what: The request, for messages.

    Raises:
        PacsError: There is none: the peer went, fell silent or speaks no DICOM.
    """
    try:
        return channel.message()[1]
    except ReleasedError:
        channel.consent_to_release()
        raise PacsLostError(f"{what}: the peer released the association without a status") from None
    except PacsLostError as error:
        raise PacsLostError(f"{what}: {error.message} without a status", hint=error.hint) from error
    except PacsError as error:
        error.message = f"{what}: {error.message}"
        raise
