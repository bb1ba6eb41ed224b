"""The ledger: what became of every instance, study and finished step, safe after a kill."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from racoon_data.errors import StorageError
from racoon_data.files.atomic import make_folder
from racoon_data.files.sqlite import sqlite_errors
from racoon_data.refs import InstanceRef, StudyRef
from racoon_data.site.migrations import migrate, refuse_newer


class InstanceState(StrEnum):
    """Where one expected instance stands."""

    WANTED = "wanted"
    ARRIVED = "arrived"
    CONFLICTING = "conflicting"
    REFUSED = "refused"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"
    PASSED = "passed"
    """It arrived, went through the door, and its identified file was removed as the settings say."""


# In these states an instance came from its PACS.
CAME = frozenset((InstanceState.ARRIVED, InstanceState.PASSED))


_STATES = {str(state): state for state in InstanceState}


class Verdict(StrEnum):
    """Whether a study is whole."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    EMPTY = "empty"
    UNKNOWN_EXPECTED = "unknown-expected"


@dataclass(frozen=True, slots=True)
class StudyVerdict:
    """How the retrieval of one study ended.

    Attributes:
        ref: The study.
        verdict: Whether it is whole.
        expected: Instances the PACS listed; 0 where it could not list them.
        arrived: Instances that lie in the spool.
    """

    ref: StudyRef
    verdict: Verdict
    expected: int
    arrived: int


@dataclass(frozen=True, slots=True)
class LedgerInstance:
    """One row of the ledger.

    Attributes:
        ref: The instance.
        node: The PACS it was expected from.
        state: Where it stands.
        reason: Why it is not there, empty where it is.
        attempts: How often it was tried.
        path: Its file, ``None`` where there is none.
        size: Bytes of the file.
        sha256: Hash of the file, hexadecimal.
    """

    ref: InstanceRef
    node: str
    state: InstanceState
    reason: str = ""
    attempts: int = 0
    path: Path | None = None
    size: int = 0
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """How many instances are in one state.

    Attributes:
        count: Instances.
        size: Bytes of their files.
        since: When the oldest of them was first expected (seconds since 1970).
    """

    count: int
    size: int
    since: int


