"""Keyed pseudonyms: the same key gives the same UIDs, patients, readers and date shifts, anywhere and any day."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Self

from racoon_data.errors import PseudonymServiceError, SettingsError
from racoon_data.refs import is_uid

KEY_BYTES = 32
MAX_SHIFT_DAYS = 3650
_SALT = b"racoon de-identification v1"
_MIN_DISTINCT_BYTES = 12
_REMEMBERED = 50_000  # objects of one study name the same UIDs again and again

# UIDs that name things of the standard or of public code systems (PS3.16 Table 8-1), never a patient's.
_PUBLIC_ROOTS = ("1.2.840.10008.", "2.16.840.1.113883.6.")
_PUBLIC_UIDS = frozenset(
    (
        "1.2.276.0.76.5",
        "1.3.6.1.4.1.19376.1.7.3",
        "2.16.840.1.113883.12",
        "2.16.840.1.113883.18",
        "2.16.840.1.113883.3.26.1.1",
    )
)


def is_public_uid(uid: str) -> bool:
    """Tell whether a UID belongs to the standard or to a public code system."""
    if not is_uid(uid):
        return False
    return uid in _PUBLIC_UIDS or uid.startswith(_PUBLIC_ROOTS)


def refuse_weak(key: bytes) -> None:
    """Refuse a key that could be guessed.

    Raises:
        SettingsError: The key is shorter than 32 bytes or has too little variety to be random.
    """
    steps = {(after - before) % 256 for before, after in pairwise(key)}
    if len(key) < KEY_BYTES or len(set(key)) < _MIN_DISTINCT_BYTES or len(steps) < _MIN_DISTINCT_BYTES:
        raise SettingsError("the de-identification key is weak", hint="make one with: racoon deid key FOLDER")


def derive(key: bytes, purpose: str) -> bytes:
    """Derive a sub-key for one purpose (HKDF with SHA-256, RFC 5869, one block of 32 bytes)."""
    extracted = hmac.digest(_SALT, key, hashlib.sha256)
    return hmac.digest(extracted, purpose.encode("utf-8") + b"\x01", hashlib.sha256)


def _base32(digest: bytes, length: int) -> str:
    return base64.b32encode(digest).decode("ascii")[:length]


def plain_name(name: str) -> str:
    """Bring a person's name to one form, so that ``Doe^Jane`` and ``DOE^JANE^^`` are one person."""
    return " ".join(name.replace("^", " ").replace("=", " ").split()).casefold()


@dataclass(frozen=True, slots=True)
class Given:
    """Pseudonyms of patients that somebody else gave: a service, or a list.

    Attributes:
        source: Who gave them, such as ``gpas/racoon``.
        by_key: Pseudonym by keyed name of the patient, so that no PatientID travels.
    """

    source: str
    by_key: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Pseudonymizer:
    """Names of the originals under a secret key; nothing is stored, nothing can be undone without the key.

    Attributes:
        key: 32 random bytes or more, one key per project and site.
        given: Patients' pseudonyms from elsewhere; ``None`` keys them too. All else is always keyed.

    Raises:
        SettingsError: The key is weak.

    Example:
        >>> from hashlib import sha256
        >>> names = Pseudonymizer(sha256(b"an example, never a real key").digest())
        >>> names.uid("1.2.840.10008.5.1.4.1.1.2"), len(names.patient("4711"))
        ('1.2.840.10008.5.1.4.1.1.2', 13)
    """

    key: bytes = field(repr=False)
    given: Given | None = field(default=None, repr=False, compare=False)
    _keys: dict[str, bytes] = field(init=False, repr=False, compare=False, default_factory=dict)
    _uids: dict[str, str] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        refuse_weak(self.key)
        self._keys.update({purpose: derive(self.key, purpose) for purpose in ("patient", "uid", "date", "reader")})
        self._keys["receipt"] = derive(self.key, "receipt")

    def __reduce__(self) -> tuple[type[Self], tuple[bytes, Given | None]]:
        """Send a worker process the key and not what is remembered."""
        return type(self), (self.key, self.given)

    def _digest(self, purpose: str, text: str) -> bytes:
        return hmac.digest(self._keys[purpose], text.encode("utf-8"), hashlib.sha256)

    def uid(self, uid: str) -> str:
        """Map a UID to ``2.25.`` and 128 bits (at most 44 characters); public UIDs and empty stay."""
        bare = uid.strip("\0 ")
        return bare if not bare or is_public_uid(bare) else self._remembered(bare)

    def _remembered(self, uid: str) -> str:
        if (known := self._uids.get(uid)) is None:
            known = f"2.25.{int.from_bytes(self._digest('uid', uid)[:16], 'big')}"
            if len(self._uids) < _REMEMBERED:
                self._uids[uid] = known
        return known

    def keyed(self, patient_id: str) -> str:
        """Map a PatientID to ``P`` and 12 base32 characters (60 bits), whoever gives pseudonyms."""
        return "P" + _base32(self._digest("patient", patient_id.strip("\0 ")), 12)

    def patient(self, patient_id: str) -> str:
        """Give a patient's pseudonym: the one that was given, or the keyed one where nobody else gives them.

        Raises:
            PseudonymServiceError: The service has not given one; nothing falls back to the keyed one.
        """
        if self.given is None or not patient_id.strip("\0 "):
            return self.keyed(patient_id)
        if (found := self.given.by_key.get(self.keyed(patient_id))) is None:
            hint = "it waits where it is: run again when the service answers, or look at its answer for this patient"
            raise PseudonymServiceError("the pseudonym service has not named this patient", hint=hint)
        return found

    def other_patient(self, patient_id: str) -> str:
        """Give the name of a patient that an object merely mentions: the given one where known, else the keyed."""
        keyed = self.keyed(patient_id)
        return self.given.by_key.get(keyed, keyed) if self.given is not None else keyed

    def reader(self, name: str) -> str:
        """Map a reader's name to ``R`` and 12 base32 characters; letter case and caret places do not matter."""
        return "R" + _base32(self._digest("reader", plain_name(name)), 12)

    def day_offset(self, patient_id: str) -> int:
        """Give the whole days to add to every date of a patient: -3650..-1 or 1..3650."""
        number = int.from_bytes(self._digest("date", patient_id.strip("\0 "))[:8], "big") % (2 * MAX_SHIFT_DAYS)
        return number - MAX_SHIFT_DAYS if number < MAX_SHIFT_DAYS else number - MAX_SHIFT_DAYS + 1

    def receipt(self, *facts: str) -> str:
        """Give a keyed mark of an input and its treatment; without the key it confirms nothing."""
        return _base32(self._digest("receipt", "\n".join(facts)), 26)
