"""One TCP connection and its PDUs: read by one thread into one buffer, with our own clocks (PS3.8 9.3)."""

from __future__ import annotations

import socket
import ssl
import struct
import time
from collections.abc import Callable
from contextlib import suppress

from racoon_data.errors import PacsError, PacsLostError, PacsProtocolError, PacsTimeoutError

MAX_PDU = 128 * 1024
ASSOCIATE_RQ, ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA, RELEASE_RQ, RELEASE_RP, ABORT = range(1, 8)
_MAX_OTHER = 256 * 1024
_CAPACITY = 256 * 1024
_HEAD = struct.Struct(">BxI")
_FRAGMENT = struct.Struct(">IBB")
_WHOLE = struct.Struct(">BxIIBB")
_TIME = struct.Struct("ll")
_QUICK = getattr(socket, "TCP_QUICKACK", None)
_MARK = 1 << 20
STALLS = 20
BASKET_BYTES = 1 << 20

Sink = Callable[[memoryview], object]


class ReleasedError(Exception):
    """The peer asks to release the association; the end of the ordinary kind."""


class Basket:
    """Room for one data set; a piece that does not fit is for the owner to write as it comes."""

    __slots__ = ("_room", "_size")

    def __init__(self) -> None:
        """Set the room aside; the system gives pages only when they are filled."""
        self._room = memoryview(bytearray(BASKET_BYTES))
        self._size = 0

    def space(self, length: int) -> memoryview | None:
        """Give room for the next piece, or ``None`` where it does not fit."""
        start, end = self._size, self._size + length
        if end > BASKET_BYTES:
            return None
        self._size = end
        return self._room[start:end]

    @property
    def data(self) -> memoryview:
        """What was gathered; it holds until the basket is emptied."""
        return self._room[: self._size]

    def empty(self) -> None:
        """Begin anew."""
        self._size = 0


