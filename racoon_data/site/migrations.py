"""Versions of the ledger: each is reached from the one before, and a newer one is refused."""

from __future__ import annotations

import sqlite3
import time

from racoon_data.errors import NewerLedgerError

VERSION = 2

_FIRST = """
CREATE TABLE IF NOT EXISTS instances (
    study_uid TEXT NOT NULL, series_uid TEXT NOT NULL, sop_uid TEXT NOT NULL, node TEXT NOT NULL DEFAULT '',
    state TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '', attempts INTEGER NOT NULL DEFAULT 0,
    path TEXT NOT NULL DEFAULT '', size INTEGER NOT NULL DEFAULT 0, sha256 TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (study_uid, series_uid, sop_uid)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS verdicts (
    study_uid TEXT PRIMARY KEY, verdict TEXT NOT NULL, expected INTEGER NOT NULL, arrived INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS steps (
    step TEXT NOT NULL, key TEXT NOT NULL, fingerprint TEXT NOT NULL, document TEXT NOT NULL,
    PRIMARY KEY (step, key)
) WITHOUT ROWID;
"""

# Version 2 knows since when an instance is expected. Rows of version 1 count from their migration on. An index by
# state was weighed: it doubles the cost of every arrival, and one pass over a million rows takes half a second.
_SECOND = "ALTER TABLE instances ADD COLUMN since INTEGER NOT NULL DEFAULT {now};"

_STEPS = (_FIRST, _SECOND)


def refuse_newer(db: sqlite3.Connection, name: str) -> int:
    """Give the version of a ledger.

    Raises:
        NewerLedgerError: A newer racoon wrote it; nothing was changed.
    """
    found = int(db.execute("PRAGMA user_version").fetchone()[0])
    if found > VERSION:
        hint = "update racoon, or restore the copy of the ledger that was made before the update"
        raise NewerLedgerError(f"{name} has version {found}, this racoon knows {VERSION}", hint=hint)
    return found


def migrate(db: sqlite3.Connection, name: str) -> None:
    """Bring a ledger to the version of today in one transaction: a kill leaves the old version or the new one.

    Raises:
        NewerLedgerError: A newer racoon wrote it meanwhile.
    """
    if refuse_newer(db, name) == VERSION:
        return
    db.execute("BEGIN IMMEDIATE")
    try:
        for version in range(refuse_newer(db, name), VERSION):
            for statement in _STEPS[version].format(now=int(time.time())).split(";"):
                db.execute(statement)
        db.execute(f"PRAGMA user_version = {VERSION}")
        db.execute("COMMIT")
    except BaseException:
        db.rollback()
        raise
