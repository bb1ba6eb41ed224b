"""The ledger remembers instances, verdicts and steps, also after a kill."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from racoon_data.errors import NewerLedgerError, StorageError
from racoon_data.refs import InstanceRef, StudyRef
from racoon_data.site import migrations
from racoon_data.site.ledger import InstanceState, Ledger, StudyVerdict, Verdict

REFS = tuple(InstanceRef("1.2", "1.2.3", f"1.2.3.{number}") for number in range(1, 4))

WRITER = """
import sys
import time
from contextlib import closing
from pathlib import Path
from racoon_data.refs import InstanceRef
from racoon_data.site.ledger import Ledger
ledger = Ledger(Path(sys.argv[1]))
for number in range(100_000):
    ledger.arrived(InstanceRef("1", "2", str(number)), Path("x.dcm"), number, "00")
    ledger.remember("convert", str(number), "f", {"number": number})
    print(number, flush=True)
"""


def test_an_expected_instance_is_missing_until_it_arrives(tmp_path):
    """What was expected and has not arrived is listed in order."""
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.expect("pacs", REFS)
        ledger.arrived(REFS[1], tmp_path / "spool" / "a.dcm", 10, "ab")
        ledger.failed(REFS[2], InstanceState.REFUSED, "wrong UID")

        assert ledger.missing("1.2") == (REFS[0], REFS[2])
        rows = ledger.instances("1.2")
        assert [row.state for row in rows] == ["wanted", "arrived", "refused"]
        assert (rows[1].path, rows[1].attempts, rows[2].reason) == (tmp_path / "spool" / "a.dcm", 1, "wrong UID")


def test_expecting_again_keeps_what_arrived(tmp_path):
    """A second query does not make an arrived instance due again."""
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.expect("pacs", REFS)
        ledger.arrived(REFS[0], tmp_path / "a.dcm", 1, "ab")
        ledger.expect("pacs", REFS)

        assert ledger.missing("1.2") == REFS[1:]


def test_attempts_are_counted(tmp_path):
    """Two failures and a success are three attempts, and the success clears the reason."""
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.expect("pacs", REFS)
        for _ in range(2):
            ledger.failed(REFS[0], InstanceState.FAILED, "lost")
        ledger.arrived(REFS[0], tmp_path / "a.dcm", 1, "ab")

        assert (ledger.instances("1.2")[0].attempts, ledger.instances("1.2")[0].reason) == (3, "")


def test_a_conflicting_instance_is_not_fetched_again(tmp_path):
    """Other bytes under a known UID wait for a person; fetching again would not help."""
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.expect("pacs", REFS[:1])
        ledger.failed(REFS[0], InstanceState.CONFLICTING, "other bytes")

        assert ledger.missing("1.2") == ()


def test_what_the_pacs_lists_no_longer_is_neither_missing_nor_lost(tmp_path):
    """A withdrawn instance is not asked for; listed again, it is due again."""
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.expect("pacs", REFS)
        ledger.withdraw("pacs", REFS[0].study_uid, listed=REFS[1:])
        withdrawn = ledger.missing(REFS[0].study_uid)
        ledger.expect("pacs", REFS)
        again = ledger.missing(REFS[0].study_uid)

    assert REFS[0] not in withdrawn
    assert REFS[0] in again


def test_a_moved_site_still_finds_its_files(tmp_path):
    """Paths inside the ledger's folder are kept relative to it."""
    (tmp_path / "old").mkdir()
    with Ledger(tmp_path / "old" / "ledger.sqlite") as ledger:
        ledger.arrived(REFS[0], tmp_path / "old" / "spool" / "a.dcm", 1, "ab")
    (tmp_path / "old").rename(tmp_path / "new")

    with Ledger(tmp_path / "new" / "ledger.sqlite") as ledger:
        assert ledger.instances("1.2")[0].path == tmp_path / "new" / "spool" / "a.dcm"


def test_verdicts_come_back(tmp_path):
    """The last verdict of a study holds, also in a new process's eyes."""
    complete = StudyVerdict(StudyRef("1.2"), Verdict.COMPLETE, 3, 3)
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.set_verdict(StudyVerdict(StudyRef("1.2"), Verdict.PARTIAL, 3, 1))
        ledger.set_verdict(complete)
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        assert ledger.verdicts() == {"1.2": complete}


