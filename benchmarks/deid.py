"""De-identification of CT slices: CPU time per instance beside pydicom, a raw copy and two other tools.

Each contender takes the same files in this process, in turns, several times; CPU seconds of the best turn count. Ours
cleans, checks every byte outside the pixels, hashes and writes; the others read, change and write.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import multiprocessing
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable
from hashlib import sha256
from multiprocessing.queues import Queue
from pathlib import Path

import pydicom

from racoon_data.deid.door import Door, deidentify_files
from racoon_data.deid.profile import Profile
from racoon_data.deid.pseudonyms import Pseudonymizer
from racoon_data.events import OnEvent, ignore
from racoon_data.site.audit import AuditLog
from racoon_data.testing.makers import a_series

Contender = Callable[[list[Path], Path], None]


def ours(
    paths: list[Path], out: Path, *, workers: int = 1, log: AuditLog | None = None, on_event: OnEvent = ignore
) -> None:
    """Take files through the door; each must pass."""
    door = Door(out, None, Profile(), Pseudonymizer(sha256(b"a benchmark").digest()), log)
    results = deidentify_files(paths, door, workers=workers, on_event=on_event)
    assert all(result.value is not None for result in results)


def logged(paths: list[Path], out: Path) -> None:
    """The same with an audit log, which asks for the hash of what was written."""
    ours(paths, out, log=AuditLog(out / "audit.jsonl"))


def plain_pydicom(paths: list[Path], out: Path) -> None:
    """Read and save with pydicom, changing nothing."""
    for path in paths:
        pydicom.dcmread(path).save_as(out / path.name)


def raw_copy(paths: list[Path], out: Path) -> None:
    """Read and write bytes."""
    for path in paths:
        (out / path.name).write_bytes(path.read_bytes())


def dicom_anonymizer(paths: list[Path], out: Path) -> None:
    """The tool of this name, with its default rules."""
    from dicomanonymizer import anonymize_dicom_file

    for path in paths:
        anonymize_dicom_file(str(path), str(out / path.name))


def dicognito(paths: list[Path], out: Path) -> None:
    """The tool of this name, with a fixed seed."""
    from dicognito.anonymizer import Anonymizer

    anonymizer = Anonymizer(seed="a benchmark")
    for path in paths:
        with pydicom.dcmread(path) as dataset:
            anonymizer.anonymize(dataset)
            dataset.save_as(out / path.name)


def cpu_ms(contender: Contender, paths: list[Path], folder: Path) -> float:
    """Give CPU milliseconds per file of one turn in an empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    started = time.process_time()
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        contender(paths, folder)
    return (time.process_time() - started) * 1000 / len(paths)


def rate(workers: int, paths: list[Path], folder: Path) -> tuple[float, float]:
    """Give objects a second by the clock, from the first that is done to the last, and this process's CPU ms each."""
    shutil.rmtree(folder, ignore_errors=True)
    seen: list[float] = []
    began = time.process_time()
    ours(paths, folder, workers=workers, on_event=lambda _: seen.append(time.perf_counter()))
    return (len(seen) - 1) / (seen[-1] - seen[0]), (time.process_time() - began) * 1000 / len(paths)


def _run_and_measure(paths: list[Path], folder: Path, answer: Queue[int]) -> None:
    ours(paths, folder)
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    answer.put(int(peak.split()[1]))


def peak_mib(paths: list[Path], folder: Path) -> float:
    """Give the peak memory of a process of its own that does our part alone."""
    shutil.rmtree(folder, ignore_errors=True)
    fresh = multiprocessing.get_context("spawn")
    answer: Queue[int] = fresh.Queue()
    worker = fresh.Process(target=_run_and_measure, args=(paths, folder, answer))
    worker.start()
    peak = answer.get(timeout=120)
    worker.join()
    return peak / 1024


def main() -> None:
    """Time every contender in turns and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slices", type=int, default=60)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--workers", action="store_true", help="also one worker process against two, by the clock")
    asked = parser.parse_args()
    contenders: dict[str, Contender] = {
        "racoon": ours,
        "racoon, audit log": logged,
        "pydicom read and save": plain_pydicom,
    }
    contenders |= {"raw read and write": raw_copy, "dicom-anonymizer": dicom_anonymizer, "dicognito": dicognito}
    with tempfile.TemporaryDirectory() as place:
        made = a_series(Path(place) / "in", slices=asked.slices, rows=512, columns=512, has_private_tags=True)
        paths, best = list(made.paths), dict.fromkeys(contenders, float("inf"))
        for _ in range(asked.turns):
            for name, contender in contenders.items():
                best[name] = min(best[name], cpu_ms(contender, paths, Path(place) / "out"))
        print(f"{asked.slices} CT slices of 512 x 512, best of {asked.turns} turns, CPU ms per instance")
        for name, taken in best.items():
            print(f"  {name:24s} {taken:7.2f}   ours takes {best['racoon'] / taken:5.2f} of it")
        print(f"  peak memory of ours alone: {peak_mib(paths, Path(place) / 'out'):.0f} MiB")
        if asked.workers:
            turns = [[rate(count, paths, Path(place) / "out") for count in (1, 2)] for _ in range(asked.turns)]
            one, two = (max(turn[which][0] for turn in turns) for which in (0, 1))
            alone, parent = (min(turn[which][1] for turn in turns) for which in (0, 1))
            print(
                f"  objects a second by the clock: one process {one:.0f}, two workers {two:.0f}, ratio {two / one:.2f}"
            )
            print(f"  CPU ms an object: one process {alone:.2f}; beside two workers the parent spends {parent:.2f}")


if __name__ == "__main__":
    main()
