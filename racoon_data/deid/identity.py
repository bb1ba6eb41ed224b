"""The patient's own identifiers in one object, and finding them in text or bytes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from io import BytesIO
from typing import Any

from pydicom.charset import python_encoding
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset

from racoon_data.deid.pseudonyms import is_public_uid
from racoon_data.deid.table import vocabulary
from racoon_data.dicom.headers import texts_of
from racoon_data.dicom.opened import OpenedFile

_NAMES = ("PatientName", "OtherPatientNames", "PatientBirthName", "PatientMotherBirthName", "ResponsiblePerson")
_NUMBERS = (
    "PatientID",
    "OtherPatientIDs",
    "AccessionNumber",
    "AdmissionID",
    "MedicalRecordLocator",
    "PatientTelephoneNumbers",
    "PatientAddress",
    "RequestedProcedureID",
)
_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")
_IDENTIFYING = (*_NAMES, *_NUMBERS, "PatientBirthDate", "OtherPatientIDsSequence", "SpecificCharacterSet")
_PLACEHOLDERS = frozenset(
    ("", "anonymous", "anonymized", "anonymised", "anon", "unknown", "none", "n/a", "na", "null", "test", "patient")
)
_STRONG_LENGTH = 4
_STRONG_DIGITS = 8


@dataclass(frozen=True, slots=True)
class Identity:
    """What must not be left of a patient in an object.

    Attributes:
        phrases: Identifiers as they stand, in lower case: names, their parts, numbers, birth date forms.
        uids: Study, series and instance UID of the original.
        encodings: Python names of the character encodings the object declares.
    """

    phrases: frozenset[str]
    uids: frozenset[str] = frozenset()
    encodings: tuple[str, ...] = ()

    @property
    def strong(self) -> frozenset[str]:
        """Phrases distinct enough to be searched in raw bytes; known words of radiology are not."""
        return _strong(self.phrases)

    @property
    def weak(self) -> frozenset[str]:
        """Phrases too short or too common for raw bytes: they count as whole decoded values only."""
        return _weak(self.phrases)

    def taken_out(self, text: str) -> str:
        """Give a text without UIDs of the original and without phrases of four characters or more."""
        for uid in self.uids:
            text = text.replace(uid, "")
        return _in_text(self.phrases).sub("", text)

    def has_uid_in(self, data: bytes) -> bool:
        """Tell whether raw bytes hold a UID of the original."""
        return any(uid.encode("ascii", "replace") in data for uid in self.uids)

    def is_in_header(self, data: bytes) -> bool:
        """Tell whether raw bytes hold a strong phrase, in any encoding and letter case, or a UID of the original."""
        return self.has_uid_in(data) or _is_spelled_in(data, self.strong, self.encodings)

    def is_in_pixels(self, data: bytes) -> bool:
        """Tell whether compressed pixel data holds a long phrase; four letters in a row occur there by chance."""
        return _is_spelled_in(data, _long(self.phrases), self.encodings)

    def may_be_weakly_in(self, data: bytes) -> bool:
        """Tell whether it is worth decoding values to look for weak phrases."""
        return _is_spelled_in(data, self.weak, self.encodings)


def identity_of(dataset: Dataset) -> Identity:
    """Collect the patient's own identifiers from an object's header.

    Names are taken whole and in parts, numbers as they stand, the birth date in the forms people write.
    Placeholders such as ``unknown`` identify nobody and are left out.
    """
    items = [dataset, *_other_ids(dataset)]
    names = (name for item in items for keyword in _NAMES for name in texts_of(item, keyword))
    numbers = (number for item in items for keyword in _NUMBERS for number in texts_of(item, keyword))
    births = (form for date in texts_of(dataset, "PatientBirthDate") for form in _date_forms(date))
    phrases = {phrase.casefold() for phrase in (*_name_parts(names), *(one.strip() for one in numbers), *births)}
    uids = {uid for keyword in _UIDS for uid in texts_of(dataset, keyword)}
    own = frozenset(uid for uid in uids if uid and not is_public_uid(uid))
    return Identity(frozenset(phrases - _PLACEHOLDERS), own, _encodings(dataset))


def identity_in(opened: OpenedFile) -> Identity:
    """Collect the patient's own identifiers from an open file; see ``identity_of``."""
    tree = opened.tree
    person = _person(opened.stored(_IDENTIFYING), tree.root.is_implicit, tree.order == "<")
    uids = frozenset(uid for keyword in _UIDS for uid in opened.texts(keyword) if uid and not is_public_uid(uid))
    return replace(person, uids=uids)


@lru_cache(maxsize=64)
def _person(stored: bytes, is_implicit: bool, is_little_endian: bool) -> Identity:
    return identity_of(read_dataset(BytesIO(stored), is_implicit, is_little_endian))


def _other_ids(dataset: Dataset) -> list[Dataset]:
    sequence = dataset.get("OtherPatientIDsSequence")
    return list(sequence) if sequence else []


