"""Memory of a query with many answers: a consumer that is slower than the PACS, and memory that stays flat.

A server in a process of its own answers as fast as it can; the client takes each answer, rests now and then, and its
peak memory is read before the first and after the last answer.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

from pynetdicom import AE, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as Find

from racoon_data.pacs.attributes import flat_dataset
from racoon_data.pacs.find import find
from racoon_data.pacs.peer import PacsNode
from racoon_data.refs import Query


def serve(count: int) -> None:
    """Answer any query with so many studies; print the port."""

    def on_find(event: Any) -> Iterator[tuple[int, Any]]:
        for number in range(count):
            values = {"StudyInstanceUID": f"1.2.{number}", "PatientID": f"P{number}", "PatientName": "Doe^Jane" * 4}
            yield 0xFF00, flat_dataset({"QueryRetrieveLevel": "STUDY", **values})

    entity = AE("PACS")
    entity.add_supported_context(Find)
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_FIND, on_find)])
    print(server.socket.getsockname()[1], flush=True)
    sys.stdin.read()
    server.shutdown()


def peak_mib() -> float:
    """Peak resident memory of this process (MiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Run and print answers, seconds and growth of the peak."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--answers", type=int, default=2_003)
    parser.add_argument("--serve", action="store_true")
    options = parser.parse_args()
    if options.serve:
        serve(options.answers)
        return
    command = [sys.executable, __file__, "--serve", "--answers", str(options.answers)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdin is not None
        node = PacsNode("bench", "127.0.0.1", int(server.stdout.readline()), "PACS")
        started, count, before = time.monotonic(), 0, 0.0
        for count, _ in enumerate(find(node, Query("STUDY")), start=1):
            before = before or peak_mib()
            if count % 500 == 0:
                time.sleep(0.05)
        seconds = time.monotonic() - started
        server.stdin.close()
    print(
        f"{count} answers in {seconds:.1f} s, peak {peak_mib():.0f} MiB, {peak_mib() - before:.1f} MiB above the first"
    )


if __name__ == "__main__":
    main()
