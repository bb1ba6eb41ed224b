"""``racoon pacs pull`` each way: a web node, C-MOVE where there is no C-GET, and a node named by address."""

import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from racoon_data.cli.main import app
from racoon_data.errors import ExitCode, PacsRefusedError
from racoon_data.faults import NO_FAULTS, FaultPlan
from racoon_data.pacs.retrieve import retrieve
from racoon_data.pacs.serve import EmbeddedPacs
from racoon_data.pacs.serve_web import WebService
from racoon_data.site.ledger import Verdict
from racoon_data.site.paths import create_site
from tests.pacs.raw import free_port


def run(*arguments):
    """Run ``racoon pacs`` in this process."""
    return CliRunner().invoke(app, ["pacs", *(str(argument) for argument in arguments)])


@pytest.fixture
def site(pacs, tmp_path):
    """A site with a DICOMweb service as node ``archive``, and the same archive as node ``pacs``, fetched over it."""
    with WebService(pacs) as web:
        text = (
            f'[site]\nname = "t"\n[web.archive]\nurl = "{web.url}"\nretries = 1\nbackoff_s = 0.01\ntimeout_s = 5\n'
            f'[nodes.pacs]\nport = {pacs.port}\nretrieve = "wado"\nweb = "archive"\n'
        )
        yield create_site(tmp_path / "site", text)


@pytest.mark.parametrize("node", ["archive", "pacs"])
def test_a_web_node_is_planned_and_pulled(site, archive, tmp_path, node):
    """Find, plan and pull by the name of the service, or of the PACS that has it; a second pull fetches nothing."""
    plan = tmp_path / "plan.json"
    planned = run("plan", node, "--filter", "PatientID=P1", "--to", plan, "--site", site.root, "--json")
    pulled = run("pull", plan, "--site", site.root, "--json")
    again = run("pull", node, "--filter", "PatientID=P1", "--site", site.root, "--json")

    assert json.loads(planned.stdout)["instances"] == 10
    (row,) = json.loads(pulled.stdout)
    assert (pulled.exit_code, row["verdict"], row["arrived"]) == (0, "complete", 10)
    assert {path.stem for path in site.spool.rglob("*.dcm")} == archive.sop_uids
    assert '"receive"' in pulled.stderr
    assert again.exit_code == 0
    assert '"receive"' not in again.stderr


def test_a_service_that_leaves_one_out_is_partial(site, pacs):
    """The exit code says so, the reason stands in the table, and the same command fetches what is missing."""
    pacs.faults = FaultPlan(drop_last=1)
    partial = run("pull", "archive", "--filter", "PatientID=P2", "--site", site.root, "--attempts", 1, "--json")
    pacs.faults = NO_FAULTS
    whole = run("pull", "archive", "--filter", "PatientID=P2", "--site", site.root, "--json")

    (row,) = json.loads(partial.stdout)
    assert (partial.exit_code, row["verdict"], row["arrived"]) == (ExitCode.PARTIAL, "partial", 2)
    assert "did not send it" in row["why"]
    assert whole.exit_code == 0


def test_a_service_has_no_c_move(site):
    """A method that this kind of node does not have is an error, not another method; its own is fine."""
    moved = run("pull", "archive", "--filter", "PatientID=P2", "--method", "move", "--site", site.root)
    fetched = run("pull", "archive", "--filter", "PatientID=P2", "--method", "wado", "--site", site.root)

    assert (moved.exit_code, fetched.exit_code) == (ExitCode.SETTINGS, 0)


def test_auto_falls_back_to_c_move(archive, spool, ledger):
    """A PACS without C-GET is asked by C-MOVE where we have a port, and refuses where we have none."""
    port = free_port()
    known = {"RACOON": ("127.0.0.1", port)}
    with EmbeddedPacs(archive.folder, destinations=known, faults=FaultPlan(no_get=True)) as pacs:
        with pytest.raises(PacsRefusedError, match="C-GET") as caught:
            retrieve(pacs.node(), [archive.study], spool=spool, ledger=ledger)
        node = replace(pacs.node(timeout_s=5.0), receive_port=port)
        (verdict,) = retrieve(node, [archive.study], spool=spool, ledger=ledger)

    assert "receive_port" in caught.value.hint
    assert (verdict.verdict, verdict.arrived) == (Verdict.COMPLETE, 10)
