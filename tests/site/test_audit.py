"""The audit log: any edited, removed, swapped or cut line is found, and quickly."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from racoon_data.errors import AuditError, DiskFullError
from racoon_data.site import audit
from racoon_data.site.audit import AuditLog, Seal, entries, head_path, verify


@pytest.fixture
def log(tmp_path: Path) -> AuditLog:
    """A log of ten lines."""
    log = AuditLog(tmp_path / "audit.jsonl")
    for number in range(10):
        log.append("deidentify", input=f"{number:064x}", count=number)
    return log


def test_whole_log_is_whole(log: AuditLog):
    """Ten lines, each with who, when, what and the hash of the one before."""
    lines = list(entries(log.path))

    assert verify(log.path) == 10
    assert [line["line"] for line in lines] == list(range(1, 11))
    assert lines[3]["action"] == "deidentify"
    assert str(lines[0]["actor"]).endswith(f"uid {os.getuid()})")
    assert log.path.stat().st_mode & 0o077 == 0


Change = Callable[[list[bytes]], list[bytes]]
CHANGES: dict[str, Change] = {
    "edited": lambda lines: [*lines[:4], lines[4].replace(b'"count": 4', b'"count": 5'), *lines[5:]],
    "removed": lambda lines: [*lines[:4], *lines[5:]],
    "swapped": lambda lines: [*lines[:4], lines[5], lines[4], *lines[6:]],
    "doubled": lambda lines: [*lines[:5], lines[4], *lines[5:]],
    "first removed": lambda lines: lines[1:],
    "last removed": lambda lines: lines[:-1],
    "last two removed": lambda lines: lines[:-2],
    "last edited": lambda lines: [*lines[:-1], lines[-1].replace(b'"count": 9', b'"count": 8')],
    "last torn": lambda lines: [*lines[:-1], lines[-1][:-9]],
    "last newline cut": lambda lines: [*lines[:-1], lines[-1][:-1]],
    "emptied": lambda lines: [],
    "garbage": lambda lines: [*lines[:4], b"\xff\xfe\n", *lines[5:]],
    "no entry": lambda lines: [*lines[:4], b"[]\n", *lines[5:]],
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_any_change_is_found(log: AuditLog, change: Change):
    """Whatever was done to a line, the chain or the head tells."""
    log.path.write_bytes(b"".join(change(log.path.read_bytes().splitlines(keepends=True))))

    with pytest.raises(AuditError):
        verify(log.path)


def test_every_byte_counts(log: AuditLog):
    """A change of any one byte of the log is found."""
    whole = log.path.read_bytes()
    for place in range(0, len(whole), 13):
        log.path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(AuditError):
            verify(log.path)


def test_the_message_names_the_line(log: AuditLog):
    """A person is told where to look."""
    lines = log.path.read_bytes().splitlines(keepends=True)
    log.path.write_bytes(b"".join([*lines[:4], *lines[5:]]))

    with pytest.raises(AuditError, match="line 5"):
        verify(log.path)


def test_nothing_is_added_to_a_broken_log(log: AuditLog):
    """A cut log is not healed by writing on."""
    lines = log.path.read_bytes().splitlines(keepends=True)
    log.path.write_bytes(b"".join(lines[:-1]))

    with pytest.raises(AuditError):
        log.append("deidentify")

    assert log.path.read_bytes() == b"".join(lines[:-1])


def test_a_lost_head_is_noticed(log: AuditLog):
    """Who removes the head to cut the tail is found out."""
    head_path(log.path).unlink()

    with pytest.raises(AuditError):
        verify(log.path)
    with pytest.raises(AuditError):
        log.append("deidentify")


def test_a_kill_between_line_and_head_is_no_break(log: AuditLog):
    """The head may be one line behind; the log goes on."""
    head = head_path(log.path).read_bytes()
    log.append("deidentify")
    head_path(log.path).write_bytes(head)

    assert verify(log.path) == 11
    log.append("deidentify")
    assert verify(log.path) == 12


def test_a_full_disk_takes_the_line_back(log: AuditLog, monkeypatch: pytest.MonkeyPatch):
    """Half a line would break the chain."""
    real = os.write

    def full(handle: int, data: bytes) -> int:
        real(handle, data[:7])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(audit.os, "write", full)
    with pytest.raises(DiskFullError):
        log.append("deidentify")
    monkeypatch.undo()

    assert verify(log.path) == 10


def test_names_of_the_log_are_its_own(log: AuditLog):
    """A fact cannot pass itself off as the chain."""
    with pytest.raises(ValueError, match="previous"):
        log.append("deidentify", previous="0" * 64)


def test_a_missing_log_is_an_error(tmp_path: Path):
    """An absent log is not a log without lines."""
    with pytest.raises(AuditError):
        verify(tmp_path / "audit.jsonl")


@pytest.fixture
def sealed(tmp_path: Path) -> AuditLog:
    """A log of ten lines under a seal."""
    (tmp_path / "vault").mkdir()
    log = AuditLog(tmp_path / "audit.jsonl", "Kim", Seal(b"k" * 32, tmp_path / "vault" / "audit.lines"))
    for number in range(10):
        log.append("deidentify", input=f"{number:064x}")
    return log


def _rewrite(log: AuditLog, seal: Seal | None = None) -> None:
    """Write the whole log anew with one line less, each line and the head fitting the one before."""
    lines = list(entries(log.path))[:-1]
    log.path.unlink()
    head_path(log.path).unlink()
    forged = AuditLog(log.path, "Kim", seal)
    for line in lines:
        forged.append("deidentify", input=f"{line['line']:064x}")


@pytest.mark.parametrize("seal", [None, Seal(b"x" * 32, Path("/dev/null/floor"))], ids=["unsealed", "own seal"])
def test_a_log_rewritten_as_a_whole_is_found(sealed: AuditLog, tmp_path: Path, seal: Seal | None):
    """Without the key nobody can write a head that passes; the chain alone would look whole; nothing is added."""
    _rewrite(sealed, replace(seal, floor=tmp_path / "other") if seal else None)

    assert verify(sealed.path) == 9
    with pytest.raises(AuditError, match="seal"):
        verify(sealed.path, seal=sealed.seal)
    with pytest.raises(AuditError, match="seal"):
        sealed.append("deidentify")


def test_an_old_copy_is_found(sealed: AuditLog):
    """Yesterday's log with yesterday's head bears a true seal, and has fewer lines than the vault remembers."""
    log, head = sealed.path.read_bytes(), head_path(sealed.path).read_bytes()
    sealed.append_all([("deidentify", {}), ("deidentify", {})])
    sealed.path.write_bytes(log)
    head_path(sealed.path).write_bytes(head)

    with pytest.raises(AuditError, match="12 lines before"):
        verify(sealed.path, seal=sealed.seal)


def test_a_sealed_log_goes_on(sealed: AuditLog):
    """It is whole with and without the key, and a line whose head was not written in time is no break."""
    head = head_path(sealed.path).read_bytes()
    sealed.append("lookup")
    assert (verify(sealed.path), verify(sealed.path, seal=sealed.seal)) == (11, 11)

    head_path(sealed.path).write_bytes(head)
    (sealed.path.parent / "vault" / "audit.lines").write_text("10\n")
    sealed.append("lookup")

    assert verify(sealed.path, seal=sealed.seal) == 12
    assert {entry["actor"] for entry in entries(sealed.path)} == {"Kim"}


def test_a_log_from_before_the_key_is_sealed_from_now_on(log: AuditLog, tmp_path: Path):
    """The first line under a key seals what was there."""
    seal = Seal(b"k" * 32, tmp_path / "vault-audit.lines")

    assert verify(log.path, seal=seal) == 10
    AuditLog(log.path, seal=seal).append("deidentify")

    assert verify(log.path, seal=seal) == 11
    assert seal.lines_before() == 11


def test_two_processes_write_one_chain(tmp_path: Path):
    """Lines of several processes follow one another."""
    code = (
        "import sys; from pathlib import Path; from racoon_data.site.audit import AuditLog\n"
        "log = AuditLog(Path(sys.argv[1]))\n"
        "for n in range(50): log.append('deidentify', count=n)\n"
    )
    path = tmp_path / "audit.jsonl"
    processes = [subprocess.Popen([sys.executable, "-c", code, str(path)]) for _ in range(3)]

    assert [process.wait(timeout=60) for process in processes] == [0, 0, 0]
    assert verify(path) == 150


def test_a_hundred_thousand_lines_take_under_two_seconds(tmp_path: Path):
    """Verifying is quick enough to do every day (CPU time)."""
    path, previous = tmp_path / "audit.jsonl", "0" * 64
    with path.open("wb") as stream:
        for number in range(1, 100_001):
            entry = {"line": number, "time": "2026-01-01T00:00:00.000+00:00", "actor": "uid 1", "action": "deidentify",
                     "input": f"{number:064x}", "output": f"{number:064x}", "previous": previous}  # fmt: skip
            line = json.dumps(entry).encode() + b"\n"
            previous = audit.hashlib.sha256(line).hexdigest()
            stream.write(line)
    head_path(path).write_text(json.dumps({"lines": 100_000, "sha256": previous}))

    start = time.process_time()

    assert verify(path) == 100_000
    assert time.process_time() - start < 2
