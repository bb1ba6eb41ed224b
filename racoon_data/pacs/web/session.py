"""HTTP to one DICOMweb service: secrets, TLS, patience with a busy peer, no redirect to another host."""

from __future__ import annotations

import base64
import http.client
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from email.utils import parsedate_to_datetime
from typing import Self
from urllib.parse import urljoin, urlsplit

from racoon_data.errors import (
    PacsBusyError,
    PacsCappedError,
    PacsError,
    PacsLostError,
    PacsProtocolError,
    PacsRefusedError,
    PacsTimeoutError,
    PacsUnreachableError,
)
from racoon_data.events import Event, OnEvent, ignore
from racoon_data.pacs.kindness import Pace, admitted, backoff_s
from racoon_data.pacs.peer import Tls, WebNode
from racoon_data.pacs.tls import client_context
from racoon_data.pacs.web.body import Body

_MAX_REDIRECTS = 3
_LONGEST_WAIT_S = 300.0
_BUSY = frozenset({429, 503})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_STALLS = 20
_MAX_ERROR_BODY = 1 << 20


class Answer:
    """An answer whose body has not been read.

    Attributes:
        status: The HTTP status.
        content_type: Of the body, empty where there is none.
    """

    def __init__(self, response: http.client.HTTPResponse, silence_s: float) -> None:
        self.status = response.status
        self.content_type = response.headers.get("Content-Type") or ""
        self._response = response
        self._silence_s = silence_s
        has_body = response.status not in (204, 304)
        stream = response.fp
        self._body = Body(stream, response.headers, ends_with_connection=has_body)
        self.note_progress()

    def header(self, name: str) -> str:
        """Give a header, empty where it is absent."""
        return self._response.headers.get(name) or ""

    def note_progress(self) -> None:
        """Start the clock of progress again: a peer that trickles is given up after 20 times the silence."""
        self._progress_by = time.monotonic() + _STALLS * self._silence_s

    def read_into(self, view: memoryview) -> int:
        """Read some of the body; 0 at its end.

        Raises:
            PacsTimeoutError: The peer fell silent, or trickles.
            PacsLostError: The connection broke.
        """
        with _reading(self._silence_s):
            count = self._body.read_into(view)
        if time.monotonic() > self._progress_by:
            raise _silent(_STALLS * self._silence_s)
        if not count:
            self._response.close()
        return count

    def read(self, limit: int) -> bytes:
        """Read the whole body.

        Raises:
            PacsProtocolError: It is longer than ``limit`` bytes.
        """
        with _reading(self._silence_s):
            body = self._body.read(limit)
        self._response.close()
        return body

    def close(self) -> None:
        """Leave what is left of the body."""
        self._response.close()

    @property
    def is_drained(self) -> bool:
        """Whether nothing is left of the body, so that its connection can serve again."""
        return self._body.is_drained


