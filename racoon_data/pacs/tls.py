"""TLS contexts: a client that checks the peer's certificate and shows its own, a server that asks for one."""

from __future__ import annotations

import ssl
from pathlib import Path

from racoon_data.errors import SettingsError
from racoon_data.pacs.peer import Tls


def client_context(tls: Tls) -> ssl.SSLContext:
    """Make the context of a connecting side.

    Raises:
        SettingsError: A file is missing, is no PEM, or key and certificate do not belong together.
    """
    try:
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=_text(tls.ca))
    except (OSError, ssl.SSLError) as error:
        raise _wrong(tls.ca, error) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = tls.check_host
    _show(context, tls)
    return context


def server_context(tls: Tls) -> ssl.SSLContext:
    """Make the context of a listening side; where ``ca`` is set, clients must show a certificate it signed.

    Raises:
        SettingsError: A file is missing, is no PEM, or key and certificate do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.ca is not None:
        try:
            context.load_verify_locations(tls.ca)
        except (OSError, ssl.SSLError) as error:
            raise _wrong(tls.ca, error) from error
        context.verify_mode = ssl.CERT_REQUIRED
    _show(context, tls)
    return context


def _show(context: ssl.SSLContext, tls: Tls) -> None:
    if tls.certificate is None:
        return
    try:
        context.load_cert_chain(tls.certificate, _text(tls.key), password=_no_passphrase)
    except (OSError, ssl.SSLError, ValueError) as error:
        raise _wrong(tls.certificate, error) from error


def _no_passphrase() -> str:
    raise ValueError("the key has a passphrase")


def _text(path: Path | None) -> str | None:
    return str(path) if path is not None else None


def _wrong(path: Path | None, error: Exception) -> SettingsError:
    name = path.name if path is not None else "the system's authorities"
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
    hint = "tls of a node wants PEM files: ca, certificate, and its key without passphrase"
    return SettingsError(f"TLS: {name} cannot be used: {reason}", hint=hint)
