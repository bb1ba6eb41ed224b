"""What the commands of ``racoon pacs`` share: options, the node and the site they mean, tables."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from racoon_data import console
from racoon_data.errors import SettingsError
from racoon_data.refs import Query

if TYPE_CHECKING:
    from racoon_data.pacs.peer import Node, PacsNode
    from racoon_data.pacs.sources import Question
    from racoon_data.site.paths import Site

NodeName = Annotated[str, typer.Argument(help="Name of the node in racoon.toml; any name with --host or --port.")]
SiteOption = Annotated[
    Path | None, typer.Option("--site", envvar="RACOON_SITE", help="Site folder; default: found from here upwards.")
]
HostOption = Annotated[str, typer.Option("--host", help="Host of a node that is not in racoon.toml.")]
PortOption = Annotated[int, typer.Option("--port", help="Port of a node that is not in racoon.toml.")]
TitleOption = Annotated[str, typer.Option("--ae-title", help="AE title of the peer.")]
CallingOption = Annotated[str, typer.Option("--calling", help="Our own AE title.")]
TimeoutOption = Annotated[float, typer.Option("--timeout", help="Longest silence to bear (seconds).")]
_TLS = "of an encrypted node that is not in racoon.toml (PEM)"
CaOption = Annotated[Path | None, typer.Option("--tls-ca", help=f"Authorities {_TLS}.", exists=True)]
CertificateOption = Annotated[
    Path | None, typer.Option("--tls-certificate", help=f"Our certificate for a peer {_TLS}.", exists=True)
]
KeyOption = Annotated[Path | None, typer.Option("--tls-key", help=f"Our key for a peer {_TLS}.", exists=True)]
FilterOption = Annotated[list[str] | None, typer.Option("--filter", help="Keyword=value, repeatable; * ? and ranges.")]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON instead of a table.")]
DryOption = Annotated[bool, typer.Option("--dry-run", help="Show what would be transferred, transfer nothing.")]


ModalityOption = Annotated[str, typer.Option("--modality", help="Modality, such as CT.")]
DateOption = Annotated[str, typer.Option("--date", help="Day or range: 20240131, 2024-01-01..2024-03-31, 20240101-.")]
DescriptionOption = Annotated[
    str, typer.Option("--description", help="Pattern of the description, * and ?, case does not count.")
]
PatientsOption = Annotated[
    Path | None, typer.Option("--patients", help="File with patient IDs (CSV, JSON or lines); no wildcards.")
]
AccessionsOption = Annotated[
    Path | None, typer.Option("--accessions", help="File with accession numbers (CSV, JSON or lines).")
]


def open_or_find_site(folder: Path | None) -> Site:
    """Open the named site, or the one the current folder lies in."""

    from racoon_data.site.paths import find_site, open_site

    return open_site(folder) if folder else find_site(Path.cwd())


def node_named(name: str, site: Path | None, options: dict[str, Any]) -> PacsNode:
    """Build the node from --host and --port, or take it from the site's settings."""
    from racoon_data.pacs.peer import PacsNode, Tls, named_node

    host, port = options["host"], options["port"]
    pem = tuple(options[name] for name in ("tls_ca", "tls_certificate", "tls_key"))
    if host or port:
        address = (host or "127.0.0.1", port or 104)
        tls = Tls(*pem) if any(pem) else None
        return PacsNode(name, *address, options["ae_title"], options["calling"], options["timeout"], tls=tls)
    if any(pem):
        raise SettingsError("--tls options fit a node named by --host", hint="set tls of the node in racoon.toml")
    here = open_or_find_site(site)
    return named_node(name, here.settings, base=here.root)


def any_node_named(name: str, site: Path | None, options: dict[str, Any]) -> Node:
    """Build the node from --host and --port, or take one of any kind from the site, with its profile."""
    from racoon_data.pacs.profile import known_node

    if any(options[key] for key in ("host", "port", "tls_ca", "tls_certificate", "tls_key")):
        return node_named(name, site, options)
    return known_node(name, open_or_find_site(site))


def filters_of(pairs: list[str] | None) -> dict[str, str]:
    """Read ``Keyword=value`` filters."""
    parsed: dict[str, str] = {}
    for pair in pairs or ():
        keyword, equals, value = pair.partition("=")
        if not equals or not keyword.strip():
            raise SettingsError(f"--filter {pair!r} is not Keyword=value", hint="for instance PatientID=123")
        parsed[keyword.strip()] = value
    return parsed


def question_of(level: str, options: dict[str, Any]) -> Question:
    """Read the options that say what is asked for.

    Args:
        level: PATIENT, STUDY, SERIES or IMAGE.
        options: ``filters``, ``modality``, ``date``, ``description``, ``patients``, ``accessions``.
    """
    from racoon_data.pacs.lists import read_list
    from racoon_data.pacs.sources import Question

    filters = filters_of(options["filters"])
    if options["modality"]:
        filters["ModalitiesInStudy" if level in ("STUDY", "PATIENT") else "Modality"] = options["modality"]
    if options["date"]:
        filters["StudyDate"] = dates_of(options["date"])
    lists = {"PatientID": options["patients"], "AccessionNumber": options["accessions"]}
    named = [keyword for keyword, path in lists.items() if path is not None]
    if len(named) > 1 or (named and filters.get(named[0])):
        raise SettingsError("one list, or one filter for the same attribute", hint="ask twice")
    keyword = named[0] if named else ""
    identifiers = read_list(lists[keyword], keyword) if keyword else ()
    return Question(Query(level, filters), keyword, identifiers, options["description"])


def dates_of(text: str) -> str:
    """Read a day or a range as DICOM writes it; ``2024-01-01..2024-03-31`` is fine too."""
    from racoon_data.pacs.spans import days_of

    first, dots, last = text.partition("..")
    dates = f"{first}-{last}".replace("--", "-") if dots else text
    plain = re.sub(r"(\d{4})-(\d{2})-(\d{2})", r"\1\2\3", dates)
    if days_of(plain) is None:
        raise SettingsError(f"--date {text!r} is no day or range", hint="for instance 20240101-20240331")
    return plain


def show(columns: tuple[str, ...], rows: list[list[Any]], as_json: bool) -> None:
    """Print rows as a table or as one JSON document."""
    if as_json:
        console.document([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        console.table(columns, rows)
