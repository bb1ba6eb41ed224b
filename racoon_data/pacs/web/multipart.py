"""Multipart bodies read as they come (RFC 2046 5.1): no part is gathered, and a body without its end is no body."""

from __future__ import annotations

from collections.abc import Callable
from email.message import Message

from racoon_data.errors import PacsLostError, PacsProtocolError

ReadInto = Callable[[memoryview], int]
Sink = Callable[[memoryview], object]

MAX_PART_BYTES = 64 << 30
_CAPACITY = 512 * 1024
_MAX_HEADERS = 16 * 1024


def boundary_of(content_type: str) -> bytes | None:
    """Read the boundary of a multipart content type, ``None`` where it is no multipart."""
    message = Message()
    message["Content-Type"] = content_type
    boundary = message.get_boundary()
    if message.get_content_maintype() != "multipart" or not boundary or len(boundary) > 200:
        return None
    return boundary.encode("latin-1", "replace")


class Multipart:
    """Splits a body into its parts with one buffer of fixed size.

    Call ``next_part`` and then ``pour`` in turn. A part's Content-Length spares the search for the
    boundary; it is believed only where the boundary follows it.
    """

    def __init__(self, read_into: ReadInto, boundary: bytes, *, max_part_bytes: int = MAX_PART_BYTES) -> None:
        """Begin to read.

        Args:
            read_into: Reads some bytes of the body into a buffer; 0 at its end.
            boundary: The boundary parameter of the content type.
            max_part_bytes: Longest part to bear.
        """
        self._read_into = read_into
        self._delimiter = b"\r\n--" + boundary
        self._buffer = bytearray(_CAPACITY)
        self._view = memoryview(self._buffer)
        # The first boundary may open the body without a line break before it.
        self._buffer[:2] = b"\r\n"
        self._start, self._end = 0, 2
        self._length: int | None = None
        self._max = max_part_bytes
        self._is_within = True
        self._is_preamble = True

    def next_part(self) -> dict[str, str] | None:
        """Go to the next part.

        Returns:
            Its headers with names in small letters, or ``None`` behind the closing delimiter.

        Raises:
            PacsLostError: The body ended before its closing delimiter.
            PacsProtocolError: It is no multipart body, or a part is too long.
        """
        if self._is_within:
            self.pour(lambda piece: None)
        self._need(2)
        if self._buffer[self._start : self._start + 2] == b"--":
            return None
        self._length = None
        headers = self._headers()
        length = headers.get("content-length", "")
        if length.isdecimal():
            self._length = int(length)
        self._is_within = True
        return headers

    def _headers(self) -> dict[str, str]:
        while (at := self._buffer.find(b"\r\n\r\n", self._start, self._end)) < 0:
            if self._end - self._start > _MAX_HEADERS:
                raise PacsProtocolError("a part of the answer has no end of its headers", hint="a damaged stream")
            self._fill()
        raw = bytes(self._buffer[self._start : at]).lstrip()
        self._start = at + 4
        # An empty part's boundary shares the line break behind the headers.
        self._start -= 2 if self._buffer[self._start : self._start + 2] == b"--" else 0
        lines = (line.partition(b":") for line in raw.split(b"\r\n"))
        return {name.strip().lower().decode("latin-1"): value.strip().decode("latin-1") for name, _, value in lines}

    def pour(self, sink: Sink) -> int:
        """Hand on the current part's body in pieces; each piece holds until the next.

        Returns:
            Bytes of the body.
        """
        length = self._length
        size = self._pour_to_delimiter(sink) if length is None else self._pour_length(sink, length)
        self._is_within = self._is_preamble = False
        return size

    def _pour_length(self, sink: Sink, length: int) -> int:
        self._check(length)
        left = length
        while left:
            if self._start == self._end:
                self._fill()
            count = min(left, self._end - self._start)
            sink(self._view[self._start : self._start + count])
            self._start += count
            left -= count
        self._need(len(self._delimiter))
        if not self._buffer.startswith(self._delimiter, self._start, self._end):
            raise PacsProtocolError("a part's Content-Length is wrong", hint="the server is at fault")
        self._start += len(self._delimiter)
        return length

    def _pour_to_delimiter(self, sink: Sink) -> int:
        size, keep = 0, len(self._delimiter) - 1
        while (at := self._buffer.find(self._delimiter, self._start, self._end)) < 0:
            safe = max(self._end - keep, self._start)
            if safe > self._start:
                sink(self._view[self._start : safe])
            size += safe - self._start
            self._start = safe
            self._check(size)
            self._fill()
        if at > self._start:
            sink(self._view[self._start : at])
        size += at - self._start
        self._start = at + len(self._delimiter)
        return size

    def _check(self, size: int) -> None:
        limit = _MAX_HEADERS if self._is_preamble else self._max
        if size > limit:
            what = "the answer is no multipart body" if self._is_preamble else "a part claims more than the limit"
            raise PacsProtocolError(f"{what} ({limit} bytes)", hint="the server is at fault")

    def _need(self, count: int) -> None:
        while self._end - self._start < count:
            self._fill()

    def _fill(self) -> None:
        """Read on; what is still needed moves to the front of the buffer."""
        if self._start == self._end:
            self._start = self._end = 0
        elif self._end == _CAPACITY:
            left = bytes(self._view[self._start : self._end])
            self._view[: len(left)] = left
            self._start, self._end = 0, len(left)
        count = self._read_into(self._view[self._end :])
        if not count:
            hint = "run again: what came whole is kept, and only the rest is fetched"
            raise PacsLostError("the answer ended before its closing delimiter", hint=hint)
        self._end += count
