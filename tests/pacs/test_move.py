"""C-MOVE into our own receiver: what was asked for, from whom it was asked, and nothing else."""

from dataclasses import replace

import pytest

from racoon_data.errors import PacsRefusedError
from racoon_data.faults import FaultPlan
from racoon_data.pacs.part10 import dataset_bytes
from racoon_data.pacs.retrieve import retrieve
from racoon_data.site.ledger import Verdict
from tests.pacs.raw import free_port


@pytest.fixture
def node(pacs):
    """The embedded PACS as a node that is asked by C-MOVE and knows us."""
    port = free_port()
    pacs.destinations["RACOON"] = ("127.0.0.1", port)
    return replace(pacs.node(timeout_s=5.0), retrieve="move", receive_port=port)


def test_a_study_arrives_by_c_move(node, archive, spool, ledger):
    """Every instance comes through our own receiver, byte for byte, and a second call moves nothing."""
    (verdict,) = retrieve(node, [archive.study], spool=spool, ledger=ledger)
    (again,) = retrieve(node, [archive.study], spool=spool, ledger=ledger)

    sent = {
        uid: dataset_bytes(path)
        for made in (archive.ct, archive.ct_thick)
        for uid, path in zip(made.sop_uids, made.paths, strict=True)
    }
    assert (verdict.verdict, verdict.arrived, again) == (Verdict.COMPLETE, 10, verdict)
    assert {path.stem: dataset_bytes(path) for path in spool.rglob("*.dcm")} == sent
    assert {row.attempts for row in ledger.instances(archive.study.study_uid)} == {1}


def test_what_was_not_moved_is_moved_by_name(node, pacs, archive, spool, ledger):
    """A mover that leaves two out is partial, with the two listed; the next call brings just them."""
    pacs.faults = FaultPlan(drop_last=2)
    (partial,) = retrieve(node, [archive.study], spool=spool, ledger=ledger, attempts=1)
    missing = ledger.missing(archive.study.study_uid)
    pacs.faults = FaultPlan()
    (complete,) = retrieve(node, [archive.study], spool=spool, ledger=ledger, attempts=1)

    assert (partial.verdict, partial.arrived, len(missing)) == (Verdict.PARTIAL, 8, 2)
    assert complete.verdict is Verdict.COMPLETE


def test_a_mover_that_dies_leaves_a_partial_study(node, pacs, archive, spool, ledger):
    """The association we asked on is cut after three: they are kept, the rest is missing."""
    pacs.faults = FaultPlan(die_after=3)
    (partial,) = retrieve(node, [archive.study], spool=spool, ledger=ledger, attempts=1)

    assert (partial.verdict, partial.arrived) == (Verdict.PARTIAL, 3)


def test_instances_nobody_asked_for_do_not_enter(node, pacs, archive, spool, ledger):
    """A mover that sends another study too is refused those instances."""
    pacs.faults = FaultPlan(unrequested=2)

    (verdict,) = retrieve(node, [archive.study], spool=spool, ledger=ledger)

    assert verdict.verdict is Verdict.COMPLETE
    assert {path.stem for path in spool.rglob("*.dcm")} == archive.sop_uids


def test_an_unknown_destination_says_what_to_register(node, pacs, archive, spool, ledger):
    """Status A801 becomes the title and the port that the administrator must enter."""
    pacs.destinations.clear()

    with pytest.raises(PacsRefusedError, match="destination") as caught:
        retrieve(node, [archive.study], spool=spool, ledger=ledger)

    assert str(node.receive_port) in caught.value.hint
