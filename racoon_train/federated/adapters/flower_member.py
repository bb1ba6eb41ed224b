"""A site's half of Flower: one SuperNode that dials out with its own key, and is started again when it dies."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from racoon_data.documents import read_json
from racoon_data.errors import ExpiredCertificateError, FederationError, UnknownMemberError, UnpinnedServerError
from racoon_train.federated.adapters.flower_bundle import write_trusted
from racoon_train.federated.adapters.flower_client import SITE_VARIABLE
from racoon_train.federated.adapters.flower_processes import Daemons, free_ports

_POLL_S = 0.5
_REST_S = 2.0
_EXPIRED = (9, 10)  # X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED
_AT_ONCE_S = 8.0
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Member:
    """One site as Flower sees it.

    Attributes:
        alias: Its name.
        paper: Its paper, from which a new process is this site again.
        address: HOST:PORT of the coordinator.
        authority: The pinned certificate authority (PEM file).
        key: The site's private key.
        publisher: Public key of the only publisher whose bundles run here.
    """

    alias: str
    paper: Path
    address: str
    authority: Path
    key: Path
    publisher: str

    @property
    def name(self) -> str:
        """Name of the daemon and its log."""
        return f"site-{self.alias}"

    def start(self, running: Daemons) -> None:
        """Start the SuperNode; it opens a port on this machine alone and dials out."""
        trusted = self.paper.parent / f"{self.alias}.trusted.yaml"
        write_trusted(trusted, self.publisher)
        command = [
            "supernode",
            *("--superlink", self.address),
            *("--root-certificates", str(self.authority)),
            *("--auth-supernode-private-key", str(self.key)),
            *("--trusted-entities", str(trusted)),
            *("--host", "127.0.0.1", "--port", str(free_ports(1)[0])),
        ]
        running.start(self.name, command, {SITE_VARIABLE: str(self.paper)})

    def stay(self, running: Daemons, *, until: Callable[[], bool]) -> None:
        """Keep the SuperNode running until the site is done; a dead one is started again.

        Raises:
            UnknownMemberError: It is turned away each time it starts.
        """
        short, started = 0, time.monotonic()
        self.start(running)
        while not until():
            time.sleep(_POLL_S)
            if self.name not in running.dead():
                continue
            short = short + 1 if time.monotonic() - started < _AT_ONCE_S else 0
            if short >= _TRIES:
                raise UnknownMemberError(
                    "the coordinator turns this site away",
                    hint=f"send it this site's member file; {running.logs / self.name}.log says more",
                )
            time.sleep(_REST_S)
            started = time.monotonic()
            self.start(running)


def handshake(address: str, authority: Path, *, timeout_s: float = 10.0) -> int:
    """Dial a coordinator and check its certificate against the pinned authority.

    Returns:
        Time it took, in milliseconds.

    Raises:
        ExpiredCertificateError: Its certificate is over.
        UnpinnedServerError: It is another server than the one pinned, or speaks no TLS.
        FederationError: Nobody answers.
    """
    host, _, port = address.rpartition(":")
    context = ssl.create_default_context(cafile=str(authority))
    began = time.monotonic()
    try:
        with (
            socket.create_connection((host, int(port)), timeout=timeout_s) as plain,
            context.wrap_socket(plain, server_hostname=host),
        ):
            return round((time.monotonic() - began) * 1000)
    except ssl.SSLCertVerificationError as error:
        if error.verify_code in _EXPIRED:
            raise ExpiredCertificateError(
                "the coordinator's certificate is not valid now", ref=address, hint="ask for a new invitation"
            ) from error
        raise UnpinnedServerError(
            "this is not the coordinator of the invitation", ref=address, hint="compare the fingerprint by telephone"
        ) from error
    except ssl.SSLError as error:
        raise UnpinnedServerError("the server speaks no TLS we trust", ref=address, hint="check address") from error
    except (OSError, ValueError) as error:
        raise FederationError(
            "the coordinator does not answer", ref=address, hint="check address and network"
        ) from error


def is_finished(state: Path) -> bool:
    """Tell whether the final model has arrived."""
    return (state / "finished.json").is_file() and "model" in read_json(state / "finished.json")
