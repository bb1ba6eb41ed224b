"""Pseudonym services: asked once for everybody, believed only where the answer can name a patient, waited for."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from typer.testing import CliRunner, Result

from racoon_data.cli.main import app
from racoon_data.deid.register import Register
from racoon_data.deid.vault import create_key, load_key
from racoon_data.errors import ExitCode, PseudonymServiceError, SettingsError
from racoon_data.node_settings import PseudonymSettings
from racoon_data.settings import SiteSettings, parse_toml
from racoon_data.site.paths import Site, create_site
from tests.deid.samples import a_study
from tests.deid.services import Fake, served
from tests.deid.test_door import a_file

SITE = '[site]\nname = "north"\n'
SERVICE = """
[deid.pseudonyms]
kind = "{kind}"
url = "{url}"
target = "racoon"
retries = 1
backoff_s = 0.01
timeout_s = 0.3
"""


def _racoon(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def _a_site(root: Path, table: str) -> Site:
    site = create_site(root / "site", SITE + table)
    create_key(site.vault)
    return site


def _run(source: Path, site: Site, *more: str) -> Result:
    return _racoon("deid", "run", source, site.work, "--site", site.root, "--json", *more)


def _patients(site: Site) -> set[str]:
    return {pydicom.dcmread(path, stop_before_pixels=True).PatientID for path in site.work.rglob("*.dcm")}


@pytest.fixture
def fake() -> Iterator[Fake]:
    """A gPAS that behaves."""
    with served(Fake()) as one:
        yield one


@pytest.fixture
def two_patients(tmp_path: Path) -> Path:
    """Files of two patients."""
    a_file(tmp_path / "in" / "a", PatientID="4711-A", SOPInstanceUID="1.2.3.1")
    a_file(tmp_path / "in" / "b", PatientID="4712-B", SOPInstanceUID="1.2.3.2", StudyInstanceUID="1.2.3")
    return tmp_path / "in"


@pytest.mark.parametrize("kind", ["gpas", "mainzelliste"])
def test_the_service_names_patients_once(tmp_path: Path, two_patients: Path, kind: str):
    """Its names stand in objects and folders; a second run, with two workers, asks nothing."""
    with served(Fake(kind)) as fake:
        site = _a_site(tmp_path, SERVICE.format(kind=kind, url=fake.url))

        first = _run(two_patients, site)
        requests = len(fake.requests)
        second = _run(two_patients, site, "--workers", "2")

    assert (first.exit_code, second.exit_code) == (ExitCode.DONE, ExitCode.DONE)
    assert _patients(site) == set(fake.names.values()) == {path.name for path in site.work.iterdir()}
    assert sorted(fake.asked) == ["4711-A", "4712-B"]
    assert len(fake.requests) == requests


def test_the_request_is_the_one_of_the_guide(tmp_path: Path, two_patients: Path, fake: Fake, monkeypatch):
    """gPAS gets one FHIR request for all patients, with our token; off, ``create`` makes no pseudonyms."""
    monkeypatch.setenv("GPAS_TOKEN", "s3cret")
    table = SERVICE.format(kind="gpas", url=fake.url) + 'bearer_env = "GPAS_TOKEN"\ncreate = false\n'
    fake.creates, fake.names = False, {"4711-A": "known_1"}

    ran = _run(two_patients, _a_site(tmp_path, table))

    ((method, path, headers),) = fake.requests
    assert (method, path) == ("POST", "/$pseudonymize")
    assert headers["Authorization"] == "Bearer s3cret"
    assert headers["Content-Type"] == "application/fhir+json"
    assert json.loads(ran.stdout)["counts"]["done"] == 1
    assert ran.exit_code == ExitCode.PEER


def test_the_api_key_opens_a_mainzelliste_and_the_session_is_closed(tmp_path: Path, two_patients: Path):
    """The key goes out in its header; only the PatientID is told; the session ends."""
    secret = tmp_path / "key.txt"
    secret.write_text("changeThisApiKey\n")
    with served(Fake("mainzelliste")) as fake:
        table = SERVICE.format(kind="mainzelliste", url=fake.url) + f'bearer_file = "{secret}"\n'
        _run(two_patients, _a_site(tmp_path, table))

    assert {headers["mainzellisteApiKey"] for _, _, headers in fake.requests} == {"changeThisApiKey"}
    assert [token["data"]["ids"] for token in fake.tokens.values()] == [{"extid": "4711-A"}, {"extid": "4712-B"}]
    assert fake.requests[-1][:2] == ("DELETE", "/sessions/s-1")


def test_a_busy_service_is_asked_again(tmp_path: Path, two_patients: Path, fake: Fake):
    """A 503 with Retry-After is a pause and no failure."""
    fake.faults.append((503, {"Retry-After": "0"}, b"busy"))

    ran = _run(two_patients, _a_site(tmp_path, SERVICE.format(kind="gpas", url=fake.url)))

    assert (ran.exit_code, len(fake.requests)) == (ExitCode.DONE, 2)


MISBEHAVIOUR = {
    "away for good": [(503, {}, b""), (503, {}, b"")],
    "silent": [1.0, 1.0],
    "no JSON": [(200, {}, b"<html>login</html>")],
    "other JSON": [(200, {}, b'{"resourceType": "OperationOutcome"}')],
    "deep JSON": [(200, {}, b"[" * 100_000)],
    "another host": [(307, {"Location": "http://127.0.0.1:1/steal"}, b"")],
    "closed": [(401, {}, b"")],
    "broken": [(500, {}, b""), (500, {}, b"")],
    "another domain": [
        (200, {}, b'{"resourceType": "Parameters", "parameter": [{"name": "pseudonym", "part": [{"name": "target", '
                  b'"valueIdentifier": {"value": "other"}}]}]}'),
    ],
}  # fmt: skip


@pytest.mark.parametrize("faults", MISBEHAVIOUR.values(), ids=MISBEHAVIOUR.keys())
def test_the_work_waits_for_the_service(tmp_path: Path, two_patients: Path, fake: Fake, faults: list):
    """Whatever is wrong with it: nothing passes or is quarantined, exit code 4; the same command goes on later."""
    site = _a_site(tmp_path, SERVICE.format(kind="gpas", url=fake.url))
    fake.faults.extend(faults)

    waited = _run(two_patients, site)
    left = [*site.work.rglob("*.dcm"), *site.quarantine.iterdir()]
    asked_nobody_else = all("steal" not in path for _, path, _ in fake.requests)
    fake.faults.clear()
    later = _run(two_patients, site)

    objects = json.loads(waited.stdout)["objects"]
    assert {one["code"] for one in objects} == {"deid.pseudonym_service"}
    assert (waited.exit_code, left, asked_nobody_else) == (ExitCode.PEER, [], True)
    assert "4711" not in waited.output
    assert (later.exit_code, len(_patients(site))) == (ExitCode.DONE, 2)


def test_nobody_listens(tmp_path: Path, two_patients: Path):
    """Without a connection the work waits, and no keyed pseudonym takes the place of the service's."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        site = _a_site(tmp_path, SERVICE.format(kind="gpas", url=f"http://127.0.0.1:{free.getsockname()[1]}"))

        ran = _run(two_patients, site)

    assert ran.exit_code == ExitCode.PEER
    assert not list(site.work.rglob("*.dcm"))


