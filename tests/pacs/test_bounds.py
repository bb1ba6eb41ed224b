"""What the wire may take: memory that does not grow with an instance, and a disk that is really full."""

import os
import subprocess
import tracemalloc

import pytest

from racoon_data.errors import DiskFullError
from racoon_data.pacs.expecting import Expectation
from racoon_data.pacs.getting import get
from racoon_data.pacs.heads import file_is_whole
from racoon_data.pacs.receiving import Receiver
from racoon_data.pacs.retrieve import retrieve
from racoon_data.refs import InstanceRef, StudyRef
from racoon_data.site.ledger import Ledger, Verdict
from tests.pacs.fault_cases import CT, ONE, SERIES, STUDY, Peer
from tests.pacs.raw import first_storage, scripted

MIB = 1 << 20


def _element(group, element, uid):
    raw = uid.encode() + b"\0" * (len(uid) % 2)
    return bytes([group, 0, element, 0]) + b"UI" + len(raw).to_bytes(2, "little") + raw


def test_memory_does_not_grow_with_an_instance(tmp_path):
    """An instance of 48 MiB passes through less than 8 MiB, sender included."""
    size = 48 * MIB
    head = _element(8, 0x16, CT) + _element(8, 0x18, ONE) + _element(0x20, 0x0D, STUDY) + _element(0x20, 0x0E, SERIES)
    head += b"\xe0\x7f\x10\x00OW\0\0" + size.to_bytes(4, "little")

    def script(channel):
        from racoon_data.pacs.link import fragment_head

        context, _ = channel.message()
        channel.small_data(context)
        peer = Peer(channel, {})
        peer.announce(ONE)
        number = first_storage(channel, CT).number
        channel.link.send(fragment_head(number, 0, len(head)) + head)
        block = bytes(MIB // 16)
        for position in range(16 * 48):
            channel.link.send(fragment_head(number, 2 * (position == 16 * 48 - 1), len(block)) + block)
        channel.message()
        peer.final()

    ref = InstanceRef(STUDY, SERIES, ONE)
    with Ledger(tmp_path / "ledger.sqlite") as ledger, scripted(script) as node:
        ledger.expect(node.name, [ref])
        expected = Expectation(node.name, StudyRef(STUDY), (ref,), (CT,), ("CT",), {ONE: CT})
        receiver = Receiver(STUDY, {ONE: ref}, spool=tmp_path, ledger=ledger, on_arrival=lambda landed: None)
        tracemalloc.start()
        get(node, expected, lambda: ledger.missing(STUDY), receiver)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        (row,) = ledger.instances(STUDY)

    assert row.state == "arrived"
    assert row.size > size
    assert peak < 8 * MIB


def test_a_disk_that_is_really_full_stops_the_retrieval(pacs, archive, tmp_path, ledger):
    """On a file system of 24 KiB what fits is whole and noted; with room the next call fetches the rest."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if (
        os.geteuid()
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=24k", "racoon-test", str(disk)], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("no file system can be mounted here")
    try:
        with pytest.raises(DiskFullError):
            retrieve(pacs.node(), [archive.study], spool=disk, ledger=ledger)
        arrived = [row for row in ledger.instances(archive.study.study_uid) if row.state == "arrived"]
        left = [path for path in disk.rglob("*") if path.is_file()]
        whole = [file_is_whole(path) for path in left]
        subprocess.run(["mount", "-o", "remount,size=10m", str(disk)], check=True, capture_output=True)
        (verdict,) = retrieve(pacs.node(), [archive.study], spool=disk, ledger=ledger)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True, capture_output=True)

    assert 0 < len(arrived) < 10
    assert sorted(path.name for path in left) == sorted(row.path.name for row in arrived if row.path)
    assert all(whole)
    assert verdict.verdict is Verdict.COMPLETE