class Session:
    """Requests to one node, one connection per host and scheme, kept open between them.

    The secret is read once and leaves only in the Authorization header for the node's own hosts; errors and logs
    name URLs without their query, which may name a patient.

    Attributes:
        node: The service.
        pace: To keep between instances, inside ``with``.
    """

    pace: Pace

    def __init__(self, node: WebNode, *, on_event: OnEvent = ignore) -> None:
        """Prepare; ``with`` waits for a slot of the node, nothing is sent.

        Args:
            node: The service.
            on_event: Listener, who hears of waiting.

        Raises:
            SettingsError: The secret or a TLS file cannot be read.
        """
        self.node = node
        self._on_event = on_event
        self._stack = ExitStack()
        secret = node.secret()
        self._authorization = ""
        if secret and node.user:
            self._authorization = "Basic " + base64.b64encode(f"{node.user}:{secret}".encode()).decode()
        elif secret:
            self._authorization = f"Bearer {secret}"
        is_tls = any(url.startswith("https://") for url in (node.qido_url, node.wado_url, node.stow_url))
        self._context = client_context(node.tls or Tls()) if is_tls else None
        self._connections: dict[tuple[str, str], http.client.HTTPConnection] = {}

    def __enter__(self) -> Self:
        self.pace = self._stack.enter_context(admitted(self.node, on_event=self._on_event))
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
        self._stack.close()

    def close(self) -> None:
        """End every connection, with answers that were not read to their end."""
        for connection in self._connections.values():
            connection.close()
        self._connections = {}

    def get(self, url: str, accept: str) -> Answer:
        """Ask for a resource; the answer is one of success, or 404, 406, 410 or 413 for the caller to judge.

        Raises:
            PacsError: It cannot be had; the message says why.
        """
        return self._patiently("GET", url, {"Accept": accept}, None)

    def post(self, url: str, headers: Mapping[str, str], body: Callable[[], Iterable[bytes]]) -> Answer:
        """Send a resource; the body is made again where the peer asks to come back later.

        Raises:
            PacsError: It was not taken; the message says why.
        """
        return self._patiently("POST", url, headers, body)

    def status_of_post(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        """Send a short body and give the status of the answer, whatever it is.

        Raises:
            PacsError: No answer came.
        """
        answer = self._follow("POST", url, {**headers, "Content-Length": str(len(body))}, lambda: (body,))
        self._drop(url)
        return answer.status

    def _patiently(
        self, method: str, url: str, headers: Mapping[str, str], body: Callable[[], Iterable[bytes]] | None
    ) -> Answer:
        for attempt in range(1, self.node.manners.retries + 2):
            answer = self._follow(method, url, headers, body)
            if answer.status not in _BUSY:
                return self._judged(answer, url)
            self._drop(url)
            if attempt <= self.node.manners.retries:
                wait_s = _wait_of(answer.header("Retry-After"), backoff_s(self.node.manners, attempt))
                told = f"{self.node.name} is busy (status {answer.status}): again in {wait_s:.1f} s"
                self._on_event(Event("wait", told))
                time.sleep(wait_s)
        hint = "try again later, or raise retries of the node"
        raise PacsBusyError(f"the service is busy: status {answer.status}", ref=self.node, hint=hint)

    def _follow(
        self, method: str, url: str, headers: Mapping[str, str], body: Callable[[], Iterable[bytes]] | None
    ) -> Answer:
        """Send a request and follow redirects within its own host."""
        for _ in range(_MAX_REDIRECTS + 1):
            answer = self._send(method, url, headers, body() if body else None)
            if answer.status not in _REDIRECTS:
                return answer
            self._drop(url)
            target = urljoin(url, answer.header("Location"))
            if urlsplit(target)[:2] != urlsplit(url)[:2] or method != "GET":
                where = urlsplit(target).hostname or "nowhere"
                hint = "if that host is yours, name it as the base URL of the node"
                raise PacsRefusedError(
                    f"the service redirects to another place: {where[:80]}", ref=self.node, hint=hint
                )
            url = target
        raise PacsProtocolError("the service redirects in circles", ref=self.node, hint="check the base URL")

    def _send(self, method: str, url: str, headers: Mapping[str, str], body: Iterable[bytes] | None) -> Answer:
        parts = urlsplit(url)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        full = dict(headers)
        if self._authorization:
            full["Authorization"] = self._authorization
        is_fresh = (parts.scheme, parts.netloc) not in self._connections
        try:
            response = self._response(method, parts.scheme, parts.netloc, (target, body, full))
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError) as error:
            self._drop(url)
            if is_fresh or method != "GET":
                raise self._unsent(error) from error
            return self._send(method, url, headers, body)  # a kept connection had gone stale
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._drop(url)
            raise self._unsent(error) from error
        if response.will_close:
            self._connections.pop((parts.scheme, parts.netloc), None)
        return Answer(response, self.node.timeout_s)

    def _response(
        self, method: str, scheme: str, netloc: str, request: tuple[str, Iterable[bytes] | None, dict[str, str]]
    ) -> http.client.HTTPResponse:
        target, body, headers = request
        connection = self._connections.get((scheme, netloc))
        if connection is None:
            if scheme == "https":
                connection = http.client.HTTPSConnection(netloc, timeout=self.node.timeout_s, context=self._context)
            else:
                connection = http.client.HTTPConnection(netloc, timeout=self.node.timeout_s)
            self._connections[scheme, netloc] = connection
        try:
            connection.request(method, target, body=body, headers=headers)
        except (BrokenPipeError, ConnectionResetError):
            if body is None:
                raise
            # The service answered before it had everything: its answer says why.
        return connection.getresponse()

    def _drop(self, url: str) -> None:
        connection = self._connections.pop(urlsplit(url)[:2], None)
        if connection is not None:
            connection.close()

    def _unsent(self, error: Exception) -> PacsError:
        node = self.node
        if isinstance(error, TimeoutError):
            return _silent(node.timeout_s, ref=node)
        if isinstance(error, ssl.SSLCertVerificationError):
            hint = "name the authority that signed it as ca in the node's tls table"
            return PacsRefusedError(
                f"the service's certificate is not trusted: {error.verify_message}", ref=node, hint=hint
            )
        if isinstance(error, ssl.SSLError):
            hint = "check tls of the node: the service may want our certificate, or speak no TLS"
            return PacsRefusedError(f"TLS failed: {error.reason or 'no reason given'}", ref=node, hint=hint)
        if isinstance(error, (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)):
            hint = "the service's log says more"
            return PacsRefusedError("the service closed the connection without an answer", ref=node, hint=hint)
        if isinstance(error, http.client.HTTPException):
            hint = "something else than DICOMweb listens there"
            return PacsProtocolError("the answer is no HTTP", ref=node, hint=hint)
        hint = "check the base URL, the firewall, and that the service is running"
        return PacsUnreachableError("no connection to the service", ref=node, hint=hint)

    def _judged(self, answer: Answer, url: str) -> Answer:
        status = answer.status
        if status < 300 or status in (404, 406, 409, 410, 413):
            return answer
        with suppress(PacsError):
            answer.read(_MAX_ERROR_BODY)
        if status in (401, 403):
            hint = "check the node's bearer or password, and its rights at the service"
            raise PacsRefusedError(f"the service lets us not in: status {status}", ref=self.node, hint=hint)
        path = urlsplit(url).path
        hint = "check the base URL and the filters; the service's log says more"
        raise PacsError(f"the service answered status {status} for {path[-60:]}", ref=self.node, hint=hint)


