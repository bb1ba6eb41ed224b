"""What a faulty, lying or hostile peer does to a retrieval and to a query."""

import socket
import threading
import time

import pytest

from racoon_data.errors import (
    PacsError,
    PacsRefusedError,
    PacsTimeoutError,
    PacsUnreachableError,
    SettingsError,
)
from racoon_data.events import Event
from racoon_data.faults import NO_FAULTS, FaultPlan
from racoon_data.pacs.find import find
from racoon_data.pacs.node import echo
from racoon_data.pacs.peer import PacsNode
from racoon_data.pacs.retrieve import retrieve
from racoon_data.refs import Query, StudyRef
from racoon_data.site.ledger import Verdict


def test_an_unreachable_peer_is_named():
    """Nobody listens: the error names host and port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    with pytest.raises(PacsUnreachableError, match=str(port)):
        echo(PacsNode("gone", "127.0.0.1", port, "PACS"))


def test_a_wrong_ae_title_is_explained(pacs):
    """The rejection names both titles, result, source and reason, and the remedy."""
    wrong = PacsNode("wrong", "127.0.0.1", pacs.port, "OTHER")

    with pytest.raises(PacsRefusedError, match=r"'OTHER'.*'RACOON'.*Rejected Permanent.*Called AE title") as caught:
        echo(wrong)

    assert "ae_title" in caught.value.hint


def test_a_rejected_association_is_refused(pacs):
    """A peer that rejects everybody gives the same kind of error."""
    pacs.faults = FaultPlan(refuse_associations=True)

    with pytest.raises(PacsRefusedError):
        echo(pacs.node())


def test_a_silent_listener_times_out():
    """Something that accepts connections and says nothing is a timeout, within our own clock."""
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(PacsTimeoutError):
        echo(PacsNode("mute", "127.0.0.1", listener.getsockname()[1], "PACS", timeout_s=0.5))


def test_a_peer_that_stops_within_a_message_times_out():
    """Half an answer and then silence: our own clock ends it, not the peer."""

    def half_an_answer(listener):
        connection, _ = listener.accept()
        connection.recv(4096)
        connection.sendall(bytes([2, 0, 0, 0, 1, 0]) + bytes(20))
        connection.recv(4096)
        connection.close()

    started = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=half_an_answer, args=(listener,), daemon=True)
        thread.start()
        with pytest.raises(PacsError):
            echo(PacsNode("half", "127.0.0.1", listener.getsockname()[1], "PACS", timeout_s=0.5))

    assert time.monotonic() - started < 8


def test_a_listener_that_hangs_up_is_a_refusal():
    """A connection closed during negotiation hints at registration or another protocol."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=lambda: listener.accept()[0].close())
        thread.start()
        with pytest.raises(PacsRefusedError) as caught:
            echo(PacsNode("rude", "127.0.0.1", listener.getsockname()[1], "PACS", timeout_s=5))
        thread.join()

    assert "registered" in caught.value.hint


def test_a_query_closed_without_status_hints_at_registration(pacs):
    """A peer that closes on C-FIND probably does not know our AE title."""
    pacs.faults = FaultPlan(close_queries=True)

    with pytest.raises(PacsRefusedError, match="without a status") as caught:
        list(find(pacs.node(), Query()))

    assert "AE title" in caught.value.hint


def test_a_capped_answer_is_split_until_it_is_whole(pacs):
    """Status A700 after one answer: the days are halved until every study is there, once."""
    pacs.faults = FaultPlan(cap_answers=1)

    found = [match.ref.study_uid for match in find(pacs.node(), Query())]

    assert sorted(found) == ["1.2.826.0.1.1", "1.2.826.0.1.2"]


@pytest.mark.parametrize("query", [Query("PLANET"), Query("STUDY", {"NoSuchKeyword": "1"})])
def test_a_query_that_makes_no_sense_is_a_settings_error(pacs, query):
    """Levels and keywords are checked before anybody is asked."""
    with pytest.raises(SettingsError):
        list(find(pacs.node(), query))


def test_a_dying_peer_leaves_a_partial_study_and_the_next_call_fetches_the_rest(pacs, archive, spool, ledger):
    """Four arrive before the connection is cut; the resume asks for six, and each comes once."""
    pacs.faults = FaultPlan(die_after=4)
    (partial,) = retrieve(pacs.node(), [archive.study], spool=spool, ledger=ledger, attempts=1)
    missing = ledger.missing(archive.study.study_uid)
    reasons = {row.reason for row in ledger.instances(archive.study.study_uid) if row.state == "failed"}
    pacs.faults = NO_FAULTS
    events: list[Event] = []
    (complete,) = retrieve(pacs.node(), [archive.study], spool=spool, ledger=ledger, on_event=events.append)

    assert (partial.verdict, partial.arrived, len(missing)) == (Verdict.PARTIAL, 4, 6)
    assert reasons == {"C-GET: the peer closed the connection without a status"}
    assert (complete.verdict, complete.arrived) == (Verdict.COMPLETE, 10)
    assert [event.kind for event in events].count("receive") == 6


