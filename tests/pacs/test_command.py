"""``racoon pacs`` on the command line: results on stdout, talk on stderr, documented exit codes."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from racoon_data.cli.main import app
from racoon_data.errors import ExitCode
from racoon_data.faults import FaultPlan
from racoon_data.site.paths import create_site

ROOT = Path(__file__).parents[2]


def run(*arguments):
    """Run ``racoon pacs`` in this process."""
    return CliRunner().invoke(app, ["pacs", *(str(argument) for argument in arguments)])


def a_site(folder, pacs):
    """A site whose node ``pacs`` is the embedded one."""
    text = f'[site]\nname = "test"\n[nodes.pacs]\nport = {pacs.port}\nae_title = "PACS"\n'
    return create_site(folder, text)


def test_echo_by_name(pacs, tmp_path):
    """A node is taken from racoon.toml."""
    a_site(tmp_path / "site", pacs)

    ended = run("echo", "pacs", "--site", tmp_path / "site", "--json")

    assert ended.exit_code == 0
    assert json.loads(ended.stdout)["node"]["port"] == pacs.port


def test_an_unknown_node_is_a_settings_error(pacs, tmp_path):
    """The exit code is that of settings, and the known names are listed."""
    a_site(tmp_path / "site", pacs)

    ended = run("echo", "other", "--site", tmp_path / "site")

    assert ended.exit_code == ExitCode.SETTINGS
    assert "pacs" in ended.stderr


def test_find_writes_json_lines(pacs, archive):
    """One line per answer, with every attribute asked for."""
    ended = run("find", "--port", pacs.port, "--level", "series", "--filter", "Modality=CT", "--json")

    rows = [json.loads(line) for line in ended.stdout.splitlines()]
    assert ended.exit_code == 0
    assert {row["SeriesInstanceUID"] for row in rows} == {archive.ct.ref.series_uid, archive.ct_thick.ref.series_uid}


def test_a_half_written_file_is_not_pushed(pacs, archive, tmp_path):
    """What a killed process left under a temporary name stays here."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".IM1.dcm.4711.partial").write_bytes(archive.ct.paths[0].read_bytes()[:-100])
    (tmp_path / "out" / "IM1.dcm").write_bytes(archive.ct.paths[0].read_bytes())

    ended = run("push", "pacs", tmp_path / "out", "--port", pacs.port, "--json")

    assert ended.exit_code == 0
    assert [row["ref"] for row in json.loads(ended.stdout)] == ["file IM1.dcm"]


def test_find_draws_a_table(pacs):
    """Without ``--json`` the answers stand in columns."""
    ended = run("find", "--port", pacs.port, "--filter", "PatientID=P2")

    assert ended.exit_code == 0
    assert "Müller^Jörg" in ended.stdout


def test_nothing_found_has_its_own_code(pacs):
    """A query without a match exits with 8."""
    assert run("find", "--port", pacs.port, "--filter", "PatientID=nobody").exit_code == ExitCode.NOTHING


def test_a_filter_without_a_value_is_explained(pacs):
    """A filter that is not Keyword=value is a settings error."""
    assert run("find", "--port", pacs.port, "--filter", "PatientID").exit_code == ExitCode.SETTINGS


def test_a_wrong_title_exits_with_the_peer_code(pacs):
    """A refused association exits with 4 and says what helps."""
    ended = run("echo", "--port", pacs.port, "--ae-title", "OTHER")

    assert ended.exit_code == ExitCode.PEER
    assert "what helps" in ended.stderr


def test_pull_into_a_site(pacs, archive, tmp_path):
    """Files lie in the spool, the ledger beside it, and a second pull is complete at once."""
    site = a_site(tmp_path / "site", pacs)
    arguments = ("pull", "pacs", "--site", site.root, "--filter", "PatientID=P1", "--json")

    first, second = run(*arguments), run(*arguments)

    expected = [{"study": archive.study.study_uid, "verdict": "complete", "expected": 10, "arrived": 10, "why": ""}]
    assert json.loads(first.stdout) == json.loads(second.stdout) == expected
    assert len(list(site.spool.rglob("*.dcm"))) == 10
    assert site.ledger.is_file()


def test_pull_dry_run_transfers_nothing(pacs, tmp_path):
    """The plan is shown and no file is written."""
    ended = run("pull", "--port", pacs.port, "--out", tmp_path / "out", "--dry-run", "--json")

    assert [row["instances"] for row in json.loads(ended.stdout)] == [10, 3]
    assert not (tmp_path / "out").exists()


