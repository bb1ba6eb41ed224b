"""``racoon deid`` and ``racoon audit`` as a person or a script uses them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pydicom
import pytest
from typer.testing import CliRunner, Result

from racoon_data.cli.main import app
from racoon_data.deid.vault import create_key
from racoon_data.errors import ExitCode
from racoon_data.site.paths import create_site
from racoon_data.testing.makers import a_series, not_dicom
from tests.deid.test_door import a_file

SETTINGS = '[site]\nname = "north"\n'


def _racoon(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """A key outside any site."""
    create_key(tmp_path / "vault")
    return tmp_path / "vault" / "deid.key"


def test_run_on_a_plain_folder(tmp_path: Path, key_file: Path):
    """A folder in, a folder out, one JSON document; files that are no DICOM are no failure."""
    a_series(tmp_path / "in", slices=2, rows=4, columns=4)
    not_dicom(tmp_path / "in")

    ran = _racoon("deid", "run", tmp_path / "in", tmp_path / "out", "--key-file", key_file, "--json")
    document = json.loads(ran.stdout)

    assert ran.exit_code == ExitCode.DONE
    assert document["counts"]["done"] == 2
    assert sum(document["counts"].values()) == len(document["objects"])
    assert sorted(one["path"] for one in document["objects"] if one["path"]) == sorted(
        str(path) for path in (tmp_path / "out").rglob("*.dcm")
    )


def test_what_came_out_does_not_go_in_again(tmp_path: Path, key_file: Path):
    """With OUT and the quarantine inside IN a second run finds the same files, all done before."""
    a_series(tmp_path / "in", slices=2, rows=4, columns=4)
    a_file(tmp_path / "in" / "odd", BurnedInAnnotation="YES", SOPInstanceUID="1.2.3")
    command = ("deid", "run", tmp_path / "in", tmp_path / "in" / "out", "--key-file", key_file, "--json")

    first, second = (json.loads(_racoon(*command).stdout) for _ in range(2))

    assert second == first
    assert len(first["objects"]) == 3


def test_refused_objects_end_with_five(tmp_path: Path, key_file: Path):
    """A script sees that something waits for a person, and the table says what and why."""
    a_file(tmp_path / "in", BurnedInAnnotation="YES")

    ran = _racoon(
        "deid", "run", tmp_path / "in", tmp_path / "out", "--key-file", key_file, "--quarantine", tmp_path / "q"
    )

    assert ran.exit_code == ExitCode.PARTIAL
    assert "BurnedInAnnotation" in ran.stdout
    assert len(list((tmp_path / "q").glob("*.dcm"))) == 1


def test_a_site_brings_key_quarantine_and_log(tmp_path: Path):
    """With --site the vault's key is used and the site's audit log is written and verifies."""
    site = create_site(tmp_path / "site", SETTINGS)
    create_key(site.vault)
    a_series(tmp_path / "in", slices=2, rows=4, columns=4)
    a_file(tmp_path / "in", BurnedInAnnotation="YES", SOPInstanceUID="1.2.3")

    ran = _racoon("deid", "run", tmp_path / "in", site.work, "--site", site.root)
    verified = _racoon("audit", "verify", "--site", site.root, "--json")

    assert ran.exit_code == ExitCode.PARTIAL
    assert json.loads(verified.stdout) == {"lines": 2, "is_whole": True, "is_sealed": True}
    assert len(list(site.quarantine.glob("*.dcm"))) == 1


def test_dry_run_writes_nothing(tmp_path: Path, key_file: Path):
    """The plan is shown and no folder appears."""
    a_series(tmp_path / "in", slices=2, rows=4, columns=4)

    ran = _racoon("deid", "run", tmp_path / "in", tmp_path / "out", "--key-file", key_file, "--dry-run")

    assert ran.exit_code == ExitCode.DONE
    assert "2 of 2 objects would pass" in ran.stdout
    assert not (tmp_path / "out").exists()


def test_without_a_key_nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """No key is made silently."""
    monkeypatch.chdir(tmp_path)
    a_series(tmp_path / "in", slices=1, rows=4, columns=4)

    ran = _racoon("deid", "run", tmp_path / "in", tmp_path / "out")

    assert ran.exit_code == ExitCode.SETTINGS
    assert not (tmp_path / "out").exists()


def test_an_empty_folder_matches_nothing(tmp_path: Path, key_file: Path):
    """Exit code 8: there was nothing to work on."""
    (tmp_path / "in").mkdir()

    assert (
        _racoon("deid", "run", tmp_path / "in", tmp_path / "out", "--key-file", key_file).exit_code == ExitCode.NOTHING
    )


def test_a_wrong_profile_is_named(tmp_path: Path, key_file: Path):
    """An option that does not exist is refused instead of ignored."""
    profile = tmp_path / "profile.toml"
    profile.write_text('dates = "modified"\nclean_everything = true\n')
    a_series(tmp_path / "in", slices=1, rows=4, columns=4)

    ran = _racoon("deid", "run", tmp_path / "in", tmp_path / "out", "--key-file", key_file, "--profile", profile)

    assert ran.exit_code == ExitCode.SETTINGS
    assert "clean_everything" in ran.stderr


def test_explain_tells_reasons_without_values(tmp_path: Path):
    """Each attribute has an action and a reason, and no value of the patient is shown."""
    path = a_file(tmp_path / "in")

    ran = _racoon("deid", "explain", path, "--json")
    told = {one["where"]: one for one in json.loads(ran.stdout)}

    assert told["(0010,0010) PatientName"]["action"] == "patient"
    assert told["(0008,0080) InstitutionName"]["action"] == "remove"
    assert "2024e" in told["(0008,0080) InstitutionName"]["reason"]
    assert "Muster" not in ran.stdout
    assert "19561104" not in ran.stdout


def test_explain_says_why_an_object_would_wait(tmp_path: Path):
    """An object that may not pass has one reason."""
    ran = _racoon("deid", "explain", a_file(tmp_path / "in", BurnedInAnnotation="YES"))

    assert ran.exit_code == ExitCode.POLICY
    assert "BurnedInAnnotation" in ran.stderr


def test_key_is_made_and_not_shown(tmp_path: Path):
    """The command prints where the key lies, never what it is."""
    ran = _racoon("deid", "key", tmp_path / "vault")

    assert ran.exit_code == ExitCode.DONE
    assert (tmp_path / "vault" / "deid.key").read_text().strip() not in ran.stdout


def test_a_broken_log_ends_with_seven(tmp_path: Path):
    """A broken audit log is a matter of policy."""
    log = tmp_path / "audit.jsonl"
    log.write_text("{}\n")

    assert _racoon("audit", "verify", log).exit_code == ExitCode.POLICY


def test_a_folder_that_cannot_be_listed_ends_the_run(tmp_path: Path, key_file: Path, monkeypatch: pytest.MonkeyPatch):
    """Nothing passes while part of the input is closed to us: it would be lost silently."""
    a_series(tmp_path / "in", slices=1, rows=4, columns=4)
    real = os.scandir

    def closed(folder: str) -> object:
        if str(folder).endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return real(folder)

    (tmp_path / "in" / "closed").mkdir()
    monkeypatch.setattr(os, "scandir", closed)

    ran = CliRunner().invoke(
        app, ["deid", "run", str(tmp_path / "in"), str(tmp_path / "out"), "--key-file", str(key_file)]
    )

    assert ran.exit_code == ExitCode.PARTIAL
    assert not list((tmp_path / "out").rglob("*.dcm"))


def test_files_that_are_no_dicom_match_nothing(tmp_path: Path, key_file: Path):
    """Where none of the files is DICOM the wrong folder was named: exit code 8."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "notes.txt").write_text("hello")

    ran = CliRunner().invoke(
        app, ["deid", "run", str(tmp_path / "in"), str(tmp_path / "out"), "--key-file", str(key_file)]
    )

    assert ran.exit_code == ExitCode.NOTHING


def test_what_the_self_check_did_not_search_is_told(tmp_path: Path, key_file: Path):
    """A name of two letters counts as a whole value only, and the run says how many such identifiers there were."""
    (path,) = a_series(tmp_path / "in", slices=1, rows=4, columns=4).paths
    dataset = pydicom.dcmread(path)
    dataset.PatientName = "Li^Bo"
    dataset.save_as(path)

    ran = _racoon("deid", "run", tmp_path / "in", tmp_path / "out", "--key-file", key_file, "--json")

    assert json.loads(ran.stdout)["exempt"] >= 2
