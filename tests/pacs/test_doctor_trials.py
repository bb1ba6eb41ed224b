"""The doctor tries what a peer offers: C-MOVE, WADO-RS and STOW-RS, with nothing changed there."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from racoon_data import schemas
from racoon_data.cli.main import app
from racoon_data.faults import NO_FAULTS, FaultPlan
from racoon_data.pacs.doctor.examine import examine
from racoon_data.pacs.find import find
from racoon_data.pacs.peer import PacsNode, WebNode
from racoon_data.pacs.profile import knowing
from racoon_data.pacs.push import push
from racoon_data.pacs.serve import EmbeddedPacs
from racoon_data.pacs.serve_web import WebService
from racoon_data.refs import Query
from racoon_data.site.paths import create_site
from tests.pacs.test_peers import ORTHANC, an_orthanc, free_port
from tests.pacs.test_web_peers import PLUGIN


def finding(profile, check):
    """The last finding of a check."""
    return [one for one in profile.findings if one.check == check][-1]


def test_c_move_is_tried_where_we_have_a_port(pacs):
    """A peer that knows us as a destination sends a study to our own receiver; one that does not is told about."""
    port = free_port()
    node = replace(pacs.node(timeout_s=5.0), receive_port=port)
    stranger = examine(node)
    pacs.destinations["RACOON"] = ("127.0.0.1", port)
    known = examine(node)

    assert finding(known, "C-MOVE").result == "good"
    assert known.methods == ("get", "move")
    assert (finding(stranger, "C-MOVE").result, stranger.methods) == ("bad", ("get",))
    assert str(port) in finding(stranger, "C-MOVE").remedy


def test_a_port_that_is_taken_is_a_finding(pacs):
    """Another program on our receive_port ends the trial of C-MOVE, not the examination."""
    profile = examine(replace(pacs.node(timeout_s=5.0), receive_port=pacs.port))

    assert finding(profile, "C-MOVE").result == "bad"
    assert finding(profile, "C-GET").result == "good"


def test_a_pacs_that_sends_nothing_is_not_believed(archive):
    """C-GET that reports success and sends nothing is taken off the profile's methods."""
    with EmbeddedPacs(archive.folder, faults=FaultPlan(drop_last=100)) as pacs:
        profile = examine(pacs.node())

    assert finding(profile, "C-GET").result == "bad"
    assert profile.methods == ("move",)


def test_without_counts_a_small_study_is_listed(archive):
    """A PACS that announces no counts is measured too: its list says how small a study is."""
    with EmbeddedPacs(archive.folder, faults=FaultPlan(no_counts=True)) as pacs:
        profile = examine(pacs.node())

    assert finding(profile, "C-GET").result == "good"
    assert profile.speed.instances_per_s > 0


def test_a_service_is_examined_and_nothing_is_stored(pacs):
    """QIDO-RS answers, WADO-RS hands out a study, STOW-RS takes a request that stores nothing."""
    before = pacs.index.size()
    with WebService(pacs) as web:
        profile = examine(web.node())

    assert {one.result for one in profile.findings} == {"good"}
    assert profile.web_services == ("qido", "wado", "stow")
    assert profile.methods == ("wado",)
    assert profile.speed.bytes_per_instance > 1000
    assert pacs.index.size() == before
    assert schemas.problems("pacs-profile", profile.model_dump(mode="json")) == ()


@pytest.mark.parametrize(
    ("plan", "check", "says"),
    [
        (FaultPlan(truncate_at=0), "WADO-RS", "ended before its closing delimiter"),
        (FaultPlan(redirect_to="http://example.org"), "WADO-RS", "redirects to another place"),
        (FaultPlan(refuse_associations=True), "QIDO-RS", "lets us not in"),
        (FaultPlan(busy=100, retry_after_s=0.0), "QIDO-RS", "busy"),
    ],
)
def test_a_service_in_trouble_is_told_about(pacs, plan, check, says):
    """What a service does wrong is a sentence with a remedy, and its method is not used."""
    pacs.faults = plan
    with WebService(pacs) as web:
        profile = examine(web.node(timeout_s=5.0))
    pacs.faults = NO_FAULTS

    found = finding(profile, check)
    assert (found.result, bool(found.remedy)) == ("bad", True)
    assert says in found.message
    assert "wado" not in profile.methods


def test_a_pacs_with_a_service_has_three_ways(pacs):
    """C-GET comes first; where it brings nothing, the node is asked by WADO-RS before C-MOVE."""
    with WebService(pacs) as web:
        node = replace(pacs.node(), web=web.node())
        profile = examine(node)
        knows = [
            knowing(node, profile.model_copy(update={"methods": left})).retrieve for left in (("wado", "move"), ())
        ]

    assert profile.methods == ("get", "wado", "move")
    assert knowing(node, profile).retrieve == "get"
    assert knows == ["wado", "auto"]


def test_a_service_of_a_site_is_examined_by_name(pacs, tmp_path):
    """``doctor`` takes the name of a [web] table and keeps its profile; a folder needs none."""
    with WebService(pacs) as web:
        text = f'[site]\nname = "t"\n[web.archive]\nurl = "{web.url}"\n[folders.usb]\npath = "."\n'
        site = create_site(tmp_path / "site", text)
        ended = CliRunner().invoke(app, ["pacs", "doctor", "archive", "--site", str(site.root), "--json"])
        planned = CliRunner().invoke(
            app, ["pacs", "plan", "archive", "--site", str(site.root), "--json", "--to", str(tmp_path / "p.json")]
        )
    folder = CliRunner().invoke(app, ["pacs", "doctor", "usb", "--site", str(site.root)])

    assert ended.exit_code == 0, ended.stderr
    assert json.loads(ended.stdout)["web_services"] == ["qido", "wado", "stow"]
    assert (site.root / "profiles" / "archive.json").exists()
    assert json.loads(planned.stdout)["is_measured"] is True
    assert folder.exit_code == 3


@ORTHANC
def test_orthanc_is_tried_in_every_way(tmp_path, archive):
    """C-GET, C-MOVE and WADO-RS of a real Orthanc bring a study; STOW-RS is found and nothing is stored."""
    if not PLUGIN.exists():
        pytest.skip("orthanc-dicomweb is not installed")
    port, http = free_port(), free_port()
    url = f"http://127.0.0.1:{http}/dicom-web"
    further = {
        "HttpPort": http, "Plugins": [str(PLUGIN)], "DicomWeb": {"Enable": True}, "AuthenticationEnabled": False,
        "DicomModalities": {"racoon": ["RACOON", "127.0.0.1", port]}, "SynchronousCMove": True,
    }  # fmt: skip
    with an_orthanc(tmp_path, **further) as plain:
        push(plain, [*archive.ct.paths, *archive.mr.paths])
        node: PacsNode = replace(plain, receive_port=port, web=WebNode("web", url, url, url))
        profile = examine(node)
        held = len(list(find(plain, Query("STUDY"))))

    assert {one.check: one.result for one in profile.findings} == dict.fromkeys(
        (one.check for one in profile.findings), "good"
    )
    assert profile.methods == ("get", "wado", "move")
    assert profile.web_services == ("qido", "wado", "stow")
    assert held == 2
