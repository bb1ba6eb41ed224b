"""Keys and certificates of a federation: an authority that signs one server, keys of sites and of the publisher."""

from __future__ import annotations

import datetime
import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from racoon_data.files.atomic import write_bytes

_DAYS = 2


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM files: the authority, the server's certificate and its key (readable by the owner alone)."""

    authority: Path
    certificate: Path
    key: Path

    @classmethod
    def in_folder(cls, folder: Path) -> Certificates:
        """Name the files of a folder."""
        return cls(folder / "ca.pem", folder / "server.pem", folder / "server.key")


def make_certificates(folder: Path, *, host: str = "localhost", days: int = _DAYS) -> Certificates:
    """Make an authority and a server certificate for a host name or address, and for this machine.

    The authority's private key is never written, so nothing else can be signed with it.

    Args:
        folder: Where the files go.
        host: Name or address that sites dial.
        days: How long both are valid.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    authority_key, server_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    hosts = tuple(dict.fromkeys(("localhost", "127.0.0.1", host)))
    authority = _signed("racoon federation", None, authority_key.public_key(), authority_key, hosts, days)
    server = _signed(host, authority.subject, server_key.public_key(), authority_key, hosts, days)
    files = Certificates.in_folder(folder)
    pem = serialization.Encoding.PEM
    write_bytes(files.authority, authority.public_bytes(pem))
    write_bytes(files.certificate, server.public_bytes(pem))
    plain = serialization.NoEncryption()
    write_private(files.key, server_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return files


def valid_until(certificate: Path) -> datetime.datetime:
    """Tell when a certificate ends (UTC)."""
    from cryptography import x509

    return x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc


def fingerprint(pem: str) -> str:
    """Give the SHA-256 of a certificate in groups of four, to be read aloud."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    digest = x509.load_pem_x509_certificate(pem.encode("ascii")).fingerprint(hashes.SHA256()).hex().upper()
    return " ".join(digest[start : start + 4] for start in range(0, len(digest), 4))


def node_key(path: Path) -> str:
    """Make a site's key where there is none (EC P-384, OpenSSH) and give its public half (PEM)."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    if not path.is_file():
        write_private(path, _openssh(ec.generate_private_key(ec.SECP384R1())))
    public = serialization.load_ssh_private_key(path.read_bytes(), None).public_key()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return public.public_bytes(serialization.Encoding.PEM, form).decode("ascii")


def publisher_key(path: Path) -> str:
    """Make the coordinator's signing key where there is none (Ed25519) and give its public half (OpenSSH)."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519

    if not path.is_file():
        write_private(path, _openssh(ed25519.Ed25519PrivateKey.generate()))
    public = serialization.load_ssh_private_key(path.read_bytes(), None).public_key()
    form = serialization.PublicFormat.OpenSSH
    return public.public_bytes(serialization.Encoding.OpenSSH, form).decode("ascii")


def write_private(path: Path, data: bytes) -> None:
    """Write a secret that only the owner can read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as stream:
        stream.write(data)


def _openssh(key: Any) -> bytes:
    from cryptography.hazmat.primitives import serialization as form

    text: bytes = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.OpenSSH, form.NoEncryption())
    return text


def _name_of(host: str) -> Any:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _signed(name: str, issuer: Any, public_key: Any, signer: Any, hosts: Sequence[str], days: int) -> Any:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import NameOID

    now = datetime.datetime.now(datetime.UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    names = [_name_of(host) for host in hosts]
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer or subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(now, now + datetime.timedelta(days=days)) - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .sign(signer, hashes.SHA256())
    )
