"""The site folder: where everything of one hospital lies, and how commands find it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from racoon_data.errors import SettingsError
from racoon_data.files.atomic import make_folder, write_text
from racoon_data.origins import Value, overlaid, values_of
from racoon_data.settings import SiteSettings, fitted, parse_toml, read_toml_text, toml_document

SETTINGS_NAME = "racoon.toml"


@dataclass(frozen=True, slots=True)
class Site:
    """One hospital's folder.

    Attributes:
        root: The folder that holds ``racoon.toml``.
        settings: What it says.
    """

    root: Path
    settings: SiteSettings

    @property
    def vault(self) -> Path:
        """Key and re-identification table; readable by the owner alone."""
        return self.root / "vault"

    @property
    def spool(self) -> Path:
        """Identified studies as they arrived."""
        return self.root / "spool"

    @property
    def quarantine(self) -> Path:
        """Objects that wait for a person's decision."""
        return self.root / "quarantine"

    @property
    def outgoing(self) -> Path:
        """Results with their original identity, by the node they may go to."""
        return self.root / "outgoing"

    @property
    def profile(self) -> Path | None:
        """The de-identification profile its settings name; ``None`` means the built-in one."""
        return self.root / self.settings.deid.profile if self.settings.deid.profile else None

    @property
    def work(self) -> Path:
        """De-identified studies."""
        return self.root / "work"

    @property
    def datasets(self) -> Path:
        """Datasets by name."""
        return self.root / "datasets"

    @property
    def runs(self) -> Path:
        """Accounts of finished walks."""
        return self.root / "runs"

    @property
    def federation(self) -> Path:
        """State of federated jobs by name."""
        return self.root / "federation"

    @property
    def ledger(self) -> Path:
        """SQLite file that remembers every instance and case."""
        return self.root / "ledger.sqlite"

    @property
    def audit(self) -> Path:
        """Append-only log with a hash chain."""
        return self.root / "audit.jsonl"


def open_site(root: Path) -> Site:
    """Open the site in a folder.

    Raises:
        SettingsError: The folder has no ``racoon.toml`` or it is wrong.
    """
    if not (root / SETTINGS_NAME).exists():
        raise SettingsError(f"{root} is no site: it has no {SETTINGS_NAME}", hint="name a folder made by racoon init")
    settings, _ = settings_of(root)
    return Site(root, settings)


def settings_of(root: Path, options: Iterable[str] = ()) -> tuple[SiteSettings, tuple[Value, ...]]:
    """Read the settings of a site: the file, the environment over it, options over both.

    Args:
        root: The site folder.
        options: ``KEY=VALUE`` with dotted keys.

    Returns:
        The settings, and every value with its origin.

    Raises:
        SettingsError: They do not fit; the message names the key, and the variable or option where one set it.
    """
    path = root / SETTINGS_NAME
    written = toml_document(read_toml_text(path), name=str(path))
    whole, origins = overlaid(written, environment=os.environ, options=options)
    name = str(path) if not origins else f"{path} with {', '.join(sorted(set(origins.values())))}"
    settings = fitted(whole, SiteSettings, name=name)
    return settings, values_of(settings, written, origins)


def find_site(start: Path) -> Site:
    """Find a site like git finds a repository: in ``start`` or the nearest folder above.

    Raises:
        SettingsError: There is none.
    """
    for candidate in (start.resolve(), *start.resolve().parents):
        if (candidate / SETTINGS_NAME).is_file():
            return open_site(candidate)
    raise SettingsError("this folder is not inside a site", hint="run racoon init, or name one with --site")


def create_site(root: Path, settings_toml: str, *, is_filled_allowed: bool = False) -> Site:
    """Lay out a new site folder.

    Args:
        root: Folder to create; it must not be a site already.
        settings_toml: Text of its ``racoon.toml``.
        is_filled_allowed: Also in a folder that holds other files.

    Raises:
        SettingsError: A site is there already, the folder is not empty, or the settings are wrong; nothing is written.
    """
    if (root / SETTINGS_NAME).exists():
        raise SettingsError(f"{root} is a site already", hint="choose another folder")
    if not is_filled_allowed and root.is_dir() and any(root.iterdir()):
        raise SettingsError(f"{root} is not empty", hint="choose another folder, or add --in-filled-folder")
    site = Site(root, parse_toml(settings_toml, SiteSettings, name=SETTINGS_NAME))
    write_text(root / SETTINGS_NAME, settings_toml)
    for folder in (site.vault, site.spool, site.quarantine, site.work, site.datasets, site.runs):
        make_folder(folder)
    for identified in (site.vault, site.spool, site.quarantine):
        identified.chmod(0o700)
    return site
