"""The viewer's server: HTTP on 127.0.0.1 for one browser, read-only but for reviews."""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote, urlsplit

from racoon_data.documents import parse_json
from racoon_data.errors import RacoonError, StorageError
from racoon_data.qc.viewer.gate import Gate, RefusedError, new_token
from racoon_data.qc.viewer.shelf import AbsentError, Shelf

logger = logging.getLogger(__name__)

_PACKAGE = "racoon_data.qc.viewer"
_PAGES = {
    "": ("static/index.html", "text/html; charset=utf-8"),
    "viewer.css": ("static/viewer.css", "text/css; charset=utf-8"),
    "viewer.js": ("static/viewer.js", "text/javascript; charset=utf-8"),
    "volume.js": ("static/volume.js", "text/javascript; charset=utf-8"),
    "niivue.js": ("niivue/niivue.js", "text/javascript; charset=utf-8"),
}
_LONGEST_BODY = 1 << 14
_PIECE = 1 << 20
_NAME = r"([A-Za-z0-9][A-Za-z0-9_-]{0,100})"
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
    " img-src 'self' data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Viewer:
    """A viewer that answers until the ``with`` block ends.

    Attributes:
        shelf: What it shows.
        gate: Who may look.
    """

    def __init__(self, shelf: Shelf, *, port: int = 0) -> None:
        """Listen on 127.0.0.1; ``with`` begins to answer.

        Args:
            shelf: What to show.
            port: TCP port, 0 for any free one.

        Raises:
            StorageError: The port is taken.
        """
        self.shelf = shelf
        handler = type("Handler", (_Handler,), {"viewer": self})
        try:
            self._server = ThreadingHTTPServer(("127.0.0.1", port), handler)
        except OSError as error:
            hint = "choose another --port, or 0 for a free one"
            raise StorageError(f"cannot listen on port {port}: {error.strerror}", hint=hint) from error
        self._server.daemon_threads = True
        self.gate = Gate(self._server.server_address[1], new_token())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(2.0)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "racoon"
    sys_version = ""
    timeout = 120.0
    viewer: Viewer

    def log_message(self, format: str, *args: Any) -> None:
        """Keep addresses, which hold the token, out of the log."""

    def do_GET(self) -> None:
        self._answer(_GETS)

    def do_POST(self) -> None:
        self._answer(_POSTS)

    def _answer(self, routes: _Routes) -> None:
        try:
            headers = {name.lower(): value for name, value in self.headers.items()}
            path = unquote(self.viewer.gate.admit(urlsplit(self.path).path, headers))
            found = next(((act, hit) for act, pattern in routes if (hit := re.fullmatch(pattern, path))), None)
            if found is None:
                raise AbsentError
            found[0](self, *found[1].groups())
        except RefusedError as error:
            self.refuse(error.status, str(error))
        except AbsentError:
            self.refuse(404, "there is no such thing here")
        except RacoonError as error:
            self.refuse(409, f"{error} ({error.code})")
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def begin(self, status: int, content_type: str, length: int) -> None:
        """Send status and headers."""
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(length))
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.end_headers()

    def send(self, body: bytes, content_type: str, *, status: int = 200) -> None:
        """Send a small answer."""
        self.begin(status, content_type, len(body))
        self.wfile.write(body)

    def send_json(self, document: Any, *, status: int = 200) -> None:
        """Send a document."""
        self.send(json.dumps(document, ensure_ascii=False).encode(), "application/json", status=status)

    def refuse(self, status: int, message: str) -> None:
        """Send an error and end the connection, whose body may not have been read."""
        self.close_connection = True
        self.send_json({"error": message}, status=status)

    def send_file(self, path: Path) -> None:
        """Send a file as it is."""
        with path.open("rb") as stream:
            self.begin(200, "application/octet-stream", path.stat().st_size)
            while piece := stream.read(_PIECE):
                self.wfile.write(piece)

    def body(self) -> dict[str, Any]:
        """Read a small JSON document.

        Raises:
            RefusedError: It is none.
        """
        length = self.headers.get("Content-Length") or ""
        if self.headers.get_content_type() != "application/json" or not length.isdigit():
            raise RefusedError(415, "a JSON document with its length is needed")
        if int(length) > _LONGEST_BODY:
            raise RefusedError(413, "the document is too long")
        try:
            document = parse_json(self.rfile.read(int(length)).decode())
        except ValueError as error:
            raise RefusedError(400, "this is no JSON") from error
        if not isinstance(document, dict):
            raise RefusedError(400, "a JSON object is needed")
        return document


def _page(handler: _Handler, name: str) -> None:
    file, content_type = _PAGES[name]
    handler.send(files(_PACKAGE).joinpath(file).read_bytes(), content_type)


def _datasets(handler: _Handler) -> None:
    handler.send_json(handler.viewer.shelf.datasets())


def _gallery(handler: _Handler, name: str) -> None:
    handler.send_json(handler.viewer.shelf.gallery(name))


def _case(handler: _Handler, name: str, case_id: str) -> None:
    handler.send_json(handler.viewer.shelf.case(name, case_id))


def _picture(handler: _Handler, name: str, case_id: str) -> None:
    handler.send(handler.viewer.shelf.picture(name, case_id), "image/webp")


def _file(handler: _Handler, name: str, case_id: str, kind: str, number: str) -> None:
    handler.send_file(handler.viewer.shelf.file(name, case_id, kind, int(number)))


def _review(handler: _Handler, name: str, case_id: str) -> None:
    said = handler.body()
    verdict, comment = str(said.get("verdict", "")), str(said.get("comment", ""))
    handler.send_json(handler.viewer.shelf.review(name, case_id, verdict, comment))


_Routes = tuple[tuple[Callable[..., None], str], ...]
_GETS: _Routes = (
    (_page, "(|" + "|".join(re.escape(name) for name in _PAGES if name) + ")"),
    (_datasets, "api/datasets"),
    (_gallery, f"api/datasets/{_NAME}"),
    (_case, f"api/datasets/{_NAME}/{_NAME}"),
    (_picture, f"api/datasets/{_NAME}/{_NAME}/picture.webp"),
    (_file, f"api/datasets/{_NAME}/{_NAME}/(image|label|reader)-([0-9]{{1,3}}).nii.gz"),
)
_POSTS: _Routes = ((_review, f"api/datasets/{_NAME}/{_NAME}/review"),)