def test_a_step_is_recalled_by_its_fingerprint(tmp_path):
    """A changed input makes a finished step due again."""
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.remember("convert", "case1", "aa", {"files": ["x"]})

        assert ledger.recall("convert", "case1", "aa") == {"files": ["x"]}
        assert ledger.recall("convert", "case1", "bb") is None
        assert ledger.recall("convert", "case2", "aa") is None


def test_a_newer_ledger_is_refused(tmp_path):
    """An older racoon does not touch what it does not understand."""
    with sqlite3.connect(tmp_path / "ledger.sqlite") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()

    with pytest.raises(NewerLedgerError):
        Ledger(tmp_path / "ledger.sqlite")


def test_a_newer_ledger_is_left_as_it_is(tmp_path):
    """The refusal changes no byte and says what helps."""
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as db:
        db.executescript("CREATE TABLE instances (a); PRAGMA user_version = 99;")
    before = (tmp_path / "ledger.sqlite").read_bytes()

    with pytest.raises(NewerLedgerError) as caught:
        Ledger(tmp_path / "ledger.sqlite")

    assert "version 99" in caught.value.message
    assert "update racoon" in caught.value.hint
    assert (tmp_path / "ledger.sqlite").read_bytes() == before


def test_an_old_ledger_is_brought_forward(tmp_path):
    """What version 1 knew is there in today's version, and counts as expected since the migration."""
    path, before = tmp_path / "ledger.sqlite", time.time()
    with closing(sqlite3.connect(path)) as db:
        db.executescript(migrations._FIRST)
        db.execute("INSERT INTO instances (study_uid, series_uid, sop_uid, state) VALUES ('1', '2', '3', 'failed')")
        db.execute("INSERT INTO steps VALUES ('build', 'x', 'f', '{}')")
        db.execute("PRAGMA user_version = 1")
        db.commit()

    with Ledger(path) as ledger:
        standing = ledger.standing()
        assert ledger.recall("build", "x", "f") == {}
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (migrations.VERSION,)
    assert standing[InstanceState.FAILED].count == 1
    assert standing[InstanceState.FAILED].since >= int(before)


def test_a_migration_that_breaks_leaves_the_old_version(tmp_path, monkeypatch):
    """Schema and version change together or not at all."""
    path = tmp_path / "ledger.sqlite"
    with closing(sqlite3.connect(path)) as db:
        db.executescript(f"{migrations._FIRST} PRAGMA user_version = 1;")
    monkeypatch.setattr(migrations, "_STEPS", (migrations._FIRST, f"{migrations._SECOND} BREAK HERE;"))

    with pytest.raises(StorageError):
        Ledger(path)

    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
        assert "since" not in [row[1] for row in db.execute("PRAGMA table_info(instances)")]


def test_the_oldest_stuck_instance_keeps_its_age(tmp_path, monkeypatch):
    """Failing again does not make an instance younger; a fresh start does."""
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        monkeypatch.setattr(time, "time", lambda: 1000.0)
        ledger.expect("pacs", REFS)
        monkeypatch.setattr(time, "time", lambda: 2000.0)
        ledger.failed(REFS[0], InstanceState.FAILED, "lost")
        ledger.arrived(REFS[1], tmp_path / "a.dcm", 7, "ab")
        ledger.failed(REFS[1], InstanceState.WANTED, "it must pass the door again")

        standing = ledger.standing()
        assert standing[InstanceState.FAILED].since == 1000
        assert (standing[InstanceState.WANTED].count, standing[InstanceState.WANTED].since) == (2, 1000)
        ledger.arrived(REFS[2], tmp_path / "b.dcm", 7, "ab")
        assert ledger.standing()[InstanceState.WANTED].since == 2000


def test_a_file_that_is_no_ledger_is_refused(tmp_path):
    """A text file under the ledger's name gives a clear error."""
    (tmp_path / "ledger.sqlite").write_text("this is not a database, and it is long enough to be read as one" * 20)

    with pytest.raises(StorageError):
        Ledger(tmp_path / "ledger.sqlite")


def test_a_killed_writer_loses_nothing_it_reported(tmp_path):
    """After kill -9 every row whose call returned is there."""
    path = tmp_path / "ledger.sqlite"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert writer.stdout is not None
    reported = [int(writer.stdout.readline()) for _ in range(50)][-1]
    os.kill(writer.pid, signal.SIGKILL)
    writer.communicate()

    with Ledger(path) as ledger:
        assert len(ledger.instances("1")) > reported
        assert ledger.recall("convert", str(reported), "f") == {"number": reported}