class Link:
    """A connection that was just opened or accepted.

    Nothing is decoded here, and no length a peer claims is believed: a PDU larger than we announced
    ends the connection before anything is set aside for it.

    Attributes:
        silence_s: Longest silence to bear (seconds).
        progress_by: When the next mebibyte or message must be here, else the peer is given up (monotonic seconds).
        received: Bytes received.
    """

    def __init__(self, connection: socket.socket, *, silence_s: float) -> None:
        """Take over a connection.

        Args:
            connection: A connected socket, wrapped in TLS or not.
            silence_s: Longest silence to bear (seconds).
        """
        self._socket = connection
        self._is_tls = isinstance(connection, ssl.SSLSocket)
        self._buffer = memoryview(bytearray(_CAPACITY))
        self._start = self._end = self._pdu_left = 0
        self.received = 0
        self.set_silence(silence_s)
        self.note_progress()
        with suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def set_silence(self, seconds: float) -> None:
        """Change the longest silence to bear."""
        self.silence_s = seconds
        if self._is_tls:
            self._socket.settimeout(seconds)
            return
        # Timeouts of the kernel: Python's own would cost a poll before each read.
        self._socket.settimeout(None)
        spell = _TIME.pack(int(seconds), int(seconds % 1 * 1e6))
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            self._socket.setsockopt(socket.SOL_SOCKET, option, spell)

    def note_progress(self) -> None:
        """Start the clock of progress again: a peer that trickles is given up after 20 times the silence."""
        self.progress_by = time.monotonic() + STALLS * self.silence_s
        self._mark = self.received + _MARK

    def fileno(self) -> int:
        """Give the file descriptor, to wait for."""
        return self._socket.fileno()

    def has_unread(self) -> bool:
        """Tell whether bytes wait that no ``select`` would show."""
        return self._end > self._start or (isinstance(self._socket, ssl.SSLSocket) and self._socket.pending() > 0)

    def linger(self) -> None:
        """Say that nothing more will come, and give the other side a moment to read it before closing."""
        with suppress(OSError, PacsError):
            self._socket.shutdown(socket.SHUT_WR)
            self.set_silence(min(1.0, self.silence_s))
            self._receive(self._buffer)
        self.close()

    def close(self) -> None:
        """Close the connection."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _receive(self, into: memoryview, *, wait_for_all: bool = False) -> int:
        flags = socket.MSG_WAITALL if wait_for_all and not self._is_tls else 0
        try:
            count = self._socket.recv_into(into, 0, flags)
            if _QUICK is not None:
                # Acknowledge without the kernel's 40 ms wait; Linux forgets this after each read.
                self._socket.setsockopt(socket.IPPROTO_TCP, _QUICK, 1)
        except (BlockingIOError, TimeoutError, ssl.SSLWantReadError):
            raise self.silent() from None
        except OSError as error:
            raise PacsLostError("the peer closed the connection", hint="run again; the peer's log says more") from error
        if not count:
            raise PacsLostError("the peer closed the connection", hint="run again; the peer's log says more")
        self.received += count
        if self.received >= self._mark:
            self.note_progress()
        elif time.monotonic() > self.progress_by:
            hint = "the PACS may be overloaded: try again, or raise timeout_s of the node"
            raise PacsTimeoutError(f"the peer finished nothing for {STALLS * self.silence_s:g} s", hint=hint)
        return count

    def silent(self) -> PacsTimeoutError:
        """Give the error of a peer that was silent for too long."""
        hint = "the PACS may be overloaded: try again, or raise timeout_s of the node"
        return PacsTimeoutError(f"the peer was silent for {self.silence_s:g} s", hint=hint)

    def take(self, count: int) -> memoryview:
        """Read exactly ``count`` bytes (at most the buffer); the view holds until the next call."""
        if self._start == self._end:
            self._start = self._end = 0
        if self._start + count > _CAPACITY:
            left = bytes(self._buffer[self._start : self._end])
            self._buffer[: len(left)] = left
            self._start, self._end = 0, len(left)
        while self._end - self._start < count:
            self._end += self._receive(self._buffer[self._end :])
        self._start += count
        return self._buffer[self._start - count : self._start]

    def pdu(self) -> tuple[int, int]:
        """Read the head of the next PDU.

        Returns:
            Type and length of its body, which the caller takes.

        Raises:
            PacsProtocolError: Its type does not exist, or it is larger than we announced to take.
            PacsTimeoutError: The peer is silent.
            PacsLostError: The connection is gone.
        """
        kind, length = _HEAD.unpack(self.take(6))
        limit = MAX_PDU if kind == P_DATA else _MAX_OTHER
        if not ASSOCIATE_RQ <= kind <= ABORT or length > limit:
            what = f"the peer sent a PDU of type {kind} that claims {length} bytes"
            raise PacsProtocolError(what, hint="something else than DICOM, or a damaged stream")
        return kind, length

    def fragment(self) -> tuple[int, int, int]:
        """Read the head of the next piece of a message.

        Returns:
            Context, control bits (1: of a command, 2: the last) and length of its body.

        Raises:
            ReleasedError: The peer asks to release instead.
            PacsLostError: The peer aborted, or the connection is gone.
            PacsProtocolError: The stream is no sequence of PDUs as DICOM has them.
            PacsTimeoutError: The peer is silent.
        """
        if not self._pdu_left:
            kind, length = self.pdu()
            while kind == P_DATA and not length:
                kind, length = self.pdu()
            if kind != P_DATA:
                self.take(length)
                self._ended(kind)
            self._pdu_left = length
        if self._pdu_left < 6:
            raise PacsProtocolError("the peer sent a PDU whose parts do not fit", hint="a damaged stream")
        length, context, control = _FRAGMENT.unpack(self.take(6))
        self._pdu_left -= length + 4
        if length < 2 or self._pdu_left < 0:
            raise PacsProtocolError("the peer sent a PDU whose parts do not fit", hint="a damaged stream")
        return context, control, length - 2

    def _ended(self, kind: int) -> None:
        if kind == RELEASE_RQ:
            raise ReleasedError
        if kind == ABORT:
            raise PacsLostError("the peer aborted the association", hint="the peer's log says more")
        raise PacsProtocolError(f"the peer sent a PDU of type {kind} within an association", hint="a damaged stream")

    def pour(self, length: int, sink: Sink) -> None:
        """Read exactly ``length`` bytes and hand them on in pieces, without gathering them."""
        while length:
            have = self._end - self._start
            if not have:
                self._start, want = 0, min(length, _CAPACITY)
                is_long = want > _CAPACITY // 16
                into = self._buffer[:want] if is_long else self._buffer
                have = self._end = self._receive(into, wait_for_all=is_long)
            count = min(have, length)
            sink(self._buffer[self._start : self._start + count])
            self._start += count
            length -= count

    def fill(self, room: memoryview) -> None:
        """Read exactly as many bytes as there is room for, the most of them straight from the system."""
        at = min(self._end - self._start, len(room))
        room[:at] = self._buffer[self._start : self._start + at]
        self._start += at
        while at < len(room):
            at += self._receive(room[at:], wait_for_all=True)

    def send(self, data: bytes | memoryview) -> None:
        """Send bytes.

        Raises:
            PacsTimeoutError: The peer takes none.
            PacsLostError: The connection is gone.
        """
        try:
            self._socket.sendall(data)
        except (BlockingIOError, TimeoutError, ssl.SSLWantWriteError):
            raise self.silent() from None
        except OSError as error:
            raise PacsLostError("the peer closed the connection", hint="run again; the peer's log says more") from error

    def send_command(self, context: int, command: bytes) -> None:
        """Send a command set in a PDU of its own."""
        size = len(command)
        self.send(_WHOLE.pack(P_DATA, size + 6, size + 2, context, 3) + command)


def fragment_head(context: int, control: int, length: int) -> bytes:
    """Write the head of a P-DATA PDU with one piece of ``length`` bytes."""
    return _WHOLE.pack(P_DATA, length + 6, length + 2, context, control)
