"""The receipt in every published object: from which input, under which treatment; without the key it tells nothing."""

from __future__ import annotations

from pathlib import Path

from racoon_data import __version__
from racoon_data.deid.marks import receipt_of
from racoon_data.deid.profile import EDITION, Profile
from racoon_data.deid.pseudonyms import Pseudonymizer
from racoon_data.dicom.headers import read_dataset
from racoon_data.errors import DicomError, QuarantineError


def receipt_for(digest: str, profile: Profile, names: Pseudonymizer) -> str:
    """Give the keyed mark of an input and of its treatment: profile, edition and version."""
    receipt, given_by = names.receipt, (names.given.source,) if names.given is not None else ()
    return f"{receipt(digest)} {receipt(digest, profile.sha256, EDITION, __version__, *given_by)}"


def receipt_at(path: Path) -> str | None:
    """Give the receipt of what was published under a name, ``None`` where there is nothing that can be read."""
    try:
        return receipt_of(read_dataset(path, tags=["DeidentificationMethod"])) if path.is_file() else None
    except DicomError:
        return None


def withdraw(path: Path, receipt: str) -> None:
    """Take back what an earlier run published from the same input, when it may not pass any more."""
    if (found := receipt_at(path)) and _has_same_input(found, receipt):
        path.unlink()


def _has_same_input(one: str, other: str) -> bool:
    return one.split(" ")[0] == other.split(" ")[0]


def is_done(path: Path, receipt: str) -> bool:
    """Tell whether the same input was published under a name by the same treatment.

    Raises:
        QuarantineError: Another input was published under it.
    """
    found = receipt_at(path)
    if found is not None and not _has_same_input(found, receipt):
        raise QuarantineError(
            "an object with the same UID and other content has passed already",
            hint="keep one: two objects must not share a UID",
        )
    return found == receipt
