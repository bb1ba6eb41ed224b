"""The quarantine: originals that wait for a person, each with the reason and the decision, named by hash."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from racoon_data.documents import read_json
from racoon_data.errors import IdentityRiskError, NothingMatchedError, QuarantineError
from racoon_data.files.atomic import make_folder, whole_file, write_json
from racoon_data.outcomes import Outcome
from racoon_data.site.audit import AuditLog

# What a person can judge by looking; an object that cannot be cleaned stays out whatever a person says.
RELEASABLE = frozenset((IdentityRiskError.code,))


class Fate(StrEnum):
    """What a person decided."""

    WAITING = "waiting"
    RELEASED = "released"
    DISCARDED = "discarded"


@dataclass(frozen=True, slots=True)
class Held:
    """One object in quarantine.

    Attributes:
        sha256: Hash of the original's bytes; its name.
        code: Why it waits.
        message: The same in words, without values of the patient.
        hint: What helps.
        fate: What a person decided.
        reason: Why the person did so.
        path: The copy; it is gone where it was discarded.
    """

    sha256: str
    code: str
    message: str
    hint: str
    fate: Fate
    reason: str
    path: Path

    def to_json(self) -> dict[str, Any]:
        """Give the note that lies beside the copy."""
        return {
            "schema_version": "1.0",
            "sha256": self.sha256,
            "code": self.code,
            "message": self.message,
            "hint": self.hint,
            "fate": str(self.fate),
            "reason": self.reason,
        }


def set_aside(path: Path, folder: Path, *, sha256: str, outcome: Outcome) -> Path:
    """Copy an original into the quarantine with the reason beside it; what was discarded stays discarded.

    Args:
        path: The original.
        folder: The quarantine; readable by its owner alone.
        sha256: Hash of the original's bytes; it names the copy.
        outcome: Why it waits.

    Returns:
        The copy's place.
    """
    make_folder(folder)
    folder.chmod(0o700)
    copy, note = folder / f"{sha256}.dcm", folder / f"{sha256}.json"
    if note.exists() and _read(note).fate is Fate.DISCARDED:
        return copy
    if not copy.exists():
        with whole_file(copy) as partial:
            shutil.copyfile(path, partial)
            partial.chmod(0o600)
    held = Held(sha256, outcome.code, outcome.message, outcome.hint, Fate.WAITING, "", copy)
    write_json(note, held.to_json())
    return copy


def held_in(folder: Path) -> tuple[Held, ...]:
    """List what is in a quarantine, in order of hash."""
    return tuple(_read(note) for note in sorted(folder.glob("*.json")))


def released_in(folder: Path | None) -> frozenset[str]:
    """Give the hashes of what a person released."""
    held = held_in(folder) if folder is not None else ()
    return frozenset(one.sha256 for one in held if one.fate is Fate.RELEASED)


def decide(folder: Path, start: str, fate: Fate, *, reason: str, audit: AuditLog | None) -> Held:
    """Write down what a person decided about one object, and log it.

    A released object passes with the next run: its picture is trusted, its header is cleaned and checked
    as ever. Of a discarded object only the note stays, so that it is not put aside again.

    Args:
        folder: The quarantine.
        start: First characters of its hash, at least six.
        fate: Released or discarded.
        reason: Why; it goes into note and audit log, so it must not name the patient.
        audit: Log of decisions.

    Raises:
        NothingMatchedError: No object, or more than one, has a hash that starts so.
        QuarantineError: The object cannot be released, because it cannot be cleaned.
    """
    found = [one for one in held_in(folder) if len(start) >= 6 and one.sha256.startswith(start)]
    if len(found) != 1:
        raise NothingMatchedError(
            f"{len(found)} objects in quarantine have a hash that starts with {start!r}",
            hint="racoon deid quarantine list shows them; give six characters or more",
        )
    held = found[0]
    if fate is Fate.RELEASED and held.code not in RELEASABLE:
        raise QuarantineError("this object cannot be cleaned, so nobody can release it", hint=held.hint)
    decided = Held(held.sha256, held.code, held.message, held.hint, fate, reason, held.path)
    write_json(folder / f"{held.sha256}.json", decided.to_json())
    if fate is Fate.DISCARDED:
        held.path.unlink(missing_ok=True)
    if audit is not None:
        audit.append(
            f"quarantine-{'release' if fate is Fate.RELEASED else 'discard'}", input=held.sha256, reason=reason
        )
    return decided


def _read(note: Path) -> Held:
    document = read_json(note)
    return Held(
        sha256=note.stem,
        code=str(document["code"]),
        message=str(document["message"]),
        hint=str(document.get("hint", "")),
        fate=Fate(document.get("fate", "waiting")),
        reason=str(document.get("reason", "")),
        path=note.with_suffix(".dcm"),
    )
