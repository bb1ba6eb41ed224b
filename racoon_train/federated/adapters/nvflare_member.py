"""A site's half of FLARE on its own machine: one kit file, a server that is the pinned one, a client that stays."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from racoon_data.documents import read_json
from racoon_data.errors import ExpiredCertificateError, FederationError, SettingsError, UnknownMemberError
from racoon_data.settings import Frozen
from racoon_train.federated.adapters.certificates import valid_until, write_private
from racoon_train.federated.adapters.flower_member import handshake, is_finished
from racoon_train.federated.adapters.flower_processes import Daemons, daemons
from racoon_train.federated.adapters.nvflare_kits import close_site
from racoon_train.federated.adapters.nvflare_processes import PROGRAM, start_site
from racoon_train.federated.contract import SiteClient

_POLL_S = 0.5
_REST_S = 2.0
_AT_ONCE_S = 8.0
_TRIES = 5
_FAREWELL_S = 4.0


Pem = Annotated[str, Field(pattern=r"^-----BEGIN [A-Z ]+-----\n")]


class KitFile(Frozen):
    """What a coordinator sends one site (``schemas/federation-kit``): a secret, since it holds the site's key.

    Attributes:
        alias: The site's name, as its certificate has it.
        settings: FLARE's ``fed_client.json``: the server's address and nothing else to run.
        certificate: The site's certificate.
        key: The site's private key.
        authority: Certificate of the federation's authority, which the site pins.
    """

    schema_version: Literal["1.0"] = "1.0"
    alias: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,30}$")]
    settings: str
    certificate: Pem
    key: Pem
    authority: Pem


_NAMES = {
    "settings": "fed_client.json",
    "certificate": "client.crt",
    "key": "client.key",
    "authority": "rootCA.pem",
}


@dataclass(frozen=True, slots=True)
class Kit:
    """A site's start kit, unpacked and closed.

    Attributes:
        folder: Where it lies; its name is the site's alias.
        address: HOST:PORT of the server, the only address the client dials.
        fingerprint: SHA-256 of the federation's authority, to be compared by telephone.
    """

    folder: Path
    address: str
    fingerprint: str

    @property
    def alias(self) -> str:
        """The site's name, as its certificate has it."""
        return self.folder.name


def pack_kit(kit: Path, file: Path) -> str:
    """Write a site's kit as one file, readable by its owner alone; it holds the site's private key.

    Args:
        kit: The kit as ``nvflare provision`` made it.
        file: The file to send, over a channel you trust (``schemas/federation-kit``).

    Returns:
        Fingerprint of the authority.
    """
    texts = {field: (kit / "startup" / name).read_text(encoding="utf-8") for field, name in _NAMES.items()}
    write_private(file, KitFile.model_validate({"alias": kit.name, **texts}).model_dump_json(indent=2).encode("utf-8"))
    return fingerprint_of(kit / "startup" / "rootCA.pem")


def unpack_kit(file: Path, home: Path) -> Kit:
    """Take a kit file in: only the names we know are written, and the site's own policy beside them.

    Args:
        file: What the coordinator sent.
        home: Folder of the federation at the site.

    Raises:
        SettingsError: It is no kit file.
    """
    try:
        document = KitFile.model_validate(read_json(file))
    except (OSError, ValueError, ValidationError) as error:
        raise SettingsError(f"{file.name} is no start kit", hint="ask the coordinator for your kit file") from error
    folder = home / "kit" / document.alias
    for field, name in _NAMES.items():
        write_private(folder / "startup" / name, str(getattr(document, field)).encode("utf-8"))
    close_site(folder)
    return open_kit(folder)


def open_kit(folder: Path) -> Kit:
    """Open an unpacked kit.

    Raises:
        SettingsError: It is not whole.
    """
    try:
        target = str(read_json(folder / "startup" / "fed_client.json")["servers"][0]["service"]["target"])
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise SettingsError("the start kit is not whole", ref=folder.name, hint="ask for your kit again") from error
    if ":" not in target:
        raise SettingsError("the start kit names no server", ref=folder.name, hint="ask for your kit again")
    return Kit(folder, target, fingerprint_of(folder / "startup" / "rootCA.pem"))


def check_kit(kit: Kit) -> int:
    """Check before anything starts: own certificate valid, server reachable and the one whose authority we hold.

    Returns:
        Time of the handshake in milliseconds.

    Raises:
        ExpiredCertificateError: A certificate is over.
        UnpinnedServerError: Another server answers.
        FederationError: Nobody answers.
    """
    if (end := valid_until(kit.folder / "startup" / "client.crt")) <= datetime.now(UTC):
        raise ExpiredCertificateError(
            f"this site's certificate ended on {end:%Y-%m-%d}", ref=kit.alias, hint="ask the coordinator for a new kit"
        )
    return handshake(kit.address, kit.folder / "startup" / "rootCA.pem")


def take_part(kit: Kit, site: SiteClient, home: Path) -> dict[str, Any]:
    """Be a site of the federation until its final model has arrived.

    Args:
        kit: The site's kit.
        site: The site, joined to the approved job.
        home: Folder of the federation at the site.

    Returns:
        The site's account: its model's file and how it does on the test cases here.

    Raises:
        SettingsError: The kit was made for another alias.
        UnknownMemberError: The client is turned away each time it starts.
    """
    if kit.alias != site.alias:
        raise SettingsError(f"the kit is for {kit.alias}, not {site.alias}", hint="join under the kit's alias")
    paper = home / "sites" / f"{site.alias}.json"
    site.save(paper)
    site.state.mkdir(parents=True, exist_ok=True)
    (site.state / "finished.json").unlink(missing_ok=True)
    with daemons(home / "nvflare", home / "logs", PROGRAM) as running:
        stay(running, kit, paper, until=lambda: is_finished(site.state))
        time.sleep(_FAREWELL_S)  # the account is written before it is sent
    account: dict[str, Any] = read_json(site.state / "finished.json")
    return account


def stay(running: Daemons, kit: Kit, paper: Path, *, until: Callable[[], bool]) -> None:
    """Keep the site's client running until the site is done; a dead one is started again.

    Raises:
        UnknownMemberError: It is turned away each time it starts.
    """
    name, short, started = f"site-{kit.alias}", 0, time.monotonic()
    start_site(running, kit.folder, paper)
    while not until():
        time.sleep(_POLL_S)
        if name not in running.dead():
            continue
        short = short + 1 if time.monotonic() - started < _AT_ONCE_S else 0
        if short >= _TRIES:
            raise UnknownMemberError(
                "the client ends each time it starts", ref=kit.alias, hint=f"look at {running.logs / name}.log"
            )
        time.sleep(_REST_S)
        started = time.monotonic()
        start_site(running, kit.folder, paper)


def fingerprint_of(authority: Path) -> str:
    """Give the SHA-256 of a PEM certificate, as people read it out.

    Raises:
        FederationError: It is no certificate.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    try:
        digest = x509.load_pem_x509_certificate(authority.read_bytes()).fingerprint(hashes.SHA256())
    except (OSError, ValueError) as error:
        raise FederationError("the kit holds no authority", hint="ask the coordinator for your kit again") from error
    return ":".join(f"{byte:02X}" for byte in digest)
