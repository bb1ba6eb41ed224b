"""Settings tell where each value came from, and secrets stay where they are."""

import pytest

from tests.journeys.steps import a_site, racoon


@pytest.fixture
def site(tmp_path):
    """A fresh site."""
    return a_site(tmp_path / "site", port=11112)


def value_of(said, key):
    """One row of the settings."""
    return next((row["value"], row["origin"]) for row in said.document if row["key"] == key)


def test_each_value_has_its_origin(site, monkeypatch):
    """A default, a line of the file, a variable and an option are told apart; the later ones win."""
    monkeypatch.setenv("RACOON_SITE__WORKERS", "3")
    monkeypatch.setenv("RACOON_NODES__PACS__TIMEOUT_S", "12.5")

    said = racoon("settings", "--site", site, "--set", "nodes.pacs.timeout_s=7", "--json")

    assert value_of(said, "site.name") == ("site-a", "file")
    assert value_of(said, "site.workers") == (3, "environment RACOON_SITE__WORKERS")
    assert value_of(said, "nodes.pacs.timeout_s") == (7.0, "option")
    assert value_of(said, "nodes.pacs.deadline_s") == (3600.0, "default")


def test_the_environment_holds_for_every_command(site, monkeypatch):
    """A variable changes what a command does, and a wrong one is named."""
    monkeypatch.setenv("RACOON_NODES__PACS__PORT", "70000")

    said = racoon("pacs", "echo", "pacs", "--site", site)

    assert said.exit_code == 3
    assert "nodes.pacs.port" in said.err
    assert "RACOON_NODES__PACS__PORT" in said.err


def test_a_variable_finds_a_node_with_a_hyphen(site, monkeypatch):
    """An underscore stands for a hyphen where the file has one."""
    with (site / "racoon.toml").open("a") as stream:
        stream.write('\n[folders.old-cds]\npath = "/mnt/cds"\n')
    monkeypatch.setenv("RACOON_FOLDERS__OLD_CDS__PATH", "/mnt/other")

    said = racoon("settings", "--site", site, "--only", "folders", "--json")

    assert value_of(said, "folders.old-cds.path") == ("/mnt/other", "environment RACOON_FOLDERS__OLD_CDS__PATH")


def test_a_secret_is_never_printed(site, monkeypatch, tmp_path):
    """Only the place of a secret is told, and whether something is there."""
    (tmp_path / "token.txt").write_text("hunter2")
    monkeypatch.setenv("PACS_TOKEN", "hunter2")
    with (site / "racoon.toml").open("a") as stream:
        stream.write('\n[web.a]\nurl = "https://pacs.example"\nbearer_env = "PACS_TOKEN"\n')
        stream.write(f'[web.b]\nurl = "https://pacs.example"\nbearer_file = "{tmp_path / "token.txt"}"\n')

    for options in ([], ["--json"]):
        said = racoon("settings", "--site", site, *options)
        assert said.exit_code == 0, said.err
        assert "hunter2" not in said.out + said.err
        assert "$PACS_TOKEN (set)" in said.out


def test_init_asks_nobody_outside_a_terminal(tmp_path):
    """Without a name and a person it ends as a usage error and makes nothing."""
    said = racoon("init", tmp_path / "site")

    assert said.exit_code == 2
    assert "--name" in said.err
    assert not (tmp_path / "site").exists()


def test_init_asks_a_person(tmp_path, monkeypatch):
    """In a terminal a few questions are enough; Enter takes what is offered."""
    answers = iter(["hospital-x", "pacs.example", "11112", "ARCHIVE", "RACOON", "2"])
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.prompt", lambda *_, **__: next(answers))

    said = racoon("init", tmp_path / "site")

    assert said.exit_code == 0, said.err
    shown = racoon("settings", "--site", tmp_path / "site", "--json")
    assert value_of(shown, "nodes.pacs.host") == ("pacs.example", "file")
    assert value_of(shown, "site.workers") == (2, "file")


def test_init_leaves_a_filled_folder_alone(tmp_path):
    """Other files are no place for a site unless somebody says so; a dry run writes nothing."""
    (tmp_path / "letter.txt").write_text("mine")

    refused = racoon("init", tmp_path, "--name", "hospital-a")
    tried = racoon("init", tmp_path, "--name", "hospital-a", "--dry-run")
    left = sorted(path.name for path in tmp_path.iterdir())
    made = racoon("init", tmp_path, "--name", "hospital-a", "--in-filled-folder")

    assert (refused.exit_code, tried.exit_code, made.exit_code) == (3, 0, 0)
    assert 'name = "hospital-a"' in tried.out
    assert left == ["letter.txt"]
