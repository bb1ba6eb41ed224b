"""The re-identification table: which original each pseudonym stands for, encrypted, kept in the site's vault alone."""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from racoon_data.deid.pseudonyms import derive
from racoon_data.errors import SettingsError, VaultError
from racoon_data.files.atomic import make_folder, storage_errors
from racoon_data.files.sqlite import sqlite_errors

REGISTER_NAME = "register.sqlite"
_NONCE_BYTES = 12
_SCHEMA = """
PRAGMA secure_delete = ON;
CREATE TABLE IF NOT EXISTS entries (
    kind TEXT NOT NULL, pseudonym TEXT NOT NULL, patient TEXT NOT NULL, sealed BLOB NOT NULL,
    PRIMARY KEY (kind, pseudonym)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS entries_by_patient ON entries (patient);
CREATE TABLE IF NOT EXISTS forgotten (patient TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Original:
    """Who and what one de-identified object came from; identified data, for the vault alone.

    Attributes:
        patient: The patient's pseudonym.
        study: The study's pseudonymous UID.
        person: PatientID, PatientName and what else names the patient, by keyword.
        examination: StudyInstanceUID, StudyDate, AccessionNumber and what else names the study, by keyword.
        uids: Original UID by pseudonymous UID, of everything the object names.
    """

    patient: str
    study: str
    person: Mapping[str, str] = field(repr=False)
    examination: Mapping[str, str] = field(repr=False)
    uids: Mapping[str, str] = field(repr=False)


class Register:
    """A SQLite file (mode 0600) whose values are sealed with AES-256-GCM under a key derived from the site's.

    Pseudonyms stand in the open: they tell nothing without the key. Each sealed value is bound to its
    pseudonym, so rows cannot be exchanged unnoticed.
    """

    def __init__(self, vault: Path, key: bytes) -> None:
        """Open or create the table of a vault.

        Args:
            vault: The site's vault folder.
            key: The site's de-identification key.

        Raises:
            StorageError: The file cannot be used.
        """
        make_folder(vault)
        self._path = vault / REGISTER_NAME
        self._seal = AESGCM(derive(key, "register"))
        with storage_errors(REGISTER_NAME):
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
        with sqlite_errors(self._path):
            self._db = sqlite3.connect(self._path, timeout=30.0, isolation_level=None)
            try:
                self._db.executescript(_SCHEMA)
            except sqlite3.DatabaseError:
                self._db.close()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def note(self, originals: Iterable[Original]) -> None:
        """Remember what objects came from, all or none; what is known already stays as it is."""
        with self._transaction():
            for one in originals:
                self._keep("patient", one.patient, one.patient, one.person)
                self._keep("study", one.study, one.patient, one.examination)
                for pseudonym, uid in one.uids.items():
                    self._keep("uid", pseudonym, one.patient, {"uid": uid})

    def _keep(self, kind: str, pseudonym: str, patient: str, value: Mapping[str, str]) -> None:
        if self._row(kind, pseudonym) is None:
            nonce = secrets.token_bytes(_NONCE_BYTES)
            text = json.dumps(dict(value), sort_keys=True, ensure_ascii=False).encode("utf-8")
            sealed = nonce + self._seal.encrypt(nonce, text, _bound(kind, pseudonym))
            self._db.execute("INSERT INTO entries VALUES (?, ?, ?, ?)", (kind, pseudonym, patient, sealed))

    def person(self, patient: str) -> dict[str, str] | None:
        """Give what names a patient, ``None`` where the pseudonym is unknown."""
        return self._opened("patient", patient)

    def examination(self, study: str) -> dict[str, str] | None:
        """Give what names a study, by its pseudonymous UID, ``None`` where it is unknown."""
        return self._opened("study", study)

    def uid(self, pseudonym: str) -> str | None:
        """Give the original of a pseudonymous UID, ``None`` where it is unknown."""
        found = self._opened("uid", pseudonym)
        return found["uid"] if found else None

    def found(self, pseudonym: str) -> dict[str, str] | None:
        """Give what any pseudonym stands for: a patient, a study or another UID; ``None`` where it is unknown."""
        known = (self._opened(kind, pseudonym) for kind in ("patient", "study", "uid"))
        return next((one for one in known if one is not None), None)

    def patient_of(self, study: str) -> str | None:
        """Give the pseudonym of the patient a study belongs to."""
        row = self._row("study", study)
        return str(row[0]) if row else None

    def studies_of(self, patient: str) -> tuple[str, ...]:
        """List the pseudonymous UIDs of a patient's studies."""
        with sqlite_errors(self._path):
            rows = self._db.execute(
                "SELECT pseudonym FROM entries WHERE patient = ? AND kind = 'study' ORDER BY pseudonym", (patient,)
            ).fetchall()
        return tuple(str(uid) for (uid,) in rows)

    def everyone(self) -> Iterator[tuple[str, dict[str, str]]]:
        """Give each patient's pseudonym with what names him or her, and again with what names each study."""
        with sqlite_errors(self._path):
            rows = self._db.execute(
                "SELECT kind, pseudonym, patient FROM entries WHERE kind IN ('patient', 'study') ORDER BY patient, kind"
            ).fetchall()
        for kind, pseudonym, patient in rows:
            yield patient, self._opened(kind, pseudonym) or {}

    def bind(self, source: str) -> None:
        """Fix who names the patients of this vault; empty for the site's own key.

        Raises:
            SettingsError: Patients passed under names of another source.
        """
        with self._transaction():
            row = self._db.execute("SELECT value FROM facts WHERE name = 'pseudonyms'").fetchone()
            is_used = self._db.execute("SELECT 1 FROM entries WHERE kind = 'patient' LIMIT 1").fetchone() is not None
            before = str(row[0]) if row else ""
            if is_used and before != source:
                raise SettingsError(
                    f"patients of this vault have their names from {before or 'the key of the site'}",
                    hint="a patient must not get a second name: put deid.pseudonyms back, or begin a new site",
                )
            self._db.execute("INSERT OR REPLACE INTO facts VALUES ('pseudonyms', ?)", (source,))

    def keep_given(self, source: str, pseudonyms: Mapping[str, str]) -> None:
        """Remember pseudonyms that a service gave, by keyed name of the patient."""
        with self._transaction():
            for keyed, pseudonym in pseudonyms.items():
                self._keep(_given(source), keyed, pseudonym, {"pseudonym": pseudonym})

    def given(self, source: str, keyed: str) -> str | None:
        """Give the pseudonym that a service gave earlier, by keyed name; ``None`` where it was not asked."""
        found = self._opened(_given(source), keyed)
        return found["pseudonym"] if found else None

    def keys_of(self, patient: str) -> frozenset[str]:
        """Give the keyed names of everybody who has a pseudonym, and the pseudonym itself."""
        with sqlite_errors(self._path):
            rows = self._db.execute(
                "SELECT pseudonym FROM entries WHERE patient = ? AND kind LIKE 'given %'", (patient,)
            ).fetchall()
        return frozenset((patient, *(str(keyed) for (keyed,) in rows)))

    def close_to(self, keys: Iterable[str]) -> None:
        """Take a patient in no more, under any of the names."""
        with self._transaction():
            self._db.executemany("INSERT OR IGNORE INTO forgotten VALUES (?)", [(one,) for one in keys])

    def erase(self, patient: str) -> int:
        """Erase what is known of a patient; tell how many rows went."""
        with self._transaction():
            gone = self._db.execute("DELETE FROM entries WHERE patient = ?", (patient,)).rowcount
        with sqlite_errors(self._path):
            self._db.execute("VACUUM")
        return gone

    def forgotten(self) -> frozenset[str]:
        """List the pseudonyms of patients whose consent was withdrawn."""
        with sqlite_errors(self._path):
            return frozenset(str(one) for (one,) in self._db.execute("SELECT patient FROM forgotten"))

    def _row(self, kind: str, pseudonym: str) -> tuple[str, bytes] | None:
        with sqlite_errors(self._path):
            found: tuple[str, bytes] | None = self._db.execute(
                "SELECT patient, sealed FROM entries WHERE kind = ? AND pseudonym = ?", (kind, pseudonym)
            ).fetchone()
        return found

    def _opened(self, kind: str, pseudonym: str) -> dict[str, str] | None:
        if (row := self._row(kind, pseudonym)) is None:
            return None
        sealed = row[1]
        try:
            text = self._seal.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _bound(kind, pseudonym))
        except InvalidTag as error:
            raise VaultError(
                "an entry of the re-identification table cannot be opened",
                hint="it was sealed under another key or changed; restore vault and key from one backup",
            ) from error
        document: dict[str, str] = json.loads(text)
        return document

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with sqlite_errors(self._path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                self._db.rollback()
                raise


def _given(source: str) -> str:
    return f"given {source}"


def _bound(kind: str, pseudonym: str) -> bytes:
    return f"{kind}\n{pseudonym}".encode()