def test_a_hanging_peer_is_left_after_our_own_clock(pacs, archive, spool, ledger):
    """Silence in the middle ends the attempt; what arrived is kept and the study is partial."""
    pacs.faults = FaultPlan(hang_after=3)

    (verdict,) = retrieve(pacs.node(timeout_s=1.0), [archive.study], spool=spool, ledger=ledger, attempts=1)

    assert (verdict.verdict, verdict.arrived) == (Verdict.PARTIAL, 3)


def test_success_with_missing_instances_is_partial(pacs, archive, spool, ledger):
    """A peer that reports success and leaves two out does not get a complete verdict."""
    pacs.faults = FaultPlan(drop_last=2)

    (verdict,) = retrieve(pacs.node(), [archive.study], spool=spool, ledger=ledger, attempts=1)

    assert (verdict.verdict, verdict.expected, verdict.arrived) == (Verdict.PARTIAL, 10, 8)
    assert {row.reason for row in ledger.instances(archive.study.study_uid) if row.path is None} == {
        "the PACS did not send it"
    }


def test_what_was_left_out_is_asked_for_by_name(pacs, archive, spool, ledger):
    """The second attempt asks for the two missing instances alone; a peer that drops them again stays partial."""
    pacs.faults = FaultPlan(drop_last=1)

    (verdict,) = retrieve(pacs.node(), [archive.study], spool=spool, ledger=ledger, attempts=2)

    assert (verdict.verdict, verdict.arrived) == (Verdict.PARTIAL, 9)


@pytest.mark.parametrize("uid", ["", "*", "1.2.826.0.1.*", "1.2.826.0.1.1\\1.2.826.0.1.2"])
def test_a_study_without_a_name_of_its_own_is_not_asked_for(pacs, spool, ledger, uid):
    """An answer without a single StudyInstanceUID would ask for everything the PACS holds."""
    with pytest.raises(PacsError, match="StudyInstanceUID"):
        retrieve(pacs.node(), [StudyRef(uid)], spool=spool, ledger=ledger)


def test_a_wrong_uid_is_refused(pacs, archive, spool, ledger):
    """A data set that is not what the command says is not written, and the ledger says why."""
    pacs.faults = FaultPlan(wrong_uid_at=2)

    (verdict,) = retrieve(pacs.node(), [archive.study], spool=spool, ledger=ledger, attempts=1)

    refused = [row for row in ledger.instances(archive.study.study_uid) if row.state == "refused"]
    assert (verdict.verdict, verdict.arrived) == (Verdict.PARTIAL, 9)
    assert [row.reason for row in refused] == ["the data set carries other UIDs than it was sent under"]
    assert len(list(spool.rglob("*.dcm"))) == 9


def test_a_refused_instance_is_asked_for_again(pacs, archive, spool, ledger):
    """With a second attempt the instance comes right and the study is complete."""
    pacs.faults = FaultPlan(wrong_uid_at=2)

    (verdict,) = retrieve(pacs.node(), [archive.study], spool=spool, ledger=ledger)

    assert verdict.verdict is Verdict.COMPLETE


def test_instances_nobody_asked_for_are_refused(pacs, archive, spool, ledger):
    """Instances of another study do not enter the spool, the study itself does."""
    pacs.faults = FaultPlan(unrequested=1)

    (verdict,) = retrieve(pacs.node(), [archive.study], spool=spool, ledger=ledger)

    assert verdict.verdict is Verdict.COMPLETE
    assert {path.stem for path in spool.rglob("*.dcm")} == archive.sop_uids


def test_a_peer_that_lists_nothing_gives_an_unknown_expectation(pacs, archive, spool, ledger):
    """Without a list the whole study is taken, and the verdict does not claim that it is complete."""
    pacs.faults = FaultPlan(silent_cap=0)

    (verdict,) = retrieve(pacs.node(), [archive.study], spool=spool, ledger=ledger)

    assert (verdict.verdict, verdict.expected, verdict.arrived) == (Verdict.UNKNOWN_EXPECTED, 0, 10)


def test_lying_counts_change_no_verdict(pacs, archive, spool, ledger):
    """The list of instances decides, not the number the peer announces."""
    pacs.faults = FaultPlan(lie_about_counts=7)
    (match,) = find(pacs.node(), Query("STUDY", {"PatientID": "P1"}))

    (verdict,) = retrieve(pacs.node(), [archive.study], spool=spool, ledger=ledger)

    assert match.attributes["NumberOfStudyRelatedInstances"] == "17"
    assert (verdict.verdict, verdict.expected) == (Verdict.COMPLETE, 10)


def test_a_peer_that_vanishes_between_studies_raises(pacs, archive, spool, ledger):
    """What was complete stays, and the error says that nobody answers."""
    node = pacs.node(timeout_s=2.0)
    retrieve(node, [archive.study], spool=spool, ledger=ledger)
    pacs.stop()

    with pytest.raises(PacsUnreachableError):
        retrieve(node, [StudyRef("1.2.826.0.1.2")], spool=spool, ledger=ledger)

    assert ledger.verdicts()[archive.study.study_uid].verdict is Verdict.COMPLETE
