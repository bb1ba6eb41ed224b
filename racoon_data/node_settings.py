"""Settings of nodes: DICOM peers, DICOMweb services, folders; and how kindly each is treated."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator


class Frozen(BaseModel):
    """A settings table: unknown keys are refused, values do not change."""

    model_config = ConfigDict(frozen=True, extra="forbid")


AeTitle = Annotated[str, Field(min_length=1, max_length=16, pattern=r"^[ -\[\]-~]+$")]
Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0)]

_DAY = "(Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_CLOCK = "([01][0-9]|2[0-3]):[0-5][0-9]"
WINDOW_PATTERN = rf"^({_DAY}(-{_DAY})? )?{_CLOCK}-({_CLOCK}|24:00)$"
_SECRETS = ("token", "bearer", "bearer_token", "password", "secret", "api_key", "authorization")


class TlsSettings(Frozen):
    """Files for an encrypted connection, all PEM.

    ``ca`` signs the peer's certificate (empty: the system's authorities); ``certificate`` and ``key`` are ours, for
    peers that ask for one. The key must not have a passphrase; protect it with file rights.
    """

    ca: str = ""
    certificate: str = ""
    key: str = ""
    check_host: bool = True

    @model_validator(mode="after")
    def _in_pairs(self) -> Self:
        if bool(self.certificate) != bool(self.key):
            raise ValueError("certificate and key belong together")
        return self


class MannersSettings(Frozen):
    """How much load a node may get from all processes of this user together.

    ``windows`` are weekly hours such as ``"Mon-Fri 18:00-07:00"`` or ``"Sat-Sun 00:00-24:00"`` (local time; an end
    before its start lies on the next day); none means always.
    """

    max_associations: Annotated[int, Field(ge=1, le=32)] = 2
    utilisation_percent: Annotated[int, Field(ge=1, le=100)] = 100
    windows: tuple[Annotated[str, Field(pattern=WINDOW_PATTERN)], ...] = ()
    retries: Annotated[int, Field(ge=0, le=20)] = 3
    backoff_s: Seconds = 2.0


class NodeSettings(MannersSettings):
    """One DICOM peer (``[nodes.NAME]``).

    ``web`` names the ``[web]`` node of the same PACS. ``answer_cap`` is the number of answers at which the PACS cuts
    a query off, where its administrator tells (0: find out, be careful at round numbers). ``character_set`` decodes
    text that names none. ``move_to`` is our AE title as the C-MOVE destination, ``receive_port`` where we then listen.
    """

    host: str = "127.0.0.1"
    port: Port = 104
    ae_title: AeTitle = "PACS"
    calling_ae_title: AeTitle = "RACOON"
    timeout_s: Seconds = 30.0
    connect_timeout_s: Seconds | None = None
    deadline_s: Seconds = 3600.0
    tls: TlsSettings | None = None
    character_set: str = ""
    answer_cap: Annotated[int, Field(ge=0)] = 0
    retrieve: Literal["auto", "get", "move", "wado"] = "auto"
    move_to: str = ""
    receive_port: Annotated[int, Field(ge=0, le=65535)] = 0
    private_classes: tuple[Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)*$")], ...] = ()
    web: str = ""


class SecuredSettings(Frozen):
    """How a web service knows us; secrets come from an environment variable or a file.

    Either a bearer token (``bearer_env`` or ``bearer_file``) or ``user`` with ``password_env`` or ``password_file``.
    """

    bearer_env: str = ""
    bearer_file: str = ""
    user: str = ""
    password_env: str = ""
    password_file: str = ""
    tls: TlsSettings | None = None
    timeout_s: Seconds = 30.0

    @model_validator(mode="before")
    @classmethod
    def _no_secrets(cls, table: Any) -> Any:
        named = sorted(set(_SECRETS).intersection(table)) if isinstance(table, dict) else []
        if named:
            raise ValueError(f"{named[0]}: a secret never stands in racoon.toml; name its bearer_env or bearer_file")
        return table

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        bearers, passwords = (self.bearer_env, self.bearer_file), (self.password_env, self.password_file)
        if sum(map(bool, (*bearers, *passwords))) > 1:
            raise ValueError("name one of bearer_env, bearer_file, password_env, password_file")
        if bool(self.user) != any(passwords):
            raise ValueError("user and one of password_env, password_file belong together")
        is_open = any(url.startswith("http://") and not _is_here(url) for url in self.urls)
        if is_open and any((*bearers, *passwords)):
            raise ValueError("a secret is not sent over http:// to another machine; use https://")
        return self

    @property
    def urls(self) -> tuple[str, ...]:
        """Every base URL that is set."""
        return ()


def _plain_url(url: str) -> str:
    parts = urlsplit(url)
    if url and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise ValueError("a base URL starts with https:// or http:// and names a host")
    if parts.username or parts.password or parts.query:
        raise ValueError("a secret never stands in racoon.toml; a base URL has no user, password or query")
    return url.rstrip("/")


PlainUrl = Annotated[str, AfterValidator(_plain_url)]


class WebSettings(MannersSettings, SecuredSettings):
    """One DICOMweb service (``[web.NAME]``); secrets come from an environment variable or a file.

    ``url`` is the base of all three services; ``qido_url``, ``wado_url`` and ``stow_url`` differ from it where set.
    """

    url: PlainUrl
    qido_url: PlainUrl = ""
    wado_url: PlainUrl = ""
    stow_url: PlainUrl = ""
    deadline_s: Seconds = 3600.0

    @property
    def urls(self) -> tuple[str, ...]:
        """Every base URL that is set."""
        return tuple(url for url in (self.url, self.qido_url, self.wado_url, self.stow_url) if url)


class PseudonymSettings(SecuredSettings):
    """Who names patients (``[deid.pseudonyms]``): gPAS, a Mainzelliste, or a list of the study's own.

    ``target`` is the domain of gPAS, or the ID type that a Mainzelliste gives. ``original`` is the ID type under which
    a Mainzelliste knows the hospital's PatientID. Off, ``create`` takes only patients that the service knows already.
    ``file`` is the list (CSV with columns ``original`` and ``pseudonym``), relative to the site. A Mainzelliste takes
    its API key from ``bearer_env`` or ``bearer_file``.
    """

    kind: Literal["gpas", "mainzelliste", "csv"]
    url: PlainUrl = ""
    target: str = ""
    original: str = "extid"
    create: bool = True
    file: str = ""
    batch: Annotated[int, Field(ge=1, le=1000)] = 100
    retries: Annotated[int, Field(ge=0, le=20)] = 4
    backoff_s: Seconds = 1.0

    @model_validator(mode="after")
    def _whole(self) -> Self:
        needed = ("file",) if self.kind == "csv" else ("url", "target")
        if missing := [name for name in needed if not getattr(self, name)]:
            raise ValueError(f"{self.kind} needs {missing[0]}")
        is_open = self.url.startswith("http://") and not _is_here(self.url)
        if is_open:
            raise ValueError("PatientIDs are not sent over http:// to another machine; use https://")
        return self

    @property
    def urls(self) -> tuple[str, ...]:
        """Every base URL that is set."""
        return (self.url,) if self.url else ()


def _is_here(url: str) -> bool:
    return urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1")


class FolderSettings(Frozen):
    """A folder of DICOM files, or a DICOMDIR with its files (``[folders.NAME]``); ``path`` names folder or DICOMDIR."""

    path: str
