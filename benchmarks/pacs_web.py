"""WADO-RS from an Orthanc: dicomweb-client's ``iter_study``, and racoon with listing, ledger and guard."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import orthanc as bench

from racoon_data.pacs.peer import WebNode
from racoon_data.pacs.web.stow import push

PLUGIN = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"

RACOON = """
import sys, time
from pathlib import Path
from racoon_data.pacs import methods
from racoon_data.pacs.peer import WebNode
from racoon_data.pacs.retrieve import retrieve
from racoon_data.refs import StudyRef
from racoon_data.site.ledger import Ledger
node, study = WebNode("orthanc", *[sys.argv[1]] * 3), StudyRef(sys.argv[2])
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

# The streaming way of dicomweb-client's documentation; retrieve_study would hold the study in memory.
CLIENT = """
import sys, time
from dicomweb_client.api import DICOMwebClient
started, cpu = time.monotonic(), time.process_time()
for dataset in DICOMwebClient(sys.argv[1]).iter_study(sys.argv[2]):
    dataset.save_as(dataset.SOPInstanceUID, enforce_file_format=True)
work_s, cpu_s, list_s = time.monotonic() - started, time.process_time() - cpu, 0.0
"""


def main() -> None:
    """Load an Orthanc, fetch the study with each client in turn, verify, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instances", type=int, default=60)
    parser.add_argument("--size", type=int, default=512, help="rows and columns; 64 is tiny")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="racoon-bench-") as name:
        root = Path(name)
        (root / "made").mkdir()
        paths = bench.make_slices(root / "made", given.instances, given.size)
        expected = bench.pixels_and_uids(root / "made")
        port = bench.free_port()
        settings = {"HttpPort": port, "Plugins": [PLUGIN], "DicomWeb": {"Enable": True}, "AuthenticationEnabled": False}
        with bench.orthanc(root, **settings):
            url = f"http://127.0.0.1:{port}/dicom-web"
            failed = [one for one in push(WebNode("orthanc", url, url, url), paths) if one.code]
            if failed:
                raise SystemExit(f"Orthanc did not take {len(failed)} instances: {failed[0].message}")
            clients = {
                "racoon": lambda folder: bench.child(bench.python(RACOON, url, bench.STUDY), folder),
                "dicomweb-client": lambda folder: bench.child(bench.python(CLIENT, url, bench.STUDY), folder),
            }
            runs = bench.alternate(
                clients, given.repeats, root, lambda folder: bench.pixels_and_uids(folder) == expected
            )
    bench.table(f"WADO-RS of {given.instances} x {given.size}x{given.size}x16 bit", runs, given.instances)
    print("target: 1.5x, below 100 MiB")


if __name__ == "__main__":
    main()
