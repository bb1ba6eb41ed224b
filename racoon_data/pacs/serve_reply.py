"""One HTTP answer of the embedded PACS: status and headers, small bodies, files sent by the kernel."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from racoon_data.pacs.web.body import Body

JSON_TYPE = "application/dicom+json"


class WebError(Exception):
    """A request that is answered with an error status.

    Attributes:
        status: The HTTP status.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def refusal(message: str, status: int = 400) -> WebError:
    """Make the error of a request that cannot be served."""
    return WebError(status, message)


class Reply:
    """Answers one request."""

    def __init__(self, handler: BaseHTTPRequestHandler) -> None:
        self._handler = handler
        self._has_begun = False

    @property
    def path(self) -> str:
        """Path and query of the request."""
        return self._handler.path

    def header(self, name: str) -> str:
        """Give a header of the request, empty where it is absent."""
        return self._handler.headers.get(name) or ""

    def body(self) -> Body:
        """Give the request's body."""
        return Body(self._handler.rfile, self._handler.headers, ends_with_connection=False)  # type: ignore[arg-type]

    def begin(self, status: int, content_type: str, headers: Mapping[str, str], *, length: int | None) -> None:
        """Send status and headers; without a length the body lasts until the connection ends."""
        self._has_begun = True
        handler = self._handler
        handler.send_response(status)
        handler.send_header("Content-Type", content_type)
        for name, value in headers.items():
            handler.send_header(name, value)
        if length is None:
            handler.send_header("Connection", "close")
        else:
            handler.send_header("Content-Length", str(length))
        handler.end_headers()

    def send(self, status: int, body: bytes, content_type: str, headers: Mapping[str, str] | None = None) -> None:
        """Send a small answer."""
        self.begin(status, content_type, headers or {}, length=len(body))
        self.write(body)

    def send_json(self, status: int, document: Any, headers: Mapping[str, str] | None = None) -> None:
        """Send a document in the DICOM JSON model."""
        self.send(status, json.dumps(document, ensure_ascii=False).encode(), JSON_TYPE, headers)

    def write(self, data: bytes) -> None:
        """Send a piece of the body."""
        self._handler.wfile.write(data)

    def send_file(self, path: Path, *, count: int | None = None) -> None:
        """Send a file's bytes, the first ``count`` of them where that is given."""
        self._handler.wfile.flush()
        with path.open("rb") as stream:
            self._handler.connection.sendfile(stream, count=count)

    def refuse(self, status: int, message: str) -> None:
        """Send an error, or end the connection where an answer has begun."""
        if self._has_begun:
            self.cut()
            return
        self._handler.close_connection = True
        extra = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
        self.send(status, json.dumps({"error": message}).encode(), "application/json", {**extra, "Connection": "close"})

    def close(self) -> None:
        """Let the connection end when the answer is sent."""
        self._handler.close_connection = True

    def cut(self) -> None:
        """End the connection as a crash does."""
        self._handler.close_connection = True
        with suppress(OSError):
            self._handler.connection.shutdown(socket.SHUT_RDWR)
