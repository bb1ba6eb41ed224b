"""Nodes in racoon.toml: every kind is read with its files and manners, and no secret stands there."""

from __future__ import annotations

from pathlib import Path

import pytest

from racoon_data.errors import SettingsError
from racoon_data.pacs.peer import FolderNode, PacsNode, Tls, WebNode, any_node, named_node
from racoon_data.settings import SiteSettings, parse_toml

SITE = '[site]\nname = "test"\n'
EVERY_KIND = """
[nodes.pacs]
host = "pacs.example"
port = 2762
timeout_s = 20
connect_timeout_s = 5
character_set = "ISO_IR 100"
max_associations = 1
utilisation_percent = 25
windows = ["Mon-Fri 18:00-07:00", "Sat-Sun 00:00-24:00"]
web = "archive"
[nodes.pacs.tls]
ca = "tls/ca.pem"
certificate = "tls/us.pem"
key = "tls/us.key"
[web.archive]
url = "https://pacs.example/dicom-web/"
stow_url = "https://pacs.example/stow"
bearer_env = "TEST_TOKEN"
[folders.usb]
path = "usb/DICOMDIR"
"""


def settings_of(text: str) -> SiteSettings:
    """Read a site's settings."""
    return parse_toml(SITE + text, SiteSettings, name="racoon.toml")


def test_every_kind_of_node_is_read():
    """A DIMSE node carries TLS files, manners and its DICOMweb service; relative paths start at the site."""
    settings = settings_of(EVERY_KIND)
    pacs, web, usb = (any_node(name, settings, base=Path("/s")) for name in ("pacs", "archive", "usb"))

    assert isinstance(pacs, PacsNode)
    assert pacs.tls == Tls(Path("/s/tls/ca.pem"), Path("/s/tls/us.pem"), Path("/s/tls/us.key"))
    assert (pacs.manners.max_associations, pacs.manners.utilisation_percent) == (1, 25)
    assert pacs.web == web
    assert isinstance(web, WebNode)
    assert (web.qido_url, web.stow_url) == ("https://pacs.example/dicom-web", "https://pacs.example/stow")
    assert usb == FolderNode("usb", Path("/s/usb/DICOMDIR"))


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ('[web.a]\nurl = "https://x"\ntoken = "abc"\n', "a secret never stands"),
        ('[web.a]\nurl = "https://x"\npassword = "abc"\n', "a secret never stands"),
        ('[web.a]\nurl = "https://me:abc@x/dicom-web"\n', "a secret never stands"),
        ('[web.a]\nurl = "http://pacs.example"\nbearer_env = "T"\n', "https://"),
        ('[web.a]\nurl = "https://x"\nuser = "me"\n', "belong together"),
        ('[web.a]\nurl = "ftp://x"\n', "https://"),
        ('[nodes.a]\n[nodes.a.tls]\ncertificate = "us.pem"\n', "belong together"),
        ('[nodes.a]\nwindows = ["Mon-Fri 25:00-07:00"]\n', "nodes.a.windows.0"),
        ('[nodes.a]\nweb = "b"\n', "there is no"),
        ('[nodes.a]\n[folders.a]\npath = "x"\n', "two nodes"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(table, says):
    """Secrets, open connections for secrets, half pairs, odd hours and double names are settings errors."""
    with pytest.raises(SettingsError, match=says) as caught:
        settings_of(table)

    assert "abc" not in caught.value.message


def test_a_secret_comes_from_the_environment_or_a_file(tmp_path, monkeypatch):
    """A missing variable or file is an error that names it; the value never stands in the node."""
    in_file = WebNode("a", "https://x", "https://x", "https://x", user="me", password_file=tmp_path / "secret")
    in_environment = WebNode("a", "https://x", "https://x", "https://x", bearer_env="TEST_TOKEN")
    monkeypatch.delenv("TEST_TOKEN", raising=False)

    with pytest.raises(SettingsError, match="TEST_TOKEN"):
        in_environment.secret()
    with pytest.raises(SettingsError, match="secret cannot be read"):
        in_file.secret()
    monkeypatch.setenv("TEST_TOKEN", "t1")
    (tmp_path / "secret").write_text("p1\n")

    assert (in_environment.secret(), in_file.secret()) == ("t1", "p1")
    assert "p1" not in repr(in_file)


def test_only_a_dicom_peer_can_be_walked_from():
    """Asking for a DIMSE peer by the name of a folder says so."""
    with pytest.raises(SettingsError, match="no DICOM peer"):
        named_node("usb", settings_of(EVERY_KIND))
