"""Peak memory while one multi-frame object of many MiB arrives: by C-STORE, by C-GET and by WADO-RS."""

from __future__ import annotations

import argparse
import filecmp
import json
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orthanc as bench
from pynetdicom.presentation import build_context

from racoon_data.pacs import commands
from racoon_data.pacs.link import fragment_head
from racoon_data.pacs.negotiating import channel_to
from racoon_data.pacs.peer import PacsNode

ENHANCED_CT, EXPLICIT = "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.1.2.1"
UID = f"{bench.STUDY}.9.1"


def text(group: int, element: int, value: str) -> bytes:
    raw = value.encode() + b"\0" * (len(value) % 2)
    return struct.pack("<HH2sH", group, element, b"UI", len(raw)) + raw


def pieces(mib: int) -> Iterator[bytes]:
    """An object whose pixels are zeros, a piece at a time."""
    head = text(8, 0x16, ENHANCED_CT) + text(8, 0x18, UID) + text(0x20, 0x0D, bench.STUDY)
    head += text(0x20, 0x0E, f"{bench.STUDY}.9")
    yield head + struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OW", 0, mib << 20)
    for _ in range(mib * 16):
        yield bytes(1 << 16)


def send(node: PacsNode, mib: int) -> int:
    with channel_to(node, [build_context(ENHANCED_CT, EXPLICIT)]) as channel:
        context = channel.context_of(ENHANCED_CT)
        if context is None:
            raise SystemExit("the receiver does not take Enhanced CT")
        request: commands.Values = {
            commands.AFFECTED_CLASS: ENHANCED_CT, commands.FIELD: commands.C_STORE, commands.MESSAGE_ID: 1,
            commands.PRIORITY: 0, commands.DATA_SET: commands.HAS_DATA_SET, commands.AFFECTED_UID: UID,
        }  # fmt: skip
        channel.send(context, request)
        last = mib * 16
        for number, piece in enumerate(pieces(mib)):
            channel.link.send(fragment_head(context.number, 2 * (number == last), len(piece)) + piece)
        return channel.message()[1].number(commands.STATUS)


RETRIEVE = """
import sys, time
from pathlib import Path
from racoon_data.pacs.peer import PacsNode, WebNode
from racoon_data.pacs.retrieve import retrieve
from racoon_data.refs import StudyRef
from racoon_data.site.ledger import Ledger
where, study = sys.argv[1], StudyRef(sys.argv[2])
node = WebNode("web", *[where] * 3) if "/" in where else PacsNode("pacs", "127.0.0.1", int(where), "PACS")
started, cpu = time.monotonic(), time.process_time()
with Ledger(Path("ledger.sqlite")) as ledger:
    (verdict,) = retrieve(node, [study], spool=Path("spool"), ledger=ledger)
work_s, cpu_s, list_s = time.monotonic() - started, time.process_time() - cpu, 0.0
assert verdict.verdict == "complete" and verdict.arrived == 1, verdict
"""


@contextmanager
def racoon(*arguments: str) -> Iterator[tuple[dict[str, Any], int]]:
    """Run a service of the command line; give what it says about itself, and its process."""
    command = [sys.executable, "-m", "racoon_data", "pacs", *arguments, "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield json.loads(process.stdout.readline()) if process.stdout else {}, process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=300)


def peak_of(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def tell(way: str, peak_mib: float, mib_per_s: float) -> None:
    print(f"{way:<28} peak {peak_mib:4.0f} MiB, {mib_per_s:4.0f} MiB/s: {'met' if peak_mib < 200 else 'missed'}")


def received(folder: Path, mib: int) -> Path:
    """Send the object to a receiver; give its file."""
    with racoon("receive", "--port", "0", "--out", str(folder)) as (said, pid):
        started = time.monotonic()
        status = send(PacsNode("receiver", "127.0.0.1", said["port"], "RACOON", timeout_s=120.0), mib)
        tell("C-STORE into pacs receive", peak_of(pid), mib / (time.monotonic() - started))
    (stored,) = folder.rglob("*.dcm")
    if status or stored.stat().st_size <= mib << 20:
        raise SystemExit(f"the receiver answered 0x{status:04X} and holds {stored.stat().st_size} bytes")
    return stored


def main() -> None:
    """Send one object to a receiver, serve its file, retrieve it both ways, compare the bytes, print the peaks."""
    options = argparse.ArgumentParser(description=__doc__)
    help_ = "size of the object; 2047 is the most that one element of 16 bit pixels should hold"
    options.add_argument("--mib", type=int, default=256, help=help_)
    mib = options.parse_args().mib
    print(f"one multi-frame object of {mib} MiB; target: peak under 200 MiB")
    with tempfile.TemporaryDirectory(prefix="racoon-bench-") as name:
        root = Path(name)
        (root / "archive").mkdir()
        stored = received(root / "archive", mib)
        (root / "archive" / "ledger.sqlite").unlink()
        with racoon("serve", str(root / "archive"), "--port", "0", "--web-port", "0") as (said, pid):
            for way, where in (("C-GET", str(said["port"])), ("WADO-RS", said["web"])):
                folder = root / way
                folder.mkdir()
                run = bench.child(bench.python(RETRIEVE, where, bench.STUDY), folder)
                (fetched,) = folder.rglob("*.dcm")
                if not filecmp.cmp(stored, fetched, shallow=False):
                    raise SystemExit(f"{way} brought other bytes")
                tell(f"{way} by pacs pull", run.peak_mib, mib / run.work_s)
                fetched.unlink()
            print(f"pacs serve, which sends from memory: peak {peak_of(pid):.0f} MiB (no target)")


if __name__ == "__main__":
    main()
