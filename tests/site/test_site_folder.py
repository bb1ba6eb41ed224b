"""A site folder: its key is its owner's alone, and it is found like git finds a repository."""

import stat

import pytest

from racoon_data.errors import SettingsError
from racoon_data.site.paths import find_site, open_site
from tests.journeys.steps import racoon


def test_init_makes_a_site_with_a_key_only_its_owner_reads(tmp_path):
    """Settings, folders and a key are there; the vault is closed to others."""
    said = racoon("init", tmp_path / "site", "--name", "hospital-a", "--port", 11112, "--json")

    site = open_site(tmp_path / "site")
    (key,) = [path for path in site.vault.iterdir() if path.is_file()]
    assert said.document["site"] == str(tmp_path / "site")
    assert (site.settings.site.name, site.settings.nodes["pacs"].port) == ("hospital-a", 11112)
    assert stat.S_IMODE(site.vault.stat().st_mode) == 0o700
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_a_site_is_found_upwards(tmp_path):
    """From anywhere inside, the nearest folder above with settings is the site; outside there is none."""
    racoon("init", tmp_path / "site", "--name", "hospital-a")

    assert find_site(tmp_path / "site" / "spool").root == (tmp_path / "site").resolve()
    with pytest.raises(SettingsError, match="not inside a site"):
        find_site(tmp_path)
