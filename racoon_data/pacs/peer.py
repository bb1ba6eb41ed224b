"""The peer as a value: where a PACS listens, and under which names both sides speak."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from racoon_data.errors import SettingsError
from racoon_data.settings import NodeSettings


@dataclass(frozen=True, slots=True)
class PacsNode:
    """One DICOM peer.

    Attributes:
        name: Its name in the settings.
        host: Host name or address.
        port: TCP port.
        ae_title: Its application entity title (the called one).
        calling_ae_title: Ours.
        timeout_s: Longest silence to bear while connecting, negotiating or waiting for a message.

    Raises:
        SettingsError: The port or an AE title is none.
    """

    name: str
    host: str
    port: int
    ae_title: str
    calling_ae_title: str = "RACOON"
    timeout_s: float = 30.0

    def __post_init__(self) -> None:
        check_port(self.port)
        check_title(self.ae_title)
        check_title(self.calling_ae_title)

    def __str__(self) -> str:
        return f"node {self.name} ({self.ae_title} at {self.host}:{self.port})"


def check_port(port: int) -> None:
    """Refuse what is no TCP port.

    Raises:
        SettingsError: It is none.
    """
    if not 1 <= port <= 65535:
        raise SettingsError(f"{port} is no port", hint="a port is a number from 1 to 65535")


def check_title(title: str) -> None:
    """Refuse what is no application entity title (PS3.5 6.2, AE).

    Raises:
        SettingsError: It is none.
    """
    is_plain = title.isascii() and title.isprintable() and "\\" not in title
    if not is_plain or not title.strip() or len(title) > 16:
        raise SettingsError(f"{title!r} is no AE title", hint="1 to 16 letters, digits or signs, no backslash")


def named_node(name: str, nodes: Mapping[str, NodeSettings]) -> PacsNode:
    """Take a node from a site's settings.

    Args:
        name: Its name.
        nodes: The ``[nodes]`` tables of ``racoon.toml``.

    Raises:
        SettingsError: There is no node of this name.
    """
    if name not in nodes:
        known = ", ".join(sorted(nodes)) or "none"
        raise SettingsError(f"there is no node {name!r}", hint=f"known in racoon.toml: {known}")
    table = nodes[name]
    return PacsNode(name, table.host, table.port, table.ae_title, table.calling_ae_title, table.timeout_s)
