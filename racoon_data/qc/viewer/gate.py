"""Who may look: a request from this machine, with the token of this run, and not from another page."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

TOKEN_BYTES = 24


class RefusedError(Exception):
    """A request that is not answered.

    Attributes:
        status: HTTP status.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def new_token() -> str:
    """Draw the token of a run: 192 random bits, safe in an address."""
    return secrets.token_urlsafe(TOKEN_BYTES)


@dataclass(frozen=True, slots=True)
class Gate:
    """The one entrance of the viewer.

    The token is the first part of every address, as in a capability URL: no cookie, which every server of this
    machine would be sent whatever its port, and no header, which an image or a module cannot carry.

    Attributes:
        port: Port of the viewer.
        token: Secret of this run.
    """

    port: int
    token: str = field(repr=False)

    @property
    def origin(self) -> str:
        """Where the page comes from."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Address to open."""
        return f"{self.origin}/{self.token}/"

    def admit(self, path: str, headers: Mapping[str, str]) -> str:
        """Check a request and give its path behind the token.

        Args:
            path: Path of the request, without its query.
            headers: Its headers, names in lower case.

        Raises:
            RefusedError: Another host or origin speaks, or the token is missing or wrong.
        """
        if headers.get("host", "") not in (f"127.0.0.1:{self.port}", f"localhost:{self.port}"):
            raise RefusedError(421, "this viewer answers to 127.0.0.1 alone")
        if headers.get("origin", self.origin) not in (self.origin, f"http://localhost:{self.port}"):
            raise RefusedError(403, "another page may not ask")
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            raise RefusedError(403, "another page may not ask")
        _, token, rest = [*path.split("/", 2), "", ""][:3]
        if not hmac.compare_digest(token.encode("utf-8", "replace"), self.token.encode()):
            raise RefusedError(403, "open the address that racoon serve printed: it holds the token")
        return rest