def capped(node: WebNode, status: int) -> PacsCappedError:
    """Make the error of an answer that was too large for the service."""
    hint = "narrow the query, for instance to fewer days"
    return PacsCappedError(f"the service cut its answer off with status {status}", ref=node, hint=hint)


def _wait_of(text: str, default_s: float) -> float:
    """Read Retry-After, seconds or a date, at most five minutes; where it is absent, wait as we would anyway."""
    wait_s = default_s
    if text.strip().replace(".", "", 1).isdecimal():
        wait_s = float(text)
    elif text:
        with suppress(ValueError, TypeError):
            wait_s = parsedate_to_datetime(text).timestamp() - time.time()
    return min(max(wait_s, 0.0), _LONGEST_WAIT_S)


def _silent(seconds: float, ref: object | None = None) -> PacsTimeoutError:
    hint = "the service may be overloaded: try again, or raise timeout_s of the node"
    return PacsTimeoutError(f"the service was silent for {seconds:g} s", ref=ref, hint=hint)


@contextmanager
def _reading(silence_s: float) -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        raise _silent(silence_s) from None
    except (OSError, ValueError) as error:
        raise _broken(error) from error


def _broken(error: Exception) -> PacsLostError:
    hint = "run again: what came whole is kept, and only the rest is fetched"
    return PacsLostError("the connection broke within an answer", hint=hint)
