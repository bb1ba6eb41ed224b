"""The doctor: findings with remedies, a profile in the site, and later commands that use it."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from racoon_data import schemas
from racoon_data.cli.main import app
from racoon_data.errors import ExitCode, SchemaError
from racoon_data.faults import FaultPlan
from racoon_data.pacs.doctor.examine import examine, names_of
from racoon_data.pacs.peer import PacsNode
from racoon_data.pacs.profile import knowing, known_node, load_profile, profile_path
from racoon_data.pacs.push import push
from racoon_data.pacs.serve import EmbeddedPacs
from racoon_data.site.paths import create_site
from tests.pacs.test_peers import ORTHANC, an_orthanc


def results(profile):
    """Findings by check."""
    return {finding.check: finding.result for finding in profile.findings}


def test_a_sound_pacs_is_good_all_over(pacs):
    """Contexts, encodings, caps, counts and character set of the embedded PACS are found."""
    profile = examine(pacs.node())

    assert results(profile) == {**dict.fromkeys(results(profile), "good"), "C-MOVE": "unknown"}
    assert profile.methods == ("get", "move")
    assert len(profile.transfer_syntaxes["1.2.840.10008.5.1.4.1.1.2"]) > 5
    assert profile.largest_answer == {"STUDY": 2}
    assert [classes.count("Image Storage") for classes, _ in names_of(profile)] == [6]
    assert profile.speed.instances_per_s > 0
    assert profile.speed.bytes_per_instance > 1000
    assert schemas.problems("pacs-profile", profile.model_dump(mode="json")) == ()


@pytest.mark.parametrize(
    ("plan", "check", "result", "says"),
    [
        (FaultPlan(cap_answers=1), "answer cap", "limited", "answers end at 1"),
        (FaultPlan(no_counts=True), "counts", "limited", "NumberOfStudyRelatedInstances"),
        (FaultPlan(character_set="ISO_IR 100"), "character set", "limited", "not in the character set"),
        (FaultPlan(no_get=True), "retrieval", "limited", "C-MOVE only"),
        (FaultPlan(close_queries=True), "answers", "bad", "without a status"),
        (FaultPlan(refuse_associations=True), "connection", "bad", "rejected"),
    ],
)
def test_every_failure_is_a_sentence_with_a_remedy(archive, plan, check, result, says):
    """What a PACS does wrong is named, with what helps."""
    with EmbeddedPacs(archive.folder, faults=plan) as pacs:
        profile = examine(pacs.node())

    found = next(finding for finding in profile.findings if finding.check == check)
    assert (found.result, bool(found.remedy)) == (result, True)
    assert says in found.message


def test_nobody_there_is_one_finding():
    """A port without a listener ends the examination with one sentence."""
    profile = examine(PacsNode("gone", "127.0.0.1", 1, "PACS", timeout_s=2.0))

    assert [finding.check for finding in profile.findings] == ["connection"]
    assert "firewall" in profile.findings[0].remedy


def test_the_profile_serves_later_commands(pacs, tmp_path):
    """The cap and the method stand in the site, and a node taken from it knows them; another address does not."""
    site = create_site(tmp_path / "site", f'[site]\nname = "test"\n[nodes.pacs]\nport = {pacs.port}\n')
    pacs.faults = FaultPlan(cap_answers=1)

    ended = CliRunner().invoke(app, ["pacs", "doctor", "pacs", "--site", str(site.root), "--json"])

    node = known_node("pacs", site)
    assert ended.exit_code == 0
    assert json.loads(ended.stdout)["answer_cap"] == 1
    assert (node.answer_cap, node.retrieve, node.is_profiled) == (1, "get", True)
    profile = load_profile(profile_path(site, "pacs"))
    assert knowing(PacsNode("pacs", "127.0.0.2", 104, "PACS"), profile).answer_cap == 0


def test_a_damaged_profile_is_named(tmp_path):
    """A profile somebody edited wrongly is refused with the way out."""
    (tmp_path / "pacs.json").write_text('{"node": 1}')

    with pytest.raises(SchemaError, match="no profile"):
        load_profile(tmp_path / "pacs.json")


def test_a_pacs_that_cannot_be_used_exits_with_4(pacs):
    """Queries closed without a status make the doctor end with the code of a peer that refuses."""
    pacs.faults = FaultPlan(close_queries=True)

    ended = CliRunner().invoke(app, ["pacs", "doctor", "--port", str(pacs.port)])

    assert ended.exit_code == ExitCode.PEER
    assert "AE title" in ended.stdout


@ORTHANC
def test_orthanc_is_examined(tmp_path, archive):
    """Orthanc's cap, encodings and methods are found; a stranger hears that its title is not registered."""
    with an_orthanc(tmp_path, LimitFindResults=1) as node:
        push(node, [*archive.ct.paths, *archive.mr.paths])
        profile = examine(node)
        stranger = examine(PacsNode("s", node.host, node.port, node.ae_title, "STRANGER", timeout_s=10.0))

    assert profile.methods == ("get", "move")
    assert profile.answer_cap == 1
    assert "1.2.840.10008.1.2.1" in profile.transfer_syntaxes["1.2.840.10008.5.1.4.1.1.2"]
    assert any(finding.result == "bad" and "regist" in finding.remedy for finding in stranger.findings)
