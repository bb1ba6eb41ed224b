"""The command line as a whole: rooms, exit codes, JSON."""

from tests.journeys.steps import racoon


def test_help_names_every_room():
    """Whoever starts sees all rooms, also those of the training package."""
    said = racoon("--help")

    assert said.exit_code == 0
    for room in ("init", "run", "demo", "pacs", "deid", "convert", "annotations", "dataset", "qc", "train", "schema"):
        assert f" {room} " in said.out


def test_an_unknown_room_is_a_usage_error():
    """A typing error exits with 2."""
    assert racoon("pasc").exit_code == 2


def test_a_study_outside_a_site_says_what_to_do(tmp_path, monkeypatch):
    """Without a site the message names ``racoon init``."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.toml").write_text("")

    said = racoon("run", "study.toml")

    assert said.exit_code == 3
    assert "racoon init" in said.err


def test_init_refuses_a_folder_that_is_a_site(tmp_path):
    """A site, and its key, are never overwritten."""
    first = racoon("init", tmp_path / "site", "--name", "hospital-a", "--json")
    key = (tmp_path / "site" / "vault" / "deid.key").read_bytes()

    again = racoon("init", tmp_path / "site", "--name", "hospital-b")

    assert first.exit_code == 0
    assert first.document["site"].endswith("site")
    assert again.exit_code == 3
    assert (tmp_path / "site" / "vault" / "deid.key").read_bytes() == key


def test_a_wrong_site_name_leaves_nothing_behind(tmp_path):
    """Settings that do not fit are refused before anything is laid out."""
    said = racoon("init", tmp_path / "site", "--name", "Hospital A")

    assert said.exit_code == 3
    assert "site.name" in said.err
    assert not (tmp_path / "site").exists()


def test_version_as_json():
    """Machines can ask for the version."""
    assert set(racoon("version", "--json").document) == {"racoon"}
