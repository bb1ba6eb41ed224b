"""What the commands of ``racoon deid`` share: options, the site they mean, its key and its log."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from racoon_data.errors import SettingsError

if TYPE_CHECKING:
    from racoon_data.deid.pseudonyms import Pseudonymizer
    from racoon_data.site.paths import Site

SiteOption = Annotated[
    Path | None, typer.Option("--site", envvar="RACOON_SITE", help="The site folder; its vault holds the key.")
]
ProfileOption = Annotated[Path | None, typer.Option("--profile", help="TOML file of options; else the built-in one.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document.")]
DryOption = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, change nothing.")]


def site_at(site: Path | None) -> Site:
    """Open the named site, or the one the current folder lies in."""
    from racoon_data.site.paths import find_site, open_site

    return open_site(site) if site is not None else find_site(Path.cwd())


def names_of(site: Site) -> Pseudonymizer:
    """Give the pseudonyms of a site."""
    from racoon_data.deid.naming import names_of as names_at

    return names_at(site)


def site_if_needed(site: Path | None, *, is_needed: bool) -> Site | None:
    """Open the site that has the key, or that was named; ``None`` where a key file makes one needless."""
    from racoon_data.site.paths import find_site, open_site

    if site is not None:
        return open_site(site)
    if not is_needed:
        return None
    try:
        return find_site(Path.cwd())
    except SettingsError as error:
        raise SettingsError("there is no key to work with", hint="name --key-file or --site") from error
