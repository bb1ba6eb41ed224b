"""Nodes as values: where a PACS, a DICOMweb service or a folder is, and how it is to be treated."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from racoon_data.errors import SettingsError
from racoon_data.node_settings import MannersSettings, NodeSettings, TlsSettings, WebSettings
from racoon_data.settings import SiteSettings


@dataclass(frozen=True, slots=True)
class Tls:
    """Files for an encrypted connection (PEM).

    Attributes:
        ca: Authorities that may sign the peer's certificate; ``None`` for the system's.
        certificate: Our certificate, for peers that ask for one.
        key: Its key, without passphrase.
        check_host: Whether the certificate must name the host we connect to.
    """

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    check_host: bool = True


@dataclass(frozen=True, slots=True)
class Manners:
    """How much load a node may get from all processes of this user together.

    Attributes:
        max_associations: Connections at one time.
        utilisation_percent: Share of the time each of them works; the rest it waits.
        windows: Weekly hours as in ``racoon.toml``; none means always.
        retries: How often to knock again where the peer says that it is busy for now.
        backoff_s: First wait before that (seconds); it doubles, with jitter.
    """

    max_associations: int = 2
    utilisation_percent: int = 100
    windows: tuple[str, ...] = ()
    retries: int = 3
    backoff_s: float = 2.0


@dataclass(frozen=True, slots=True)
class PacsNode:
    """One DICOM peer.

    Attributes:
        name: Its name in the settings.
        host: Host name or address.
        port: TCP port.
        ae_title: Its application entity title (the called one).
        calling_ae_title: Ours.
        timeout_s: Longest silence to bear while negotiating or waiting for a message.
        connect_timeout_s: Longest time to connect; ``timeout_s`` where ``None``.
        deadline_s: Longest time for one query, however busy the peer looks.
        tls: Files for an encrypted connection; ``None`` speaks plainly.
        character_set: DICOM term that decodes text of answers that name none, such as ``ISO_IR 100``.
        answer_cap: Answers at which it cuts a query off; 0 where nobody knows.
        largest_answer: Answers of the largest query known to be whole, by level.
        retrieve: ``get``, ``move`` or ``wado``; ``auto`` finds out.
        move_to: Our AE title as the destination of C-MOVE, where it differs from ``calling_ae_title``.
        receive_port: Where we listen during C-MOVE, 0 for any.
        private_classes: Private SOP classes that may be received.
        web: The DICOMweb service of the same PACS.
        is_profiled: Whether a profile of the doctor stands behind these values.
        manners: How kindly it is treated.

    Raises:
        SettingsError: The port or an AE title is none.
    """

    name: str
    host: str
    port: int
    ae_title: str
    calling_ae_title: str = "RACOON"
    timeout_s: float = 30.0
    connect_timeout_s: float | None = None
    deadline_s: float = 3600.0
    tls: Tls | None = None
    character_set: str = ""
    answer_cap: int = 0
    largest_answer: Mapping[str, int] = field(default_factory=dict, hash=False)
    retrieve: str = "auto"
    move_to: str = ""
    receive_port: int = 0
    private_classes: tuple[str, ...] = ()
    web: WebNode | None = None
    is_profiled: bool = False
    manners: Manners = Manners()

    def __post_init__(self) -> None:
        check_port(self.port)
        check_title(self.ae_title)
        check_title(self.calling_ae_title)

    @property
    def address(self) -> str:
        """What stands for the peer where processes share its load."""
        return f"dicom://{self.host.lower()}:{self.port}"

    def __str__(self) -> str:
        return f"node {self.name} ({self.ae_title} at {self.host}:{self.port})"


@dataclass(frozen=True, slots=True)
class WebNode:
    """One DICOMweb service; it knows where its secret is kept, never the secret itself.

    Attributes:
        name: Its name in the settings.
        qido_url: Base URL of queries.
        wado_url: Base URL of retrieval.
        stow_url: Base URL of storage.
        bearer_env: Environment variable that holds a bearer token.
        bearer_file: File that holds it.
        user: User name for basic authentication.
        password_env: Environment variable that holds the password.
        password_file: File that holds it.
        tls: Files for the encrypted connection; ``None`` uses the system's authorities.
        timeout_s: Longest silence to bear.
        deadline_s: Longest time for one query.
        manners: How kindly it is treated.
    """

    name: str
    qido_url: str
    wado_url: str
    stow_url: str
    bearer_env: str = ""
    bearer_file: Path | None = None
    user: str = ""
    password_env: str = ""
    password_file: Path | None = None
    tls: Tls | None = None
    timeout_s: float = 30.0
    deadline_s: float = 3600.0
    manners: Manners = Manners()

    @property
    def address(self) -> str:
        """What stands for the service where processes share its load."""
        return self.qido_url.lower()

    def secret(self) -> str:
        """Read the bearer token or password; empty where the service asks for none.

        Raises:
            SettingsError: The variable is not set or the file cannot be read.
        """
        if variable := self.bearer_env or self.password_env:
            if not (value := os.environ.get(variable, "").strip()):
                raise SettingsError(f"environment variable {variable} is not set", ref=self, hint="export it first")
            return value
        path = self.bearer_file or self.password_file
        return _one_line(path, self) if path else ""

    def __str__(self) -> str:
        return f"node {self.name} ({self.qido_url})"


@dataclass(frozen=True, slots=True)
class FolderNode:
    """A folder of DICOM files, or a DICOMDIR.

    Attributes:
        name: Its name in the settings.
        path: The folder, or the file called DICOMDIR.
    """

    name: str
    path: Path

    def __str__(self) -> str:
        return f"node {self.name} ({self.path})"


Node = PacsNode | WebNode | FolderNode


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


def any_node(name: str, settings: SiteSettings, *, base: Path = Path()) -> Node:
    """Take a node of any kind from a site's settings.

    Args:
        name: Its name.
        settings: What ``racoon.toml`` says.
        base: Folder that relative paths start from: the site's.

    Raises:
        SettingsError: There is no node of this name.
    """
    if name in settings.nodes:
        table = settings.nodes[name]
        return _pacs_node(name, table, settings.web, base)
    if name in settings.web:
        return _web_node(name, settings.web[name], base)
    if name in settings.folders:
        return FolderNode(name, base / settings.folders[name].path)
    known = ", ".join(sorted((*settings.nodes, *settings.web, *settings.folders))) or "none"
    raise SettingsError(f"there is no node {name!r}", hint=f"known in racoon.toml: {known}")


def named_node(name: str, settings: SiteSettings, *, base: Path = Path()) -> PacsNode:
    """Take a DICOM peer from a site's settings.

    Raises:
        SettingsError: There is no such node, or it is a DICOMweb service or a folder.
    """
    node = any_node(name, settings, base=base)
    if not isinstance(node, PacsNode):
        hint = "name a node of a [nodes] table"
        raise SettingsError(f"{name!r} is no DICOM peer, which this needs", ref=node, hint=hint)
    return node


def _pacs_node(name: str, table: NodeSettings, services: Mapping[str, WebSettings], base: Path) -> PacsNode:
    return PacsNode(
        name=name,
        host=table.host,
        port=table.port,
        ae_title=table.ae_title,
        calling_ae_title=table.calling_ae_title,
        timeout_s=table.timeout_s,
        connect_timeout_s=table.connect_timeout_s,
        deadline_s=table.deadline_s,
        tls=_tls(table.tls, base),
        character_set=table.character_set,
        answer_cap=table.answer_cap,
        retrieve=table.retrieve,
        move_to=table.move_to,
        receive_port=table.receive_port,
        private_classes=table.private_classes,
        web=_web_node(table.web, services[table.web], base) if table.web else None,
        manners=_manners(table),
    )


def _web_node(name: str, table: WebSettings, base: Path) -> WebNode:
    return WebNode(
        name=name,
        qido_url=table.qido_url or table.url,
        wado_url=table.wado_url or table.url,
        stow_url=table.stow_url or table.url,
        bearer_env=table.bearer_env,
        bearer_file=_path(table.bearer_file, base),
        user=table.user,
        password_env=table.password_env,
        password_file=_path(table.password_file, base),
        tls=_tls(table.tls, base),
        timeout_s=table.timeout_s,
        deadline_s=table.deadline_s,
        manners=_manners(table),
    )


def _manners(table: MannersSettings) -> Manners:
    return Manners(**{name: getattr(table, name) for name in MannersSettings.model_fields})


def _tls(table: TlsSettings | None, base: Path) -> Tls | None:
    if table is None:
        return None
    return Tls(_path(table.ca, base), _path(table.certificate, base), _path(table.key, base), table.check_host)


def _path(text: str, base: Path) -> Path | None:
    return base / Path(text).expanduser() if text else None


def _one_line(path: Path, node: object) -> str:
    try:
        value = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path.name} cannot be read", ref=node, hint="name a file you may read") from error
    if not value or "\n" in value:
        raise SettingsError(f"{path.name} does not hold one line", ref=node, hint="write the secret alone into it")
    return value
