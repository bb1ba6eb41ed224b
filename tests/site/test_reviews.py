"""Reviews are kept with their history, and the newest of a case counts."""

import sqlite3
from contextlib import closing

from racoon_data.site.ledger import Ledger
from racoon_data.site.reviews import Review, ReviewVerdict, add_review, latest_reviews


def a_review(verdict, *, case_id="case-001", comment=""):
    """Give a review."""
    return Review("thorax", case_id, ReviewVerdict(verdict), comment, "R1", "2026-11-25T08:00:00+00:00", "0" * 64)


def test_the_newest_review_counts(tmp_path):
    """A later decision takes an earlier one back, and both remain in the database."""
    database = tmp_path / "ledger.sqlite"
    first, second = a_review("rejected", comment="blurred"), a_review("accepted")
    other = a_review("open", case_id="case-002")
    for review in (first, second, other):
        add_review(database, review)

    assert latest_reviews(database, "thorax") == {"case-001": second, "case-002": other}
    assert latest_reviews(database, "another") == {}
    with closing(sqlite3.connect(database)) as db:
        assert db.execute("SELECT COUNT(*) FROM reviews").fetchone() == (3,)


def test_reviews_live_in_the_ledger_of_the_site(tmp_path):
    """The ledger and the reviews share a file, whichever came first."""
    database = tmp_path / "ledger.sqlite"
    add_review(database, a_review("accepted"))
    with Ledger(database) as ledger:
        ledger.remember("step", "key", "f", {})

    assert latest_reviews(database, "thorax")["case-001"].verdict is ReviewVerdict.ACCEPTED
