"""DICOMweb over the embedded PACS: QIDO-RS, WADO-RS and STOW-RS on loopback, with faults on purpose."""

from __future__ import annotations

import hmac
import ipaddress
import logging
import re
import socket
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from racoon_data.errors import RacoonError, SettingsError, StorageError
from racoon_data.pacs.peer import WebNode
from racoon_data.pacs.serve import EmbeddedPacs
from racoon_data.pacs.serve_qido import search
from racoon_data.pacs.serve_reply import Reply, WebError, refusal
from racoon_data.pacs.serve_stow import stow
from racoon_data.pacs.serve_wado import frames, instances, metadata

logger = logging.getLogger(__name__)

ROOT = "/dicom-web"
_LEVELS = {"studies": "STUDY", "series": "SERIES", "instances": "IMAGE"}
_KEYS = {"studies": "StudyInstanceUID", "series": "SeriesInstanceUID", "instances": "SOPInstanceUID"}
_PATH = re.compile(
    r"(?:/studies(?:/(?P<studies>[^/]+))?)?(?:/series(?:/(?P<series>[^/]+))?)?"
    r"(?:/instances(?:/(?P<instances>[^/]+))?)?(?:/(?P<service>metadata|rendered|thumbnail|frames/(?P<frames>[0-9,]+)))?/?"
)
_SILENCE_S = 120.0


class WebService:
    """The DICOMweb side of an embedded PACS, until the ``with`` block ends.

    It listens where the PACS does, on this machine alone unless a token is asked for; requests that name another
    host in their Host header are refused, so that no web page reaches it through a browser.

    Attributes:
        pacs: The PACS it speaks for.
        port: Port it listens on.
        served: Requests answered so far.
    """

    def __init__(self, pacs: EmbeddedPacs, *, port: int = 0, token: str = "") -> None:
        """Prepare; ``with`` starts it.

        Args:
            pacs: A PACS that runs.
            port: TCP port, 0 for any free one.
            token: Bearer token to ask for; empty lets everyone on this machine in.

        Raises:
            SettingsError: The PACS listens to other machines and there is no token.
        """
        if not token and not _is_loopback(pacs.host):
            raise SettingsError("DICOMweb without a token is for this machine alone", hint="set a token")
        self.pacs = pacs
        self.port = port
        self.served = 0
        self._token = token
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        """Base URL of all three services."""
        return f"http://{self.pacs.host}:{self.port}{ROOT}"

    def node(self, **options: Any) -> WebNode:
        """Give this service as a client sees it."""
        return WebNode("embedded-web", self.url, self.url, self.url, **options)

    def is_allowed(self, authorization: str, host: str) -> bool:
        """Tell whether a request may be answered."""
        name = urlsplit(f"//{host}").hostname or ""
        if self._token:
            wanted = f"Bearer {self._token}"
            return hmac.compare_digest(authorization.encode("utf-8", "replace"), wanted.encode())
        return name == "localhost" or _is_loopback(name)

    def start(self) -> None:
        """Listen.

        Raises:
            StorageError: The port is taken.
        """
        handler = type("Handler", (_Handler,), {"service": self})
        try:
            self._server = _Server((self.pacs.host, self.port), handler)
        except OSError as error:
            hint = "choose another port, or 0 for a free one"
            raise StorageError(f"cannot listen on port {self.port}: {error.strerror}", hint=hint) from error
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop listening and end every connection."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join(2.0)
            self._server = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._open: set[socket.socket] = set()
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        super().server_close()
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Note that a connection ended in the middle of an answer; a traceback would help nobody."""
        logger.info("an HTTP connection ended early")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "racoon"
    sys_version = ""
    timeout = _SILENCE_S
    disable_nagle_algorithm = True
    service: WebService

    def log_message(self, format: str, *args: Any) -> None:
        """Keep requests, whose query may name a patient, out of the log."""

    def do_GET(self) -> None:
        self._answer(_route_get)

    def do_POST(self) -> None:
        self._answer(_route_post)

    def _answer(self, route: Callable[[EmbeddedPacs, Reply], None]) -> None:
        reply = Reply(self)
        service, plan = self.service, self.service.pacs.faults
        service.served += 1
        try:
            if plan.close_queries:
                reply.cut()
            elif not service.is_allowed(self.headers.get("Authorization") or "", self.headers.get("Host") or ""):
                reply.refuse(401, "a bearer token, or a request from this machine, is needed")
            elif plan.refuse_associations:
                reply.refuse(403, "refused")
            elif service.served <= plan.busy:
                retry = {"Retry-After": f"{plan.retry_after_s:g}"}
                reply.send(plan.busy_status, b"busy", "text/plain", retry)
            else:
                route(service.pacs, reply)
        except WebError as error:
            reply.refuse(error.status, str(error))
        except (RacoonError, sqlite3.Error) as error:
            logger.error("an HTTP request failed: %s", type(error).__name__)
            reply.refuse(500, "the request failed")
        except TimeoutError:
            reply.cut()


def _route_get(pacs: EmbeddedPacs, reply: Reply) -> None:
    url = urlsplit(reply.path)
    found = _PATH.fullmatch(url.path.removeprefix(ROOT)) if url.path.startswith(f"{ROOT}/") else None
    if found is None or url.path.rstrip("/") == ROOT:
        raise WebError(404, "no such resource")
    keys = {_KEYS[name]: unquote(found[name]) for name in _KEYS if found[name]}
    asked = [part for part in url.path.removeprefix(ROOT).split("/") if part in _LEVELS][-1]
    if found["service"]:
        _serve_part(pacs, reply, keys, found["service"])
    elif found[asked] is None:
        search(pacs, reply, _LEVELS[asked], keys, parse_qsl(url.query, keep_blank_values=True))
    elif pacs.faults.redirect_to:
        reply.send(302, b"", "text/plain", {"Location": pacs.faults.redirect_to + url.path})
    else:
        instances(pacs, reply, _LEVELS[asked], keys)


def _serve_part(pacs: EmbeddedPacs, reply: Reply, keys: dict[str, str], service: str) -> None:
    level = next(level for name, level in reversed(_LEVELS.items()) if _KEYS[name] in keys)
    if service == "metadata":
        metadata(pacs, reply, level, keys)
    elif service.startswith("frames/") and level == "IMAGE":
        frames(pacs, reply, keys, [int(part) for part in service.removeprefix("frames/").split(",") if part])
    else:
        raise refusal("pictures are not rendered here; fetch the instances", 501)


def _route_post(pacs: EmbeddedPacs, reply: Reply) -> None:
    found = re.fullmatch(rf"{ROOT}/studies(?:/([^/]+))?/?", urlsplit(reply.path).path)
    if found is None:
        raise WebError(404, "no such resource")
    stow(pacs, reply, unquote(found[1] or ""))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
