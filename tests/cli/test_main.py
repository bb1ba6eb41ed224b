"""The command line as a whole: rooms, exit codes, JSON."""

import pytest

from racoon_data import schemas
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


def test_help_explains_arguments():
    """An argument is explained like an option, and no room offers to install completion again."""
    said = racoon("init", "--help")

    assert "Folder to create." in said.out
    assert "completion" not in said.out


def test_version_as_an_option():
    """What most tools answer, we answer too."""
    said = racoon("--version")

    assert said.exit_code == 0
    assert said.out == racoon("version").out


def test_a_folder_that_is_no_site_is_named(tmp_path):
    """The remedy is the command that makes one."""
    said = racoon("pacs", "echo", "--site", tmp_path)

    assert said.exit_code == 3
    assert "racoon init" in said.err


def test_a_key_that_does_not_exist_is_told_from_a_wrong_value(tmp_path):
    """Settings speak our language, and name the command that lists every key."""
    (tmp_path / "racoon.toml").write_text('[site]\nname = "a"\n[nodes.pacs]\nprt = 104\n')

    said = racoon("pacs", "echo", "--site", tmp_path)

    assert "nodes.pacs.prt: there is no such key" in said.err
    assert "racoon schema show site-settings" in said.err


@pytest.mark.parametrize(("name", "example"), [("labels.json", "label-schema"), ("labels.json", "labels")])
def test_labels_json_is_read_as_what_it_holds(tmp_path, name, example):
    """A person's label schema and the view inside a dataset may have the same name."""
    (tmp_path / name).write_bytes((schemas.folder() / "examples" / f"{example}.json").read_bytes())

    said = racoon("schema", "validate", tmp_path / name)

    assert said.out.strip().endswith(f"fits {example}")


def test_a_job_is_told_from_a_study(tmp_path):
    """Both are TOML; the job lists its labels."""
    job = 'name = "lung"\nlabels = [{ value = 1, name = "consolidation" }]\n'
    (tmp_path / "job.toml").write_text(job)

    assert "federation-job" in racoon("schema", "validate", tmp_path / "job.toml").out


def test_version_as_json():
    """Machines can ask for the version."""
    assert set(racoon("version", "--json").document) == {"racoon"}


def test_folders_with_identities_are_closed_to_others(tmp_path):
    """Key, spool and quarantine hold identified data: only the owner enters."""
    racoon("init", tmp_path / "site", "--name", "hospital-a")

    modes = {name: (tmp_path / "site" / name).stat().st_mode & 0o777 for name in ("vault", "spool", "quarantine")}
    assert modes == {"vault": 0o700, "spool": 0o700, "quarantine": 0o700}


def test_a_place_nobody_can_write_is_a_storage_error():
    """A folder that cannot be made is an error with a remedy, not a traceback."""
    said = racoon("init", "/proc/nowhere/site", "--name", "hospital-a")

    assert said.exit_code == 9
    assert "what helps" in said.err
