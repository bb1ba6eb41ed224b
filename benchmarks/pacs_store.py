"""C-STORE to a stock storescp, Nagle on: dcmtk's storescu, pynetdicom's documented pattern, and racoon."""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
from pathlib import Path

import orthanc as bench

RACOON = """
import sys, time
from pathlib import Path
from racoon_data.pacs.peer import PacsNode
from racoon_data.pacs.push import push
paths = sorted(Path(sys.argv[2]).glob("*.dcm"))
started, cpu, list_s = time.monotonic(), time.process_time(), 0.0
outcomes = push(PacsNode("scp", "127.0.0.1", int(sys.argv[1]), "STORESCP"), paths)
work_s, cpu_s = time.monotonic() - started, time.process_time() - cpu
assert {str(one.status) for one in outcomes} == {"done"}, outcomes[0]
"""

# The pattern of pynetdicom's documentation: https://pydicom.github.io/pynetdicom/stable/examples/storage.html
PYNETDICOM = """
import sys, time
from pathlib import Path
from pydicom import dcmread
from pynetdicom import AE
from pynetdicom.sop_class import CTImageStorage
paths = sorted(Path(sys.argv[2]).glob("*.dcm"))
started, cpu, list_s = time.monotonic(), time.process_time(), 0.0
ae = AE(ae_title="RACOON")
ae.add_requested_context(CTImageStorage)
assoc = ae.associate("127.0.0.1", int(sys.argv[1]), ae_title="STORESCP")
statuses = {assoc.send_c_store(dcmread(path)).Status for path in paths}
assoc.release()
work_s, cpu_s = time.monotonic() - started, time.process_time() - cpu
assert statuses == {0}, statuses
"""


def served(command: list[str], folder: Path) -> bench.Run:
    """Run a client against a storescp of its own that writes into the folder."""
    port = bench.free_port()
    environment = {key: value for key, value in os.environ.items() if key != "TCP_NODELAY"}
    scp = subprocess.Popen(
        ["/usr/bin/storescp", "+B", "-aet", "STORESCP", "-od", str(folder), str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment,
    )  # fmt: skip
    try:
        bench.await_port(port, scp)
        return bench.child([part.replace("PORT", str(port)) for part in command], folder, nodelay=False)
    finally:
        scp.terminate()
        scp.wait(20)


def main() -> None:
    """Send the same files with each client in turn, verify what the receiver wrote, print the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--instances", type=int, default=60)
    options.add_argument("--size", type=int, default=512, help="rows and columns; 64 is tiny")
    options.add_argument("--repeats", type=int, default=3)
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="racoon-bench-") as name:
        root = Path(name)
        made = root / "made"
        made.mkdir()
        bench.make_slices(made, given.instances, given.size)
        expected = bench.pixels_and_uids(made)
        storescu = ["/usr/bin/storescu", "-aec", "STORESCP", "+sd", "127.0.0.1", "PORT", str(made)]
        clients = {
            "racoon": lambda folder: served(bench.python(RACOON, "PORT", made), folder),
            "storescu": lambda folder: served(storescu, folder),
            "pynetdicom": lambda folder: served(bench.python(PYNETDICOM, "PORT", made), folder),
        }
        check = lambda folder: bench.pixels_and_uids(folder) == expected  # noqa: E731
        runs = bench.alternate(clients, given.repeats, root, check)
    bench.table(f"C-STORE of {given.instances} x {given.size}x{given.size}x16 bit", runs, given.instances)


if __name__ == "__main__":
    main()
