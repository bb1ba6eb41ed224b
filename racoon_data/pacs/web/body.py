"""The body of an HTTP message as it comes: by length, in chunks, or until the connection ends (RFC 9112 6)."""

from __future__ import annotations

from io import BufferedReader
from typing import Protocol

from racoon_data.errors import PacsLostError, PacsProtocolError

_MAX_LINE = 4096
_LOST_HINT = "run again: what came whole is kept, and only the rest is fetched"


class Headers(Protocol):
    """What is needed of a message's headers."""

    def get(self, name: str, /) -> str | None:
        """Give one header."""


class Body:
    """Reads a body into buffers of the caller; nothing is gathered here."""

    def __init__(self, stream: BufferedReader, headers: Headers, *, ends_with_connection: bool) -> None:
        """Begin to read.

        Args:
            stream: Where the body comes from.
            headers: The message's headers.
            ends_with_connection: Whether a body without a length lasts until the connection ends (responses).

        Raises:
            PacsProtocolError: The length is no number.
        """
        self._stream = stream
        coding, length = headers.get("Transfer-Encoding") or "", headers.get("Content-Length") or ""
        self._is_chunked = coding.strip().lower() == "chunked"
        if coding and not self._is_chunked:
            raise PacsProtocolError(f"transfer coding {coding[:40]!r} is not known", hint="the server is at fault")
        if length and not length.strip().isdecimal():
            raise PacsProtocolError("Content-Length is no number", hint="the server is at fault")
        self._left: int | None = int(length) if length else None if ends_with_connection else 0
        if self._is_chunked:
            self._left = 0
        self._is_first_chunk = True
        self._is_done = False

    def read_into(self, view: memoryview) -> int:
        """Read what is there, at least one byte; 0 at the end of the body.

        Raises:
            PacsLostError: The connection ended within a body whose length is known.
            PacsProtocolError: Its chunks are malformed.
        """
        if self._is_done:
            return 0
        if self._is_chunked and not self._left:
            self._left = self._chunk_size()
        if self._left == 0:
            self._is_done = True
            return 0
        count = self._stream.readinto1(view if self._left is None else view[: self._left])
        if self._left is None:
            self._is_done = not count
            return count
        if not count:
            raise PacsLostError("the connection ended within a body", hint=_LOST_HINT)
        self._left -= count
        return count

    @property
    def is_drained(self) -> bool:
        """Whether nothing is left to read."""
        return self._is_done or (self._left == 0 and not self._is_chunked)

    def read(self, limit: int) -> bytes:
        """Read the whole body.

        Raises:
            PacsProtocolError: It is longer than ``limit`` bytes.
        """
        gathered, buffer = bytearray(), memoryview(bytearray(64 * 1024))
        while count := self.read_into(buffer):
            gathered += buffer[:count]
            if len(gathered) > limit:
                raise PacsProtocolError(f"the answer is longer than {limit} bytes", hint="narrow the query")
        return bytes(gathered)

    def _chunk_size(self) -> int:
        if not self._is_first_chunk and self._line():
            raise PacsProtocolError("a chunk is longer than it says", hint="a damaged stream")
        self._is_first_chunk = False
        text = self._line().partition(b";")[0].strip()
        try:
            size = int(text, 16) if text and len(text) <= 16 and text.isalnum() else -1
        except ValueError:
            size = -1
        if size < 0:
            raise PacsProtocolError("a chunk has no size", hint="a damaged stream")
        if size == 0:
            while self._line():  # trailers
                pass
        return size

    def _line(self) -> bytes:
        line = self._stream.readline(_MAX_LINE)
        if not line.endswith(b"\n"):
            raise PacsLostError("the connection ended within a body", hint=_LOST_HINT)
        return line.strip()
