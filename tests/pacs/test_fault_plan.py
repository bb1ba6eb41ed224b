"""Fault plans as files, and what each new fault does to a retrieval or a query."""

import time
from dataclasses import replace

import pytest
from pydicom import dcmread
from pynetdicom import AE
from pynetdicom.sop_class import Verification

from racoon_data.errors import PacsCappedError, PacsEndlessError, PacsError, SettingsError
from racoon_data.faults import FaultPlan, read_faults
from racoon_data.pacs import complete
from racoon_data.pacs.find import find
from racoon_data.pacs.requests import break_off
from racoon_data.pacs.retrieve import retrieve
from racoon_data.refs import Query
from racoon_data.site.ledger import InstanceState, Verdict


def test_a_plan_is_read_from_toml_and_json(tmp_path):
    """Both spellings give the same plan."""
    (tmp_path / "plan.toml").write_text("die_after = 3\nbusy_status = 429\n")
    (tmp_path / "plan.json").write_text('{"die_after": 3, "busy_status": 429}')

    assert read_faults(tmp_path / "plan.toml") == read_faults(tmp_path / "plan.json")
    assert read_faults(tmp_path / "plan.toml") == FaultPlan(die_after=3, busy_status=429)


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.toml", "die_aftr = 3"), ("a.json", '{"die_after": -1}'), ("b.json", "{"), ("c.toml", "busy_status = 404")],
)
def test_a_wrong_plan_names_its_key(tmp_path, name, text):
    """A key that does not exist, or a value that does not fit, is a settings error with a hint."""
    (tmp_path / name).write_text(text)

    with pytest.raises(SettingsError) as caught:
        read_faults(tmp_path / name)

    assert "fault-plan" in caught.value.hint or "syntax" in caught.value.hint


def test_a_path_as_uid_leads_nowhere(pacs, archive, spool, ledger, tmp_path):
    """An instance listed and sent under ``../../../racoon-escape`` lies inside the spool under a hash."""
    pacs.faults = FaultPlan(traversal_uid_at=1)

    (verdict,) = retrieve(pacs.node(), [archive.study], spool=spool, ledger=ledger)

    written = list(tmp_path.rglob("*racoon-escape*"))
    assert verdict.expected == 10
    assert written == []
    assert all(path.is_relative_to(spool) for path in (tmp_path / "site").rglob("*.dcm"))


def test_a_renamed_instance_is_not_taken(pacs, archive, spool, ledger):
    """An instance under a UID nobody listed is refused; the one it replaced stays missing."""
    pacs.faults = FaultPlan(renamed_at=0)

    (verdict,) = retrieve(pacs.node(), [archive.study], spool=spool, ledger=ledger, attempts=1)

    assert (verdict.verdict, verdict.arrived) == (Verdict.PARTIAL, 9)


def test_other_bytes_under_a_uid_do_not_replace_the_first(pacs, archive, spool, ledger):
    """The first file stays as it came, and the second is reported as a conflict."""
    pacs.faults = FaultPlan(other_bytes_at=2)

    retrieve(pacs.node(), [archive.study], spool=spool, ledger=ledger, attempts=1)

    conflicts = [row for row in ledger.instances(archive.study.study_uid) if row.state is InstanceState.CONFLICTING]
    files = [dcmread(path) for path in spool.rglob("[0-9]*.dcm") if ".conflicts" not in path.parts]
    (aside,) = (spool / ".conflicts").iterdir()
    assert len(conflicts) == 1
    assert conflicts[0].reason.endswith(f".conflicts/{aside.name}")
    assert len(files) == 10
    assert not any("PatientComments" in file for file in files)


def test_the_same_bytes_twice_are_fine(pacs, archive, spool, ledger):
    """A repeated instance changes nothing."""
    pacs.faults = FaultPlan(repeat_at=2)

    (verdict,) = retrieve(pacs.node(), [archive.study], spool=spool, ledger=ledger, attempts=1)

    assert (verdict.verdict, verdict.arrived) == (Verdict.COMPLETE, 10)


def test_a_pdu_that_claims_four_gibibytes_ends_the_attempt(pacs, archive, spool, ledger):
    """Nothing is set aside for the claim, and what came before it is kept."""
    pacs.faults = FaultPlan(giant_pdu_at=3)

    (verdict,) = retrieve(pacs.node(timeout_s=3.0), [archive.study], spool=spool, ledger=ledger, attempts=1)

    assert (verdict.verdict, verdict.arrived) == (Verdict.PARTIAL, 3)


def test_a_slow_peer_is_borne(pacs, archive, spool, ledger):
    """Slowness below the timeout is no fault of the study."""
    pacs.faults = FaultPlan(slow_s=0.02)

    (verdict,) = retrieve(pacs.node(), [archive.study], spool=spool, ledger=ledger)

    assert verdict.verdict is Verdict.COMPLETE


def test_endless_answers_can_be_left(pacs):
    """A query without end does not hold who stops listening."""
    pacs.faults = FaultPlan(endless_answers=True, ignore_cancel=True)
    stream = find(pacs.node(timeout_s=3.0), Query())

    uids = [next(stream).ref for _ in range(2)]
    stream.close()

    assert len(set(uids)) == 2


def test_endless_answers_are_cut_off(pacs, monkeypatch):
    """A peer that repeats itself for ever, and ignores the wish to stop, is left with an error that says so."""
    monkeypatch.setattr(complete, "_MOST_REPEATS", 100)
    pacs.faults = FaultPlan(endless_answers=True, ignore_cancel=True)

    with pytest.raises(PacsEndlessError, match="without end"):
        list(find(pacs.node(timeout_s=3.0), Query()))


def test_a_query_has_a_deadline(pacs):
    """However busy the peer looks, after our own deadline it is asked to stop and then left."""
    pacs.faults = FaultPlan(endless_answers=True, ignore_cancel=True)
    started = time.monotonic()

    with pytest.raises(PacsEndlessError, match=r"within 0\.5 s"):
        list(find(replace(pacs.node(), deadline_s=0.5), Query()))

    assert time.monotonic() - started < 8


def test_a_character_set_that_lies_loses_no_answer(pacs):
    """UTF-8 bytes declared as Latin-1 or as Katakana still give every study."""
    for claimed in ("ISO_IR 100", "ISO_IR 13"):
        pacs.faults = FaultPlan(character_set=claimed)
        names = {match.attributes["PatientName"] for match in find(pacs.node(), Query())}
        assert len(names) == 2
        assert ("Müller^Jörg" in names) is (claimed == "ISO_IR 100")


def test_counts_can_be_left_out(pacs):
    """A peer without counts answers with empty ones."""
    pacs.faults = FaultPlan(no_counts=True)

    assert {match.attributes["NumberOfStudyRelatedInstances"] for match in find(pacs.node(), Query())} == {""}


def test_a_cap_and_a_refusal_are_errors(pacs):
    """A cut-off query and a closed one are named."""
    pacs.faults = FaultPlan(cap_answers=0)
    with pytest.raises(PacsCappedError):
        list(find(pacs.node(), Query()))
    pacs.faults = FaultPlan(close_queries=True)
    with pytest.raises(PacsError):
        list(find(pacs.node(), Query()))


def test_a_connection_that_breaks_off_is_closed(pacs):
    """No socket is left open behind a fault, whatever pynetdicom still holds."""
    entity = AE()
    entity.add_requested_context(Verification)
    association = entity.associate(pacs.host, pacs.port, ae_title=pacs.ae_title)
    connection = association.dul.socket.socket

    break_off(association)

    assert connection.fileno() == -1