@pytest.mark.parametrize(
    "names",
    [
        {"4711-A": "4711-A"},
        {"4711-A": "x4711-Ay"},
        {"4711-A": "711-"},
        {"4711-A": "../../up"},
        {"4711-A": "a/b"},
        {"4711-A": "exports"},
        {"4711-A": "P" * 65},
        {"4711-A": ""},
        {"4711-A": "same", "4712-B": "same"},
        {"4711-A": "4712-b"},
    ],
)
def test_a_bad_pseudonym_names_nobody(tmp_path: Path, two_patients: Path, fake: Fake, names: dict[str, str]):
    """One that tells or contains the original, is empty, a path, ours, too long, or somebody else's, is refused."""
    fake.names, site = dict(names), _a_site(tmp_path, SERVICE.format(kind="gpas", url=fake.url))

    ran = _run(two_patients, site)

    assert ran.exit_code == ExitCode.PEER
    assert not _patients(site) & set(names.values())
    assert len(_patients(site)) == 2 - len(names)


def test_a_name_is_given_once(tmp_path: Path, fake: Fake):
    """A later patient whom the service gives an earlier patient's name has to wait."""
    site = _a_site(tmp_path, SERVICE.format(kind="gpas", url=fake.url))
    fake.names = {"4711-A": "twice", "4712-B": "twice"}
    a_file(tmp_path / "in" / "a", PatientID="4711-A", SOPInstanceUID="1.2.3.1")
    _run(tmp_path / "in", site)
    a_file(tmp_path / "later", PatientID="4712-B", SOPInstanceUID="1.2.3.2", StudyInstanceUID="1.2.3")

    ran = _run(tmp_path / "later", site)

    assert ran.exit_code == ExitCode.PEER
    assert len(list(site.work.rglob("*.dcm"))) == 1


def test_a_list_of_the_study_names_patients(tmp_path: Path, two_patients: Path):
    """A CSV of one's own is a source too; whom it does not name waits; others must not read it."""
    site = _a_site(tmp_path, '[deid.pseudonyms]\nkind = "csv"\nfile = "vault/list.csv"\n')
    listed = site.vault / "list.csv"
    listed.write_text("original,pseudonym\n4711-A,study-001\n")
    open_to_all = _run(two_patients, site)
    listed.chmod(0o600)

    ran = _run(two_patients, site)

    assert open_to_all.exit_code == ExitCode.SETTINGS
    assert (ran.exit_code, _patients(site)) == (ExitCode.PEER, {"study-001"})


