"""The audit log: append-only JSON lines, each holding the hash of the one before; never patient values."""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import pwd
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from racoon_data.documents import parse_json, read_json
from racoon_data.errors import AuditError
from racoon_data.files.atomic import make_folder, storage_errors, write_text

Fact = str | int | float | bool | None
Event = tuple[str, Mapping[str, Fact]]
_START = "0" * 64
_RESERVED = frozenset(("line", "time", "actor", "action", "previous"))
_TAIL = 1 << 16
_RESTORE = "restore audit.jsonl, its head and the vault from one backup, and find out who changed them"


@dataclass(frozen=True, slots=True)
class _Head:
    """The last line, and how many are being added: a process may be killed between lines and head."""

    lines: int = 0
    sha256: str = _START
    coming: int = 1

    @property
    def allowed(self) -> range:
        """How many lines the log may have."""
        return range(self.lines, self.lines + self.coming + 1)

    def write(self, path: Path, seal: Seal | None) -> None:
        document: dict[str, Fact] = {"lines": self.lines, "sha256": self.sha256, "coming": self.coming}
        if seal is not None:
            document["seal"] = seal.of(self)
        write_text(path, json.dumps(document) + "\n")


@dataclass(frozen=True, slots=True)
class Seal:
    """What makes a log that was rewritten as a whole, head and all, or put back to an earlier day, be found.

    Attributes:
        key: Secret bytes, derived from the vault's key; the head of the log bears its HMAC-SHA-256.
        floor: File in the vault that remembers how many lines there were at least.
    """

    key: bytes = field(repr=False)
    floor: Path

    def of(self, head: _Head) -> str:
        """Give the seal of a head, hexadecimal."""
        return hmac.digest(self.key, f"{head.lines} {head.coming} {head.sha256}".encode("ascii"), "sha256").hex()

    def check(self, head: _Head, found: str) -> None:
        """Refuse a head that bears no true seal, where the log was ever sealed.

        Raises:
            AuditError: It was written by somebody without the key, or is an old one.
        """
        lines = self.lines_before()
        if (lines or found) and not hmac.compare_digest(found, self.of(head)):
            raise AuditError("the head of the audit log bears a false seal, or none", hint=_RESTORE)
        if head.lines + head.coming < lines:
            raise AuditError(f"the audit log had {lines} lines before", hint="an old copy was put in its place")

    def lines_before(self) -> int:
        """Give how many lines there were at least; 0 where the log was never sealed."""
        try:
            return int(self.floor.read_text(encoding="ascii"))
        except FileNotFoundError:
            return 0
        except (OSError, ValueError) as error:
            raise AuditError("the vault's count of audit lines cannot be read", hint=_RESTORE) from error

    def note(self, lines: int) -> None:
        """Remember how many lines there are."""
        write_text(self.floor, f"{lines}\n")


def head_path(log: Path) -> Path:
    """Name the small file beside a log that tells its last line, so that a cut tail is seen."""
    return log.with_name(log.name + ".head")


@dataclass(frozen=True, slots=True)
class AuditLog:
    """A log that several processes may append to.

    Attributes:
        path: The JSON lines file; its head lies beside it as ``<name>.head``.
        actor: Who writes; empty for the account that runs the process.
        seal: Secret that the head is sealed with, where there is a vault.
    """

    path: Path
    actor: str = ""
    seal: Seal | None = field(default=None, repr=False)

    def append(self, action: str, **facts: Fact) -> None:
        """Add a line: when, who, what, to which object hashes.

        Args:
            action: What was done, such as ``deidentify``.
            facts: Hashes, counts, codes and pseudonyms; never names, numbers or dates of a patient.

        Raises:
            AuditError: The log was cut or its last line is torn; nothing is added to a broken log.
            DiskFullError: No space is left; the line is taken back.
            ValueError: A fact has a name the log uses itself.
        """
        self.append_all([(action, facts)])

    def append_all(self, events: Sequence[Event]) -> None:
        """Add several lines at once; see ``append``.

        Args:
            events: Action and facts of each line, in order.
        """
        if taken := _RESERVED & {key for _, facts in events for key in facts}:
            raise ValueError(f"the log writes {sorted(taken)} itself")
        make_folder(self.path.parent)
        with storage_errors(self.path.name), _locked(self.path) as handle:
            head, lines = _last(handle, _read_head(head_path(self.path), self.seal)), []
            if len(events) > 1:
                replace(head, coming=len(events)).write(head_path(self.path), self.seal)
            for action, facts in events:
                lines.append(_line(action, facts, head, self.actor or account()))
                head = _Head(head.lines + 1, hashlib.sha256(lines[-1]).hexdigest())
            _write_whole(handle, b"".join(lines))
            head.write(head_path(self.path), self.seal)
            if self.seal is not None:
                self.seal.note(head.lines)


