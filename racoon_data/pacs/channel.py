"""An established association over a link: messages in and out, data sets streamed, never gathered."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from racoon_data.errors import PacsError, PacsProtocolError
from racoon_data.pacs.commands import Command, Values, encode
from racoon_data.pacs.kindness import Pace
from racoon_data.pacs.link import (
    ABORT,
    MAX_PDU,
    P_DATA,
    RELEASE_RP,
    RELEASE_RQ,
    Basket,
    Link,
    ReleasedError,
    Sink,
    fragment_head,
)

_MAX_COMMAND = 64 * 1024
_MAX_SMALL = 4 * 1024 * 1024
_RELEASE_S = 5.0


@dataclass(frozen=True, slots=True)
class Accepted:
    """One accepted presentation context.

    Attributes:
        number: Its identifier.
        abstract_syntax: SOP class.
        transfer_syntax: Encoding of its data sets.
    """

    number: int
    abstract_syntax: str
    transfer_syntax: str


class Channel:
    """Messages over one association, for one thread.

    Attributes:
        link: The connection.
        contexts: Accepted contexts by identifier.
        peer_title: The AE title of the other side.
        peer_max: Longest P-DATA body the other side takes.
        pace: How kindly the peer is treated; ``None`` where it is the one who asked.
    """

    def __init__(self, link: Link, contexts: Mapping[int, Accepted], *, peer_title: str, peer_max: int) -> None:
        """Wrap an association that was just negotiated."""
        self.link = link
        self.contexts = contexts
        self.peer_title = peer_title
        self.peer_max = min(peer_max or MAX_PDU, MAX_PDU)
        self.pace: Pace | None = None
        self._is_open = True

    def context_of(self, abstract_syntax: str, transfer_syntax: str = "") -> Accepted | None:
        """Find the context of a SOP class, of one encoding if given."""
        for context in self.contexts.values():
            if context.abstract_syntax == abstract_syntax and transfer_syntax in ("", context.transfer_syntax):
                return context
        return None

    def message(self) -> tuple[Accepted, Command]:
        """Read the next command; its data set, if it has one, is to be read next.

        Raises:
            ReleasedError: The peer asks to release instead.
            PacsError: The connection is gone, silent or no DICOM.
        """
        context, control, length = self.link.fragment()
        parts = bytes(self._command_part(control, length))
        while not control & 2:
            other, control, length = self.link.fragment()
            if other != context or len(parts) + length > _MAX_COMMAND:
                raise PacsProtocolError("the peer sent a command whose parts do not fit", hint="a damaged stream")
            parts += self._command_part(control, length)
        if context not in self.contexts:
            raise PacsProtocolError("the peer used a context that was not accepted", hint="a damaged stream")
        return self.contexts[context], Command(parts)

    def _command_part(self, control: int, length: int) -> memoryview:
        if not control & 1:
            raise PacsProtocolError("the peer sent data where a command is due", hint="a damaged stream")
        return self.link.take(length)

    def read_data(self, context: Accepted, sink: Sink, basket: Basket | None = None) -> bool:
        """Read a data set and hand its pieces on as they come, or gather it.

        Args:
            context: Where its command came.
            sink: Takes the pieces.
            basket: Where to gather them; what does not fit goes to the sink from its first byte.

        Returns:
            Whether it lies whole in the basket.

        Raises:
            PacsError: The connection is gone, silent or no DICOM.
        """
        control = 0
        if basket is not None:
            basket.empty()
        while not control & 2:
            number, control, length = self.link.fragment()
            if control & 1 or number != context.number:
                raise PacsProtocolError("the peer sent a command within a data set", hint="a damaged stream")
            if basket is not None:
                if (room := basket.space(length)) is not None:
                    self.link.fill(room)
                    continue
                sink(basket.data)
                basket = None
            self.link.pour(length, sink)
        return basket is not None

    def small_data(self, context: Accepted) -> bytes:
        """Read a data set that belongs into memory, such as an identifier; 4 MiB at most."""
        gathered = bytearray()

        def gather(piece: memoryview) -> None:
            if len(gathered) + len(piece) > _MAX_SMALL:
                raise PacsProtocolError("the peer sent an identifier over 4 MiB", hint="a damaged stream")
            gathered.extend(piece)

        self.read_data(context, gather)
        return bytes(gathered)

    def send(self, context: Accepted, values: Values, data: bytes | None = None) -> None:
        """Send a message; its data set lies in memory."""
        self.link.send_command(context.number, encode(values))
        if data is not None:
            room = self.peer_max - 6
            view = memoryview(data)
            for start in range(0, len(data) or 1, room):
                piece = view[start : start + room]
                self.link.send(fragment_head(context.number, 2 * (start + room >= len(data)), len(piece)))
                self.link.send(piece)

    def release(self) -> None:
        """End the association in the ordinary way, waiting a few seconds for the peer's consent."""
        if not self._is_open:
            return
        with suppress(PacsError, ReleasedError):
            self.link.set_silence(min(_RELEASE_S, self.link.silence_s))
            self.link.send(_control(RELEASE_RQ))
            kind, length = self.link.pdu()
            while kind == P_DATA:
                self.link.pour(length, len)
                kind, length = self.link.pdu()
            if kind == RELEASE_RQ:  # both asked at once
                self.link.send(_control(RELEASE_RP))
        self._close()

    def consent_to_release(self) -> None:
        """Answer the peer's wish to release."""
        with suppress(PacsError):
            self.link.send(_control(RELEASE_RP))
        self._close()

    def abort(self) -> None:
        """End the association at once."""
        if self._is_open:
            with suppress(PacsError):
                self.link.set_silence(min(1.0, self.link.silence_s))
                self.link.send(_control(ABORT))
            self._close()

    def _close(self) -> None:
        self._is_open = False
        self.link.close()


def _control(kind: int) -> bytes:
    return bytes([kind, 0, 0, 0, 0, 4, 0, 0, 0, 0])
