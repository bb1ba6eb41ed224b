"""Any folder, searched for identity: every file for the identifiers the vault knows, every object for its marks."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset

from racoon_data.deid.identity import Identity, identity_of
from racoon_data.deid.profile import Dates, Profile
from racoon_data.deid.safe_private import safe_in
from racoon_data.dicom.opened import OpenedFile, bytes_of, open_bytes
from racoon_data.dicom.walk import Buffer
from racoon_data.errors import IdentifierLeftError, NotDicomError, QuarantineError, UnreadableError
from racoon_data.events import OnEvent, ignore
from racoon_data.refs import FileRef
from racoon_data.runner.run import Result, run_items

STEP = "verify"
_PIXELS = 0x7FE00000
_MOST = 256 << 20  # bytes of one file that are searched, inflated
_GZIP = b"\x1f\x8b"
_ENCODINGS = ("utf-8", "latin-1")


@dataclass(frozen=True, slots=True)
class Known:
    """Whom to look for.

    Attributes:
        by_patient: Identity by pseudonym.
        everyone: All identities in one, for files that do not say whose they are.
    """

    by_patient: Mapping[str, Identity]
    everyone: Identity

    @property
    def exempt(self) -> int:
        """How many identifiers are so short or common that they count as whole values only."""
        return len(self.everyone.weak)


def known_from(persons: Iterable[tuple[str, Mapping[str, str]]]) -> Known:
    """Collect identities from what a vault knows.

    Args:
        persons: Pseudonym, and attributes that name the patient or a study by keyword; several a patient.
    """
    found: dict[str, Identity] = {}
    for patient, attributes in persons:
        dataset = Dataset()
        for keyword, value in attributes.items():
            setattr(dataset, keyword, value)
        one, before = identity_of(dataset), found.get(patient, Identity(frozenset()))
        found[patient] = Identity(before.phrases | one.phrases, before.uids | one.uids, _ENCODINGS)
    phrases = frozenset(phrase for one in found.values() for phrase in one.phrases)
    uids = frozenset(uid for one in found.values() for uid in one.uids)
    return Known(found, Identity(phrases, uids, _ENCODINGS))


def verify_files(paths: Iterable[Path], known: Known, *, on_event: OnEvent = ignore) -> tuple[Result[None], ...]:
    """Search files for the identifiers of known patients, and DICOM objects for the marks of de-identification.

    Of a DICOM object every byte outside its native pixel data is searched; of other files every byte, inflated
    where they are gzipped. Identifiers that are short or common words count as whole values of DICOM objects only.

    Args:
        paths: Files of any kind.
        known: Whom to look for.
        on_event: Listener.

    Returns:
        One result per file, in order; one that fails says why, never what was found.
    """
    items = [(FileRef(path.name), path) for path in paths]
    return tuple(run_items(STEP, items, lambda path: _verify(path, known), on_event=on_event))


def _verify(path: Path, known: Known) -> None:
    data = bytes_of(path)
    try:
        opened = open_bytes(data)
    except NotDicomError:
        _search(_inflated(data), known.everyone)
        return
    _refuse_unmarked(opened)
    identity = known.by_patient.get(opened.text("PatientID"), known.everyone)
    pixels = opened.pixels
    tree = opened.tree
    ends = pixels.start if pixels is not None and not pixels.is_encapsulated else len(tree.data)
    _search(bytes(tree.data[:ends]), identity)
    if any(value.casefold() in identity.weak for value in _values(opened)):
        raise IdentifierLeftError("a value is one of a patient's short identifiers", hint="clean the object again")


def _refuse_unmarked(opened: OpenedFile) -> None:
    if opened.text("PatientIdentityRemoved") != "YES":
        raise QuarantineError("the object is not marked as de-identified", hint="racoon deid run cleans and marks it")
    safe = safe_in(opened.tree, opened.tree.root, Profile(dates=Dates.FULL))
    if any(tag >> 16 & 1 and tag not in safe for tag in opened.tree.root.nodes):
        raise QuarantineError(
            "the object holds private attributes that are not known to be safe", hint="racoon deid run takes them out"
        )


def _values(opened: OpenedFile) -> Iterable[str]:
    for tag, node in opened.tree.root.nodes.items():
        if tag < _PIXELS and node.vr in ("LO", "LT", "PN", "SH", "ST", "UC", "UT"):
            yield from opened.tree.texts(node)


def _search(data: bytes, identity: Identity) -> None:
    if identity.is_in_header(data):
        raise IdentifierLeftError("the file holds an identifier of a patient", hint="nothing of it may leave the site")


def _inflated(data: Buffer) -> bytes:
    """Give a file's bytes, inflated where it is gzipped.

    Raises:
        UnreadableError: It cannot be inflated, or is too large to be searched.
    """
    if len(data) > _MOST:
        raise UnreadableError("the file is too large to be searched", hint="look at it by hand")
    if data[:2] != _GZIP:
        return bytes(data)
    try:
        inflated = zlib.decompressobj(31).decompress(bytes(data), _MOST + 1)
    except zlib.error as error:
        raise UnreadableError("the gzipped file cannot be inflated", hint="look at it by hand") from error
    if len(inflated) > _MOST:
        raise UnreadableError("the file inflates beyond what is searched", hint="look at it by hand")
    return inflated
