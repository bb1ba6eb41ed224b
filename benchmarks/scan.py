"""Files per second of a scan of DICOM headers into SQLite: the one pass, with and without the guard, beside pydicom.

    python benchmarks/scan.py                   2,000 files
    python benchmarks/scan.py --files 100000    the size of the target

The first line is the index of the PACS as users have it (``racoon pacs serve``): 29 attributes on four levels, on
disk, unchanged files passed over the next time. The others write the same rows (study, series, instance, position)
into memory; pydicom reads the same attributes.
"""

from __future__ import annotations

import argparse
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pydicom

from racoon_data.dicom.facts import read_facts
from racoon_data.dicom.guard import scan
from racoon_data.dicom.scanner import scan_plain
from racoon_data.pacs.index import Index
from racoon_data.testing.makers import a_series

KEYWORDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "Modality", "ImagePositionPatient")
Row = tuple[str, ...]


def make(folder: Path, count: int) -> list[Path]:
    """Copies of one slice, each with a UID of its own in place."""
    whole = a_series(folder / "one", slices=1, rows=16, columns=16, has_private_tags=True).paths[0].read_bytes()
    uid = pydicom.dcmread(folder / "one" / "IM0001.dcm").SOPInstanceUID.encode()
    shutil.rmtree(folder / "one")
    paths = []
    for number in range(count):
        place = folder / f"{number // 1000:03d}"
        place.mkdir(exist_ok=True)
        path = place / f"{number:06d}"
        path.write_bytes(whole.replace(uid, uid[:-6] + b"%06d" % number))
        paths.append(path)
    return paths


def one_pass(path: Path) -> Row:
    facts = read_facts(path)
    return tuple(facts.text(keyword) for keyword in KEYWORDS)


def one_pass_unguarded(path: Path) -> Row:
    raw = scan_plain(path).raw
    return tuple(raw[keyword].decode("ascii").strip("\0 ") for keyword in KEYWORDS)


def by_pydicom(path: Path) -> Row:
    one = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(KEYWORDS))
    return tuple("\\".join(map(str, v)) if isinstance(v := one[k].value, list) else str(v) for k in KEYWORDS)


def by_pydicom_guarded(path: Path) -> Row:
    scan(path)
    return by_pydicom(path)


def rows_of(paths: list[Path], read: Callable[[Path], Row]) -> Iterator[tuple[str, ...]]:
    for path in paths:
        yield (str(path), *read(path))


def by_index(folder: Path, database: Path, count: int) -> None:
    """Fill the index of the PACS, then look again at a folder that did not change."""
    index = Index(folder, database)
    for name in ("racoon's index, on disk", "the same, nothing changed"):
        start = time.process_time()
        index.refresh()
        spent = time.process_time() - start
        print(f"{name:<34}{spent:>8.2f}{count / spent:>10.0f}")
    assert index.size()[1] == count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=2000)
    args = parser.parse_args()
    ways = {
        "one pass, guard": one_pass,
        "one pass, no claims checked": one_pass_unguarded,
        "pydicom after the guard": by_pydicom_guarded,
        "pydicom, no guard": by_pydicom,
    }
    with tempfile.TemporaryDirectory() as scratch:
        paths = make(Path(scratch), args.files)
        print(f"{args.files} files{'':<24}{'CPU s':>8}{'files/s':>10}")
        by_index(Path(scratch), Path(scratch) / ".index.sqlite", args.files)
        for name, read in ways.items():
            database = sqlite3.connect(":memory:")
            database.execute(f"CREATE TABLE headers (path TEXT PRIMARY KEY, {', '.join(KEYWORDS)}) WITHOUT ROWID")
            start = time.process_time()
            with database:
                database.executemany("INSERT INTO headers VALUES (?, ?, ?, ?, ?, ?)", rows_of(paths, read))
            spent = time.process_time() - start
            count = database.execute("SELECT count(DISTINCT SOPInstanceUID) FROM headers").fetchone()[0]
            assert count == args.files
            print(f"{name:<34}{spent:>8.2f}{args.files / spent:>10.0f}")


if __name__ == "__main__":
    main()