def test_a_partial_pull_exits_with_5(pacs, tmp_path):
    """An incomplete study is reported with its reason and what to do, and makes the command end with 5."""
    pacs.faults = FaultPlan(die_after=1)

    ended = run("pull", "--port", pacs.port, "--out", tmp_path / "out", "--filter", "PatientID=P1", "--json")

    assert ended.exit_code == ExitCode.PARTIAL
    assert json.loads(ended.stdout)[0]["verdict"] == "partial"
    assert "closed the connection" in json.loads(ended.stdout)[0]["why"]
    assert "the same command fetches what is missing" in ended.stderr


def test_push_reports_each_file(pacs, archive, tmp_path):
    """A strange file is skipped, the rest is sent."""
    ended = run("push", "pacs", archive.folder / "mr", "--port", pacs.port, "--json")
    planned = run("push", "pacs", archive.folder / "mr", "--port", pacs.port, "--json", "--dry-run")

    assert [row["status"] for row in json.loads(ended.stdout)] == ["done"] * 3
    assert len(json.loads(planned.stdout)) == 3


def test_serve_prints_its_address_and_stops_on_a_signal(archive):
    """The first line names the port; SIGTERM ends it with code 0."""
    command = [sys.executable, "-m", "racoon_data", "pacs", "serve", str(archive.folder), "--port", "0", "--json"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        address = json.loads(process.stdout.readline())
        answer = run("echo", "--port", address["port"])
        os.kill(process.pid, signal.SIGTERM)
        code = process.wait(timeout=15)
    finally:
        process.kill()
        process.communicate()

    assert (address["host"], answer.exit_code, code) == ("127.0.0.1", 0, 0)


def test_an_unknown_host_name_is_unreachable():
    """A name no resolver knows is told apart from a PACS that is off."""
    ended = run("echo", "--host", "pacs.invalid", "--port", 104)

    assert ended.exit_code == ExitCode.PEER
    assert "'pacs.invalid' is not known here" in ended.stderr


@pytest.mark.parametrize("options", [["--port", 99999], ["--port", 104, "--ae-title", "MORE THAN SIXTEEN LETTERS"]])
def test_what_is_no_address_is_a_settings_error(options):
    """Ports and AE titles from the command line are checked like those of racoon.toml."""
    ended = run("echo", *options)

    assert ended.exit_code == ExitCode.SETTINGS
    assert "what helps" in ended.stderr


def test_serve_refuses_a_folder_that_is_not_there(tmp_path):
    """A typing error does not become an empty PACS."""
    ended = run("serve", tmp_path / "phantosm")

    assert ended.exit_code == ExitCode.USAGE
    assert not (tmp_path / "phantosm").exists()


def test_plan_then_pull(pacs, tmp_path):
    """A plan names studies, numbers and bytes; pull follows it, into a site, and a damaged one is refused."""
    a_site(tmp_path / "site", pacs)
    plan = tmp_path / "plan.json"

    made = run("plan", "pacs", "--site", tmp_path / "site", "--modality", "CT", "--to", plan, "--json")
    pulled = run("pull", plan, "--site", tmp_path / "site", "--json")
    plan.write_text("{}")
    refused = run("pull", plan, "--site", tmp_path / "site")

    document = json.loads(made.stdout)
    assert (document["instances"], document["series"]) == (10, 2)
    assert document["bytes"] > 0
    assert [row["verdict"] for row in json.loads(pulled.stdout)] == ["complete"]
    assert refused.exit_code == ExitCode.SETTINGS


def test_a_plan_lists_what_a_pacs_does_not_count(pacs, tmp_path):
    """Without announced counts the instances are listed one by one."""
    pacs.faults = FaultPlan(no_counts=True)

    made = run("plan", "--port", pacs.port, "--dry-run", "--to", tmp_path / "plan.json", "--json")

    document = json.loads(made.stdout)
    assert [(one["instances"], one["counted"]) for one in document["studies"]] == [(10, "listed"), (3, "listed")]
    assert not (tmp_path / "plan.json").exists()


def test_a_folder_node_is_found_and_pulled(archive, tmp_path):
    """find and pull work on a folder as on a PACS."""
    text = f'[site]\nname = "test"\n[folders.usb]\npath = "{archive.folder}"\n'
    create_site(tmp_path / "site", text)

    echoed = run("echo", "usb", "--site", tmp_path / "site", "--json")
    found = run("find", "usb", "--site", tmp_path / "site", "--modality", "MR", "--json")
    pulled = run("pull", "usb", "--site", tmp_path / "site", "--json")

    assert json.loads(echoed.stdout)["node"]["name"] == "usb"
    assert json.loads(found.stdout)["PatientID"] == "P2"
    assert {row["verdict"] for row in json.loads(pulled.stdout)} == {"complete"}


def test_an_unknown_method_is_a_settings_error(pacs, tmp_path):
    """Only get, move, wado and auto are ways to retrieve."""
    ended = run("pull", "--port", pacs.port, "--out", tmp_path / "out", "--method", "fax")

    assert ended.exit_code == ExitCode.SETTINGS
