"""The peer as a value: where a PACS listens, and under which names both sides speak."""

from __future__ import annotations

from dataclasses import dataclass


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
    """

    name: str
    host: str
    port: int
    ae_title: str
    calling_ae_title: str = "RACOON"
    timeout_s: float = 30.0

    def __str__(self) -> str:
        return f"node {self.name} ({self.ae_title} at {self.host}:{self.port})"