def account() -> str:
    """Name the account that runs this process."""
    number = os.getuid()
    try:
        return f"{pwd.getpwuid(number).pw_name} (uid {number})"
    except KeyError:  # accounts of containers often have no name
        return f"uid {number}"


def _line(action: str, facts: Mapping[str, Fact], before: _Head, actor: str) -> bytes:
    entry = {
        "line": before.lines + 1,
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "actor": actor,
        "action": action,
        **facts,
        "previous": before.sha256,
    }
    return json.dumps(entry, ensure_ascii=False, allow_nan=False).encode("utf-8") + b"\n"


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)


def _write_whole(handle: int, line: bytes) -> None:
    size = os.fstat(handle).st_size
    try:
        written = os.write(handle, line)
        if written < len(line):
            os.write(handle, line[written:])
    except OSError:
        os.ftruncate(handle, size)
        raise


def _last(handle: int, head: _Head) -> _Head:
    size = os.fstat(handle).st_size
    if size == 0:
        if head.lines:
            raise AuditError("the audit log is empty and had lines", hint="restore it from a backup")
        return head
    tail = os.pread(handle, min(size, _TAIL), max(0, size - _TAIL))
    if not tail.endswith(b"\n"):
        raise AuditError("the last line of the audit log is torn", hint="run: racoon audit verify")
    line = tail[tail.rfind(b"\n", 0, -1) + 1 :]
    number, digest = _parse(line, head.lines or 1).get("line"), hashlib.sha256(line).hexdigest()
    is_last = number == head.lines and digest == head.sha256
    if not isinstance(number, int) or not (is_last or number in head.allowed[1:]):
        raise AuditError("the end of the audit log is not what its head tells", hint="run: racoon audit verify")
    return _Head(number, digest)


def _read_head(path: Path, seal: Seal | None) -> _Head:
    found, head = "", _Head()
    if path.exists():
        try:
            document = read_json(path)
            head = _Head(int(document["lines"]), str(document["sha256"]), int(document.get("coming", 1)))
            found = str(document.get("seal", ""))
        except (ValueError, KeyError, TypeError) as error:
            raise AuditError("the head of the audit log cannot be read", hint="restore it from a backup") from error
    if seal is not None:
        seal.check(head, found)
    return head


def _parse(line: bytes, number: int) -> dict[str, object]:
    try:
        entry = parse_json(line.decode("utf-8"))
    except ValueError as error:
        raise AuditError(f"line {number} of the audit log is no JSON", hint="it was edited or torn") from error
    if not isinstance(entry, dict):
        raise AuditError(f"line {number} of the audit log is no entry", hint="it was edited")
    return entry


def entries(path: Path) -> Iterator[dict[str, object]]:
    """Read the entries of a log in order; a log that does not exist yet has none.

    Raises:
        AuditError: A line is no entry.
    """
    if path.is_file():
        with path.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                yield _parse(line, number)


def verify(path: Path, *, seal: Seal | None = None) -> int:
    """Check that no line was edited, removed, swapped or cut.

    A line more than the head knows, or as many as it says are coming, is accepted when it continues the chain:
    a process may be killed between writing lines and their head. The chain itself has no secret: a log that was
    rewritten as a whole, with its head, is found by the seal alone.

    Args:
        path: The log.
        seal: The secret of the site, to check the seal of the head too.

    Returns:
        How many lines it has.

    Raises:
        AuditError: The chain is broken; the message names the first line that does not fit.
    """
    if not path.is_file():
        raise AuditError("there is no audit log", hint="name an existing file, or a site with --site")
    head = _read_head(head_path(path), seal)
    previous, count, at_head = _START, 0, _START
    with path.open("rb") as stream:
        for count, line in enumerate(stream, start=1):
            entry = _parse(line, count)
            if entry.get("previous") != previous or entry.get("line") != count or not line.endswith(b"\n"):
                raise AuditError(f"line {count} of the audit log does not follow the one before", hint="it was changed")
            previous = hashlib.sha256(line).hexdigest()
            if count == head.lines:
                at_head = previous
    if count not in head.allowed or at_head != head.sha256:
        raise AuditError(
            f"the audit log has {count} lines and its head tells of {head.lines}",
            hint="lines were cut or edited at the end, or the head is missing",
        )
    return count
