"""The embedded PACS: how fast it indexes files, indexes them again, and answers a study-level find."""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import orthanc as bench
import pydicom

from racoon_data.pacs.index import Index

QUERIES = {
    "all studies with counts": {"StudyDate": "", "ModalitiesInStudy": "", "NumberOfStudyRelatedInstances": ""},
    "one patient with counts": {"PatientID": "P00007", "NumberOfStudyRelatedInstances": ""},
    "a month with counts": {"StudyDate": "20240301-20240331", "NumberOfStudyRelatedInstances": ""},
    "a name with a wildcard": {"PatientName": "Doe^Jo*7", "ModalitiesInStudy": ""},
}


def main() -> None:
    """Write files of many studies, index them, ask."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instances", type=int, default=2000)
    parser.add_argument("--per-study", type=int, default=100)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="racoon-bench-") as name:
        folder = Path(name) / "archive"
        folder.mkdir()
        write(folder, given.instances, given.per_study)
        index = Index(folder, Path(name) / "index.sqlite")
        timed(f"index {given.instances} files", index.refresh, given.instances)
        timed("index again, nothing changed", index.refresh, given.instances)
        studies, instances = index.size()
        print(f"{studies} studies, {instances} instances")
        for title, keys in QUERIES.items():
            spent = []
            for _ in range(5):
                started = time.process_time()
                count = sum(1 for _ in index.find("STUDY", keys))
                spent.append(time.process_time() - started)
            print(f"{title:<32} {statistics.median(spent) * 1000:8.1f} ms CPU, {count} answers; target below 100 ms")


def write(folder: Path, count: int, per_study: int) -> None:
    """Write tiny slices with the header of a CT, ``per_study`` to a study."""
    (folder / "one").mkdir()
    dataset = pydicom.dcmread(bench.make_slices(folder / "one", 1, 16)[0])
    for number in range(count):
        study = number // per_study
        dataset.PatientID, dataset.PatientName = f"P{study:05d}", f"Doe^John{study}"
        dataset.StudyInstanceUID, dataset.StudyDate = f"1.2.3.{study}", f"2024{study % 12 + 1:02d}{study % 28 + 1:02d}"
        dataset.SeriesInstanceUID, dataset.SOPInstanceUID = f"1.2.3.{study}.1", f"1.2.3.{study}.1.{number}"
        dataset.file_meta.MediaStorageSOPInstanceUID, dataset.InstanceNumber = dataset.SOPInstanceUID, number
        path = folder / f"{study:05d}" / f"{number:06d}.dcm"
        path.parent.mkdir(exist_ok=True)
        dataset.save_as(path, enforce_file_format=True)


def timed(title: str, work: object, count: int) -> None:
    """Run a piece of work and print files per second by CPU and wall."""
    started, cpu = time.monotonic(), time.process_time()
    work()  # type: ignore[operator]
    wall, cpu = time.monotonic() - started, time.process_time() - cpu
    print(f"{title:<32} {count / cpu:8.0f} files/s CPU, {count / wall:8.0f} files/s wall")


if __name__ == "__main__":
    main()
