"""The doctor finds what is wrong at a site, and says what helps."""

import pytest

from racoon_data.pacs.serve import EmbeddedPacs
from racoon_data.site.audit import AuditLog
from racoon_data.site.ledger import Ledger
from racoon_data.testing.makers import a_series
from tests.journeys.steps import a_site, racoon


@pytest.fixture
def site(tmp_path):
    """A site whose PACS does not run."""
    return a_site(tmp_path / "site", port=9)


def checks_of(said):
    """Verdict and remedy by check."""
    return {row["name"]: (row["verdict"], row["remedy"]) for row in said.document["checks"]}


def test_a_sound_site_is_told_so(tmp_path):
    """Machine, folders, disk, lock and node are good; nothing is bad."""
    a_series(tmp_path / "archive", slices=3)
    with EmbeddedPacs(tmp_path / "archive") as pacs:
        said = racoon("doctor", "--site", a_site(tmp_path / "site", port=pacs.port), "--json")

    checks = checks_of(said)
    assert said.document["healthy"] is True, checks
    assert said.exit_code == 0
    for name in ("python", "codec openjpeg", "folder vault", "folder spool", "ledger", "lock", "node pacs"):
        assert checks[name][0] == "good"
    assert "clock" in checks
    assert "disk" in checks
    assert checks["torch"][0] == "good"
    assert any(name.startswith("GPU") for name in checks)


def test_a_node_that_is_down_ends_with_4(site):
    """What is bad has a remedy."""
    said = racoon("doctor", "--site", site, "--json")

    assert said.exit_code == 4
    assert checks_of(said)["node pacs"][0] == "bad"
    assert checks_of(said)["node pacs"][1]


def test_a_vault_others_may_enter_ends_with_7(site):
    """The remedy is the command that closes it."""
    (site / "vault" / "deid.key").chmod(0o644)

    said = racoon("doctor", "--site", site, "--dry-run", "--json")

    assert said.exit_code == 7
    verdict, remedy = checks_of(said)["folder vault"]
    assert verdict == "bad"
    assert remedy.startswith("chmod -R go-rwx")


def test_an_edited_audit_log_and_a_broken_ledger_are_found(site):
    """Each is named; the exit code is that of the graver one."""
    AuditLog(site / "audit.jsonl").append("deidentify", instances=3)
    text = (site / "audit.jsonl").read_text()
    (site / "audit.jsonl").write_text(text.replace('"instances": 3', '"instances": 4'))
    with Ledger(site / "ledger.sqlite"):
        pass
    (site / "ledger.sqlite").write_bytes(b"not a ledger" * 500)

    said = racoon("doctor", "--site", site, "--dry-run", "--json")

    assert said.exit_code == 7
    assert checks_of(said)["audit log"][0] == "bad"
    assert checks_of(said)["ledger"][0] == "bad"


def test_an_aggregator_that_is_not_there_is_told(site):
    """The site's settings name it, the training package tries it."""
    with (site / "racoon.toml").open("a") as stream:
        stream.write('\n[federation]\naggregator = "127.0.0.1:9"\n')

    checks = checks_of(racoon("doctor", "--site", site, "--json"))

    assert checks["aggregator"][0] == "bad"
    assert "firewall" in checks["aggregator"][1]


def test_without_a_site_the_machine_is_looked_at(tmp_path, monkeypatch):
    """Before a site is made, Python and codecs can be checked; nothing is bad about having none."""
    monkeypatch.chdir(tmp_path)

    said = racoon("doctor", "--json")

    assert said.exit_code == 0
    assert checks_of(said)["settings"] == ("unknown", "run racoon init, or name one with --site")
