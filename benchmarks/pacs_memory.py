"""Peak memory of ``racoon pacs receive`` while one multi-frame object of many MiB arrives."""

from __future__ import annotations

import argparse
import json
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

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


def main() -> None:
    """Start a receiver, send one object, read the receiver's peak memory, verify the file's size."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument(
        "--mib",
        type=int,
        default=256,
        help="size of the object; 2047 is the most that one element of 16 bit pixels should hold",
    )
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="racoon-bench-") as name:
        command = [sys.executable, "-m", "racoon_data", "pacs", "receive", "--port", "0", "--json", "--out", name]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        port = json.loads(process.stdout.readline())["port"] if process.stdout else 0
        started = time.monotonic()
        status = send(PacsNode("receiver", "127.0.0.1", port, "RACOON", timeout_s=60.0), given.mib)
        wall_s = time.monotonic() - started
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        peak = next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=120)
        (stored,) = Path(name).rglob("*.dcm")
        is_whole = stored.stat().st_size > given.mib << 20
    print(
        f"one object of {given.mib} MiB: status 0x{status:04X}, {given.mib / wall_s:.0f} MiB/s, file whole: {is_whole}"
    )
    print(f"peak memory of the receiver {peak:.0f} MiB, target under 200 MiB: {'met' if peak < 200 else 'missed'}")


if __name__ == "__main__":
    main()
