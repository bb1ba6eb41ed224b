"""C-GET from an Orthanc: dcmtk's getscu, pynetdicom's documented pattern, and racoon with ledger and guard."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import orthanc as bench

from racoon_data.pacs.peer import PacsNode
from racoon_data.pacs.push import push

RACOON = """
import sys, time
from pathlib import Path
from racoon_data.pacs import methods
from racoon_data.pacs.retrieve import retrieve
from racoon_data.pacs.peer import PacsNode
from racoon_data.refs import StudyRef
from racoon_data.site.ledger import Ledger
node, study = PacsNode("orthanc", "127.0.0.1", int(sys.argv[1]), "ORTHANC"), StudyRef(sys.argv[2])
listing = time.monotonic()
expected = methods.expectation(node, study)
list_s = time.monotonic() - listing
methods.expectation = lambda node, study: expected
started, cpu = time.monotonic(), time.process_time()
with Ledger(Path("ledger.sqlite")) as ledger:
    (verdict,) = retrieve(node, [study], spool=Path("spool"), ledger=ledger)
work_s, cpu_s = time.monotonic() - started, time.process_time() - cpu
assert verdict.verdict == "complete", verdict
"""

# The pattern of pynetdicom's documentation: https://pydicom.github.io/pynetdicom/stable/examples/qr_get.html
PYNETDICOM = """
import sys, time
from pydicom.dataset import Dataset
from pynetdicom import AE, evt, build_role
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet as GET, CTImageStorage
started, cpu = time.monotonic(), time.process_time()
def handle_store(event):
    ds = event.dataset
    ds.file_meta = event.file_meta
    ds.save_as(ds.SOPInstanceUID, enforce_file_format=True)
    return 0x0000
ae = AE(ae_title="RACOON")
ae.add_requested_context(GET)
ae.add_requested_context(CTImageStorage)
ds = Dataset()
ds.QueryRetrieveLevel, ds.StudyInstanceUID = "STUDY", sys.argv[2]
assoc = ae.associate("127.0.0.1", int(sys.argv[1]), ae_title="ORTHANC",
    ext_neg=[build_role(CTImageStorage, scp_role=True)], evt_handlers=[(evt.EVT_C_STORE, handle_store)])
statuses = [status.Status for status, _ in assoc.send_c_get(ds, GET)]
assoc.release()
assert statuses[-1] == 0, statuses[-1]
work_s, cpu_s, list_s = time.monotonic() - started, time.process_time() - cpu, 0.0
"""


def getscu(port: int) -> list[str]:
    where = ["-aet", "RACOON", "-aec", "ORTHANC", "127.0.0.1", str(port), "-od", "."]
    keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={bench.STUDY}"]
    return ["/usr/bin/getscu", "+B", "-pdu", "131072", "-S", *where, *keys]


def main() -> None:
    """Load an Orthanc, fetch the study with each client in turn, verify, print the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--instances", type=int, default=100)
    options.add_argument("--size", type=int, default=512, help="rows and columns; 64 is tiny")
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--without", nargs="*", default=[], help="clients to leave out")
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="racoon-bench-") as name:
        root = Path(name)
        (root / "made").mkdir()
        paths = bench.make_slices(root / "made", given.instances, given.size)
        expected = bench.pixels_and_uids(root / "made")
        with bench.orthanc(root) as port:
            push(PacsNode("orthanc", "127.0.0.1", port, "ORTHANC"), paths)
            clients = {
                "racoon": lambda folder: bench.child(bench.python(RACOON, port, bench.STUDY), folder),
                "getscu": lambda folder: bench.child(getscu(port), folder),
                "pynetdicom": lambda folder: bench.child(bench.python(PYNETDICOM, port, bench.STUDY), folder),
            }
            chosen = {name: run for name, run in clients.items() if name not in given.without}
            runs = bench.alternate(
                chosen, given.repeats, root, lambda folder: bench.pixels_and_uids(folder) == expected
            )
    bench.table(f"C-GET of {given.instances} x {given.size}x{given.size}x16 bit", runs, given.instances)


if __name__ == "__main__":
    main()
