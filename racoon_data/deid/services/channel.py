"""JSON over HTTP to one pseudonym service: patient with a busy peer, deaf to redirects, bounded in time and size."""

from __future__ import annotations

import json
import logging
import os
import random
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Self

import httpx

from racoon_data.errors import PseudonymServiceError, SettingsError
from racoon_data.node_settings import PseudonymSettings, TlsSettings

_TRANSIENT = frozenset((408, 425, 429, 500, 502, 503, 504))
_LONGEST_WAIT_S = 300.0
_LONGEST_ANSWER = 16 << 20
_STALLS = 4

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Channel:
    """Requests to one service; neither its secret nor what is asked ever stands in an error or a log.

    Attributes:
        settings: Where it is and how patiently it is asked.
        client: The connections.
        headers: Sent with every request.
    """

    settings: PseudonymSettings
    client: httpx.Client
    headers: Mapping[str, str] = field(repr=False, default_factory=dict)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def ask(self, method: str, path: str, document: object | None = None) -> Any:
        """Send a request and give the JSON of its answer, ``None`` where the answer is empty.

        What fails for a while (no connection, silence, status 429 or 5xx) is tried again after a pause that
        doubles, varied by chance so that processes do not come together; ``Retry-After`` is honoured, up to five
        minutes.

        Raises:
            PseudonymServiceError: It cannot be had; the message says why.
        """
        body = None if document is None else json.dumps(document).encode("utf-8")
        for attempt in range(self.settings.retries + 1):
            is_last = attempt == self.settings.retries
            pause_s = self.settings.backoff_s * 2**attempt * random.uniform(0.5, 1.5)
            try:
                status, headers, answer = self._once(method, path, body)
            except httpx.TransportError as error:
                if is_last or isinstance(error, httpx.UnsupportedProtocol) or _is_distrust(error):
                    raise _unreached(error) from None
            else:
                if status not in _TRANSIENT or is_last:
                    return _judged(status, answer)
                pause_s = _wait_of(headers.get("Retry-After", ""), pause_s)
            logger.info("the pseudonym service is asked again in %.1f s", pause_s)
            time.sleep(pause_s)
        raise AssertionError("the last attempt returns or raises")

    def _once(self, method: str, path: str, body: bytes | None) -> tuple[int, httpx.Headers, bytes]:
        """Send one request; an answer that trickles is given up, one without end too."""
        url, until = f"{self.settings.url}/{path}", time.monotonic() + _STALLS * self.settings.timeout_s
        with self.client.stream(method, url, content=body, headers=dict(self.headers)) as response:
            gathered = bytearray()
            for piece in response.iter_bytes():
                gathered += piece
                if len(gathered) > _LONGEST_ANSWER:
                    raise PseudonymServiceError("the pseudonym service's answer has no end", hint="check its URL")
                if time.monotonic() > until:
                    raise httpx.ReadTimeout("trickles")
            return response.status_code, response.headers, bytes(gathered)


def channel_to(settings: PseudonymSettings, *, root: Path, headers: Mapping[str, str], is_api_key: bool) -> Channel:
    """Open the way to a service; nothing is sent yet.

    Args:
        settings: Where it is and how it knows us.
        root: The site; relative file names start here.
        headers: Sent with every request.
        is_api_key: The secret goes out as ``mainzellisteApiKey``, not as a bearer token.

    Raises:
        SettingsError: The secret or a TLS file cannot be read.
    """
    secret = _secret(settings, root)
    auth = httpx.BasicAuth(settings.user, secret) if settings.user else None
    known = dict(headers)
    if secret and auth is None:
        known |= {"mainzellisteApiKey": secret} if is_api_key else {"Authorization": f"Bearer {secret}"}
    context = _context(settings.tls or TlsSettings(), root) if settings.url.startswith("https://") else False
    client = httpx.Client(
        auth=auth, verify=context, timeout=settings.timeout_s, follow_redirects=False, trust_env=False
    )
    return Channel(settings, client, known)


def _secret(settings: PseudonymSettings, root: Path) -> str:
    if variable := settings.bearer_env or settings.password_env:
        if not (value := os.environ.get(variable, "").strip()):
            raise SettingsError(f"environment variable {variable} is not set", hint="export it first")
        return value
    if not (name := settings.bearer_file or settings.password_file):
        return ""
    try:
        value = (root / name).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{name} cannot be read", hint="name a file you may read") from error
    if not value or "\n" in value:
        raise SettingsError(f"{name} does not hold one line", hint="write the secret alone into it")
    return value


def _context(tls: TlsSettings, root: Path) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=str(root / tls.ca) if tls.ca else None)
        if tls.certificate:
            context.load_cert_chain(root / tls.certificate, root / tls.key)
    except (OSError, ssl.SSLError) as error:
        hint = "tls wants PEM files: ca, certificate, and its key without passphrase"
        raise SettingsError(f"deid.pseudonyms.tls cannot be used: {error.strerror or 'no PEM'}", hint=hint) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = tls.check_host
    return context


def _is_distrust(error: Exception) -> bool:
    return "CERTIFICATE_VERIFY_FAILED" in str(error)


def _unreached(error: httpx.TransportError) -> PseudonymServiceError:
    if _is_distrust(error):
        hint = "name the authority that signed it as ca in deid.pseudonyms.tls"
        return PseudonymServiceError("the pseudonym service's certificate is not trusted", hint=hint)
    what = "was silent" if isinstance(error, httpx.TimeoutException) else "cannot be reached"
    hint = "the work waits: run again when it answers; check deid.pseudonyms.url and the firewall"
    return PseudonymServiceError(f"the pseudonym service {what}", hint=hint)


def _judged(status: int, answer: bytes) -> Any:
    if 300 <= status < 400:
        hint = "if that place is the service, name it as deid.pseudonyms.url"
        raise PseudonymServiceError("the pseudonym service redirects to another place", hint=hint)
    if status in (401, 403):
        hint = "check the secret that deid.pseudonyms names, and its rights at the service"
        raise PseudonymServiceError(f"the pseudonym service lets us not in: status {status}", hint=hint)
    if status >= 300 or status < 200:
        hint = "the work waits: run again later; the service's log says more"
        raise PseudonymServiceError(f"the pseudonym service answered status {status}", hint=hint)
    try:
        return json.loads(answer) if answer.strip() else None
    except (ValueError, RecursionError):
        hint = "something else listens at deid.pseudonyms.url"
        raise PseudonymServiceError("the pseudonym service's answer is no JSON", hint=hint) from None


def _wait_of(text: str, otherwise_s: float) -> float:
    """Read Retry-After, seconds or a date (RFC 9110 10.2.3), at most five minutes."""
    wait_s = otherwise_s
    if text.strip().isdecimal():
        wait_s = float(text)
    elif text:
        with suppress(ValueError, TypeError):
            wait_s = parsedate_to_datetime(text).timestamp() - time.time()
    return min(max(wait_s, 0.0), _LONGEST_WAIT_S)