def test_a_rehearsal_asks_nobody(tmp_path: Path, two_patients: Path, fake: Fake):
    """The dry run tells what would pass without making pseudonyms at the service."""
    ran = _run(two_patients, _a_site(tmp_path, SERVICE.format(kind="gpas", url=fake.url)), "--dry-run")

    assert (json.loads(ran.stdout)["counts"]["done"], fake.requests) == (2, [])


def test_patients_do_not_get_a_second_name(tmp_path: Path, two_patients: Path, fake: Fake):
    """Once patients have passed under names of one source, another source is refused."""
    site = _a_site(tmp_path, "")
    _run(two_patients, site)
    with (site.root / "racoon.toml").open("a") as settings:
        settings.write(SERVICE.format(kind="gpas", url=fake.url))

    ran = _run(two_patients, site)

    assert (ran.exit_code, fake.requests) == (ExitCode.SETTINGS, [])


def test_uids_and_dates_stay_keyed(tmp_path: Path, fake: Fake):
    """Only the patient's name comes from the service: the same key gives the same UIDs and days with and without it."""
    study = a_study(tmp_path / "in")
    keyed, given = _a_site(tmp_path / "a", ""), _a_site(tmp_path / "b", SERVICE.format(kind="gpas", url=fake.url))
    (given.vault / "deid.key").write_text((keyed.vault / "deid.key").read_text())

    _run(tmp_path / "in", keyed)
    _run(tmp_path / "in", given)

    def facts(site: Site) -> set[tuple[str, str]]:
        found = [pydicom.dcmread(path) for path in site.work.rglob("*.dcm")]
        return {(one.SOPInstanceUID, one.StudyDate) for one in found}

    assert facts(keyed) == facts(given)
    assert len(facts(given)) == len(study.paths)


def test_lookup_and_forget_know_the_services_names(tmp_path: Path, two_patients: Path, fake: Fake):
    """The vault undoes a service's pseudonym, and forgets its patient for good: nobody is asked about him again."""
    site = _a_site(tmp_path, SERVICE.format(kind="gpas", url=fake.url))
    _run(two_patients, site)
    pseudonym = fake.names["4711-A"]

    found = _racoon("deid", "lookup", pseudonym, "--reason", "recall", "--site", site.root, "--json")
    gone = _racoon("deid", "forget", "4711-A", "--site", site.root, "--yes", "--json")
    asked = len(fake.asked)
    again = _run(two_patients, site)

    assert json.loads(found.stdout)[0]["PatientID"] == "4711-A"
    assert json.loads(gone.stdout)["patient"] == pseudonym
    assert {one["code"] for one in json.loads(again.stdout)["objects"]} == {"", "deid.forgotten_patient"}
    assert _patients(site) == {fake.names["4712-B"]}
    assert len(fake.asked) == asked
    with Register(site.vault, load_key(site.vault)) as register:
        assert register.person(pseudonym) is None


@pytest.mark.parametrize(
    "table",
    [
        'kind = "gpas"\nurl = "https://ttp"',
        'kind = "gpas"\ntarget = "x"',
        'kind = "csv"',
        'kind = "entici"\nurl = "https://ttp"\ntarget = "x"',
        'kind = "gpas"\nurl = "http://ttp.example.org"\ntarget = "x"',
        'kind = "gpas"\nurl = "https://me:pw@ttp"\ntarget = "x"',
        'kind = "gpas"\nurl = "https://ttp"\ntarget = "x"\ntoken = "abc"',
    ],
)
def test_settings_that_cannot_work_are_refused(table: str):
    """A missing domain or file, an unknown kind, PatientIDs in the clear and written-down secrets are refused."""
    with pytest.raises(SettingsError):
        parse_toml(f"{SITE}[deid.pseudonyms]\n{table}\n", SiteSettings, name="racoon.toml")


def test_a_missing_secret_is_named(tmp_path: Path, two_patients: Path, monkeypatch: pytest.MonkeyPatch):
    """A variable that is not set ends the run before anything is sent."""
    monkeypatch.delenv("GPAS_TOKEN", raising=False)
    table = SERVICE.format(kind="gpas", url="http://127.0.0.1:9") + 'bearer_env = "GPAS_TOKEN"\n'

    ran = _run(two_patients, _a_site(tmp_path, table))

    assert ran.exit_code == ExitCode.SETTINGS
    assert "GPAS_TOKEN" in ran.output


def test_the_error_waits_its_turn():
    """The error of a service that is away is one of peers: exit code 4, worth another try."""
    assert PseudonymServiceError.exit_code is ExitCode.PEER
    assert PseudonymSettings(kind="csv", file="x").urls == ()
