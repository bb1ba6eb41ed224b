"""Instances that are answered first and put on disk behind the wire."""

from pathlib import Path

import pytest

from racoon_data.pacs import commands
from racoon_data.pacs.carrying import Carrier
from racoon_data.pacs.landing import Announced, Landed, Landing, Refusal
from racoon_data.pacs.link import BASKET_BYTES, Basket
from racoon_data.pacs.part10 import dataset_bytes, read_file_head
from racoon_data.pacs.receive import AnyRule

BIG = 256 * 1024


def _put(carrier, spool, path, *, pad=0):
    head = read_file_head(path)
    announced = Announced(head.sop_class_uid, head.sop_uid, head.transfer_syntax)
    landing = Landing(announced, spool=str(spool), admit=AnyRule().admit)
    data = dataset_bytes(path) + (b"\xfc\xff\xfc\xffOB\0\0" + pad.to_bytes(4, "little") + bytes(pad) if pad else b"")
    carrier.basket.empty()
    carrier.basket.space(len(data))[:] = data
    landing.look(carrier.basket.data, is_all=True)
    carrier.carry(announced, landing)
    return head.sop_uid, data


def test_large_and_small_instances_end_in_the_order_they_came(archive, tmp_path):
    """More instances than baskets, large ones first: each is whole on disk and told once, in order."""
    with Carrier() as carrier:
        sent = [
            _put(carrier, tmp_path / "spool", path, pad=BIG if number % 2 == 0 else 0)
            for number, path in enumerate((*archive.ct.paths, *archive.ct_thick.paths))
        ]
        ends = carrier.ended(wait=True)
        again = carrier.ended(wait=True)

    assert [announced.sop_uid for announced, _, _ in ends] == [uid for uid, _ in sent]
    assert all(isinstance(end, Landed) for _, _, end in ends)
    assert {path.stem: dataset_bytes(path) for path in (tmp_path / "spool").rglob("*.dcm")} == dict(sent)
    assert again == []


def test_a_second_large_instance_with_other_bytes_is_the_second(archive, tmp_path):
    """The first of two under one UID stays, although the second is small and the first was still under way."""
    with Carrier() as carrier:
        _, first = _put(carrier, tmp_path / "spool", archive.ct.paths[0], pad=BIG)
        _put(carrier, tmp_path / "spool", archive.ct.paths[0])
        (_, _, one), (_, _, other) = carrier.ended(wait=True)

    assert (one.is_new, other.is_new, bool(other.aside)) == (True, False, True)
    assert dataset_bytes(Path(one.path)) == first


def test_a_place_that_cannot_be_written_is_a_refusal(archive, tmp_path):
    """A file where the study's folder should be: the end names it, and the landing carries the error."""
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / archive.study.study_uid).write_text("in the way")
    with Carrier() as carrier:
        _put(carrier, tmp_path / "spool", archive.ct.paths[0], pad=BIG)
        ((_, landing, end),) = carrier.ended(wait=True)

    assert isinstance(end, Refusal)
    assert landing.error is not None


def test_a_basket_says_what_does_not_fit():
    """Beyond its room a basket gives none, and keeps what it has."""
    basket = Basket()
    basket.space(BASKET_BYTES - 1)[:3] = b"abc"

    assert basket.space(2) is None
    assert (len(basket.data), bytes(basket.data[:3])) == (BASKET_BYTES - 1, b"abc")


@pytest.mark.parametrize(("sop_class", "sop_uid"), [("1.2.3", "1.2.34"), ("", "1"), ("1.22", "")])
def test_the_answer_to_a_store_is_what_encode_writes(sop_class, sop_uid):
    """The quick way writes the same bytes as the general one."""
    values = {
        commands.AFFECTED_CLASS: sop_class,
        commands.FIELD: commands.C_STORE | commands.RESPONSE,
        commands.ANSWERED_ID: 7,
        commands.DATA_SET: commands.NO_DATA_SET,
        commands.STATUS: 0xA700,
        commands.AFFECTED_UID: sop_uid,
    }

    assert commands.store_answer(sop_class, sop_uid, 7, 0xA700) == commands.encode(values)
