"""The index of the embedded PACS: a folder of DICOM files in SQLite, read once, searched by level."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from racoon_data.dicom.headers import read_dataset
from racoon_data.errors import DicomError
from racoon_data.pacs import catalog
from racoon_data.pacs.attributes import text_of
from racoon_data.pacs.matching import matcher
from racoon_data.pacs.quick import quick_values
from racoon_data.refs import InstanceRef

VERSION = 1


@dataclass(frozen=True, slots=True)
class Stored:
    """One instance the PACS holds.

    Attributes:
        ref: Its reference.
        sop_class_uid: SOPClassUID.
        transfer_syntax: How the file is encoded.
        path: The file.
    """

    ref: InstanceRef
    sop_class_uid: str
    transfer_syntax: str
    path: Path


class Index:
    """Every DICOM file of a folder, by patient, study, series and instance.

    Connections are opened per call, so any thread may ask. Where two files carry one
    SOPInstanceUID, the first in path order is served.
    """

    def __init__(self, folder: Path, database: Path) -> None:
        """Open or create the index.

        Args:
            folder: The DICOM files.
            database: The SQLite file; an older layout is built anew.
        """
        self._folder = folder
        self._database = database
        with closing(self._connect()) as db:
            if db.execute("PRAGMA user_version").fetchone()[0] == VERSION:
                return
        for suffix in ("", "-wal", "-shm"):
            Path(f"{database}{suffix}").unlink(missing_ok=True)
        with closing(self._connect()) as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.executescript(f"BEGIN; {catalog.SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")

    def _connect(self) -> sqlite3.Connection:
        # A query that is left half-way is closed by whichever thread lets go of it.
        db = sqlite3.connect(self._database, timeout=30.0, isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA synchronous = NORMAL")
        return db

    def refresh(self) -> int:
        """Bring the index up to date with the folder.

        Returns:
            Files that were read; unchanged ones (same size and modification time) are not.
        """
        seen = dict(_files(self._folder, self._database))
        with closing(self._connect()) as db:
            db.execute("BEGIN IMMEDIATE")
            for path in sorted(path for path, state in _known(db).items() if seen.get(path) != state):
                _forget(db, path)
            changed = sorted(seen.keys() - _known(db).keys())
            for path in changed:
                _add(db, self._folder, path, seen[path])
            for statement in catalog.PRUNE:
                db.execute(statement)
            db.execute("COMMIT")
        return len(changed)

    def add(self, path: Path) -> bool:
        """Index one file that was just written.

        Returns:
            Whether it can be found now: it is DICOM and names its study, series and instance.
        """
        state = path.stat()
        with closing(self._connect()) as db:
            db.execute("BEGIN IMMEDIATE")
            name = path.relative_to(self._folder).as_posix()
            is_found = _add(db, self._folder, name, (state.st_size, state.st_mtime_ns))
            db.execute("COMMIT")
        return is_found

    def size(self) -> tuple[int, int]:
        """Count the studies and instances it can find."""
        with closing(self._connect()) as db:
            row = db.execute("SELECT (SELECT COUNT(*) FROM studies), (SELECT COUNT(*) FROM instances)").fetchone()
        return int(row[0]), int(row[1])

    def hidden(self) -> tuple[tuple[Path, Path], ...]:
        """List the files that are not served, each with the file served in its place: both carry one SOPInstanceUID."""
        with closing(self._connect()) as db:
            rows = db.execute(
                "SELECT f.path, i.path FROM files f JOIN instances i ON i.SOPInstanceUID = f.sop_uid"
                " WHERE f.path <> i.path ORDER BY f.path"
            ).fetchall()
        return tuple((self._folder / second, self._folder / first) for second, first in rows)

    def find(self, level: str, keys: Mapping[str, str]) -> Iterator[dict[str, str]]:
        """Answer a query.

        Args:
            level: PATIENT, STUDY, SERIES or IMAGE.
            keys: Keyword to matching value; unknown keywords neither match nor return.

        Yields:
            Keyword to value for every known key of each match, in order of its unique key.
        """
        wanted = {**dict.fromkeys(_path_to(level), ""), **keys}
        yield from self._rows(level, wanted, extra=())

    def stored(self, level: str, keys: Mapping[str, str]) -> tuple[Stored, ...]:
        """List the instances below what a query matches, in order of series and instance number."""
        upper = catalog.LEVELS[: catalog.LEVELS.index(level) + 1]
        unique = {catalog.UNIQUE_KEY[each]: keys.get(catalog.UNIQUE_KEY[each], "") for each in upper}
        names = dict.fromkeys((*_path_to("IMAGE"), "SOPClassUID", "InstanceNumber"), "") | unique
        rows = list(self._rows("IMAGE", names, extra=("TransferSyntaxUID", "path")))
        rows.sort(key=lambda row: (row["StudyInstanceUID"], row["SeriesInstanceUID"], _number(row["InstanceNumber"])))
        return tuple(self._stored(row) for row in rows)

    def _stored(self, row: Mapping[str, str]) -> Stored:
        ref = InstanceRef(row["StudyInstanceUID"], row["SeriesInstanceUID"], row["SOPInstanceUID"])
        return Stored(ref, row["SOPClassUID"], row["TransferSyntaxUID"], self._folder / row["path"])

    def _rows(self, level: str, keys: Mapping[str, str], *, extra: tuple[str, ...]) -> Iterator[dict[str, str]]:
        query = catalog.select(level, keys, extra=extra)
        tests = [(name, test) for name in query.keywords if (test := matcher(name, keys.get(name, "")))]
        with closing(self._connect()) as db:
            for values in db.execute(query.sql, query.parameters):
                row = {
                    name: "" if value is None else str(value)
                    for name, value in zip(query.keywords, values, strict=True)
                }
                if all(test(row[name]) for name, test in tests):
                    yield row


def _path_to(level: str) -> tuple[str, ...]:
    return tuple(catalog.UNIQUE_KEY[each] for each in catalog.LEVELS[: catalog.LEVELS.index(level) + 1])


def _number(text: str) -> tuple[int, str]:
    return (int(text), "") if text.strip().isdigit() else (0, text)


def _files(folder: Path, database: Path) -> Iterator[tuple[str, tuple[int, int]]]:
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            path = Path(parent) / name
            if name.startswith(".") or path == database:
                continue
            with suppress(FileNotFoundError):
                state = path.lstat()
                if not stat.S_ISREG(state.st_mode):
                    continue  # a link leads elsewhere, a pipe or a device never ends
                yield path.relative_to(folder).as_posix(), (state.st_size, state.st_mtime_ns)


def _known(db: sqlite3.Connection) -> dict[str, tuple[int, int]]:
    return {path: (size, mtime) for path, size, mtime in db.execute("SELECT path, size, mtime_ns FROM files")}


def _forget(db: sqlite3.Connection, path: str) -> None:
    named = {"path": path}
    own_uid = "(SELECT sop_uid FROM files WHERE path = :path)"
    db.execute(f"DELETE FROM instances WHERE path = :path AND SOPInstanceUID = {own_uid}", named)
    # Another file with the same UID is due again and takes its place.
    db.execute(f"DELETE FROM files WHERE path <> :path AND sop_uid = {own_uid}", named)
    db.execute("DELETE FROM files WHERE path = ?", (path,))


def _add(db: sqlite3.Connection, folder: Path, path: str, state: tuple[int, int]) -> bool:
    sop_uid = None
    try:
        values = quick_values(folder / path, state[0]) or _slow_values(folder / path)
        sop_uid = _insert(db, values, path)
    except (DicomError, FileNotFoundError):
        sop_uid = None
    db.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", (path, *state, sop_uid))
    return sop_uid is not None


def _slow_values(path: Path) -> dict[str, str]:
    """Read what is indexed with the tolerant reader; empty syntax where the file has no head of its own."""
    header = read_dataset(path, tags=(*catalog.KEYWORDS, "SpecificCharacterSet"))
    values = {keyword: text_of(header, keyword) for keyword in catalog.KEYWORDS}
    syntax = text_of(header.file_meta, "TransferSyntaxUID") if getattr(header, "preamble", None) else ""
    return {**values, "TransferSyntaxUID": syntax}


def _insert(db: sqlite3.Connection, values: Mapping[str, str], path: str) -> str | None:
    syntax = values["TransferSyntaxUID"]
    if not syntax or not all(values[catalog.UNIQUE_KEY[level]] for level in ("STUDY", "SERIES", "IMAGE")):
        return None
    above = ""
    for level in catalog.LEVELS:
        row = [values[keyword] for keyword in catalog.COLUMNS[level]]
        row += [above] if level != "PATIENT" else []
        row += [syntax, path] if level == "IMAGE" else []
        db.execute(catalog.insert_statement(level), row)
        above = values[catalog.UNIQUE_KEY[level]]
    return values["SOPInstanceUID"]
