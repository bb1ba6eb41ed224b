"""Every fault case of the wire gets its verdict; a connection may end at any byte; both loops give the same bytes."""

import re

import pytest
from pynetdicom import AE, evt

from racoon_data.pacs.attributes import flat_dataset
from racoon_data.pacs.contexts import retrieve_contexts, storage_roles
from racoon_data.pacs.getting import GET_MODEL
from racoon_data.pacs.part10 import dataset_bytes, read_file_head
from racoon_data.pacs.retrieve import retrieve
from tests.pacs.fault_cases import CASES, ONE, Case, Peer, run


@pytest.mark.parametrize("case", CASES, ids=lambda case: re.sub(r"\W+", "-", case.name)[:50])
def test_a_faulty_peer_gets_the_verdict_it_must_get(case, tmp_path):
    """The study ends as the case says, nothing lies outside the spool, and nothing is torn."""
    assert run(case, tmp_path) == case.expected


@pytest.mark.parametrize("share", [0.0, 0.01, 0.2, 0.5, 0.9, 0.999])
def test_a_connection_may_end_at_any_byte(tmp_path, share):
    """Wherever the stream of the second instance is cut, the first is whole and the others are missing."""

    def act(peer: Peer) -> None:
        peer.store(ONE)
        sent = []
        link = peer.channel.link
        send, link.send = link.send, lambda data: sent.append(bytes(data))
        uid = list(peer.data)[1]
        peer.announce(uid)
        peer.pour(peer.data[uid])
        stream = b"".join(sent)
        link.send = send
        link.send(stream[: int(len(stream) * share)])
        link.close()

    assert run(Case("cut", act, ""), tmp_path) == "partial 1/3, 2 failed"


def test_our_loop_and_pynetdicom_receive_the_same_bytes(pacs, archive, spool, ledger):
    """Fetched from one server, both give the same data sets in the same encodings."""
    theirs = {}

    def keep(event):
        syntax = str(event.context.transfer_syntax)
        theirs[str(event.request.AffectedSOPInstanceUID)] = (syntax, event.encoded_dataset(include_meta=False))
        return 0x0000

    classes = ("1.2.840.10008.5.1.4.1.1.2",)
    association = AE(ae_title="RACOON").associate(
        "127.0.0.1", pacs.port, ae_title="PACS", contexts=retrieve_contexts(GET_MODEL, classes),
        ext_neg=storage_roles(classes), evt_handlers=[(evt.EVT_C_STORE, keep)],
    )  # fmt: skip
    keys = {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": archive.study.study_uid}
    statuses = [status.Status for status, _ in association.send_c_get(flat_dataset(keys), GET_MODEL)]
    association.release()
    retrieve(pacs.node(), [archive.study], spool=spool, ledger=ledger)

    ours = {path.stem: (read_file_head(path).transfer_syntax, dataset_bytes(path)) for path in spool.rglob("*.dcm")}
    assert statuses[-1] == 0
    assert len(ours) == 10
    assert ours == theirs
