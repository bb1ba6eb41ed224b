"""An Orthanc for benchmarks, children with their CPU seconds, and a table of medians."""

from __future__ import annotations

import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

CT = "1.2.840.10008.5.1.4.1.1.2"
STUDY = "1.2.826.0.1.3680043.10.77.1"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def orthanc(folder: Path, **settings: object) -> Iterator[int]:
    """Run an Orthanc with TCP_NODELAY on both of its sides; give its DICOM port."""
    port = free_port()
    table = {
        "Name": "bench", "StorageDirectory": str(folder / "store"), "IndexDirectory": str(folder / "store"),
        "DicomAet": "ORTHANC", "DicomPort": port, "HttpPort": free_port(), "RemoteAccessAllowed": False,
        "DicomAlwaysAllowStore": True, "DicomAlwaysAllowGet": True, "DicomAlwaysAllowFind": True,
        "DicomModalities": {"racoon": ["RACOON", "127.0.0.1", 104]}, "StorageCompression": False,
        "MaximumStorageSize": 0, "StableAge": 600, "SaveJobs": False, **settings,
    }  # fmt: skip
    (folder / "orthanc.json").write_text(json.dumps(table))
    process = subprocess.Popen(
        [shutil.which("Orthanc") or "Orthanc", str(folder / "orthanc.json")],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "TCP_NODELAY": "1"},
    )  # fmt: skip
    try:
        await_port(port, process)
        yield port
    finally:
        process.terminate()
        process.wait(30)


def await_port(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        if process.poll() is not None:
            raise SystemExit("the server ended early")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit("the server does not listen")


def make_slices(folder: Path, count: int, size: int, *, per_series: int = 500) -> list[Path]:
    """Write CT slices of ``size`` x ``size`` x 16 bit of one study, several series."""
    rng = np.random.default_rng(7)
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = CT
    dataset.PatientID, dataset.PatientName, dataset.StudyInstanceUID = "BENCH", "Bench^Mark", STUDY
    dataset.StudyDate, dataset.Modality, dataset.StudyID = "20240101", "CT", "1"
    dataset.Rows = dataset.Columns = size
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.ImageType, dataset.Manufacturer = ["ORIGINAL", "PRIMARY", "AXIAL"], "Bench"
    paths = []
    for number in range(count):
        series = f"{STUDY}.{number // per_series + 1}"
        dataset.SeriesInstanceUID, dataset.SOPInstanceUID = series, f"{series}.{number + 1}"
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.InstanceNumber, dataset.SeriesNumber = number % per_series + 1, number // per_series + 1
        dataset.PixelData = rng.integers(-1000, 2000, (size, size), dtype=np.int16).tobytes()
        path = folder / f"{number:06d}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


@dataclass(frozen=True)
class Run:
    """One run of a client, until its files are on disk.

    A Python client tells the seconds of its work without the interpreter's start, and of its listing apart.
    """

    work_s: float
    cpu_s: float
    process_s: float
    peak_mib: float
    list_s: float


# What a Python child runs last: its own account.
ACCOUNT = """
import json
peak = next(int(line.split()[1]) / 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps({"work_s": work_s, "cpu_s": cpu_s, "list_s": list_s, "peak_mib": peak}))
"""


def child(command: list[str], folder: Path, *, nodelay: bool = True) -> Run:
    """Run a client, then wait until its files are on disk."""
    started = time.monotonic()
    environment = {**os.environ, **({"TCP_NODELAY": "1"} if nodelay else {})}  # what dcmtk needs not to wait
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    said = process.stdout.read() if process.stdout else b""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status
    if status:
        raise SystemExit(f"{command[0]}: {(process.stderr.read() if process.stderr else b'').decode()[-800:]}")
    ended = time.monotonic()
    subprocess.run(["sync", "-f", str(folder)], check=True)
    synced = time.monotonic()
    own = json.loads(said) if said.startswith(b"{") else {}
    work_s = own.get("work_s", ended - started) + synced - ended
    cpu_s = own.get("cpu_s", usage.ru_utime + usage.ru_stime)
    return Run(work_s, cpu_s, synced - started, own.get("peak_mib", 0.0), own.get("list_s", 0.0))


def pixels_and_uids(folder: Path) -> dict[str, int]:
    """What a client left: SOPInstanceUID to a hash of its pixels."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "ledger" not in path.name and path.suffix != ".py":
            dataset = pydicom.dcmread(path)
            found[str(dataset.SOPInstanceUID)] = hash(dataset.PixelData)
    return found


def alternate(
    clients: dict[str, Callable[[Path], Run]], repeats: int, root: Path, check: Callable[[Path], bool]
) -> dict[str, list[Run]]:
    """Run the clients in turn, each into a fresh folder, and verify what each leaves."""
    runs: dict[str, list[Run]] = {name: [] for name in clients}
    for repeat in range(repeats):
        order = list(clients)
        for name in order[repeat % len(order) :] + order[: repeat % len(order)]:
            folder = root / f"out-{repeat}-{order.index(name)}"
            folder.mkdir()
            runs[name].append(clients[name](folder))
            if not check(folder):
                raise SystemExit(f"{name}: what arrived is not what was sent")
            shutil.rmtree(folder)
    return runs


def table(title: str, runs: dict[str, list[Run]], count: int, ours: str = "racoon") -> None:
    """Print medians, and the ratio of each client's time to ours (above 1: ours is faster)."""
    print(f"\n{title}; medians of {len(runs[ours])} alternating runs, ratios to {ours}")
    print(
        f"{'client':<24}{'inst/s':>8}{'work s':>8}{'CPU s':>7}{'list s':>7}{'MiB':>5}{'work':>8}{'CPU':>8}{'best':>8}"
    )
    fields = ("work_s", "cpu_s", "list_s", "peak_mib")
    mid = {
        name: [statistics.median(getattr(run, key) for run in some) for key in fields] for name, some in runs.items()
    }
    best = {name: min(run.work_s for run in some) for name, some in runs.items()}
    for name, (work, cpu, listing, peak) in mid.items():
        ratios = f"{work / mid[ours][0]:>7.2f}x{cpu / mid[ours][1]:>7.2f}x{best[name] / best[ours]:>7.2f}x"
        print(f"{name:<24}{count / work:>8.0f}{work:>8.2f}{cpu:>7.2f}{listing:>7.2f}{peak:>5.0f}{ratios}")


def python(code: str, *arguments: object) -> list[str]:
    """A child interpreter that runs code and then gives its account."""
    return [sys.executable, "-c", code + ACCOUNT, *map(str, arguments)]
