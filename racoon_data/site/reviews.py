"""Reviews: what people said of cases, kept in the site's database, the whole history."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from racoon_data.files.sqlite import sqlite_errors

# The text of a comment; longer ones belong into a document.
LONGEST_COMMENT = 2000

_SCHEMA = """
CREATE TABLE IF NOT EXISTS reviews (
    dataset TEXT NOT NULL, case_id TEXT NOT NULL, number INTEGER NOT NULL, verdict TEXT NOT NULL,
    comment TEXT NOT NULL, reviewer TEXT NOT NULL, at TEXT NOT NULL, sidecar_sha256 TEXT NOT NULL,
    PRIMARY KEY (dataset, case_id, number)
) WITHOUT ROWID
"""


class ReviewVerdict(StrEnum):
    """What a person decided about a case."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    OPEN = "open"
    """Looked at and not decided; it takes an earlier decision back."""


@dataclass(frozen=True, slots=True)
class Review:
    """What one person said of one case.

    Attributes:
        dataset: Name of the dataset.
        case_id: The case.
        verdict: The decision.
        comment: Free text of the reviewer; it stays at the site.
        reviewer: Who.
        at: When, UTC in ISO form.
        sidecar_sha256: Checksum of the case's sidecar that was looked at: which build of the case it was.
    """

    dataset: str
    case_id: str
    verdict: ReviewVerdict
    comment: str
    reviewer: str
    at: str
    sidecar_sha256: str

    def to_json(self) -> dict[str, str]:
        """Give the review as a JSON document."""
        return {key: str(value) for key, value in asdict(self).items()}


def add_review(database: Path, review: Review) -> None:
    """Add a review; the newest of a case counts, the others remain.

    Args:
        database: The site's SQLite file.
        review: What was said.

    Raises:
        StorageError: The database cannot be written.
    """
    columns = tuple(asdict(review).values())
    with _opened(database) as db:
        db.execute("BEGIN IMMEDIATE")
        db.execute(
            "INSERT INTO reviews (dataset, case_id, verdict, comment, reviewer, at, sidecar_sha256, number) SELECT"
            " ?, ?, ?, ?, ?, ?, ?, COALESCE(MAX(number), 0) + 1 FROM reviews WHERE dataset = ? AND case_id = ?",
            (*columns, review.dataset, review.case_id),
        )
        db.execute("COMMIT")


def latest_reviews(database: Path, dataset: str) -> dict[str, Review]:
    """Give the newest review of every reviewed case of a dataset, by case id.

    Raises:
        StorageError: The database cannot be read.
    """
    with _opened(database) as db:
        rows = db.execute(
            "SELECT dataset, case_id, verdict, comment, reviewer, at, sidecar_sha256 FROM reviews"
            " WHERE dataset = ? ORDER BY case_id, number",
            (dataset,),
        ).fetchall()
    found = (Review(row[0], row[1], ReviewVerdict(row[2]), *row[3:]) for row in rows)
    return {review.case_id: review for review in found}


@contextmanager
def _opened(database: Path) -> Iterator[sqlite3.Connection]:
    with sqlite_errors(database), closing(sqlite3.connect(database, timeout=30.0, isolation_level=None)) as db:
        db.execute(_SCHEMA)
        yield db