class Ledger:
    """A SQLite file (write-ahead log) that remembers instances, verdicts and finished steps.

    Each call is one transaction: after ``kill -9`` everything that returned is there. File paths
    inside the ledger's own folder are kept relative to it, so a site folder can be moved.
    """

    def __init__(self, path: Path) -> None:
        """Open or create a ledger.

        Args:
            path: The SQLite file.

        Raises:
            NewerLedgerError: A newer racoon wrote it.
            StorageError: It is no ledger, or the disk cannot be used.
        """
        make_folder(path.parent)
        self._folder = path.resolve().parent
        with sqlite_errors(path):
            self._db = sqlite3.connect(path, timeout=30.0, isolation_level=None)
        try:
            with sqlite_errors(path):
                self._prepare(path)
        except StorageError:
            self._db.close()
            raise
        self._path = path

    def _prepare(self, path: Path) -> None:
        refuse_newer(self._db, path.name)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        migrate(self._db, path.name)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with sqlite_errors(self._path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                self._db.rollback()
                raise

    def expect(self, node: str, refs: Iterable[InstanceRef]) -> None:
        """Note instances that are to arrive; those already known keep their state, withdrawn ones are due again.

        Args:
            node: Name of the PACS that lists them.
            refs: The instances.
        """
        now = int(time.time())
        rows = [(ref.study_uid, ref.series_uid, ref.sop_uid, node, InstanceState.WANTED, now) for ref in refs]
        with self._transaction() as db:
            db.executemany(
                "INSERT INTO instances (study_uid, series_uid, sop_uid, node, state, since) VALUES (?, ?, ?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET state = excluded.state, node = excluded.node, since = excluded.since"
                " WHERE state = 'withdrawn'",
                rows,
            )

    def withdraw(self, node: str, study_uid: str, *, listed: Iterable[InstanceRef]) -> None:
        """Note which instances of a study a PACS lists no longer; their files stay where they are.

        Args:
            node: Name of the PACS; what another one listed is not its to withdraw.
            study_uid: The study.
            listed: Every instance it lists now.
        """
        kept = frozenset(listed)
        gone = [ref for ref, lister, _ in self.standings(study_uid) if lister in ("", node) and ref not in kept]
        with self._transaction() as db:
            db.executemany(
                "UPDATE instances SET state = ?, reason = 'the PACS lists it no longer'"
                " WHERE study_uid = ? AND series_uid = ? AND sop_uid = ?",
                [(InstanceState.WITHDRAWN, ref.study_uid, ref.series_uid, ref.sop_uid) for ref in gone],
            )

    def arrived(self, ref: InstanceRef, path: Path, size: int, sha256: str) -> None:
        """Note that an instance lies whole on disk.

        Args:
            ref: The instance.
            path: Its file.
            size: Bytes of the file.
            sha256: Hash of the file, hexadecimal.
        """
        self.arrived_many([(ref, str(path), size, sha256)])

    def arrived_many(self, files: Iterable[tuple[InstanceRef, str, int, str]]) -> None:
        """Note that many instances lie whole on disk, in one transaction.

        Args:
            files: Reference, file, bytes and hash of each, as in :meth:`arrived`.
        """
        inside = _Relative(self._folder)
        rows = [
            (ref.study_uid, ref.series_uid, ref.sop_uid, InstanceState.ARRIVED, inside(path), size, sha256)
            for ref, path, size, sha256 in files
        ]
        with self._transaction() as db:
            db.executemany(
                "INSERT INTO instances (study_uid, series_uid, sop_uid, state, path, size, sha256, attempts)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, 1) ON CONFLICT DO UPDATE SET state = excluded.state, reason = '',"
                " path = excluded.path, size = excluded.size, sha256 = excluded.sha256, attempts = attempts + 1",
                rows,
            )

    def failed(self, ref: InstanceRef, state: InstanceState, reason: str) -> None:
        """Note why an instance is not there, and count the attempt.

        Args:
            ref: The instance.
            state: failed, refused or conflicting; wanted to make it due again.
            reason: What happened, without patient values.
        """
        with self._transaction() as db:
            db.execute(
                "INSERT INTO instances (study_uid, series_uid, sop_uid, state, reason, attempts, since)"
                " VALUES (?, ?, ?, ?, ?, 1, ?) ON CONFLICT DO UPDATE SET since ="
                " CASE WHEN state IN ('arrived', 'passed') THEN excluded.since ELSE since END,"
                " state = excluded.state, reason = excluded.reason, attempts = attempts + 1",
                (ref.study_uid, ref.series_uid, ref.sop_uid, state, reason, int(time.time())),
            )

    def missing(self, study_uid: str) -> tuple[InstanceRef, ...]:
        """List the instances of a study that are still to be fetched, in order of series and UID."""
        rows = self._read(
            "SELECT study_uid, series_uid, sop_uid FROM instances WHERE study_uid = ?"
            " AND state NOT IN ('arrived', 'passed', 'conflicting', 'withdrawn') ORDER BY series_uid, sop_uid",
            study_uid,
        )
        return tuple(InstanceRef(*row) for row in rows)

    def standings(self, study_uid: str) -> tuple[tuple[InstanceRef, str, InstanceState], ...]:
        """Give reference, node and state of every row of a study, in order of series and UID.

        Cheaper than :meth:`instances`, for studies of many thousand instances.
        """
        rows = self._read(
            "SELECT study_uid, series_uid, sop_uid, node, state FROM instances"
            " WHERE study_uid = ? ORDER BY series_uid, sop_uid",
            study_uid,
        )
        return tuple((InstanceRef(study, series, sop), node, _STATES[word]) for study, series, sop, node, word in rows)

    def instances(self, study_uid: str) -> tuple[LedgerInstance, ...]:
        """List every row of a study, in order of series and UID."""
        rows = self._read(
            "SELECT study_uid, series_uid, sop_uid, node, state, reason, attempts, path, size, sha256 FROM instances"
            " WHERE study_uid = ? ORDER BY series_uid, sop_uid",
            study_uid,
        )
        return tuple(self._instance(row) for row in rows)

    def _read(self, sql: str, *values: str) -> list[tuple[Any, ...]]:
        with sqlite_errors(self._path):
            return self._db.execute(sql, values).fetchall()

    def _instance(self, row: tuple[Any, ...]) -> LedgerInstance:
        study, series, sop, node, state, reason, attempts, path, size, sha256 = row
        file = self._folder / path if path else None
        ref = InstanceRef(study, series, sop)
        return LedgerInstance(ref, node, _STATES[state], reason, attempts, file, size, sha256)

    def passed(self, refs: Iterable[InstanceRef]) -> None:
        """Note that the identified files of instances are gone, because they went through the door."""
        with self._transaction() as db:
            db.executemany(
                "UPDATE instances SET state = 'passed', path = ''"
                " WHERE study_uid = ? AND series_uid = ? AND sop_uid = ?",
                [(ref.study_uid, ref.series_uid, ref.sop_uid) for ref in refs],
            )

    def erase(self, study: StudyRef) -> None:
        """Forget a study altogether, so that its UIDs are not even in the file's free pages."""
        with sqlite_errors(self._path):
            self._db.execute("PRAGMA secure_delete = ON")
        with self._transaction() as db:
            for table in ("instances", "verdicts"):
                db.execute(f"DELETE FROM {table} WHERE study_uid = ?", (study.study_uid,))

    def recalled(self, step: str) -> tuple[tuple[str, dict[str, Any]], ...]:
        """Give key and result of everything a step finished, in order of key."""
        rows = self._read("SELECT key, document FROM steps WHERE step = ? ORDER BY key", step)
        return tuple((key, json.loads(text)) for key, text in rows)

    def standing(self) -> dict[InstanceState, Standing]:
        """Count instances by state, each with the time its oldest row was expected; one pass over the table."""
        rows = self._read("SELECT state, COUNT(*), SUM(size), MIN(since) FROM instances GROUP BY state")
        return {_STATES[word]: Standing(count, size, since) for word, count, size, since in rows}

    def verdict_counts(self) -> dict[str, int]:
        """Count studies by verdict."""
        return dict(self._read("SELECT verdict, COUNT(*) FROM verdicts GROUP BY verdict ORDER BY verdict"))

    def count_of(self, step: str, prefix: str) -> int:
        """Count what a step finished whose key starts so."""
        sql = "SELECT COUNT(*) FROM steps WHERE step = ? AND key >= ? AND key < ?"
        return int(self._read(sql, step, prefix, f"{prefix}\U0010ffff")[0][0])

    def set_verdict(self, verdict: StudyVerdict) -> None:
        """Note how the retrieval of a study ended; the last verdict holds."""
        row = (verdict.ref.study_uid, verdict.verdict, verdict.expected, verdict.arrived)
        with self._transaction() as db:
            db.execute("INSERT OR REPLACE INTO verdicts VALUES (?, ?, ?, ?)", row)

    def verdicts(self) -> dict[str, StudyVerdict]:
        """Give the verdict of every retrieved study, by StudyInstanceUID in order."""
        rows = self._read("SELECT study_uid, verdict, expected, arrived FROM verdicts ORDER BY study_uid")
        return {uid: StudyVerdict(StudyRef(uid), Verdict(word), expected, got) for uid, word, expected, got in rows}

    def remember(self, step: str, key: str, fingerprint: str, document: dict[str, Any]) -> None:
        """Note that a step is finished for one item.

        Args:
            step: Name of the step, such as ``convert``.
            key: The item within the step.
            fingerprint: Hash of everything the result depends on.
            document: The result, JSON.
        """
        text = json.dumps(document, sort_keys=True, ensure_ascii=False)
        with self._transaction() as db:
            db.execute("INSERT OR REPLACE INTO steps VALUES (?, ?, ?, ?)", (step, key, fingerprint, text))

    def recall(self, step: str, key: str, fingerprint: str) -> dict[str, Any] | None:
        """Give the result of a finished step, or ``None`` where it is to be done (again).

        Args:
            step: Name of the step.
            key: The item within the step.
            fingerprint: Must equal the remembered one.
        """
        rows = self._read(
            "SELECT document FROM steps WHERE step = ? AND key = ? AND fingerprint = ?", step, key, fingerprint
        )
        document: dict[str, Any] | None = json.loads(rows[0][0]) if rows else None
        return document


class _Relative:
    """Makes paths relative to a folder where they lie in it; each parent is resolved once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._parents: dict[str, str] = {}

    def __call__(self, path: str) -> str:
        parent, _, name = path.rpartition("/")
        if parent not in self._parents:
            full = (Path(parent) if parent or not path.startswith("/") else Path("/")).resolve()
            self._parents[parent] = str(full.relative_to(self._folder) if full.is_relative_to(self._folder) else full)
        return f"{self._parents[parent]}/{name}".removeprefix("./")