def _name_parts(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        groups = [group for group in name.split("=") if group.strip("^ ")]
        yield from (group.strip("^ ") for group in groups)
        yield from (" ".join(group.replace("^", " ").split()) for group in groups)
        parts = [part for part in re.split(r"[\^=\s,;]+", name) if len(part) > 1]
        yield from parts
        yield from (piece for part in parts for piece in re.split(r"[-_]", part) if len(piece) > 1)


def _date_forms(date: str) -> tuple[str, ...]:
    if not re.fullmatch(r"\d{8}", date):
        return (date,) if date else ()
    y, m, d = date[:4], date[4:6], date[6:]
    return (date, f"{y}-{m}-{d}", f"{y}/{m}/{d}", f"{y}.{m}.{d}", f"{d}.{m}.{y}", f"{d}/{m}/{y}", f"{d}-{m}-{y}",
            f"{m}/{d}/{y}", f"{d}.{m}.{y[2:]}", f"{d}{m}{y}", f"{int(d)}.{int(m)}.{y}")  # fmt: skip


def _encodings(dataset: Dataset) -> tuple[str, ...]:
    declared = [python_encoding.get(name, "latin-1") for name in texts_of(dataset, "SpecificCharacterSet")]
    return tuple(dict.fromkeys(("utf-8", "latin-1", *declared)))


# Objects of one patient follow one another: what is worked out once a patient is not worked out once an object.
@lru_cache(maxsize=64)
def _strong(phrases: frozenset[str]) -> frozenset[str]:
    return frozenset(phrase for phrase in phrases if _is_strong(phrase))


@lru_cache(maxsize=64)
def _weak(phrases: frozenset[str]) -> frozenset[str]:
    return phrases - _strong(phrases)


@lru_cache(maxsize=64)
def _long(phrases: frozenset[str]) -> frozenset[str]:
    return frozenset(phrase for phrase in _strong(phrases) if len(phrase) >= _STRONG_DIGITS)


def _is_strong(phrase: str) -> bool:
    if phrase in vocabulary():
        return False
    if not phrase.isascii():
        return len(phrase) > 1
    is_number = not any(character.isalpha() for character in phrase)
    return len(phrase) >= (_STRONG_DIGITS if is_number else _STRONG_LENGTH)


@lru_cache(maxsize=64)
def _in_text(phrases: frozenset[str]) -> re.Pattern[str]:
    long = [phrase for phrase in phrases if len(phrase) >= _STRONG_LENGTH or not phrase.isascii()]
    ordered = sorted(long, key=lambda phrase: (-len(phrase), phrase))
    return re.compile("|".join(map(_bounded_text, ordered)) if ordered else "(?!)", re.IGNORECASE)


def _is_spelled_in(data: bytes, phrases: frozenset[str], encodings: tuple[str, ...]) -> bool:
    """Look for each spelling by itself, which is quick, and at its neighbours only where one is found."""
    lower = data.lower()
    if not any(spelling in lower for spelling in _lower_spellings(phrases, encodings)):
        return False
    return _in_bytes(phrases, encodings).search(data) is not None


@lru_cache(maxsize=64)
def _lower_spellings(phrases: frozenset[str], encodings: tuple[str, ...]) -> tuple[bytes, ...]:
    return tuple(sorted({spelling.lower() for phrase in phrases for spelling in _spellings(phrase, encodings)}))


@lru_cache(maxsize=64)
def _in_bytes(phrases: frozenset[str], encodings: tuple[str, ...]) -> re.Pattern[bytes]:
    spellings = {spelling for phrase in phrases for spelling in _spellings(phrase, encodings)}
    ordered = sorted(spellings, key=lambda one: (-len(one), one))
    return re.compile(b"|".join(map(_bounded_bytes, ordered)) if ordered else b"(?!)", re.IGNORECASE)


def _bounded_text(phrase: str) -> str:
    before = r"(?<![^\W\d_])" if phrase[0].isalpha() else r"(?<!\d)" if phrase[0].isdigit() else ""
    after = r"(?![^\W\d_])" if phrase[-1].isalpha() else r"(?!\d)" if phrase[-1].isdigit() else ""
    return f"{before}{re.escape(phrase)}{after}"


def _spellings(phrase: str, encodings: tuple[str, ...]) -> Iterator[bytes]:
    for form in {phrase, phrase.upper(), phrase.title()}:
        for encoding in encodings:
            try:
                yield form.encode(encoding)
            except (UnicodeEncodeError, LookupError):
                continue


def _bounded_bytes(spelling: bytes) -> bytes:
    # MARY is in PRIMARY: a neighbour of the same class means that it is another word.
    letters, digits = (b"(?<![A-Za-z])", b"(?![A-Za-z])"), (b"(?<![0-9])", b"(?![0-9])")
    before = letters[0] if spelling[:1].isalpha() else digits[0] if spelling[:1].isdigit() else b""
    after = letters[1] if spelling[-1:].isalpha() else digits[1] if spelling[-1:].isdigit() else b""
    return before + re.escape(spelling) + after


def text_values(value: Any) -> tuple[str, ...]:
    """Give an element's value as a tuple of texts."""
    if value is None:
        return ()
    if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
        return (str(value),)
    return (str(value),) if hasattr(value, "alphabetic") else tuple(str(one) for one in value)
